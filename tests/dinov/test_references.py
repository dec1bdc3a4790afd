from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dinov import masks
from dinov.errors import InvalidImage, InvalidPrompt, InvalidReferences
from dinov.frames import FrameFolder
from dinov.references import read_marks, read_references
from dinov.types import Category, Prompt, PromptType

SIZE = (30, 40)
BLOCK = np.zeros(SIZE, np.bool_)
BLOCK[5:15, 10:30] = True
POLYGON = [10, 5, 30, 5, 30, 15, 10, 15]


def annotation(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 4} | fields


def document(*annotations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "sub/größe.png", "width": 40, "height": 30}],
        "categories": [{"id": 4, "name": "leaf", "supercategory": "plant"}],
        "annotations": list(annotations),
    } | fields


def written(tmp_path: Path, content: dict[str, Any]) -> Path:
    (tmp_path / "sub").mkdir(exist_ok=True)
    PIL.Image.new("RGB", SIZE[::-1], "green").save(tmp_path / "sub/größe.png")
    path = tmp_path / "references.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"segmentation": [POLYGON]}, "mask"),
        ({"segmentation": masks.encode_rle(BLOCK), "bbox": [0, 0, 2, 2]}, "mask"),
        ({"bbox": [10, 5, 20, 10]}, "box"),
        ({"bbox": [10, 5, 20, 10], "segmentation": []}, "box"),
        ({"bbox": [10, 5, 20, 10], "prompt": {"type": "box"}}, "box"),
        ({"prompt": {"type": "box", "points": [10, 5, 30, 15]}, "segmentation": [[0] * 6]}, "box"),
        ({"prompt": {"type": "polygon", "points": POLYGON}}, "polygon"),
        ({"prompt": {"type": "mask"}, "segmentation": [POLYGON]}, "mask"),
        ({"segmentation": [POLYGON], "iscrowd": 1, "prompt": {"type": "mask"}}, "mask"),
    ],
)
def test_every_way_to_mark_an_area(tmp_path: Path, fields: dict[str, Any], kind: str) -> None:
    (reference,) = read_references(written(tmp_path, document(annotation(**fields))))
    (prompt,) = reference.prompts
    assert prompt.type is PromptType(kind)
    assert prompt.category_id == 4
    assert prompt.positive
    np.testing.assert_array_equal(masks.rasterise(prompt, SIZE), BLOCK)


def test_points_and_scribbles_keep_width_and_sign(tmp_path: Path) -> None:
    marks = [
        annotation(prompt={"type": "point", "points": [3.5, 4]}),
        annotation(id=2, prompt={"type": "scribble", "points": [1, 2, 9, 9], "width": 3}),
        annotation(id=3, prompt={"type": "point", "points": [20, 20], "positive": False}),
    ]
    (reference,) = read_references(written(tmp_path, document(*marks)))
    point, scribble, _ = reference.prompts
    assert (point.type, point.points) == (PromptType.POINT, (3.5, 4.0))
    assert (scribble.points, scribble.width) == ((1, 2, 9, 9), 3)
    assert [p.positive for p in reference.prompts] == [True, True, False]
    assert reference.name == "sub/größe.png"
    assert reference.image.shape == (30, 40, 3)


