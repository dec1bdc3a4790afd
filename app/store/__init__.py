"""The database: every row the application keeps, as the values of ``project``.

One module per group of tables; ``database`` holds the connection they share.
"""

from __future__ import annotations

from app.store.accounts import AccountRows
from app.store.copies import ProjectCopies
from app.store.edits import EditRows
from app.store.jobs import JobRows
from app.store.projects import ProjectRows
from app.store.prompts import PromptRows
from app.store.references import ReferenceRows
from app.store.review import ReviewRows
from app.store.sequences import SequenceRows
from app.store.settings import SettingRows


class Store(
    ProjectRows,
    PromptRows,
    ReferenceRows,
    ReviewRows,
    SequenceRows,
    EditRows,
    JobRows,
    AccountRows,
    SettingRows,
    ProjectCopies,
):
    """Read and write the rows of one database file. Methods that look up an id raise NotFound."""
