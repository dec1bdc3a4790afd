"""Batches on many machines, through Ray Data. The only module that imports ray.

This process lists the targets, cuts the list into blocks and keeps the ledger. Actors elsewhere
hold the model, read the pictures of a block themselves and send back its entries. Ray gives a block
whose worker died to another one, and the blocks come back in their order.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dinov import __version__
from dinov.errors import ClusterError, FingerprintMismatch
from dinov.targets import Target
from dinov.work import Cluster, Entry, Work

if TYPE_CHECKING:
    import ray

MAX_BLOCK = 256
"""So many targets at most are done again if a worker is lost."""

# With fewer, handing out blocks would take longer than the work.
_MIN_BLOCK = 8
# At the end the others are idle while one finishes its last block.
_BLOCKS_PER_WORKER = 16
_SCHEME = "ray"
_SECONDS_TO_ANSWER = 10.0


def ray_cluster(address: str, workers: int | None = None, *, on_gpus: bool = True) -> Cluster:
    """Name a Ray cluster as the place where ``run_batch`` does its work.

    Args:
        address: "ray" starts workers on this machine and ends them with the batch;
            "ray://HOST:PORT" joins the cluster with its head there, of which this machine must be
            a part; "ray://auto" the one that this machine is part of.
        workers: how many models at once; by default one per GPU of the cluster, or one per machine
            if it has none. They share its processors (and GPUs) equally.
        on_gpus: False leaves GPUs alone.

    Raises:
        ClusterError: if the address has another form, or ray is not installed.
    """
    scheme, _, place = address.partition("://")
    if scheme != _SCHEME or (place == "" and "://" in address):
        raise ClusterError(
            f"'{address}' is no cluster. Write ray for workers on this machine, or "
            "ray://HOST:PORT (or ray://auto) for a cluster that runs already."
        )
    if place:
        _show_token()
    _require_ray()

    def run(work: Work, targets: Iterator[Target], count: int) -> Iterator[Entry]:
        with _connected(place or "local"):
            yield from _spread(work, targets, count, workers, on_gpus=on_gpus)

    return run


def block_size(count: int, workers: int) -> int:
    """Targets that a worker takes at a time: few enough that all workers end together."""
    wanted = max(_MIN_BLOCK, count // (workers * _BLOCKS_PER_WORKER))
    return max(1, min(MAX_BLOCK, wanted, -(-count // workers)))


def share_of(
    machines: Sequence[Mapping[str, float]], workers: int | None, *, on_gpus: bool = True
) -> tuple[int, int, float]:
    """How many workers there are, and the processors and GPUs of each.

    Args:
        machines: of each what it has, "CPU" and maybe "GPU".
        workers: how many are wanted; None: one per GPU, or else one per machine.
        on_gpus: False leaves GPUs alone.

    Raises:
        ClusterError: if there are not enough processors for so many.
    """
    gpus = int(sum(machine.get("GPU", 0) for machine in machines)) if on_gpus else 0
    if gpus:
        machines = [machine for machine in machines if machine.get("GPU", 0)]
    chosen = workers or gpus or len(machines)
    sizes = [int(machine.get("CPU", 0)) for machine in machines]
    for processors in range(max(sizes, default=0), 0, -1):
        if sum(size // processors for size in sizes) >= chosen:
            return chosen, processors, min(1.0, gpus / chosen)
    raise ClusterError(
        f"The cluster has {sum(sizes)} processors, too few for {chosen} workers. Ask for fewer "
        "with --cluster-workers, or add machines."
    )


def _show_token() -> None:
    """Let Ray show its token to a cluster that asks for one, as those of `ray start --head` do.

    Without being told to, Ray joins without, and is refused. Read once, when ray is imported.
    """
    given = os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    if given or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _require_ray() -> None:
    # Nothing about a batch is for others to know; read once, when ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ClusterError(
            "A cluster needs Ray. Install it here and on every machine of the cluster: "
            "pip install -r requirements-cluster.txt"
        ) from error


@contextmanager
def _connected(address: str) -> Iterator[None]:
    import ray

    try:
        _require_listener(address)
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"There is no Ray cluster at {address} that this machine is part of ({error}). Start "
            "one with `ray start --head`; others join it with `ray start --address=HOST:PORT`."
        ) from error
    try:
        yield
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"The cluster gave up: {_cause(error)}. What is done is kept; the same command goes on."
        ) from error
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise an OSError now if nobody listens at HOST:PORT; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()


def _spread(
    work: Work, targets: Iterator[Target], count: int, workers: int | None, *, on_gpus: bool
) -> Iterator[Entry]:
    import ray
    import ray.data

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    workers, processors, gpus = share_of(machines, workers, on_gpus=on_gpus)
    blocks = list(_blocks(targets, block_size(count, workers)))
    if not blocks:
        return
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    dataset = ray.data.from_items(blocks, override_num_blocks=len(blocks))
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    done = dataset.map(
        _Actor,  # type: ignore[arg-type]  # typed for functions only
        # By reference: one copy on each machine.
        fn_constructor_args=(ray.put(work), __version__),
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks))),
        num_cpus=processors,
        num_gpus=gpus or None,
    )
    for row in done.iter_rows():
        yield from json.loads(zlib.decompress(row["entries"]))


def _blocks(targets: Iterator[Target], size: int) -> Iterator[dict[str, bytes]]:
    while block := list(islice(targets, size)):
        rows = [[target.path, target.member, target.start, target.size] for target in block]
        # Packed, the names of ten million files take some hundred megabytes.
        yield {"targets": zlib.compress(json.dumps(rows).encode())}


class _Actor:
    """Holds the work, and so the model, in a process of its own."""

    def __init__(self, work: ray.ObjectRef[Work], version: str) -> None:
        import ray

        if version != __version__:
            raise FingerprintMismatch(
                f"A machine of the cluster has version {__version__}, the batch was started with "
                f"{version}. Install the same everywhere."
            )
        self._work: Work = ray.get(work)

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        targets = [Target(*fields) for fields in json.loads(zlib.decompress(row["targets"]))]
        entries = json.dumps(list(self._work(targets)), allow_nan=False)
        return {"entries": zlib.compress(entries.encode(), level=1)}


def _cause(error: Any) -> str:
    """The last line of what Ray says, which is what went wrong on the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1].rstrip(".")