def test_several_images_and_categories(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 9)).save(tmp_path / "b.png")
    content = document(
        annotation(bbox=[1, 1, 5, 5]),
        annotation(id=2, image_id=2, category_id=9, bbox=[1, 1, 5, 5]),
        annotation(id=3, image_id=2, bbox=[2, 2, 5, 5]),
        annotation(id=4, segmentation=[POLYGON], iscrowd=1),
        categories=[{"id": number, "name": f"c{number}"} for number in (9, 4, 7)],
    )
    content["images"] += [{"id": 2, "file_name": "b.png"}, {"id": 3, "file_name": "unused.png"}]
    references = read_references(written(tmp_path, content))
    assert len(references) == 2
    assert [[p.category_id for p in r.prompts] for r in references] == [[4], [9, 4]]
    assert [c.id for c in references.categories] == [9, 4, 7]
    assert len(references.notes) == 2
    assert "crowd" in references.notes[0]
    assert "'c7' has no positive prompt" in references.notes[1]


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path, document(annotation(bbox=[1, 1, 5, 5])))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "sub").rename(moved / "sub")
    with pytest.raises(InvalidReferences, match=r"größe\.png.*--reference-images"):
        read_references(path)
    assert len(list(read_references(path, moved))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (document(), "no positive prompt"),
        (
            document(annotation(prompt={"type": "point", "points": [1, 1], "positive": False})),
            "no positive prompt",
        ),
        (document(annotation(image_id=5, bbox=[1, 1, 5, 5])), "image 5"),
        (document(annotation(category_id=5, bbox=[1, 1, 5, 5])), "category 5"),
        (document(annotation(prompt={"type": "lasso"})), r"annotations\.0\.prompt\.type"),
        (document(annotation(bbox="wide")), r"annotations\.0\.bbox"),
        (document(images=[{"id": 1, "file_name": "a"}] * 2), "id twice under 'images'"),
        (document(categories=[{"id": 1, "name": "a"}] * 2), "id twice under 'categories'"),
        ({"shapes": []}, "is not COCO instances JSON"),
        ([1, 2], "is not COCO instances JSON"),
    ],
)
def test_files_that_make_no_sense_are_named(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidReferences, match=rf"references\.json.*{message}"):
        read_references(written(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"nonsense"])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "references.json"
    path.write_bytes(content)
    with pytest.raises(InvalidReferences, match=r"references\.json is not JSON"):
        read_references(path)
    with pytest.raises(InvalidReferences, match=r"absent\.json cannot be read"):
        read_references(tmp_path / "absent.json")


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = written(tmp_path, document(annotation(bbox=[1, 1, 5, 5])))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(read_references(path)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"bbox": [50, 50, 5, 5]},
        {"bbox": [1, 1, 0, 5]},
        {"bbox": [1, 1, 5]},
        {},
        {"prompt": {"type": "point"}},
        {"prompt": {"type": "point", "points": [41, 3]}},
        {"prompt": {"type": "mask"}},
        {"segmentation": [[1, 1, 2, 2]]},
        {"segmentation": {"size": [40, 30], "counts": [1200]}},
    ],
)
def test_a_prompt_that_marks_nothing_is_named(tmp_path: Path, fields: dict[str, Any]) -> None:
    references = read_references(written(tmp_path, document(annotation(id=17, **fields))))
    with pytest.raises(InvalidPrompt, match=r"Annotation 17 on sub/größe\.png"):
        list(references)


def test_a_picture_of_another_size_would_misplace_prompts(tmp_path: Path) -> None:
    path = written(tmp_path, document(annotation(bbox=[1, 1, 5, 5])))
    PIL.Image.new("RGB", (30, 40)).save(tmp_path / "sub/größe.png")
    with pytest.raises(InvalidReferences, match=r"30x40 when upright.*40x30"):
        list(read_references(path))
    (tmp_path / "sub/größe.png").write_bytes(b"no picture")
    with pytest.raises(InvalidImage, match=r"größe\.png"):
        list(read_references(path))


def test_the_example_is_valid(repository: Path) -> None:
    references = read_references(repository / "assets/example/references.json")
    assert references.notes == ()
    assert all(reference.prompts for reference in references)


def mark(number: int, category: int = 4, positive: bool = True, **fields: Any) -> dict[str, Any]:
    prompt = {"type": "point", "points": [number, 9], "positive": positive}
    return {"id": number, "image_id": 1, "category_id": category, "prompt": prompt} | fields


def test_each_annotation_is_an_object_unless_track_ids_join_some(tmp_path: Path) -> None:
    marks = [mark(1), mark(2, track_id=2), mark(3, track_id=2), mark(4, category=5)]
    content = document(*marks, categories=[{"id": 4, "name": "leaf"}, {"id": 5, "name": "twig"}])
    apart, category_of = read_references(written(tmp_path, content)).objects_apart()
    assert category_of == {1: 4, 2: 4, 3: 5}
    (reference,) = apart
    assert [(p.category_id, p.points[0]) for p in reference.prompts] == [
        (1, 1),
        (2, 2),
        (2, 3),
        (3, 4),
    ]
    assert [(c.id, c.name) for c in apart.categories] == [
        (1, "leaf 1"),
        (2, "leaf 2"),
        (3, "twig 3"),
    ]


def test_a_negative_stands_against_its_object_or_all_of_its_category(tmp_path: Path) -> None:
    marks = [
        mark(1, track_id=8),
        mark(2, track_id=9),
        mark(3, category=5),
        mark(4, positive=False),
        mark(5, positive=False, track_id=9),
    ]
    content = document(*marks, categories=[{"id": 4, "name": "leaf"}, {"id": 5, "name": "twig"}])
    apart, category_of = read_references(written(tmp_path, content)).objects_apart()
    assert category_of == {1: 5, 8: 4, 9: 4}
    (reference,) = apart
    negatives = [(p.category_id, p.points[0]) for p in reference.prompts if not p.positive]
    assert negatives == [(8, 4), (9, 4), (9, 5)]


