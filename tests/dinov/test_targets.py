"""Targets from files, folders, patterns, lists and archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

from dinov import urls
from dinov.errors import InvalidImage
from dinov.images import find_images
from dinov.targets import TargetReader, check_targets, list_targets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ["10.jpg", "2.jpg", "a/1.png", "a-b.jpg", "A5b.jpg", "a5/3.JPG", "b/c/1.tif", "z.jpg"]
    for name in [*names, "notes.md", ".hidden.jpg", "b/.x.png"]:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def names(targets: list[str | Path], folder: Path) -> list[str]:
    return [t.place.removeprefix(f"{folder.as_posix()}/") for t in list_targets(targets)]


def test_folders_are_walked_in_the_order_of_all_their_files(folder: Path) -> None:
    whole = [path.relative_to(folder).as_posix() for path in find_images([folder])]
    assert names([folder], folder) == whole
    assert len(whole) == 8
    assert whole[:2] == ["2.jpg", "10.jpg"]


def test_what_is_named_twice_is_listed_once(folder: Path) -> None:
    whole = names([folder], folder)
    assert names([folder / "z.jpg", folder, folder / "*.jpg", folder / "2.jpg"], folder) == whole
    assert names([folder / "**/*.png"], folder) == ["a/1.png"]


def test_a_list_names_files_one_a_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = "photos/10.jpg\r\n\nphotos/2.jpg\nphotos/10.jpg\nphotos/notes.md\nphotos/gone.jpg\n"
    (tmp_path / "some.txt").write_text(listed)
    expected = ["2.jpg", "10.jpg", "gone.jpg", "notes.md"]
    assert names(["some.txt"], folder) == expected
    assert names(["some.txt", folder / "z.jpg"], folder) == [*expected, "z.jpg"]


def pack(archive: Path, members: dict[str, bytes]) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
        return archive
    with tarfile.open(archive, "w:gz" if archive.suffix == ".tgz" else "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_an_archive_gives_its_images(tmp_path: Path, kind: str) -> None:
    members = {"a/2.jpg": b"two", "a/readme.md": b"", "1.png": b"one" * 999, "a/.x.jpg": b"hidden"}
    archive = pack(tmp_path / f"photos.{kind}", members)
    targets = list(list_targets([archive, archive]))
    assert [target.member for target in targets] == ["a/2.jpg", "1.png"]
    assert targets[0].place == f"{archive.as_posix()}/a/2.jpg"
    assert targets[0].folder == f"{archive.as_posix()}/a"
    read = TargetReader()
    assert [read(target) for target in targets] == [b"two", b"one" * 999]
    # Whoever goes on begins in the middle.
    assert TargetReader()(targets[1]) == b"one" * 999


def test_two_archives_are_read_in_turn(tmp_path: Path) -> None:
    archives = [pack(tmp_path / f"{n}.zip", {"x.jpg": bytes([n])}) for n in (1, 2)]
    read = TargetReader()
    assert [read(target) for target in list_targets(archives)] == [b"\1", b"\2"]


@pytest.fixture
def store(folder: Path, request: pytest.FixtureRequest) -> str:
    """The same files in a store that is reached by URLs."""
    url = f"memory://{request.node.name}/photos"
    for path in folder.rglob("*.*"):
        with fsspec.open(f"{url}/{path.relative_to(folder).as_posix()}", "wb") as file:
            file.write(path.read_bytes())
    return url


def test_urls_lead_to_the_same_files(store: str, folder: Path) -> None:
    targets = list(list_targets([store, f"{store}/2.jpg"]))
    places = [target.place.partition("/photos/") for target in targets]
    assert [name for *_, name in places] == names([folder], folder)
    assert all(start.startswith("memory://") for start, *_ in places)
    assert TargetReader()(targets[0]) == targets[0].path
    assert urls.read(targets[0].path) == b"2.jpg"
    (found,) = list_targets([f"{store}/**/3.JPG"])
    assert found.folder.endswith("/photos/a5")


def test_lists_and_archives_lie_behind_urls_too(store: str, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(f"{store}/z.jpg\n{store}/2.jpg\n")
    listed = [target.path for target in list_targets([(tmp_path / "some.txt").as_uri()])]
    assert listed == [f"{store}/2.jpg", f"{store}/z.jpg"]
    for kind in ("zip", "tar", "tgz"):
        archive = pack(tmp_path / f"photos.{kind}", {"a/2.jpg": b"two", "1.png": b"one" * 999})
        read = TargetReader()
        packed = list(list_targets([archive.as_uri()]))
        assert [read(target) for target in packed] == [b"two", b"one" * 999]
        assert packed[0].place.endswith(f"photos.{kind}/a/2.jpg")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nowhere/at-all", "There is no image at"),
        ("memory://nowhere/*.jpg", "There is no image at"),
        ("memory://nowhere/some.txt", "cannot be read"),
        ("no-such-store://bucket/a.jpg", "fsspec's package for it is installed"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_at_once(url: str, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        check_targets([url])


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"bad.{kind}").write_bytes(b"no archive at all" * 50)
    with pytest.raises(InvalidImage, match=f"bad.{kind} cannot be read as an archive"):
        check_targets([tmp_path / f"bad.{kind}"])


def test_a_member_that_is_gone_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "photos.zip", {"x.jpg": b"x"})
    (target,) = list_targets([archive])
    pack(archive, {"y.jpg": b"y"})
    with pytest.raises(InvalidImage, match=r"photos.zip/x.jpg cannot be read"):
        TargetReader()(target)


@pytest.mark.parametrize("name", ["gone", "gone/*.jpg", "empty.txt", "empty", "empty.zip"])
def test_a_path_that_leads_nowhere_is_told_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.jpg").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n\n")
    pack(tmp_path / "empty.zip", {"readme.md": b""})
    with pytest.raises(InvalidImage, match="There is no image at"):
        check_targets([tmp_path / "there.jpg", tmp_path / name])
    with pytest.raises(InvalidImage, match="No image was named"):
        check_targets([])
