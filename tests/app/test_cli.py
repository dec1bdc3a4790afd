"""The command that starts the application."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from app import cli
from app.project import ServerError
from app.settings import Settings


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
    assert served[2] == served[3] == Settings(data_dir=tmp_path, port=0, input_size=512)


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--input-size", "3"], ["dance"]])
def test_wrong_arguments_are_refused(served, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err
    assert served == []


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
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == 0
    finally:
        server.kill()
        server.wait()
    assert (tmp_path / "data" / "studio.sqlite3").is_file()
