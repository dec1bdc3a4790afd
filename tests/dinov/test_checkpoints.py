from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.checkpoints import convert, load_model, save_model
from dinov.config import VARIANTS
from dinov.download import sha256_of
from dinov.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing
from dinov.model.build import build_model
from dinov.model.dinov import DINOv
from tests.parity.archive import Parity


@pytest.fixture(scope="module")
def tiny() -> DINOv:
    torch.manual_seed(0)
    return build_model(VARIANTS["tiny"])


def saved(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return path


def assert_same(model: DINOv, expected: dict[str, Tensor], tolerance: float = 0) -> None:
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance * 1e-2)


@pytest.mark.parametrize("variant", ["tiny", "tiny5", "lite"])
def test_save_and_load_round_trip(variant: str, tmp_path: Path) -> None:
    model = build_model(VARIANTS[variant])
    path = save_model(model, tmp_path / "new/model.safetensors", {"score_threshold": "0.3"})
    loaded = load_model(path)
    assert loaded.variant == variant
    assert loaded.path == path
    assert loaded.sha256 == sha256_of(path)
    assert loaded.metadata["score_threshold"] == "0.3"
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert_same(loaded.model, model.state_dict(), tolerance=1e-3)
    # Running statistics of a batch norm are buffers and keep all their digits.
    buffers = dict(model.named_buffers())
    for name, value in loaded.model.named_buffers():
        assert value.equal(buffers[name])
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_float16_halves_the_file(tiny: DINOv, tmp_path: Path) -> None:
    half = save_model(tiny, tmp_path / "half.safetensors", {})
    full = save_model(tiny, tmp_path / "full.safetensors", {}, dtype=torch.float32)
    assert half.stat().st_size < 0.6 * full.stat().st_size
    assert_same(load_model(full).model, tiny.state_dict())


