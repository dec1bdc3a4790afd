from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dinov.training.config import DataConfig, ReferConfig
from dinov.training.datasets import read_folders
from dinov.training.episodes import Batch, EpisodeSampler, to_device

WriteFolder = Callable[..., Path]
CONFIG = DataConfig(batch_size=4, crop_size=64)


@pytest.fixture
def sampler(write_folder: WriteFolder) -> EpisodeSampler:
    return EpisodeSampler(read_folders([write_folder()], "train"), CONFIG, seed=0)


def color_under(batch: Batch, image: int, mask: torch.Tensor) -> int:
    """The strongest channel under a mask: 0 red, 1 green, 2 blue."""
    return int(batch.pixels[image][:, mask].mean(1).argmax())


@pytest.mark.parametrize("step", range(8))
def test_a_batch_is_consistent(sampler: EpisodeSampler, step: int) -> None:
    batch = sampler.batch(step)
    assert batch.pixels.shape == (4, 3, 64, 64)
    assert batch.prompt_masks.shape[1:] == (64, 64)
    assert batch.prompt_masks.flatten(1).any(1).all()
    assert sorted(set(batch.prompt_category.tolist())) == list(range(batch.num_categories))
    assert Counter(batch.prompt_category.tolist()).most_common(1)[0][1] <= 4
    for truth in batch.truths:
        assert truth.masks.shape[1:] == (32, 32)
        assert truth.masks.flatten(1).any(1).all()
        assert ((truth.boxes_cxcywh >= 0) & (truth.boxes_cxcywh <= 1)).all()
        assert truth.known.shape == (batch.num_categories,)


