"""Everything the published code does after the decoder, on recorded inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from dinov.dense import dense_instances, panoptic_map, semantic_map
from dinov.images import ImageTransform
from dinov.model.dinov import GenericPrediction
from dinov.postprocess import reference_demo, resize_mask_logits
from tests.parity.archive import Parity

LOGITS, MASKS, SCORES, PIXELS, BOX_PIXELS = 1e-4, 3e-4, 1e-5, 1e-5, 2e-3
THINGS = [True, True, False]
ParityOf = Callable[[str], Parity]


@pytest.fixture
def tiny(parity_of: ParityOf) -> Parity:
    return parity_of("tiny")


def predict(parity: Parity, case: str) -> GenericPrediction:
    with torch.inference_mode():
        return parity.model.decode_generic(parity.pyramid("target"), parity.cases()[case])


@pytest.mark.parametrize(
    ("case", "size_hw"), [("single_down", (97, 75)), ("single_up", (300, 232))]
)
def test_the_demo_at_other_output_sizes(tiny: Parity, case: str, size_hw: tuple[int, int]) -> None:
    transform = tiny.transform("target")
    other = ImageTransform(size_hw, transform.input_hw, transform.padded_hw)
    prediction = predict(tiny, "single")
    _, scores, masks = reference_demo(prediction.logits[0], prediction.mask_logits[0], other)
    tiny.check(f"demo/{case}/scores", scores, SCORES)
    tiny.check(f"demo/{case}/order", scores.argsort(descending=True), 0)
    tiny.check(f"demo/{case}/mask_logits", masks, MASKS)
    tiny.check(f"demo/{case}/masks_binary", masks > 0, PIXELS)


@pytest.mark.parametrize("step", ["0.30", "0.10", "0.05", "0.01"])
def test_the_threshold_ladder_of_the_demo(tiny: Parity, step: str) -> None:
    logits = tiny.golden.stored(f"filter/{step}/logits")
    masks = torch.zeros(len(logits), 8, 8)
    transform = ImageTransform((32, 32), (32, 32), (32, 32))
    kept, scores, _ = reference_demo(logits, masks, transform)
    tiny.check(f"filter/{step}/kept", kept, 0)
    tiny.check(f"filter/{step}/scores", scores, SCORES)


@pytest.mark.parametrize("name", ["tiny", pytest.param("swinT", marks=pytest.mark.slow)])
def test_the_whole_demo_from_files_to_masks(parity_of: ParityOf, name: str) -> None:
    parity = parity_of(name)
    facts = parity.golden.meta["demo_task"]
    size = facts["text_size"]
    with torch.inference_mode():
        embeddings = torch.cat(
            [_demo_reference(parity, image, kind, size) for image, kind in facts["references"]]
        )
        transform = _demo_transform(parity, "target", size)
        pyramid = parity.model.encode_image(_pixels(parity, "target", transform))
        found = parity.model.decode_generic(pyramid, embeddings.mean(0, keepdim=True))
    shown = ImageTransform(transform.input_hw, transform.input_hw, transform.padded_hw)
    _, scores, masks = reference_demo(found.logits[0], found.mask_logits[0], shown)
    drawn = (masks > 0)[scores.argsort(descending=True)]
    recorded = parity.golden.stored("demo_task/masks_binary")
    assert list(drawn.shape) == [facts["count"], *facts["shape"]]
    # The recording's resampling of uint8 pixels may round differently: a few pixels per mask.
    assert int((drawn != recorded).flatten(1).sum(1).max()) <= 3


def _demo_transform(parity: Parity, image: str, size: int) -> ImageTransform:
    return ImageTransform.fit(parity.recipe.SIZES[image], size, resize="shortest")


def _pixels(parity: Parity, image: str, transform: ImageTransform) -> Tensor:
    rgb = parity.recipe.image(image).permute(1, 2, 0).numpy()
    return torch.from_numpy(transform.apply_image(rgb))[None]


def _demo_reference(parity: Parity, image: str, kind: str, size: int) -> Tensor:
    """[1, C], with the drawn mask resampled like a picture, as the demo does it."""
    transform = _demo_transform(parity, image, size)
    drawn = PIL.Image.fromarray(parity.recipe.prompt(image, kind).numpy().astype(np.uint8) * 255)
    resized = drawn.resize(transform.input_hw[::-1], PIL.Image.Resampling.BICUBIC)
    height, width = transform.input_hw
    mask = torch.zeros(1, *transform.padded_hw, dtype=torch.bool)
    mask[0, :height, :width] = torch.from_numpy(np.asarray(resized) > 0)
    pyramid = parity.model.encode_image(_pixels(parity, image, transform))
    return parity.model.encode_prompts(pyramid, mask)


class TestDense:
    @pytest.fixture
    def logits(self, tiny: Parity) -> Tensor:
        # The recording lowered them by 1, so that its threshold has something to leave out.
        logits = tiny.golden.stored("dense/class_logits")
        torch.testing.assert_close(predict(tiny, "three").logits[0] - 1, logits, atol=1e-4, rtol=0)
        return logits

    @pytest.fixture
    def masks(self, tiny: Parity) -> Tensor:
        masks = resize_mask_logits(predict(tiny, "three").mask_logits[0], tiny.transform("target"))
        tiny.check("dense/mask_logits", masks, MASKS)
        return masks

    def test_semantic(self, tiny: Parity, logits: Tensor, masks: Tensor) -> None:
        tiny.check("dense/semantic", semantic_map(logits, masks), LOGITS)

    def test_panoptic(self, tiny: Parity, logits: Tensor, masks: Tensor) -> None:
        numbers, segments = panoptic_map(logits, masks, THINGS, overlap_threshold=0.05)
        tiny.check("dense/panoptic_overlap005", numbers, 0)
        assert _recorded(tiny, "dense/segments_overlap005") == [vars(s) for s in segments]

    def test_instances(self, tiny: Parity, logits: Tensor, masks: Tensor) -> None:
        boxes = predict(tiny, "three").boxes_cxcywh[0]
        found = dense_instances(logits, boxes, masks, tiny.transform("target"), is_thing=THINGS)
        tiny.check("dense/instance_scores", found.scores, SCORES)
        tiny.check("dense/instance_classes", found.categories, 0)
        tiny.check("dense/instance_boxes", found.boxes_xyxy, BOX_PIXELS)
        tiny.check("dense/instance_masks", found.masks, PIXELS)

    def test_overlapping_rectangles(self, tiny: Parity) -> None:
        logits = tiny.golden.stored("dense/rect_class_logits")
        masks = torch.full((len(logits), 80, 60), -4.0)
        corners = tiny.golden.meta["dense/rectangles_x0y0x1y1"]
        for i, (x0, y0, x1, y1) in enumerate(corners):
            masks[i, y0:y1, x0:x1] = 3 + 0.25 * i
        tiny.check("dense/semantic_rectangles", semantic_map(logits, masks), SCORES)
        numbers, segments = panoptic_map(logits, masks, THINGS)
        tiny.check("dense/panoptic_rectangles", numbers, 0)
        assert _recorded(tiny, "dense/segments_rectangles") == [vars(s) for s in segments]


def _recorded(tiny: Parity, name: str) -> list[dict[str, object]]:
    return [
        {"id": row["id"], "category": row["category_id"], "is_thing": row["isthing"]}
        for row in tiny.golden.meta[name]
    ]


def test_nothing_in_an_image_is_an_empty_map() -> None:
    masks = torch.zeros(4, 6, 5)
    numbers, segments = panoptic_map(torch.full((4, 2), -9.0), masks, [True, True])
    assert not numbers.any()
    assert numbers.shape == (6, 5)
    assert segments == ()