def test_a_model_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    model = build_model(VARIANTS["tiny"])
    path = save_model(model, tmp_path / "model.safetensors", {})
    before = path.read_bytes()
    with torch.no_grad():
        model.heads.class_embed_openset[0, 0] = 1e6
    with pytest.raises(ValueError, match="class_embed_openset"):
        save_model(model, path, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("layout", ["flat", "prefixed", "nested", "training"])
def test_every_layout_of_a_pth_file_loads(tiny: DINOv, tmp_path: Path, layout: str) -> None:
    weights = tiny.state_dict()
    prefixed = {f"model.{name}": value for name, value in weights.items()}
    momentum = {0: {"exp_avg": torch.zeros(3)}}
    content = {
        "flat": weights,
        "prefixed": prefixed,
        "nested": {"model": weights},
        "training": {
            "model": prefixed,
            "optimizer": {"state": momentum, "param_groups": []},
            "scheduler": {"last_epoch": 3},
            "iteration": 7,
        },
    }[layout]
    loaded = load_model(saved(tmp_path, content))
    assert loaded.variant == "tiny"
    assert_same(loaded.model, weights)


def test_missing_unexpected_and_reshaped_tensors_are_listed(tiny: DINOv, tmp_path: Path) -> None:
    weights = dict(tiny.state_dict())
    gone = next(name for name in weights if "sampling_offsets" in name)
    del weights[gone]
    weights["stranger.weight"] = torch.zeros(3)
    weights["heads.mask_embed.layers.0.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointMismatch) as caught:
        load_model(saved(tmp_path, weights))
    message = str(caught.value)
    assert "weights.pth" in message
    assert f"1 tensors missing: {gone}" in message
    assert "1 tensors unexpected: stranger.weight" in message
    assert "heads.mask_embed.layers.0.bias (expected [64], got [5])" in message


def test_a_long_list_is_cut_with_its_count(tiny: DINOv, tmp_path: Path) -> None:
    weights = {k: v for k, v in tiny.state_dict().items() if not k.startswith("prompt_encoder.")}
    count = len(tiny.state_dict()) - len(weights)
    with pytest.raises(CheckpointMismatch, match=f"{count} tensors missing.*and {count - 4} more"):
        load_model(saved(tmp_path, weights))


def test_another_architecture_is_told(tmp_path: Path) -> None:
    resnet = {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(1000)}
    with pytest.raises(CheckpointMismatch, match="none of the known variants"):
        load_model(saved(tmp_path, resnet))


def test_two_sets_of_weights_are_ambiguous(tiny: DINOv, tmp_path: Path) -> None:
    both = {"model": tiny.state_dict(), "ema": tiny.state_dict()}
    with pytest.raises(CheckpointMismatch, match="'model' and under 'ema'"):
        load_model(saved(tmp_path, both))


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"iteration": 3}, torch.zeros(3)])
def test_files_without_weights_are_told(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointCorrupt, match="holds no weights"):
        load_model(saved(tmp_path, content))


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut off"])
def test_damaged_files_are_told(tiny: DINOv, tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(tiny.state_dict(), path)
    else:
        save_model(tiny, path, {})
    whole = path.read_bytes()
    content = {"empty": b"", "text": b"<html>Not found</html>", "cut off": whole[: len(whole) // 2]}
    path.write_bytes(content[damage])
    with pytest.raises(CheckpointCorrupt, match=re.escape(str(path))):
        load_model(path)


class Sneaky:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code from a checkpoint ran')",)


class Schedule:
    """A trainer's own class with state."""

    def __init__(self, steps: int) -> None:
        self.steps = steps


@pytest.mark.parametrize("foreign", [Sneaky(), Schedule(3), Counter("aab"), np.float64(0.5)])
def test_foreign_objects_beside_the_weights_neither_run_nor_disturb(
    tiny: DINOv, tmp_path: Path, foreign: object
) -> None:
    path = saved(tmp_path, {"model": tiny.state_dict(), "scheduler": {"inner": foreign}})
    assert_same(load_model(path).model, tiny.state_dict())


def test_foreign_objects_are_no_weights(tiny: DINOv, tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorrupt, match="holds no weights"):
        load_model(saved(tmp_path, Sneaky()))
    with pytest.raises(CheckpointCorrupt, match="holds no weights"):
        load_model(saved(tmp_path, {"model": {**tiny.state_dict(), "extra": Sneaky()}}))


def test_files_of_old_torch_versions_load(tiny: DINOv, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(tiny.state_dict(), path, _use_new_zipfile_serialization=False)
    assert load_model(path).variant == "tiny"


def test_weights_that_are_not_finite_are_told(tiny: DINOv, tmp_path: Path) -> None:
    weights = {name: value.clone() for name, value in tiny.state_dict().items()}
    weights["heads.mask_embed.layers.0.bias"][3] = float("nan")
    with pytest.raises(CheckpointCorrupt, match=r"not finite: heads\.mask_embed"):
        load_model(saved(tmp_path, weights))


def test_a_missing_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", ["tiny", "tiny5"])
def test_official_names_load(name: str, shared_dir: Path, tmp_path: Path) -> None:
    parity = Parity(name, shared_dir / "parity")
    official = parity.official_state_dict(build_model(VARIANTS[name]))
    weights = {f"model.{key}": value for key, value in official.items()}
    loaded = load_model(saved(tmp_path, {"model": weights, "optimizer": {}, "iteration": 1}))
    assert loaded.variant == name
    assert_same(loaded.model, parity.model.state_dict())

    copy = "model.sem_seg_head.predictor.decoder.bbox_embed.1.layers.0.weight"
    weights[copy] = weights[copy] + 1
    with pytest.raises(CheckpointMismatch, match="inconsistent"):
        load_model(saved(tmp_path, weights))


@pytest.mark.parametrize("change", ["missing", "unexpected", "reshaped", "cut off"])
def test_a_wrong_official_file_is_told(change: str, shared_dir: Path, tmp_path: Path) -> None:
    official = Parity("tiny", shared_dir / "parity").official_state_dict(
        build_model(VARIANTS["tiny"])
    )
    head = "sem_seg_head.predictor."
    if change == "missing":
        del official[f"{head}class_embed"]
    elif change == "unexpected":
        official[f"{head}clip_head.weight"] = torch.zeros(2)
    elif change == "reshaped":
        official[f"{head}pb_embedding.weight"] = torch.zeros(3, 64)
    path = saved(tmp_path, {"model": {f"model.{key}": value for key, value in official.items()}})
    if change == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    message = {
        "missing": r"1 tensors missing: heads\.class_embed\.",
        "unexpected": r"1 tensors unexpected: heads\.clip_head\.weight\.",
        "reshaped": r"queries\.pb_embedding\.weight \(expected \[2, 64\], got \[3, 64\]\)",
        "cut off": "damaged",
    }[change]
    error = CheckpointCorrupt if change == "cut off" else CheckpointMismatch
    with pytest.raises(error, match=message):
        load_model(path)


def test_a_converted_checkpoint_is_the_same_to_the_last_bit(tiny: DINOv, tmp_path: Path) -> None:
    source = saved(tmp_path, {"model": tiny.state_dict(), "optimizer": {"state": {}}})
    converted = convert(source, tmp_path / "new/tiny.safetensors")
    again = load_model(convert(converted, tmp_path / "again.safetensors"))
    for loaded in (load_model(converted), again):
        assert_same(loaded.model, tiny.state_dict())
        assert loaded.sha256 == sha256_of(source)
    source.unlink()
    assert_same(again.model, tiny.state_dict())


def test_what_a_trained_checkpoint_says_of_itself_is_kept(tiny: DINOv, tmp_path: Path) -> None:
    source = save_model(tiny, tmp_path / "half.safetensors", {"score_threshold": "0.3"})
    loaded = load_model(convert(source, tmp_path / "full.safetensors"))
    assert loaded.metadata["score_threshold"] == "0.3"
    assert_same(loaded.model, load_model(source).model.state_dict())


def test_only_safetensors_are_written(tiny: DINOv, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"must end with \.safetensors"):
        convert(saved(tmp_path, tiny.state_dict()), tmp_path / "new.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_changing_loaded_weights_leaves_the_file_alone(
    tiny: DINOv, tmp_path: Path, suffix: str
) -> None:
    source = saved(tmp_path, tiny.state_dict())
    path = convert(source, tmp_path / "x.safetensors") if suffix == ".safetensors" else source
    before = path.read_bytes()
    model = load_model(path).model
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert path.read_bytes() == before
