"""The training task equals the recorded losses, assignments and gradients of the published code."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.model.dinov import DINOv, GenericPrediction, ReferPrediction
from dinov.model.prompt_encoder import mean_per_category
from dinov.training.config import LossWeights
from dinov.training.criterion import Criterion, label_loss
from dinov.training.denoising import make_denoise_queries
from dinov.training.losses import draw_uncertain_points, sample_points
from dinov.training.matcher import Matcher
from dinov.training.refer_criterion import ReferCriterion
from dinov.training.refer_episodes import point_boxes
from dinov.training.truths import Assignment, ReferTruth, Truth, Truths
from dinov.upstream import our_name
from tests.parity.archive import Parity, load_script

ParityOf = Callable[[str], Parity]
POINTS = 128
LOSS, GRADIENT = 1e-4, 1e-3
NAMES = {
    "label": "loss_mask_cls",
    "mask_bce": "loss_mask_bce",
    "mask_dice": "loss_mask_dice",
    "box_l1": "loss_bbox",
    "box_giou": "loss_giou",
}
REFER_NAMES = {f"refer_{ours}": official for ours, official in NAMES.items()} | {
    "refer_iou": "iou_score_loss",
    "refer_match": "loss_match_score",
}


def recorded_uniform(shape: tuple[int, ...]) -> Tensor:
    """The recording replaced random numbers by a function of their shape."""
    text = "rand:" + ",".join(map(str, shape))
    return torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(text.encode())))


def official_name(ours: str) -> str:
    names = NAMES | REFER_NAMES
    term = next(name for name in names if ours.startswith(name))
    return names[term] + ours.removeprefix(term)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def golden(parity_of: ParityOf) -> Any:
    folder = parity_of("tiny").folder
    return load_script(folder / "golden.py").Golden(folder / "golden_training.npz")


@pytest.fixture
def truths(golden: Any) -> Truths:
    truth = Truth(
        golden.stored("open/labels"),
        golden.stored("open/boxes"),
        golden.stored("open/masks").float(),
        torch.ones(4, dtype=torch.bool),
    )
    return Truths.of([truth])


@pytest.fixture
def prediction(golden: Any) -> GenericPrediction:
    return GenericPrediction(
        *(golden.stored(f"open/pred_{name}") for name in ("logits", "boxes", "masks"))
    )


class TestOpenCriterion:
    def test_costs_and_assignment(
        self, golden: Any, truths: Truths, prediction: GenericPrediction
    ) -> None:
        matcher = Matcher(LossWeights(), POINTS)
        arguments = (
            prediction.logits,
            prediction.boxes_cxcywh,
            prediction.mask_logits,
            truths,
            recorded_uniform,
        )
        torch.testing.assert_close(
            matcher.cost(*arguments)[0], golden.stored("open/cost_full"), rtol=LOSS, atol=1e-4
        )
        found = matcher.match(*arguments)
        assert found.query.tolist() == golden.stored("open/match_src").tolist()
        assert found.instance.tolist() == golden.stored("open/match_tgt").tolist()

    def test_points_chosen_for_the_mask_losses(
        self, golden: Any, truths: Truths, prediction: GenericPrediction
    ) -> None:
        masks = prediction.mask_logits[0, golden.stored("open/match_src")]
        points = draw_uncertain_points(masks, POINTS, recorded_uniform)
        torch.testing.assert_close(points, golden.stored("open/selected_points"))
        torch.testing.assert_close(
            sample_points(masks, points), golden.stored("open/point_logits"), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            sample_points(truths.masks[golden.stored("open/match_tgt")], points),
            golden.stored("open/point_labels"),
            rtol=0,
            atol=1e-5,
        )

    def test_losses(self, golden: Any, truths: Truths, prediction: GenericPrediction) -> None:
        weights = LossWeights()
        criterion = Criterion(weights, POINTS)
        losses = criterion.layer_losses(prediction, truths, len(truths), recorded_uniform)
        for name, loss in losses.items():
            recorded = golden.meta["open/losses_unweighted"][NAMES[name] + "_0"]
            assert float(loss) == pytest.approx(recorded * getattr(weights, name), rel=LOSS)

    def test_unassigned_queries_pay_only_for_known_categories(
        self, truths: Truths, prediction: GenericPrediction
    ) -> None:
        unknown = replace(truths, known=torch.zeros(1, 4) > 0)
        pairs = Assignment(torch.zeros(5, dtype=torch.long), torch.arange(5), torch.arange(5))
        everything = label_loss(prediction.logits, truths, pairs)
        assigned_only = label_loss(prediction.logits, unknown, pairs)
        alone = GenericPrediction(
            prediction.logits[:, :5], prediction.boxes_cxcywh, prediction.mask_logits
        )
        expected = label_loss(alone.logits, truths, pairs)
        torch.testing.assert_close(assigned_only, expected)
        assert assigned_only < everything


class TestReferCriterion:
    @pytest.fixture
    def prediction(self, golden: Any) -> ReferPrediction:
        names = ("match_score", "ious", "boxes", "masks")
        scores, ious, boxes, masks = (golden.stored(f"many/pred_{name}") for name in names)
        return ReferPrediction(scores, ious.flatten(1), boxes, masks)

    @pytest.fixture
    def asked(self, golden: Any) -> ReferTruth:
        at_points = golden.meta["many/level_target_inds"]
        covered = np.zeros((len(at_points), 5), np.bool_)
        for point, numbers in enumerate(at_points):
            covered[point, numbers] = True
        return ReferTruth(covered, np.array(golden.meta["many/content_targets"]))

    def test_costs_and_assignment(
        self, golden: Any, truths: Truths, prediction: ReferPrediction, asked: ReferTruth
    ) -> None:
        matcher = Matcher(LossWeights(), POINTS)
        boxes, masks = prediction.boxes_cxcywh, prediction.mask_logits
        # The recording repeats an instance for every point that it covers.
        listed = torch.tensor([*chain(*golden.meta["many/level_target_inds"])])
        cost = matcher.shape_cost(boxes, masks, truths, recorded_uniform)[0, :, listed]
        recorded = golden.stored("many/cost")
        possible = recorded < 1e6
        assert possible.sum() == 6 * len(listed)
        torch.testing.assert_close(cost[possible], recorded[possible], rtol=LOSS, atol=1e-4)
        found = matcher.match_points(boxes, masks, truths, [asked.covered], recorded_uniform)
        assert found.query.tolist() == golden.stored("many/match_src").tolist()
        assert found.instance.tolist() == listed[golden.stored("many/match_tgt")].tolist()

    @pytest.mark.parametrize("softmax", [True, False])
    def test_losses(
        self,
        golden: Any,
        truths: Truths,
        prediction: ReferPrediction,
        asked: ReferTruth,
        softmax: bool,
    ) -> None:
        recorded = golden.meta["many/losses_unweighted"]
        weights = LossWeights()
        criterion = ReferCriterion(weights, POINTS, softmax)
        losses = criterion((prediction,), truths, [asked], recorded_uniform)
        for name, loss in losses.items():
            official = official_name(name)
            if not softmax and official == "loss_match_score_0":
                official = "sigmoid_" + official
            weight = getattr(weights, name.removeprefix("refer_").removesuffix("_0"))
            assert loss.item() == pytest.approx(weight * recorded[official], rel=LOSS), name


class TestWholeModel:
    """One training step of the small model on one image with five rectangles, of either task."""

    @pytest.fixture
    def setup(self, golden: Any) -> Any:
        return golden.meta["model/setup"]

    @pytest.fixture(params=["coco", "sam"])
    def task(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def losses(self, parity_of: ParityOf, setup: Any, task: str) -> Iterator[dict[str, Tensor]]:
        parity = parity_of("tiny")
        model = parity.model
        model.zero_grad()
        losses = {"coco": open_set_losses, "sam": refer_losses}[task]
        yield losses(model, parity.pixels("train"), setup)
        model.zero_grad()

    def test_losses(self, golden: Any, losses: dict[str, Tensor], task: str) -> None:
        recorded = golden.meta[f"model/{task}/losses_weighted"]
        ours = {f"{task}.{official_name(name)}": loss.item() for name, loss in losses.items()}
        assert ours == pytest.approx(recorded, rel=LOSS)
        assert sum(ours.values()) == pytest.approx(golden.meta[f"model/{task}/total"], rel=LOSS)

    def test_gradients(
        self, golden: Any, losses: dict[str, Tensor], parity_of: ParityOf, task: str
    ) -> None:
        torch.stack(list(losses.values())).sum().backward()
        parameters = dict(parity_of("tiny").model.named_parameters())
        for official, norm in golden.meta[f"model/{task}/grad_norm"].items():
            gradient = parameters[our_name(official)].grad
            assert gradient is not None, official
            assert float(gradient.norm()) == pytest.approx(norm, rel=GRADIENT, abs=1e-5), official


def five_rectangles(pixels: Tensor, setup: Any) -> tuple[Tensor, Truth]:
    """Bool masks and truth of the recorded image; categories in the order of appearance."""
    height, width = pixels.shape[-2:]
    rectangles = setup["rectangles_x0y0x1y1_exclusive"]
    masks = torch.zeros(len(rectangles), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[y0:y1, x0:x1] = True
    corners = torch.tensor(rectangles, dtype=torch.float32)
    low, high = corners[:, :2], corners[:, 2:]
    scale = torch.tensor([width, height])
    boxes = torch.cat([(low + high) / 2 / scale, (high - low) / scale], dim=1)
    order = list(dict.fromkeys(setup["classes"]))
    labels = torch.tensor([order.index(name) for name in setup["classes"]])
    return masks, Truth(labels, boxes, masks.float(), torch.ones(len(order), dtype=torch.bool))


def refer_losses(model: DINOv, pixels: Tensor, setup: Any) -> dict[str, Tensor]:
    masks, truth = five_rectangles(pixels, setup)
    # Without chance, instances come in turn, and the pixel inside each is its last one.
    chosen = [i % len(masks) for i in range(setup["max_num_instance"])]
    pixels_yx = torch.stack([masks[i].nonzero()[-1] for i in chosen])
    wanted = torch.tensor(chosen[: setup["max_num_instance_content"]])
    asked = ReferTruth(masks[:, pixels_yx[:, 0], pixels_yx[:, 1]].T.numpy(), wanted.numpy())
    size_hw = (pixels.shape[-2], pixels.shape[-1])
    points = point_boxes(pixels_yx.flip(1)[None], size_hw, recorded_uniform)

    pyramid = model.encode_image(pixels)
    prompts = model.encode_prompts(pyramid, masks[wanted])
    layers = model.decode_refer_layers(pyramid, prompts, points)
    criterion = ReferCriterion(LossWeights(), setup["train_num_points"], setup["softmax_match"])
    return criterion(layers, Truths.of([truth]), [asked], recorded_uniform)


def open_set_losses(model: DINOv, pixels: Tensor, setup: Any) -> dict[str, Tensor]:
    masks, truth = five_rectangles(pixels, setup)
    pyramid = model.encode_image(pixels)
    prompts = model.encode_prompts(pyramid, masks)
    categories = mean_per_category(prompts, truth.labels, len(truth.known))
    denoise = make_denoise_queries(
        Truths.of([truth]),
        queries=setup["dn_num"],
        noise=setup["dn_noise_scale"],
        uniform=recorded_uniform,
    )
    prediction = model.decode_generic_layers(pyramid, categories, denoise)
    criterion = Criterion(LossWeights(), setup["train_num_points"])
    return criterion(prediction, Truths.of([truth]), recorded_uniform)
