"""Training of the concept head: what is drawn, what is learned, and going on after a stop."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
import torch

from dinov.checkpoints import convert, load_model, save_model
from dinov.config import VARIANTS
from dinov.errors import CheckpointCorrupt, CheckpointMismatch, InvalidDataset
from dinov.model.build import build_model
from dinov.model.dinov import DINOv
from dinov.training import concept_command
from dinov.training.concept_episodes import ConceptEpisodes, Photo, compute_photos
from dinov.training.concept_training import ConceptRecipe, ConceptTrainer, with_concept_head
from dinov.training.datasets import read_folders
from dinov.training.trainer import initialise

WriteFolder = Callable[..., Path]
CPU = torch.device("cpu")
RECIPE = ConceptRecipe(steps=4, batch_size=3, views=2, validations=2, warmup_steps=1)


@pytest.fixture
def model() -> DINOv:
    torch.manual_seed(0)
    return build_model(VARIANTS["tiny"], with_concept_head=True).eval()


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A checkpoint without a head, for photos of 96 pixels."""
    torch.manual_seed(0)
    metadata = {"input_size": "96", "score_threshold": "0.7", "likeness_threshold": "0.9"}
    return save_model(build_model(VARIANTS["tiny"]), tmp_path / "start.safetensors", metadata)


def photos_of(model: DINOv, folder: Path, views: int = 2) -> list[Photo]:
    (read,) = read_folders([folder], "train")
    return compute_photos(model, read.samples, size=96, views=views, seed=0, device=CPU)


def episodes_of(photos: list[Photo], **options: float) -> ConceptEpisodes:
    settings: dict[str, float] = {"absent_share": 0.3, "more_share": 0.3, **options}
    return ConceptEpisodes([photos], [1.0], batch_size=4, seed=0, **settings)  # type: ignore[arg-type]


def test_views_are_the_whole_photo_and_parts_of_it(model: DINOv, write_folder: WriteFolder) -> None:
    photos = photos_of(model, write_folder(train=(("red", "blue"), ("blue",))), views=3)
    assert [p.path.name for p in photos] == ["train_1.png"] * 3 + ["train_2.png"] * 3
    whole = photos[0]
    assert sorted(whole.categories) == ["blue", "red"]
    assert whole.inside.all()
    assert [m.shape[-1] for m in whole.maps] == [12, 6, 3]
    assert whole.absent == {"green"}
    # A disc of radius 14 in a photo of 96 pixels.
    assert whole.union("red").float().mean() / 255 == pytest.approx(0.067, abs=0.005)
    for part in photos[1:3]:
        assert part.categories  # a part shows an object at least
        outside = ~part.inside
        assert not part.masks.amax(0)[outside].any()
        assert not part.maps[0][:, outside[::2, ::2]].any()
    assert any(not torch.equal(whole.maps[0], part.maps[0]) for part in photos[1:3])


def test_what_is_padding_stays_empty(model: DINOv, write_folder: WriteFolder) -> None:
    folder = write_folder(train=(("red",), ("red",)))
    (read,) = read_folders([folder], "train")
    narrow = replace(read.samples[0], size_hw=(96, 40), path=folder / "narrow.png", truths=())
    PIL.Image.new("RGB", (40, 96)).save(narrow.path)
    (photo,) = compute_photos(model, [narrow], size=96, views=1, seed=0, device=CPU)
    # 64 of 96 pixels: the narrow side is padded to a multiple of 32 before.
    assert photo.inside[:, :16].all()
    assert not photo.inside[:, 16:].any()
    for maps, inside in zip(photo.maps, (8, 4, 2), strict=True):
        assert maps[..., :inside].any()
        assert not maps[..., inside:].any()


def test_categories_of_few_photos_are_drawn_as_often(
    model: DINOv, write_folder: WriteFolder
) -> None:
    folder = write_folder(train=(*(("red",),) * 8, *(("blue",),) * 2))
    episodes = episodes_of(photos_of(model, folder, views=1), absent_share=0.0)
    assert len(episodes.concepts) == 2
    of_eight = 0
    reds = torch.stack([p.maps[0] for p in episodes._present[0, "red"]]).float()
    for step in range(50):
        for maps in episodes.batch(step).target_maps[0]:
            of_eight += any(torch.equal(m, maps) or torch.equal(m.flip(-1), maps) for m in reds)
    assert 70 <= of_eight <= 130  # of 200; by photos it would be 160


