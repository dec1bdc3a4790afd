"""Data sets that are JSON: which files are, and how several are read as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.formats.dataset import Reader, Reading
from app.project import InvalidData

Document = tuple[Path, dict[str, Any]]
"""A file and the JSON object in it."""

_Entry = TypeVar("_Entry", bound=BaseModel)

_LARGEST_FILE = 4 << 30


def json_objects(path: Path) -> Iterator[Document]:
    """Yield the file, or the files below the folder, that hold a JSON object.

    Raises:
        InvalidData: if a file that is named is called JSON and is none, or one is too large.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    for file in files:
        if file.name.startswith("."):
            continue
        if file.stat().st_size > _LARGEST_FILE:
            raise InvalidData(f"{file.name} is too large to be read at once. Split it.")
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            if path == file and path.suffix.lower() == ".json":
                raise InvalidData(f"{path.name} is damaged: it is not JSON.") from None
        else:
            if isinstance(content, dict):
                yield file, content


def has_segments(rows: Any) -> bool:
    """Whether annotations are those of COCO panoptic, and not of COCO instances."""
    return (
        isinstance(rows, list)
        and len(rows) > 0
        and all(isinstance(row, dict) and "segments_info" in row for row in rows)
    )


def read_each(
    documents: Iterable[Document],
    read_one: Callable[[Path, dict[str, Any], Reader], None],
    lacking: str,
) -> Reading:
    """Read documents one after the other as one data set.

    Raises:
        InvalidData: if there are none; ``lacking`` is what it says.
    """
    reader = Reader()
    count = 0
    for count, (file, document) in enumerate(documents, 1):  # noqa: B007 - counts them
        read_one(file, document, reader)
    if count == 0:
        raise InvalidData(lacking)
    return reader.reading()


def read_entry(
    kind: type[_Entry], row: Any, place: str, reader: Reader, spare: Collection[str]
) -> _Entry | None:
    """Check one annotation of a file.

    Fields that it can spare are left out where they are wrong, and noted: what outlines the object
    stays. With anything else wrong it is a problem, and None.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        wrong = dict.fromkeys(
            str(detail["loc"][0]) if detail["loc"] else "" for detail in error.errors()
        )
        if not wrong.keys() <= set(spare):
            reader.problems.add(f"it cannot be understood ({reason_of(error)})", place)
            return None
    for field in wrong:
        reader.notes.add(f"its {field} cannot be read, and is left out", place)
    return kind.model_validate({key: value for key, value in row.items() if key not in wrong})


def reason_of(error: ValidationError) -> str:
    """Say which field of an entry is wrong first, and how."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
