"""Both tasks on one batch: images are encoded once, then asked for categories and for objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dinov.config import VARIANTS
from dinov.model.dinov import DINOv, FeaturePyramid, LayeredPrediction, ReferPrediction
from dinov.model.prompt_encoder import mean_per_category
from dinov.training.config import TrainingConfig
from dinov.training.criterion import Criterion
from dinov.training.denoising import make_denoise_queries
from dinov.training.distributed import ALONE, Processes
from dinov.training.episodes import Batch
from dinov.training.losses import UniformDraw
from dinov.training.memory import CategoryMemory
from dinov.training.refer_criterion import ReferCriterion
from dinov.training.refer_episodes import ReferBatch
from dinov.training.truths import Truths


@dataclass(frozen=True)
class Predictions:
    """What the model answers; a task that is left out has no answer.

    ``remembered`` are the categories of earlier batches that were looked for, too.
    """

    generic: LayeredPrediction | None
    remembered: tuple[str, ...]
    refer: tuple[ReferPrediction, ...]


class Tasks:
    """The tasks of a recipe and what their answers cost.

    ``memory`` holds the categories of earlier batches.
    """

    def __init__(self, config: TrainingConfig, processes: Processes = ALONE) -> None:
        self.config, self.processes = config, processes
        points, mean = config.mask_points, processes.mean
        self._generic = Criterion(
            config.loss, points, config.duplicate_iou, config.focal_alpha, mean
        )
        self.memory = CategoryMemory(config.remembered_categories, VARIANTS[config.variant].width)
        self._refer = ReferCriterion(config.loss, points, config.refer.softmax, mean)

    def predict(
        self, model: DINOv, pyramid: FeaturePyramid, batch: Batch, uniform: UniformDraw
    ) -> Predictions:
        """Decode the batch's pyramid for each task."""
        masks, images = [batch.prompt_masks], [batch.prompt_image]
        if batch.refer is not None:
            masks.append(batch.refer.prompt_masks)
            images.append(batch.refer.prompt_image)
        prompts = model.encode_prompts(pyramid, torch.cat(masks), torch.cat(images))
        first = len(batch.prompt_masks)
        generic, refer = None, tuple[ReferPrediction, ...]()
        remembered: tuple[str, ...] = ()
        if self.config.generic_weight and batch.is_generic:
            remembered, others = self.memory.draw(batch.visible, uniform)
            generic = self._predict_generic(model, pyramid, prompts[:first], others, batch, uniform)
        if batch.refer is not None:
            wanted = _per_image(prompts[first:], batch.refer)
            refer = model.decode_refer_layers(pyramid, wanted, batch.refer.points_cxcywh)
        return Predictions(generic, remembered, refer)

    def losses(
        self, predictions: Predictions, batch: Batch, uniform: UniformDraw
    ) -> dict[str, Tensor]:
        """Weighted losses to be summed, by the names of the criteria."""
        losses: dict[str, Tensor] = {}
        truths = Truths.of(batch.truths)
        if predictions.generic is not None:
            weight = self.config.generic_weight
            absent = [[name in known for name in predictions.remembered] for known in batch.known]
            terms = self._generic(predictions.generic, truths.with_absent(absent), uniform)
            losses |= {name: weight * loss for name, loss in terms.items()}
        if batch.refer is not None:
            weight = self.config.refer.weight
            terms = self._refer(predictions.refer, truths, batch.refer.asked, uniform)
            losses |= {name: weight * loss for name, loss in terms.items()}
        return losses

    def _predict_generic(
        self,
        model: DINOv,
        pyramid: FeaturePyramid,
        prompts: Tensor,
        others: Tensor,
        batch: Batch,
        uniform: UniformDraw,
    ) -> LayeredPrediction:
        categories = mean_per_category(
            prompts, batch.prompt_category, batch.num_categories, self.processes.sum
        )
        denoise = make_denoise_queries(
            Truths.of(batch.truths),
            queries=self.config.denoise_queries,
            noise=self.config.denoise_noise,
            uniform=uniform,
        )
        self.memory.remember(batch.categories, categories)
        return model.decode_generic_layers(
            pyramid,
            torch.cat([categories, others.to(categories)]),
            denoise,
            concept_masks=self.config.loss.concept > 0,
        )


def _per_image(prompts: Tensor, refer: ReferBatch) -> Tensor:
    """[R, C] prompts to [B, K, C], K the most that an image has, the rest zeros."""
    counts = [len(asked.wanted) for asked in refer.asked]
    return pad_sequence(list(prompts.split(counts)), batch_first=True)
