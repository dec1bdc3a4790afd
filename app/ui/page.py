"""The components of the page, and what each is told when something was opened or has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import gradio as gr
from pydantic import BaseModel, ConfigDict, ValidationError

from app.access import acting_user
from app.canvas import EditEvent, PromptsEvent, prompt_canvas
from app.project import AppError
from app.segmentation import Studio
from app.ui import render
from app.ui.panel import panel
from app.ui.snapshot import Snapshot
from app.ui.strip import Strip
from dinov.errors import DinovError

logger = logging.getLogger(__name__)

Updates = dict[Any, Any]
"""New values by component; components that are left out stay as they are."""


class Place(BaseModel):
    """Where the user was when something was pressed. Every event of a panel carries it.

    The page tells, so an open tab goes on working after the server was restarted.
    """

    model_config = ConfigDict(frozen=True)

    project_id: str | None = None
    image_id: int | None = None


class Session:
    """What one browser tab shows: ids and revisions only. Changed in place by the tab's handlers.

    ``place`` is None until the page has been opened, also after a restart of the server below it.
    ``results_revs`` holds, by image id, the revision of the results the canvas was last told about;
    ``problems`` are files that were left out, until the user has read it; ``threshold_order``
    numbers the score threshold that was saved last, ``opening_order`` the image that was opened
    last; ``strip`` is what the filmstrip was told.
    Handlers of a tab take turns: uploads among themselves, everything else likewise.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.problems: list[str] = []
        self.threshold_order = self.opening_order = 0
        self.results_revs: dict[int, int] = {}
        self.strip = Strip()
        self.turn = threading.Lock()
        self.upload_turn = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        """Begin another tab: Gradio copies the initial value for each."""
        return Session()


EventT = TypeVar("EventT", bound=Place)

EVENTS: Mapping[str, tuple[str, ...]] = {
    "projects": (
        *("project_created", "project_opened", "project_renamed", "project_deleted"),
        *("example_opened", "status_asked"),
        *("jobs_polled", "job_cancelled", "job_resumed", "jobs_put_away"),
    ),
    "account": ("sharing_changed", "polled"),
    "library": (
        *("library_asked", "project_created", "project_opened", "project_renamed"),
        *("project_duplicated", "project_deleted", "project_restored", "trash_emptied"),
        "example_opened",
    ),
    "settings": (
        *("settings_asked", "polled", "model_chosen", "change_stopped"),
        *("overlap_changed", "score_changed"),
    ),
    "notices": ("project_restored",),
    "filmstrip": (
        *("files_added", "problems_read", "image_opened", "role_changed", "image_removed"),
        *("image_reviewed", "strip_asked", "sequence_made", "sequence_renamed"),
    ),
    "welcome": ("example_opened",),
    "runs": (
        *("run_options_changed", "segment_pressed", "threshold_changed"),
        *("job_cancelled", "polled"),
    ),
    "references": (
        *("example_opened", "example_switched", "examples_scored"),
        *("bank_loaded", "concept_switched", "concept_removed"),
        *("job_cancelled", "polled"),
    ),
    "video": (
        *("video_added", "sequence_made", "sequence_renamed", "sequence_removed"),
        *("frame_opened", "track_pressed", "job_cancelled", "polled"),
    ),
    "categories": (
        *("category_added", "category_renamed", "category_recolored", "category_removed"),
        "category_threshold_changed",
    ),
    "instances": (),
    "exchange": ("files_imported", "export_asked", "import_ended"),
}
"""What each panel may tell the server."""


