"""The command that starts the application."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from app import cli, model_session
from app.project import ServerError
from app.settings import Settings
from dinov.prompt_bank import PromptBank


@pytest.fixture
def served(monkeypatch) -> list[Settings]:
    calls: list[Settings] = []
    monkeypatch.setattr(cli, "serve", calls.append)
    return calls


def test_serving_is_the_default(served, tmp_path):
    assert cli.main([]) == cli.main(["serve"]) == 0
    assert served[0] == served[1] == Settings()
    arguments = ["--port", "0", "--data-dir", str(tmp_path), "--input-size", "512"]
    assert cli.main(arguments) == cli.main(["serve", *arguments]) == 0
    assert served[2] == served[3] == Settings(data_dir=tmp_path, port=0, model={"input_size": 512})


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--input-size", "3"], ["dance"]])
def test_wrong_arguments_are_refused(served, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err
    assert served == []


def test_a_network_is_served_to_users_or_on_purpose_only(served, tmp_path, capsys, monkeypatch):
    open_to_all = ["--host", "0.0.0.0"]
    assert cli.main(open_to_all) == 1
    assert "--auth-file" in capsys.readouterr().err
    assert cli.main([*open_to_all, "--allow-anyone"]) == 0
    file = tmp_path / "users.txt"
    assert cli.main([*open_to_all, "--auth-file", str(file)]) == 1
    assert "users add NAME" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert cli.main(["users", "add", "anna", "--auth-file", str(file)]) == 0
    assert cli.main([*open_to_all, "--auth-file", str(file)]) == 0
    assert [settings.auth_file for settings in served] == [None, file]
    for here in ("localhost", "127.0.0.2", "::1"):
        assert cli.main(["--host", here]) == 0


def test_users_are_kept_on_the_command_line(tmp_path, capsys, monkeypatch):
    def users(*words: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = cli.main(["users", *words, "--auth-file", str(tmp_path / "users.txt")])
        said = capsys.readouterr()
        return status, said.out + said.err

    assert users("list") == (0, "Nobody may log in yet.\n")
    assert users("add", "anna", typed="short\n")[0] == 1
    assert users("add", "anna", typed="correct horse\n")[0] == 0
    assert "already" in users("add", "anna", typed="correct horse\n")[1]
    before = (tmp_path / "users.txt").read_text()
    assert users("password", "anna", typed="battery staple\n")[0] == 0
    assert (tmp_path / "users.txt").read_text() != before
    assert "no user ben" in users("remove", "ben")[1]
    assert users("list") == (0, "anna\n")
    assert users("remove", "anna")[0] == 0
    assert users("list") == (0, "Nobody may log in yet.\n")


def test_a_port_that_is_taken_is_said_with_the_remedy(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status = cli.main(["--port", str(port), "--data-dir", str(tmp_path)])
    assert status == 1
    assert capsys.readouterr().err == (
        f"error: Port {port} is in use. Stop what runs there, or choose another with --port.\n"
    )


def test_a_checkpoint_that_is_not_there_is_said_at_once(tmp_path, capsys):
    status = cli.main(["--checkpoint", str(tmp_path / "no.pth"), "--data-dir", str(tmp_path)])
    assert status == 1
    assert "no.pth" in capsys.readouterr().err


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ServerError, match="Cannot listen on"):
        cli.listening_socket("192.0.2.1", 0)


def test_the_address_can_be_opened_in_a_browser():
    with cli.listening_socket("0.0.0.0", 0) as listener:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", cli.address_of(listener))


@pytest.mark.slow
def test_the_printed_address_answers_and_a_signal_ends_it(repository, tmp_path):
    server = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0", "--data-dir", str(tmp_path / "data")],
        cwd=repository,
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        address = re.search(r"http://\S+", line).group()
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.wait()
    assert (tmp_path / "data" / "studio.sqlite3").is_file()


@pytest.fixture
def exported(marked, tmp_path) -> Path:
    """A data folder with a project “Patches” that has results; the page is not open on it."""
    marked.studio.segment_now(marked.id)
    marked.studio.close()
    return tmp_path / "data"


def run(capsys, data, *arguments) -> tuple[int, str, str]:
    status = cli.main([*map(str, arguments), "--data-dir", str(data)])
    return status, *capsys.readouterr()


def test_a_project_goes_out_and_comes_in(exported, tmp_path, capsys):
    path = tmp_path / "out.json"
    results = tmp_path / "results.json"
    status, out, _ = run(
        capsys, exported, "export", "--project", "Patches", "--output", path, "--results", results
    )
    assert status == 0
    assert out.splitlines() == [
        "2 of 2 annotations written; 2 images have none.",
        "1 proposal below the score threshold is not part of the export.",
        str(path),
    ]
    scored = json.loads(results.read_text())
    assert [set(row) for row in scored] == [
        {"image_id", "category_id", "segmentation", "score"}
    ] * 2
    assert COCO(str(path)).loadRes(scored).getAnnIds() == [1, 2]

    archive = tmp_path / "out.zip"
    options = ["--format", "yolo", "--with-images", "--output", archive]
    assert run(capsys, exported, "export", "--project", "Patches", *options)[0] == 0
    status, out, _ = run(capsys, exported, "import", archive, "--project", "Copy")
    assert status == 0
    assert out.splitlines() == [
        "New project “Copy”.",
        "2 of 2 annotations imported; 3 images added (YOLO segmentation).",
    ]
    status, out, _ = run(
        capsys, exported, "import", archive, "--project", "Copy", "--as", "prompts"
    )
    assert (status, out) == (0, "2 of 2 annotations imported (YOLO segmentation).\n")
    status, out, _ = run(capsys, exported, "import", archive, "--project", "Copy")
    assert "0 of 2 annotations imported; 2 are here already" in out


def test_a_loss_is_said_by_the_exit_status_unless_it_is_allowed(exported, tmp_path, capsys):
    path = tmp_path / "out.json"
    run(capsys, exported, "export", "--project", "Patches", "--output", path)
    document = json.loads(path.read_text())
    document["annotations"][0]["segmentation"] = []
    del document["annotations"][0]["bbox"]
    path.write_text(json.dumps(document))
    lossy = ["import", path, "--project", "Patches"]
    status, out, _ = run(capsys, exported, *lossy)
    assert status == cli.LOSS
    assert "Left out: annotation 1 on target.png: it has neither a mask nor a box." in out
    assert run(capsys, exported, *lossy, "--allow-loss")[0] == 0


def test_an_import_that_fails_leaves_no_new_project(exported, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("nothing")
    before = sorted((exported / "projects").iterdir())
    status, out, error = run(capsys, exported, "import", tmp_path / "notes.txt", "--project", "New")
    assert (status, out) == (1, "")
    assert "in none of the known formats" in error
    assert sorted((exported / "projects").iterdir()) == before
    status, _, error = run(capsys, exported, "export", "--project", "New", "--output", "x.json")
    assert (status, error) == (1, "error: There is no project “New”. Projects here: “Patches”.\n")


def test_what_is_not_there_is_said_with_what_there_is(exported, tmp_path, capsys):
    status, _, error = run(capsys, exported, "export", "--project", "Pathces", "--output", "x.json")
    assert status == 1
    assert error == "error: There is no project “Pathces”. Projects here: “Patches”.\n"
    status, _, error = run(capsys, exported, "import", tmp_path / "no", "--project", "Patches")
    assert (status, error) == (1, f"error: {tmp_path / 'no'} does not exist. Check the path.\n")
    options = ["--format", "yolo", "--mask-encoding", "rle", "--output", tmp_path / "x"]
    status, _, error = run(capsys, exported, "export", "--project", "Patches", *options)
    assert status == 1
    assert "with the format coco" in error
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", "--project", "P", "--output", "x", "--score-threshold", "7"])


def test_examples_leave_as_a_bank_that_the_library_reads(
    exported, tmp_path, capsys, predictor, monkeypatch
):
    monkeypatch.setattr(model_session, "load_from_checkpoint", lambda _: predictor)
    path = tmp_path / "red.safetensors"
    asked = ["bank", "--project", "Patches", "--output", path]
    status, out, _ = run(capsys, exported, *asked, "--category", "red")
    assert (status, out) == (0, f"{path}\n")
    bank = PromptBank.load(path)
    assert [category.name for category in bank.named_categories] == ["red"]
    status, _, error = run(capsys, exported, *asked, "--category", "blue")
    assert (status, error) == (1, "error: “Patches” has no category “blue”, but: red.\n")
