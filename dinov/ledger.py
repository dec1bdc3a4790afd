"""What a batch has done so far: a folder of plain files that outlives the program.

``targets.jsonl`` lists the targets, ``run.json`` says what the results depend on, and the shards
``00000.jsonl``, ``00001.jsonl``, … hold one line per target that is done, in the order of the
list. A line counts once its end is written: whatever ends the program, the next one goes on behind
the last whole line, and no target is done twice. ``locked`` keeps a second program away meanwhile.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dinov import __version__, coco
from dinov.errors import FingerprintMismatch, InvalidLedger, LedgerInUse
from dinov.locks import LOCK, OWNER, kept_alone
from dinov.targets import Target

SHARD_SIZE = 1000
"""So many targets share a file."""

_FORMAT = "dinov-batch-1"


class Ledger:
    """The record of one batch. Use ``start`` or ``go_on``, and ``locked`` around all."""

    def __init__(self, folder: Path, common_folder: str, total: int) -> None:
        self.folder = folder
        self.common_folder = common_folder
        self.total = total
        self.done = 0
        self._shard: BinaryIO | None = None

    @classmethod
    def start(cls, folder: Path, targets: Iterable[Target], made_with: Mapping[str, Any]) -> Ledger:
        """Begin a record with nothing done; an old one in this folder is forgotten.

        Args:
            folder: where it is kept.
            targets: what is to be done; written to disk as they come.
            made_with: everything that the results depend on, as JSON.

        Raises:
            OSError: if the folder cannot be written to.
        """
        folder.mkdir(parents=True, exist_ok=True)
        cls(folder, "", 0).remove()
        total, common = 0, None
        with (folder / "targets.jsonl").open("w", encoding="utf-8") as file:
            for target in targets:
                total += 1
                common = _common(target.folder if common is None else common, target.folder)
                row = [target.path, target.member, target.start, target.size]
                file.write(json.dumps(row) + "\n")
        # Last, so that a list that was cut off is never taken for the whole.
        coco.write(
            {
                "format": _FORMAT,
                "made_with": {"version": __version__, **made_with},
                "common_folder": common or "",
                "total": total,
            },
            folder / "run.json",
        )
        return cls(folder, common or "", total)

    @classmethod
    def go_on(cls, folder: Path, made_with: Mapping[str, Any]) -> Ledger | None:
        """Open the record that an unfinished batch left; None if there is none.

        Raises:
            FingerprintMismatch: if it was made otherwise; the message says what differs.
            InvalidLedger: if it is damaged.
        """
        if not (folder / "run.json").is_file():
            return None
        try:
            head = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if head["format"] != _FORMAT:
                raise ValueError(f"its format is {head['format']}")
            then, now = head["made_with"], {"version": __version__, **made_with}
            ledger = cls(folder, head["common_folder"], head["total"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidLedger(f"{folder / 'run.json'} is damaged ({error}). {_REMEDY}") from error
        # Through JSON, because tuples come back as lists.
        now = json.loads(json.dumps(now))
        names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if names:
            differences = ", ".join(
                f"{name} (was {_short(then.get(name))}, is {_short(now.get(name))})"
                for name in names
            )
            raise FingerprintMismatch(
                f"An unfinished batch in {folder} was made otherwise: {differences}. Repeat its "
                "command to finish it, name another output, or begin anew: --restart."
            )
        ledger._count()
        return ledger

    def pending(self) -> Iterator[Target]:
        """What is still to be done, in order."""
        return itertools.islice(self._targets(), self.done, None)

    def add(self, result: Mapping[str, Any]) -> None:
        """Note the result of the next target.

        Raises:
            OSError: if it cannot be written.
        """
        if self._shard is None or self.done % SHARD_SIZE == 0:
            self.close()
            self._shard = self._path(self.done // SHARD_SIZE).open("ab")
        line = json.dumps(result, allow_nan=False, separators=(",", ":")) + "\n"
        self._shard.write(line.encode())
        self._shard.flush()
        self.done += 1

    def results(self) -> Iterator[tuple[Target, dict[str, Any]]]:
        """All targets that are done and what came of each, one after the other.

        Raises:
            InvalidLedger: if a line is damaged.
        """
        yield from zip(self._targets(), self._lines(), strict=False)

    def close(self) -> None:
        """Let go of the files; what is noted is on disk."""
        if self._shard is not None:
            os.fsync(self._shard.fileno())
            self._shard.close()
            self._shard = None

    def remove(self) -> None:
        """Forget everything; the lock stays."""
        self.close()
        # What says that there is a record goes first.
        (self.folder / "run.json").unlink(missing_ok=True)
        for path in self.folder.glob("*.jsonl"):
            path.unlink()

    def _count(self) -> None:
        """Count what is done, and cut off a line that was not written to its end."""
        number = 0
        while (path := self._path(number)).is_file():
            lines, whole = 0, 0
            with path.open("r+b") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        lines, whole = lines + 1, whole + len(line)
                file.truncate(whole)
            self.done += lines
            number += 1
            if lines != SHARD_SIZE:
                break
        if self.done > self.total or self._path(number).exists():
            raise InvalidLedger(f"The shards in {self.folder} do not fit together. {_REMEDY}")

    def _lines(self) -> Iterator[dict[str, Any]]:
        for number in range(-(-self.done // SHARD_SIZE)):
            with self._path(number).open("rb") as file:
                for line_number, line in enumerate(file, start=1):
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise InvalidLedger(
                            f"{self._path(number)}, line {line_number}, is damaged. {_REMEDY}"
                        ) from error

    def _targets(self) -> Iterator[Target]:
        with (self.folder / "targets.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield Target(*json.loads(line))

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.jsonl"


_REMEDY = "Begin anew: --restart."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other programs from the record in a folder, which is made if there is none.

    The system lets go of the lock when this program ends, however it does.

    Raises:
        LedgerInUse: if another program keeps it; the message says which.
        OSError: if the folder cannot be written to.
    """

    def refusal(owner: str) -> LedgerInUse:
        return LedgerInUse(
            f"The batch in {folder} is being worked on by {owner}. Wait for it, stop it, or name "
            "another output."
        )

    with kept_alone(folder, refusal):
        try:
            yield
        finally:
            if folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK, OWNER}:
                # Where a file in use cannot be removed the empty folder stays, which does no harm.
                shutil.rmtree(folder, ignore_errors=True)


def _common(folder: str, other: str) -> str:
    """The folder in which both are; both may be URLs."""
    pairs = zip(folder.split("/"), other.split("/"), strict=False)
    return "/".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
