"""The view of the settings: the model of the server, and the thresholds of the open project."""

from __future__ import annotations

from app.project import AppError, Task
from app.settings import ModelSettings
from app.ui import render
from app.ui.page import Page, Place, Session, Updates
from dinov.errors import DinovError


class ModelChosen(Place):
    """Another model was chosen, or the same in another way; what is left out stays."""

    checkpoint: str | None = None
    device: str | None = None
    precision: str | None = None
    cache_mb: int | None = None
    input_size: int | None = None


class OverlapChanged(Place):
    """How much two masks of a project may overlap was chosen."""

    overlap_threshold: float


class ScoreChanged(Place):
    """The score threshold of a project for one task was chosen."""

    score_threshold: float
    task: Task


def bind(page: Page) -> None:
    """Connect the view."""
    studio = page.studio

    def drawn(session: Session, problem: str = "") -> Updates:
        view = studio.server.model_settings()
        return {page.settings: render.settings(page.look(session), view, problem)}

    def ask(_: Place, session: Session) -> Updates:
        return drawn(session)

    def follow(event: Place, session: Session) -> Updates:
        change = studio.server.model_settings().change
        is_over = change is None or change.step is None
        updates = page.refresh(event, session) if is_over else page.tell_status(session)
        return {**updates, **drawn(session)}

    def choose(event: ModelChosen, session: Session) -> Updates:
        # The view tells what goes wrong by itself: notices would lie below it.
        try:
            names = event.model_fields_set & set(ModelSettings.__dataclass_fields__)
            studio.server.change_model({name: getattr(event, name) for name in names})
        except (AppError, DinovError) as error:
            return drawn(session, str(error))
        return drawn(session)

    def stop(_: Place, session: Session) -> Updates:
        studio.server.stop_model_change()
        return drawn(session)

    def choose_overlap(event: OverlapChanged, session: Session) -> Updates:
        studio.set_overlap_threshold(str(event.project_id), event.overlap_threshold)
        return drawn(session)

    def choose_score(event: ScoreChanged, session: Session) -> Updates:
        studio.set_score_threshold(str(event.project_id), event.score_threshold, event.task)
        return {**page.refresh(event, session), **drawn(session)}

    page.on(page.settings.settings_asked, ask, Place)
    page.on(page.settings.polled, follow, Place)
    page.on(page.settings.model_chosen, choose, ModelChosen)
    page.on(page.settings.change_stopped, stop, Place)
    page.on(page.settings.overlap_changed, choose_overlap, OverlapChanged)
    page.on(page.settings.score_changed, choose_score, ScoreChanged)