def test_batches_depend_on_seed_and_step_only(model: DINOv, write_folder: WriteFolder) -> None:
    episodes = episodes_of(photos_of(model, write_folder()))
    first, again, other = episodes.batch(5), episodes.batch(5), episodes.batch(6)
    torch.testing.assert_close(first, again)
    assert first.truth.shape == (4, 24, 24)
    assert set(first.target_of.tolist()) == {0, 1, 2, 3}
    assert not torch.equal(first.truth, other.truth)


def test_targets_show_the_concept_or_are_known_not_to(
    model: DINOv, write_folder: WriteFolder
) -> None:
    photos = photos_of(model, write_folder(), views=1)
    absent = episodes_of(photos, absent_share=1.0).batch(0)
    assert not absent.truth.any()
    present = episodes_of(photos, absent_share=0.0).batch(0)
    assert present.truth.flatten(1).any(1).all()
    unknown = photos_of(model, write_folder("partly", exhaustive=False), views=1)
    assert episodes_of(unknown, absent_share=1.0).batch(0).truth.flatten(1).any(1).all()


def flat(name: str, value: float, *categories: str) -> Photo:
    """A photo whose maps are a constant, by which it is known again; its objects fill it."""
    square = torch.ones(24, 24, dtype=torch.bool)
    masks = torch.full((len(categories), 24, 24), 255, dtype=torch.uint8)
    return Photo(
        Path(name), (torch.full((1, 4, 4), value),), square, masks, categories, frozenset()
    )


def test_photos_of_a_domain_of_its_own_do_not_show_other_concepts() -> None:
    folders = [
        [flat("a", 1.0, "truck"), flat("b", 1.0, "truck")],
        [flat("c", 2.0, "Fire truck"), flat("d", 2.0, "Fire truck")],
        [flat("e", 3.0, "cell"), flat("f", 3.0, "cell")],
    ]
    settings = {"batch_size": 32, "absent_share": 0.5, "more_share": 0.0, "seed": 0}
    batch = ConceptEpisodes(folders, [1.0] * 3, apart=(1, 2), **settings).batch(0)  # type: ignore[arg-type]
    concepts, targets = batch.reference_maps[0][:, 0, 0, 0], batch.target_maps[0][:, 0, 0, 0]
    pairs = set(zip(concepts.tolist(), targets.tolist(), strict=True))
    # No photo of trucks is known to show no cells, and a fire truck is one.
    assert pairs == {(1.0, 1.0), (1.0, 3.0), (2.0, 2.0), (2.0, 3.0), (3.0, 3.0), (3.0, 2.0)}
    assert (batch.truth.flatten(1).any(1) == (concepts == targets)).all()
    none = ConceptEpisodes(folders, [1.0] * 3, **settings).batch(0)  # type: ignore[arg-type]
    assert none.truth.flatten(1).any(1).all()


def test_a_reference_is_never_a_view_of_the_photo_of_its_target() -> None:
    photos = [flat(name, value, "red") for name, value in zip("aabb", (1, 1, 2, 2), strict=True)]
    for step in range(5):
        batch = episodes_of(photos, more_share=1.0).batch(step)
        shown = batch.reference_maps[0][:, 0, 0, 0], batch.target_maps[0][:, 0, 0, 0]
        assert (shown[0] != shown[1][batch.target_of]).all()


def test_there_must_be_two_photos_of_something(model: DINOv, write_folder: WriteFolder) -> None:
    photos = photos_of(model, write_folder(train=(("red",), ("blue",))))
    with pytest.raises(InvalidDataset, match="two photos"):
        episodes_of(photos)


def make_trainer(
    start: Path,
    folder: Path,
    output: Path,
    recipe: ConceptRecipe = RECIPE,
    apart: Sequence[str] = (),
) -> ConceptTrainer:
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    return ConceptTrainer(recipe, load_model(start), train, val, output, CPU, apart=apart)


