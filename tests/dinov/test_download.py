"""Against a real HTTP server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dinov import download as module
from dinov.config import VARIANTS
from dinov.download import (
    CHECKPOINTS,
    CheckpointEntry,
    download,
    find,
    known_score_threshold,
    sha256_of,
)
from dinov.errors import CheckpointMissing, DownloadFailed

CONTENT = bytes(range(256)) * 20_000  # a little over 5 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and which ranges were asked for."""

    url: str = ""
    content: bytes = CONTENT
    status: int = 200
    supports_ranges: bool = True
    cut_after: int | None = None
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            start = int(asked[6:-1]) if asked and state.supports_ranges else 0
            if state.status != 200:
                self.send_error(state.status)
                return
            if start >= len(state.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            if start:
                end = f"{start}-{len(state.content) - 1}/{len(state.content)}"
                self.send_header("Content-Range", f"bytes {end}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_port}/model.pth"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def entry(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    known = CheckpointEntry("model.pth", "swin-t", server.url, DIGEST)
    monkeypatch.setitem(CHECKPOINTS, "test", known)
    undigested = CheckpointEntry("free.pth", "swin-t", server.url)
    monkeypatch.setitem(CHECKPOINTS, "undigested", undigested)


def test_a_download_arrives_whole_and_reports_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(
        "test", directory=tmp_path / "new", progress=lambda *numbers: seen.append(numbers)
    )
    assert path == tmp_path / "new/model.pth"
    assert sha256_of(path) == DIGEST
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert [file.name for file in path.parent.iterdir()] == ["model.pth"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    download("test", directory=tmp_path)
    download("test", directory=tmp_path)
    assert len(server.ranges) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = 2_000_000
    with pytest.raises(DownloadFailed, match=r"Run it again.*download test"):
        download("test", directory=tmp_path)
    assert not (tmp_path / "model.pth").exists()
    assert (tmp_path / "model.pth.part").stat().st_size == 2_000_000
    server.cut_after = None
    seen: list[tuple[int, int | None]] = []
    path = download("test", directory=tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]
    assert seen[0][0] > 2_000_000
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.pth.part").write_bytes(b"x" * 1000)
    server.supports_ranges = False
    assert download("test", directory=tmp_path).read_bytes() == CONTENT


def test_a_whole_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    assert download("test", directory=tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "free.pth.part").write_bytes(CONTENT + b"more")
    assert download("undigested", directory=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("earlier", [b"", b"rest of another file"])
def test_a_wrong_digest_leaves_nothing(server: Server, tmp_path: Path, earlier: bytes) -> None:
    server.content = CONTENT[:-1] + b"!"
    if earlier:
        (tmp_path / "model.pth.part").write_bytes(earlier)
    with pytest.raises(DownloadFailed, match=f"SHA-256.*{DIGEST}"):
        download("test", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_server_s_refusal_is_told(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadFailed, match=r"404 .*model\.pth"):
        download("test", directory=tmp_path)


def test_no_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = CheckpointEntry("model.pth", "swin-t", "http://127.0.0.1:9/model.pth")
    monkeypatch.setitem(CHECKPOINTS, "test", closed)
    with pytest.raises(DownloadFailed, match="stopped"):
        download("test", directory=tmp_path)


def test_find_by_name_and_by_path(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    file.touch()
    assert find("test", directory=tmp_path) == file
    assert find(file) == find(str(file)) == file


def test_what_is_missing_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMissing, match="python -m dinov download swin-t"):
        find("swin-t", directory=tmp_path)
    with pytest.raises(CheckpointMissing, match=r"restore lite\.safetensors"):
        download("lite", directory=tmp_path)
    with pytest.raises(CheckpointMissing, match="lite, swin-t, swin-l"):
        find(tmp_path / "absent.pth")
    with pytest.raises(CheckpointMissing, match="Unknown checkpoint"):
        download("swin-x", directory=tmp_path)


def test_the_default_folder_is_the_checkout_s(repository: Path) -> None:
    assert module.default_directory() == repository / "checkpoints"


def test_the_threshold_of_a_checkpoint_is_read_off_its_metadata(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    save_file({"a": np.zeros(1)}, own, metadata={"score_threshold": "0.35"})
    assert known_score_threshold(str(own)) == 0.35


def test_the_threshold_of_a_checkpoint_by_name_is_known_before_it_is_here() -> None:
    assert known_score_threshold("swin-t") == VARIANTS["swin-t"].score_threshold


@pytest.mark.parametrize("name", ["own.safetensors", "own.pth"])
def test_of_a_file_that_does_not_say_it_no_threshold_is_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"damaged, or of another kind")
    assert known_score_threshold(str(tmp_path / name)) is None
