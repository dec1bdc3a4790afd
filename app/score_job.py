"""How well the other examples of a category find each of its examples, for a whole project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.concepts import Concept
from app.examples import ExampleScore, identity, made_from
from app.image_files import ImageFiles
from app.jobs import JobControl
from app.marks import embed_marks, marks_of, read_concepts
from app.model_session import ModelSession
from app.project import NotFound, ProjectImage, StoredPrompt
from app.store import Store
from dinov.errors import InvalidImage, InvalidPrompt

if TYPE_CHECKING:
    from torch import Tensor

    from dinov.prompt_bank import PromptBank
    from dinov.types import Prompt


SCORE = "score"
"""The kind of this job."""


@dataclass(frozen=True)
class ScoreJob:
    """The work of a job; call it with the job's control.

    Every positive prompt is scored, also one that is switched off; the others are those in use.
    Scores are stored image by image; those up to date are left as they are.
    """

    store: Store
    files: ImageFiles
    model: ModelSession
    project_id: str

    def __call__(self, control: JobControl) -> str:
        """Do the work and return the closing message."""
        if not self.model.is_loaded:
            control.say("Loading the model …")
        fingerprint = self.model.fingerprint
        control.say("Reading the marks …")
        images = {image.id: image for image in self.store.images(self.project_id)}
        marks = marks_of(self.store, self.project_id)
        embedded = embed_marks(self.files, self.model, marks.references, control)
        others: dict[int, dict[str, Tensor]] = {}
        for stored, embedding in embedded:
            if stored.prompt.positive:
                group = others.setdefault(stored.prompt.category_id, {})
                group[identity(images[stored.image_id], stored)] = embedding
        for concept in marks.concepts:
            for bank in self._read(concept, control):
                examples = zip(concept.identities, bank.positives[concept.category_id], strict=True)
                others.setdefault(concept.category_id, {}).update(examples)
        known = self.store.example_scores(self.project_id)
        scored = 0
        control.start_clock()
        for image, prompts in positive_prompts(self.store, self.project_id):
            if control.is_cancelled():
                return f"Stopped. {scored} examples were compared."
            control.say(f"Comparing the examples on {image.file_name} …")
            wanted = []
            for stored in prompts:
                group = others.get(stored.prompt.category_id, {})
                key = made_from(identity(image, stored), group)
                score = known.get((image.id, stored.id))
                if score is None or (score.made_from, score.fingerprint) != (key, fingerprint):
                    wanted.append((stored, key))
            try:
                self._score(image, wanted, others, fingerprint)
                scored += len(prompts)
            except (InvalidImage, InvalidPrompt, NotFound) as error:
                control.add_problem(f"{image.file_name}: {error}")
            control.advance(is_timed=bool(wanted))
        return f"Compared {scored} examples with the others of their category."

    def _read(self, concept: Concept, control: JobControl) -> list[PromptBank]:
        return read_concepts(self.files, self.model, self.project_id, [concept], control)

    def _score(
        self,
        image: ProjectImage,
        wanted: Sequence[tuple[StoredPrompt, str]],
        others: dict[int, dict[str, Tensor]],
        fingerprint: str,
    ) -> None:
        if not wanted:
            return
        examples: list[tuple[Prompt, list[Tensor]]] = []
        for stored, _ in wanted:
            own, group = identity(image, stored), others.get(stored.prompt.category_id, {})
            examples.append((stored.prompt, [one for key, one in group.items() if key != own]))
        scores = self.model.score_examples(self.files.path(image), image.sha256, examples)
        self.store.save_example_scores(
            ExampleScore(image.id, stored.id, score, key, fingerprint)
            for (stored, key), score in zip(wanted, scores, strict=True)
        )


def positive_prompts(
    store: Store, project_id: str
) -> list[tuple[ProjectImage, list[StoredPrompt]]]:
    """List the images that carry positive prompts with all of these, whether in use or not."""
    prompts: dict[int, list[StoredPrompt]] = {}
    for stored in store.project_prompts(project_id):
        if stored.prompt.positive:
            prompts.setdefault(stored.image_id, []).append(stored)
    return [(i, prompts[i.id]) for i in store.images(project_id) if i.id in prompts]