def test_the_head_learns_and_nothing_else_does(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, steps=40, learning_rate=3e-3, batch_size=6, validations=1)
    trainer = make_trainer(start, write_folder(), tmp_path / "run", recipe)
    batch = trainer.episodes.batch(0)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    losses = []
    for step in range(40):
        trainer.step = step
        losses.append(trainer.train_step(batch))
    assert losses[-1] < 0.5 * losses[0]
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("concept_head.")


def test_a_run_goes_on_as_if_it_had_not_stopped(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    unbroken = make_trainer(start, folder, tmp_path / "unbroken")
    unbroken.run()
    stopped = make_trainer(start, folder, tmp_path / "stopped")
    for _ in range(2):
        stopped.train_step(stopped.episodes.batch(stopped.step))
        stopped.step += 1
        stopped.average.update(stopped.step)
    (tmp_path / "stopped").mkdir()
    stopped.save()
    resumed = make_trainer(start, folder, tmp_path / "stopped")
    resumed.resume()
    assert resumed.step == 2
    resumed.run()
    for name, value in unbroken.head.state_dict().items():
        torch.testing.assert_close(resumed.head.state_dict()[name], value)
    torch.testing.assert_close(resumed.average.state_dict(), unbroken.average.state_dict())


def test_the_command_adds_a_head_to_a_checkpoint(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    concept_command.add_arguments(parser)
    options = ["--init", str(start), "--data", str(write_folder()), "--views", "1", "--steps", "2"]
    options += ["--output", str(tmp_path / "run"), "--weights", "discs=2"]
    assert concept_command.run(parser.parse_args(options)) == 0
    loaded = load_model(tmp_path / "run" / "best.safetensors")
    assert loaded.model.concept_head is not None
    assert loaded.metadata["likeness_threshold"] == "0.9"
    assert loaded.metadata["score_threshold"] != "0.7"  # scores are others with a head
    assert int(loaded.metadata["concept_steps"]) in (1, 2)
    # A head that is there is trained further, not made anew.
    again = with_concept_head(loaded)
    assert again is loaded.model


def test_a_head_on_a_converted_model_is_another_model(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    converted = convert(start, tmp_path / "converted.safetensors")
    trainer = make_trainer(converted, write_folder(), tmp_path / "run", replace(RECIPE, steps=1))
    assert load_model(trainer.run()).sha256 != load_model(converted).sha256


def test_a_run_does_not_go_on_with_another_model(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    (tmp_path / "run").mkdir()
    make_trainer(start, folder, tmp_path / "run").save()
    torch.manual_seed(1)
    other = save_model(
        build_model(VARIANTS["tiny"]), tmp_path / "other.safetensors", {"input_size": "96"}
    )
    with pytest.raises(CheckpointMismatch, match="another init"):
        make_trainer(other, folder, tmp_path / "run").resume()


def test_data_sets_that_are_kept_apart_must_be_there_and_stay_the_same(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    concept_command.add_arguments(parser)
    folder, output = write_folder(), tmp_path / "run"
    options = ["--init", str(start), "--data", str(folder), "--output", str(output), "--apart"]
    with pytest.raises(InvalidDataset, match=r"no data set squares.*discs"):
        concept_command.run(parser.parse_args([*options, "discs", "squares"]))
    output.mkdir()
    make_trainer(start, folder, output).save()
    with pytest.raises(CheckpointMismatch, match="another apart"):
        make_trainer(start, folder, output, apart=["discs"]).resume()


def test_training_the_rest_starts_without_the_head(tmp_path: Path) -> None:
    model = build_model(VARIANTS["tiny"], with_concept_head=True)
    path = save_model(model, tmp_path / "whole.safetensors", {}, dtype=torch.float32)
    plain = build_model(VARIANTS["tiny"])
    initialise(plain, "tiny", str(path))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_a_variant_without_a_head_and_a_damaged_run_are_refused(
    start: Path, write_folder: WriteFolder, tmp_path: Path
) -> None:
    other = save_model(build_model(VARIANTS["tiny5"]), tmp_path / "other.safetensors", {})
    with pytest.raises(CheckpointMismatch, match="lite"):
        with_concept_head(load_model(other))
    trainer = make_trainer(start, write_folder(), tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "concepts.pt").write_bytes(b"no")
    with pytest.raises(CheckpointCorrupt, match="--output"):
        trainer.resume()
