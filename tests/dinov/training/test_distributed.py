"""Real processes that talk through gloo; each needs seconds to start, so they do much at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dinov.errors import InvalidDataset
from dinov.training.batches import made_ahead
from dinov.training.config import DataConfig, ReferConfig, TrainingConfig
from dinov.training.datasets import read_folders
from dinov.training.distributed import ALONE, joined
from dinov.training.episodes import Batch
from dinov.training.refer_episodes import ReferBatch
from dinov.training.trainer import Trainer, images_per_part

WriteFolder = Callable[..., Path]
CPU = torch.device("cpu")
SPAWN = multiprocessing.get_context("spawn")
# The whole photo is seen: both images of a step hold the same number of objects.
DATA = DataConfig(batch_size=2, crop_size=64, scale_range=(0.6, 0.7), self_prompt_rate=1.0)
CONFIG = TrainingConfig(
    variant="tiny",
    data=DATA,
    refer=ReferConfig(points=4, prompts=2),
    mask_points=64,
    denoise_queries=8,
    learning_rate=1e-3,
    max_grad_norm=1e9,
    steps=4,
    checkpoint_every=2,
    validations=1,
)


def trainer_of(
    folder: Path, output: Path, config: TrainingConfig = CONFIG, **more: object
) -> Trainer:
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    return Trainer(config, train, val, output, CPU, **more)  # type: ignore[arg-type]


def alike_in_every_row(shape: tuple[int, ...]) -> Tensor:
    """Random numbers that do not depend on how many pairs of how many images are drawn at once."""
    generator = torch.Generator().manual_seed(len(shape))
    return torch.rand(shape[1:], generator=generator).expand(shape)


def gradients_of(trainer: Trainer, *batches: Batch) -> dict[str, Tensor]:
    trainer._uniform = lambda number: alike_in_every_row  # type: ignore[method-assign]
    trainer.train_step(*batches)
    named = trainer.model.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def train_as_one_of_two(rank: int, port: int, folder: Path, output: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with joined(CPU) as processes:
        trainer = trainer_of(folder, output, processes=processes)
        gradients = gradients_of(trainer, trainer.sampler.batch(0))
        # Whole runs do not hang, and one process writes.
        trainer_of(folder, output, replace(CONFIG, minutes=10), processes=processes).run()
        torch.save(
            (gradients, trainer.model.state_dict(), processes.gather(rank)), output / f"{rank}.pt"
        )


def together(batches: Sequence[Batch]) -> Batch:
    """One batch of all images."""
    names = list(dict.fromkeys(name for batch in batches for name in batch.categories))
    batches = [batch.among(names) for batch in batches]
    first = [sum(len(b.truths) for b in batches[:i]) for i in range(len(batches))]
    refers: list[ReferBatch] = [batch.refer for batch in batches if batch.refer is not None]

    def joined_images(images: Sequence[Tensor]) -> Tensor:
        return torch.cat([index + n for index, n in zip(images, first, strict=True)])

    return replace(
        batches[0],
        pixels=torch.cat([b.pixels for b in batches]),
        truths=[truth for b in batches for truth in b.truths],
        prompt_masks=torch.cat([b.prompt_masks for b in batches]),
        prompt_image=joined_images([b.prompt_image for b in batches]),
        prompt_category=torch.cat([b.prompt_category for b in batches]),
        seen=[seen for b in batches for seen in b.seen],
        known=[known for b in batches for known in b.known],
        refer=ReferBatch(
            torch.cat([r.points_cxcywh for r in refers]),
            [asked for r in refers for asked in r.asked],
            torch.cat([r.prompt_masks for r in refers]),
            joined_images([r.prompt_image for r in refers]),
        ),
    )


@pytest.mark.slow
def test_two_processes_do_what_one_does_on_the_same_images(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder(train=(("red", "blue"), ("green", "red")), val=(("red", "blue"),))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = tmp_path / "two"
    output.mkdir()
    processes = [
        SPAWN.Process(target=train_as_one_of_two, args=(rank, port, folder, output))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    alone = trainer_of(folder, tmp_path / "one")
    share = replace(DATA, batch_size=1)
    batches = []
    for rank in range(2):
        alone.sampler.config, alone.sampler.rank = share, rank
        batches.append(alone.sampler.batch(0))
    assert {len(batch.truths[0]) for batch in batches} == {2}
    expected = gradients_of(alone, together(batches))
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(2):
        gradients, weights, ranks = torch.load(output / f"{rank}.pt")
        assert ranks == [0, 1]
        assert set(gradients) == set(expected)
        for name, gradient in gradients.items():
            scale = expected[name].abs().max().item()
            torch.testing.assert_close(
                gradient, expected[name], rtol=1e-3, atol=1e-4 * scale + 1e-6, msg=name
            )
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(weights[name], value, rtol=0, atol=2.1e-3, msg=name)
    assert {"best.safetensors", "last.pt", "validation.csv"} < {f.name for f in output.iterdir()}
    assert len((output / "validation.csv").read_text().splitlines()) == 2


def run_and_be_killed(folder: Path, output: Path) -> None:
    torch.set_num_threads(1)
    trainer = trainer_of(folder, output)
    original = trainer.train_step

    def killed_at_step_3(*parts: Batch) -> object:
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*parts)

    trainer.train_step = killed_at_step_3  # type: ignore[assignment, method-assign]
    trainer.run()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums run in the same order in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    process = SPAWN.Process(target=run_and_be_killed, args=(folder, tmp_path / "killed"))
    process.start()
    unbroken = trainer_of(folder, tmp_path / "unbroken")
    unbroken.run()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    resumed = trainer_of(folder, tmp_path / "killed")
    resumed.resume()
    assert resumed.step == 2
    resumed.run()
    for name, value in unbroken.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, msg=name)


@pytest.mark.slow
def test_batches_do_not_depend_on_the_number_of_workers(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    sampler = trainer_of(write_folder(), tmp_path / "run").sampler
    with made_ahead(sampler, 3, 2, workers=1) as one, made_ahead(sampler, 3, 2, workers=2) as two:
        for _ in range(2):
            for ours, theirs in zip(next(one), next(two), strict=True):
                assert torch.equal(ours.pixels, theirs.pixels)
                assert ours.seen == theirs.seen


def test_the_parts_of_a_step_count_alike(write_folder: WriteFolder, tmp_path: Path) -> None:
    folder = write_folder()
    config = replace(CONFIG, accumulate=2)
    trainer = trainer_of(folder, tmp_path / "run", config)
    first, second = (trainer.sampler.batch(0, part) for part in range(2))
    assert len(first.pixels) == len(second.pixels) == 1
    assert not torch.equal(first.pixels, second.pixels)
    both = gradients_of(trainer, first, second)
    alone = [gradients_of(trainer_of(folder, tmp_path / "run", config), b) for b in (first, second)]
    for name, gradient in both.items():
        mean = sum(part.get(name, torch.zeros_like(gradient)) for part in alone) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-5)


def test_images_that_cannot_be_shared_out_are_refused() -> None:
    assert images_per_part(replace(CONFIG, accumulate=2), 1) == 1
    with pytest.raises(InvalidDataset, match="2 images per step"):
        images_per_part(CONFIG, 3)
    with pytest.raises(InvalidDataset, match="accumulate"):
        images_per_part(replace(CONFIG, accumulate=0), 1)


def test_alone_everything_stays_as_it_is() -> None:
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    ALONE.average_gradients(model.parameters())
    ALONE.copy_from_first(model)
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[1, 1]]
    assert (ALONE.mean(3), ALONE.from_first(2), ALONE.gather("a")) == (3, 2, ["a"])
    with joined(CPU) as processes:
        assert (processes.rank, processes.count) == (0, 1)