@pytest.mark.parametrize("paste_rate", [0.0, 1.0])
@pytest.mark.parametrize("step", range(8))
def test_prompts_and_truths_of_a_category_show_the_same_color(
    write_folder: WriteFolder, step: int, paste_rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dinov.training.episodes.jitter_colour", lambda image, rng: image)
    folders = read_folders([write_folder()], "train")
    batch = EpisodeSampler(folders, replace(CONFIG, paste_rate=paste_rate), seed=0).batch(step)
    colors: dict[int, set[int]] = {}
    for mask, image, category in zip(
        batch.prompt_masks, batch.prompt_image.tolist(), batch.prompt_category.tolist(), strict=True
    ):
        colors.setdefault(category, set()).add(color_under(batch, image, mask))
    for image, truth in enumerate(batch.truths):
        for label, mask in zip(truth.labels.tolist(), truth.masks, strict=True):
            if label >= 0:
                full = mask.repeat_interleave(2, 0).repeat_interleave(2, 1) > 0.9
                if full.any():
                    colors[label].add(color_under(batch, image, full))
    assert all(len(found) == 1 for found in colors.values())


def test_pasting_adds_objects_at_the_given_rate_and_never_too_many(
    write_folder: WriteFolder,
) -> None:
    folders = read_folders([write_folder()], "train")

    def objects(**changes: float) -> list[int]:
        sampler = EpisodeSampler(folders, replace(CONFIG, **changes), seed=0)
        return [len(truth) for step in range(6) for truth in sampler.batch(step).truths]

    assert sum(objects(paste_rate=1.0)) > sum(objects(paste_rate=0.3)) > sum(objects())
    assert max(objects(paste_rate=1.0, max_instances=2)) == 2


def test_boxes_enclose_their_masks(sampler: EpisodeSampler) -> None:
    for truth in sampler.batch(0).truths:
        for box, mask in zip(truth.boxes_cxcywh, truth.masks, strict=True):
            rows = mask.any(1).nonzero().flatten() / 32
            assert box[1] - box[3] / 2 == pytest.approx(rows[0].item(), abs=1 / 32)
            assert box[1] + box[3] / 2 == pytest.approx(rows[-1].item() + 1 / 32, abs=1 / 32)


def test_the_same_seed_and_step_give_the_same_batch(write_folder: WriteFolder) -> None:
    folders = read_folders([write_folder()], "train")
    first, again, other = (EpisodeSampler(folders, CONFIG, seed).batch(3) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.prompt_masks, again.prompt_masks)
    assert not torch.equal(first.pixels, other.pixels)


def test_categories_of_one_image_only_are_prompted_at_the_given_rate(
    write_folder: WriteFolder,
) -> None:
    folders = read_folders([write_folder(train=(("red", "green"), ("red", "blue")))], "train")
    config = replace(CONFIG, batch_size=2, images_per_category=(2, 2), scale_range=(0.6, 0.7))
    for rate, expected in ((0.0, {1}), (1.0, {3})):
        sampler = EpisodeSampler(folders, replace(config, self_prompt_rate=rate), seed=0)
        batches = [sampler.batch(step) for step in range(12)]
        shared = [b for b in batches if len({int(label) for t in b.truths for label in t.labels})]
        found = {b.num_categories for b in shared if sum(len(t) for t in b.truths) == 4}
        assert found & expected


def test_too_many_objects_are_cut_and_their_category_becomes_unknown(
    write_folder: WriteFolder,
) -> None:
    folders = read_folders([write_folder(train=(("red",) * 6, ("red", "blue")))], "train")
    config = replace(CONFIG, max_instances=2, self_prompt_rate=1.0, scale_range=(0.6, 0.7))
    batch = EpisodeSampler(folders, config, seed=0).batch(0)
    assert max(len(truth) for truth in batch.truths) == 2
    assert any(not truth.known.all() for truth in batch.truths)


def test_second_views_show_photos_of_the_batch_again(write_folder: WriteFolder) -> None:
    folders = read_folders([write_folder()], "train")
    sampler = EpisodeSampler(folders, CONFIG, seed=0, refer=ReferConfig(second_views=0.5))
    refer = sampler.batch(0).refer
    assert refer is not None
    drawn_on = torch.stack([refer.prompt_image == image for image in range(4)], dim=1)
    wanted_in = [image for image, a in enumerate(refer.asked) for _ in a.wanted]
    elsewhere = [i for i, row in zip(wanted_in, drawn_on, strict=True) if not row[i]]
    assert elsewhere
    for image, row in zip(wanted_in, drawn_on, strict=True):
        assert row[image] or row[(image + 2) % 4]


def test_class_agnostic_photos_come_apart_and_serve_the_refer_task_only(
    write_folder: WriteFolder,
) -> None:
    discs = write_folder("discs")
    write_folder("regions", annotation_type="class_agnostic_regions")
    folders = read_folders([discs.parent], "train", class_agnostic=True)
    sampler = EpisodeSampler(folders, CONFIG, 0, ReferConfig())
    batches = [sampler.batch(step) for step in range(12)]
    assert {batch.is_generic for batch in batches} == {True, False}
    regions = next(batch for batch in batches if not batch.is_generic)
    assert len(regions.prompt_masks) == regions.num_categories == 0
    assert all((truth.labels == -1).all() for truth in regions.truths)
    assert regions.refer is not None
    assert len(regions.refer.prompt_masks) > 0
    without = EpisodeSampler(folders, CONFIG, 0)
    assert all(without.batch(step).is_generic for step in range(12))


def test_folders_count_by_their_weights(write_folder: WriteFolder) -> None:
    red = write_folder("only_red", train=(("red",),) * 4)
    blue = write_folder("only_blue", train=(("blue",),) * 4)
    config = replace(CONFIG, folder_weights=(("only_red", 0.001),))
    sampler = EpisodeSampler(read_folders([red, blue], "train"), config, seed=0)
    shown = [sampler.batch(step).pixels.mean((2, 3)) for step in range(3)]
    assert all((mean[:, 2] > mean[:, 0]).all() for mean in shown)


def test_a_batch_without_the_refer_task_is_otherwise_the_same(write_folder: WriteFolder) -> None:
    folders = read_folders([write_folder()], "train")
    without = EpisodeSampler(folders, CONFIG, 0).batch(1)
    both = EpisodeSampler(folders, CONFIG, 0, ReferConfig()).batch(1)
    assert without.refer is None
    assert both.refer is not None
    assert torch.equal(without.pixels, both.pixels)
    assert torch.equal(without.prompt_masks, both.prompt_masks)


def test_a_batch_moves_to_a_device_whole(write_folder: WriteFolder) -> None:
    folders = read_folders([write_folder()], "train")
    sampler = EpisodeSampler(folders, CONFIG, 0, ReferConfig())
    moved = to_device(sampler.batch(0), torch.device("meta"))
    assert moved.refer is not None
    assert moved.refer.prompt_masks.device.type == "meta"
    assert moved.pixels.device.type == "meta"
    assert moved.truths[0].masks.device.type == "meta"
