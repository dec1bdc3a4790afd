"""The filmstrip is told what has changed, in messages that build on each other."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image as PillowImage

from app.segmentation import Studio
from app.ui.snapshot import Snapshot
from app.ui.strip import Strip


def add_three(studio: Studio, project_id: str, folder: Path) -> list[int]:
    paths = [folder / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        PillowImage.new("RGB", (40, 30), (number, 0, 0)).save(path)
    return [image.id for image in studio.add_images(project_id, paths).added]


def test_only_changed_images_are_told(studio: Studio, tmp_path: Path) -> None:
    project = studio.create_project("A")
    first, second, third = add_three(studio, project.id, tmp_path)
    strip = Strip()

    def told() -> dict:
        return json.loads(strip.tell(Snapshot.take(studio, project.id, None), ()))

    whole = told()
    assert (whole["base"], whole["order"]) == (0, [first, second, third])
    assert [card["status"] for card in whole["cards"]] == ["unmarked"] * 3
    still = told()
    assert (still["base"], still["cards"], still["order"]) == (whole["number"], [], None)
    studio.review.mark(second)
    changed = told()
    assert [(card["id"], card["status"]) for card in changed["cards"]] == [(second, "empty")]
    studio.remove_image(first)
    assert told()["order"] == [second, third]
    strip.forget()
    again = told()
    assert (again["base"], again["order"], len(again["cards"])) == (0, [second, third], 2)


def test_frames_are_told_with_their_place_in_a_sequence(studio: Studio, tmp_path: Path) -> None:
    project = studio.create_project("A")
    first, second, third = add_three(studio, project.id, tmp_path)
    strip = Strip()
    strip.tell(Snapshot.take(studio, project.id, None), ())
    sequence = studio.videos.make_sequence(project.id, "walk", [third, first])
    told = json.loads(strip.tell(Snapshot.take(studio, project.id, None), ()))
    assert told["sequences"] == [{"id": sequence.id, "name": "walk"}]
    places = {card["id"]: (card["sequence_id"], card["frame"]) for card in told["cards"]}
    assert places == {first: (sequence.id, 1), third: (sequence.id, 0)}
    assert second not in places


def test_another_project_is_told_whole(studio: Studio, tmp_path: Path) -> None:
    first, second = studio.create_project("A"), studio.create_project("B")
    PillowImage.new("RGB", (40, 30)).save(tmp_path / "0.png")
    studio.add_images(first.id, [tmp_path / "0.png"])
    strip = Strip()
    strip.tell(Snapshot.take(studio, first.id, None), ())
    told = json.loads(strip.tell(Snapshot.take(studio, second.id, None), ()))
    assert (told["base"], told["cards"], told["order"]) == (0, [], [])
