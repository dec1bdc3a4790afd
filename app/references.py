"""The examples of each category: see them, switch them on and off, judge them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict, defaultdict
from dataclasses import replace

import PIL.Image

from app.example_pictures import example_picture
from app.examples import Example, identity, made_from, odd_ones, picture_key
from app.image_files import ImageFiles
from app.jobs import JobControl, JobRunner, Parameters
from app.model_session import ModelSession
from app.project import InvalidInput, JobView, NotFound, ProjectImage, StoredPrompt
from app.score_job import SCORE, ScoreJob, positive_prompts
from app.store import Store
from dinov.images import read_rgb
from dinov.types import Image

# A picture has about 6 KB.
_KEPT_PICTURES = 1000


class References:
    """The use cases of examples. A method that is given an id raises NotFound if it is gone."""

    def __init__(
        self, store: Store, files: ImageFiles, model: ModelSession, jobs: JobRunner
    ) -> None:
        self._store = store
        self._files = files
        self._model = model
        self._jobs = jobs
        jobs.offer(SCORE, self._score)
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._last_image: tuple[str, Image] | None = None
        self._drawing = threading.Lock()

    def examples(self, project_id: str) -> list[Example]:
        """List all examples of a project, image by image, with what is known of each."""
        with self._store.transaction():
            images = {image.id: image for image in self._store.images(project_id)}
            colors = {c.id: c.color for c in self._store.categories(project_id)}
            prompts = self._store.project_prompts(project_id)
            unused = self._store.unused_prompts(project_id)
            scores = self._store.example_scores(project_id)
            concepts = self._store.concepts(project_id)
        names = {(s.image_id, s.id): identity(images[s.image_id], s) for s in prompts}
        in_use: dict[int, list[str]] = defaultdict(list)
        for stored in prompts:
            key = (stored.image_id, stored.id)
            is_used = key not in unused and images[stored.image_id].is_reference
            if is_used and stored.prompt.positive:
                in_use[stored.prompt.category_id].append(names[key])
        for concept in concepts:
            if concept.is_used:
                in_use[concept.category_id] += concept.identities
        fingerprint = self._model.fingerprint if self._model.is_loaded else None
        examples = []
        for stored in prompts:
            key = (stored.image_id, stored.id)
            image, known = images[stored.image_id], scores.get(key)
            now = made_from(names[key], in_use[stored.prompt.category_id])
            is_stale = known is not None and (
                known.made_from != now or fingerprint not in (None, known.fingerprint)
            )
            examples.append(
                Example(
                    image=image,
                    stored=stored,
                    is_used=key not in unused,
                    score=known.score if known else None,
                    is_judged=known is not None and stored.prompt.positive,
                    is_stale=is_stale,
                    is_odd=False,
                    picture=picture_key(image, stored, colors[stored.prompt.category_id]),
                )
            )
        return _with_odd_ones(examples)

    def set_used(self, image_id: int, prompt_id: str, is_used: bool) -> None:
        """Switch an example on or off; one that is off stays, but says nothing to the model."""
        with self._store.transaction():
            self._prompt(image_id, prompt_id)
            self._store.set_prompt_used(image_id, prompt_id, is_used)

    def picture(self, image_id: int, prompt_id: str) -> bytes:
        """Return a JPEG of an example and what is around it."""
        image, stored = self._prompt(image_id, prompt_id)
        color = self._store.category(stored.prompt.category_id)[1].color
        key = picture_key(image, stored, color)
        # One at a time: pictures come in crowds from the same image, which is then read once.
        with self._drawing:
            if key not in self._pictures:
                if self._last_image is None or self._last_image[0] != image.sha256:
                    self._last_image = (image.sha256, read_rgb(self._files.path(image)))
                drawn = example_picture(self._last_image[1], stored.prompt, color)
                buffer = io.BytesIO()
                PIL.Image.fromarray(drawn).save(buffer, "JPEG", quality=85)
                self._pictures[key] = buffer.getvalue()
            self._pictures.move_to_end(key)
            while len(self._pictures) > _KEPT_PICTURES:
                self._pictures.popitem(last=False)
            return self._pictures[key]

    def start_scoring(self, project_id: str) -> str:
        """Begin to compare each example with the others of its category, in the background.

        Returns:
            The id of the job.

        Raises:
            InvalidInput: if no category has two examples that are in use.
        """
        counts: dict[int, int] = defaultdict(int)
        for example in self.examples(project_id):
            if example.counts and example.stored.prompt.positive:
                counts[example.stored.prompt.category_id] += 1
        for concept in self._store.concepts(project_id):
            if concept.is_used and concept.category_id in counts:
                counts[concept.category_id] += concept.positives
        if max(counts.values(), default=0) < 2:
            raise InvalidInput(
                "There is nothing to compare: mark at least two examples of a category first."
            )
        images = positive_prompts(self._store, project_id)
        title = f"Compare {sum(counts.values()):,} examples"
        return self._jobs.submit(project_id, SCORE, {}, title=title, total=len(images))

    def scoring(self, project_id: str) -> JobView | None:
        """Return the comparison that is under way or else the last one, if there was any."""
        return self._jobs.latest(project_id, SCORE)

    def _score(self, control: JobControl, _: Parameters) -> str:
        """Do what ``start_scoring`` has queued."""
        work = ScoreJob(self._store, self._files, self._model, control.project_id)
        with self._model.kept():
            return work(control)

    def _prompt(self, image_id: int, prompt_id: str) -> tuple[ProjectImage, StoredPrompt]:
        image = self._store.image(image_id)
        for stored in self._store.prompts(image_id):
            if stored.id == prompt_id:
                return image, stored
        raise NotFound("This mark does not exist any more. Reload the page.")


def _with_odd_ones(examples: list[Example]) -> list[Example]:
    """Point out, of each category, the examples in use that do not belong to the others."""
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    for number, one in enumerate(examples):
        if one.counts and one.is_judged and not one.is_stale and one.score is not None:
            scores[one.stored.prompt.category_id][number] = one.score
    odd = {number for group in scores.values() for number in odd_ones(group)}
    return [replace(one, is_odd=True) if n in odd else one for n, one in enumerate(examples)]