def test_an_object_of_two_categories_is_refused(tmp_path: Path) -> None:
    marks = [mark(1, track_id=2), mark(2, category=5, track_id=2)]
    content = document(*marks, categories=[{"id": 4, "name": "leaf"}, {"id": 5, "name": "twig"}])
    file = read_references(written(tmp_path, content))
    with pytest.raises(InvalidReferences, match="annotation 2 gives the object with track_id 2"):
        file.objects_apart()


@pytest.mark.parametrize("fields", [{"track_id": 0}, {"track_id": -3}, {"track_id": "x"}])
def test_track_ids_begin_at_one(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidReferences, match="track_id"):
        read_references(written(tmp_path, document(mark(1, **fields))))


def test_marks_on_frames_need_no_pictures(tmp_path: Path) -> None:
    PIL.Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.png")
    PIL.Image.new("RGB", SIZE[::-1]).save(tmp_path / "b.png")
    content = document(
        mark(1),
        mark(2, image_id=2),
        mark(3, image_id=2),
        images=[
            {"id": 1, "file_name": "elsewhere/unknown.png", "frame_index": 0},
            {"id": 2, "file_name": "elsewhere/b.png", "width": 40, "height": 30},
        ],
    )
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(content))
    prompts = read_marks(path).on_frames(FrameFolder(tmp_path))
    assert {index: [p.points[0] for p in marks] for index, marks in prompts.items()} == {
        0: [1],
        1: [2, 3],
    }


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("#A0B0C0", "#a0b0c0"),
        ([160, 176, 192], "#a0b0c0"),
        ("red", None),
        ([1, 2], None),
        (7, None),
    ],
)
def test_categories_keep_their_colours_and_kind(
    tmp_path: Path, color: object, expected: str | None
) -> None:
    category = {"id": 4, "name": "leaf", "color": color, "isthing": 0}
    content = document(annotation(bbox=[10, 5, 20, 10]), categories=[category])
    (found,) = read_references(written(tmp_path, content)).categories
    assert found.color == (expected or Category.color)
    assert not found.is_thing


def test_categories_may_be_called_by_numbers(tmp_path: Path) -> None:
    category = {"id": 4, "name": 7, "supercategory": 10}
    content = document(annotation(bbox=[10, 5, 20, 10]), categories=[category])
    (found,) = read_references(written(tmp_path, content)).categories
    assert (found.name, found.supercategory) == ("7", "10")


def test_bad_pictures_and_prompts_can_be_left_out(tmp_path: Path) -> None:
    content = document(
        annotation(bbox=[10, 5, 20, 10]),
        annotation(id=2, bbox=[50, 5, 20, 10]),
        annotation(id=3, image_id=2, bbox=[1, 1, 2, 2]),
        annotation(id=4, segmentation=[[1, 2, 3]]),
    )
    content["images"].append({"id": 2, "file_name": "broken.png"})
    (tmp_path / "broken.png").write_bytes(b"no picture")
    file = read_references(written(tmp_path, content))
    problems: list[str] = []
    (reference,) = file.usable(problems)
    assert len(reference.prompts) == 1
    assert [text.split(":")[0].split(" is ")[0] for text in problems] == [
        "Annotation 2 on sub/größe.png",
        "Annotation 4 on sub/größe.png",
        str(tmp_path / "broken.png"),
    ]
    with pytest.raises(InvalidPrompt):
        list(file)


def test_a_sample_of_each_category_does_not_depend_on_the_others(tmp_path: Path) -> None:
    rows = [annotation(id=i, bbox=[i, 1, 5, 5]) for i in range(1, 30)]
    negative = {"type": "point", "points": [3, 3], "positive": False}
    rows.append(annotation(id=30, prompt=negative))
    others = [annotation(id=i, category_id=9, bbox=[i - 30, 1, 5, 5]) for i in range(31, 40)]
    categories = [{"id": 4, "name": "leaf"}, {"id": 9, "name": "stone"}]

    def drawn(annotations: list[dict[str, Any]], seed: int = 0) -> list[Prompt]:
        content = document(*annotations, categories=categories)
        (reference,) = read_references(written(tmp_path, content)).sample(5, seed)
        return [prompt for prompt in reference.prompts if prompt.category_id == 4]

    assert len(drawn(rows)) == 6
    assert not drawn(rows)[-1].positive
    assert drawn(rows) == drawn([*rows, *others])
    assert drawn(rows) != drawn(rows, seed=1)