class Page:
    """Lays the components out and writes to them; the modules beside this one bind handlers.

    Invariant: handlers answer with ``Updates`` drawn from one fresh ``Snapshot``, so that panels
    never disagree. The canvas is written to only when another image is opened or its results,
    threshold or categories have changed, never in answer to an edit made on it.
    """

    def __init__(
        self,
        studio: Studio,
        *,
        on_save: Callable[[PromptsEvent], dict[str, Any]],
        on_edit: Callable[[EditEvent], dict[str, Any]],
    ) -> None:
        self.studio = studio
        self._creating = threading.Lock()
        self.session = gr.State(Session())
        self.projects = _panel("projects")
        self.account = _panel("account")
        self.library = _panel("library")
        self.settings = _panel("settings")
        self.address = _panel("address")
        self.notices = _panel("notices")
        with gr.Row(elem_id="st-studio"):
            with gr.Column(elem_id="st-left"):
                self.filmstrip = _panel("filmstrip")
            with gr.Column(elem_id="st-centre"):
                self.canvas = prompt_canvas(on_save, on_edit, elem_id="st-canvas")
                _panel("review")
                self.welcome = _panel("welcome")
            with gr.Column(elem_id="st-right"):
                self.hints = _panel("hints")
                self.runs = _panel("runs")
                self.references = _panel("references")
                self.video = _panel("video")
                self.categories = _panel("categories")
                self.instances = _panel("instances")
                self.exchange = _panel("exchange")
            _panel("columns")

    def on(
        self,
        listener: Callable[..., Any],
        action: Callable[[EventT, Session], Updates],
        event_type: type[EventT],
        *,
        uploads: bool = False,
    ) -> None:
        """Bind ``action`` to a panel's event; what goes wrong on purpose is told in words."""

        def handle(session: Session, evt: gr.EventData) -> Updates:
            with session.upload_turn if uploads else session.turn:
                try:
                    event = event_type.model_validate(evt._data)
                    return action(event, session) or gr.skip()
                except (AppError, DinovError) as error:
                    return self._take_back(session, str(error))
                except ValidationError:
                    logger.exception("unreadable %s", event_type.__name__)
                    return self._take_back(session, "The page is older than the server. Reload it.")

        self.bind(listener, handle, trigger_mode="multiple")

    def bind(
        self, listener: Callable[..., Any], handle: Callable[..., Updates], **how: Any
    ) -> None:
        """Bind a handler that may write to anything on the page.

        Not through Gradio's queue: it loses the answer to an event that arrives while the stream
        of an earlier one is closing (measured with gradio 6.31). Handlers take milliseconds; what
        takes longer is a job.
        """
        listener(
            handle,
            inputs=[self.session],
            outputs=self.outputs,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
            **how,
        )

    @property
    def outputs(self) -> list[Any]:
        """Everything a handler may write to."""
        return [
            self.projects, self.account, self.address, self.filmstrip, self.canvas, self.welcome,
            self.runs, self.categories, self.instances, self.notices, self.exchange,
            self.references, self.video, self.library, self.settings, self.hints,
        ]  # fmt: skip

    def project_of(self, event: Place, session: Session) -> str:
        """Return the project the session works in; the first thing added begins one."""
        with self._creating:
            place = session.place or event
            if place.project_id is None:
                place = Place(project_id=self.studio.create_project().id)
                session.place = place
            return str(place.project_id)

    def open(
        self, session: Session, project_id: str | None, image_id: int | None = None
    ) -> Updates:
        """Show a project at one of its images, and remember that this is where the user is.

        Without ids, or where they do not exist any more, the place where the user was last.
        """
        snapshot = Snapshot.take(self.studio, project_id, image_id)
        if session.place and session.place.project_id not in (None, snapshot.project_id):
            session.problems = []
        session.place = Place(project_id=snapshot.project_id, image_id=snapshot.image_id)
        canvas = render.canvas_document(snapshot)
        if snapshot.project_id is not None:
            self.studio.open_project(snapshot.project_id)
            if snapshot.image_id is not None:
                self.studio.set_current_image(snapshot.project_id, snapshot.image_id)
                session.results_revs[snapshot.image_id] = snapshot.results_rev
                canvas = render.canvas_document(snapshot, *self.studio.prompts(snapshot.image_id))
        return {
            **self._panels(snapshot, session),
            self.address: render.address(snapshot),
            self.welcome: render.welcome(snapshot),
            self.canvas: canvas,
        }

    def refresh(self, event: Place, session: Session, *, canvas: bool = False) -> Updates:
        """Show what has changed, keeping the open image, its zoom and its undo history.

        What the session shows goes before what the event says: an event may have been under way
        while another image was opened. The canvas is told new results, or with ``canvas`` all.
        """
        place = session.place or event
        snapshot = Snapshot.take(self.studio, place.project_id, place.image_id)
        if (snapshot.project_id, snapshot.image_id) != (place.project_id, place.image_id):
            return self.open(session, snapshot.project_id, snapshot.image_id)
        updates = self._panels(snapshot, session)
        image_id = snapshot.image_id
        if image_id is not None:
            told = session.results_revs.get(image_id)
            session.results_revs[image_id] = snapshot.results_rev
            if canvas or told != snapshot.results_rev:
                updates[self.canvas] = render.canvas_update(snapshot, image_id)
        return updates if (session.place or event) == place else {}

    def tell_status(self, session: Session) -> Updates:
        """Say whether the model has been loaded meanwhile, and how far the jobs are."""
        return {self.projects: self._project_bar(self.look(session))}

    def _take_back(self, session: Session, reason: str) -> Updates:
        """Say what went wrong, and draw what is where the page may show it as done."""
        snapshot = self.look(session)
        return {
            **self._panels(snapshot, session, refused=True),
            self.runs: render.run_controls(snapshot, refused=True),
            self.exchange: render.exchange(snapshot, refused=True),
            self.notices: render.notice(snapshot, reason),
        }

    def look(self, session: Session) -> Snapshot:
        """Look at what the session shows."""
        place = session.place or Place()
        return Snapshot.take(self.studio, place.project_id, place.image_id)

    def _panels(self, snapshot: Snapshot, session: Session, *, refused: bool = False) -> Updates:
        return {
            self.projects: self._project_bar(snapshot),
            self.account: render.account(snapshot, acting_user(), self.studio.model_status()),
            self.filmstrip: session.strip.tell(snapshot, session.problems, refused=refused),
            self.runs: render.run_controls(snapshot),
            self.categories: render.category_list(snapshot),
            self.instances: render.instance_list(snapshot),
            self.exchange: render.exchange(snapshot),
            self.references: render.references(snapshot),
            self.video: render.video(snapshot),
            self.hints: render.hint(snapshot),
        }

    def _project_bar(self, snapshot: Snapshot) -> str:
        studio = self.studio
        projects = studio.projects()
        ids = [project.id for project in projects]
        jobs = studio.jobs.recent(ids) if ids else ()
        return render.project_bar(snapshot, projects, studio.model_status(), jobs)


def _panel(name: str) -> gr.HTML:
    return panel(name, events=EVENTS.get(name, ()))
