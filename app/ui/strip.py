"""What the filmstrip is told: of hundreds of images only those that have changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from app.project import ProjectImage
from app.ui import render
from app.ui.snapshot import Snapshot

Card = dict[str, Any]


class Strip:
    """What the filmstrip of one tab knows.

    Every message has a number and names the one it builds on, 0 where it holds everything. A page
    that has missed one, because answers overtook each other, asks for everything again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._project_id: str | None = None
        self._cards: dict[int, Card] = {}

    def forget(self) -> None:
        """Tell everything next time."""
        with self._lock:
            self._project_id = None

    def tell(self, snapshot: Snapshot, problems: Sequence[str], *, refused: bool = False) -> str:
        """Write what has changed since the last message.

        Args:
            snapshot: what is to be shown.
            problems: files that were left out.
            refused: take back what the page has shown ahead of the server's answer.
        """
        places = {
            image_id: (one.id, number)
            for one in snapshot.sequences
            for number, image_id in enumerate(one.image_ids)
        }
        cards = {image.id: _card(snapshot, image, places) for image in snapshot.images}
        with self._lock:
            known = self._cards if self._project_id == snapshot.project_id else {}
            base = self._number if known else 0
            changed = [card for id_, card in cards.items() if known.get(id_) != card]
            order = None if base and list(known) == list(cards) else list(cards)
            self._number += 1
            self._project_id, self._cards = snapshot.project_id, cards
            number = self._number
        return render.filmstrip(
            snapshot,
            problems,
            base=base,
            number=number,
            cards=changed,
            order=order,
            refused=refused,
        )


def _card(snapshot: Snapshot, image: ProjectImage, places: Mapping[int, tuple[int, int]]) -> Card:
    """Describe an image; ``places`` are the sequences of frames, and where in these they stand."""
    counts = snapshot.counts[image.id]
    sequence_id, frame = places.get(image.id, (None, 0))
    return {
        "id": image.id,
        "name": image.file_name,
        "width": image.width,
        "height": image.height,
        "thumbnail": f"media/thumbnails/{image.id}?v={image.sha256[:12]}",
        "is_reference": image.is_reference,
        "is_target": image.is_target,
        "prompts": counts.prompts,
        "segmented": counts.is_segmented,
        "shown": counts.shown,
        "hidden": counts.hidden,
        "status": counts.status.value,
        "uncertainty": counts.uncertainty,
        "categories": sorted(counts.category_ids),
        "sequence_id": sequence_id,
        "frame": frame,
    }
