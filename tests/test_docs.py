"""The documents are true: commands exist and run, links lead somewhere, named files are there."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pycocotools.coco import COCO

import app.cli
import dinov.cli
from app.formats import FORMATS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("assets/*.md")),
    *sorted(ROOT.glob("checkpoints/*.md")),
]
README = (ROOT / "README.md").read_text()
Leaf = tuple[tuple[str, ...], argparse.ArgumentParser]
# The library builds the options of the command that is asked for, the app those of all.
PARSERS: dict[str, Callable[[list[str]], argparse.ArgumentParser]] = {
    "python -m dinov": dinov.cli.build_parser,
    "python app.py": lambda arguments: app.cli.build_parser(),
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The lines of the shell blocks that call this project, continued lines joined."""
    joined = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in joined.splitlines()]
    return [line for line in lines if line.startswith(tuple(PARSERS))]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {name: sub for action in actions for name, sub in action.choices.items()}


def leaves(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[Leaf]:
    """The commands below a command that have none below themselves."""
    below = subcommands(parser)
    if not below:
        yield path, parser
    for name, command in below.items():
        yield from leaves(command, (*path, name))


ALL_COMMANDS = [(path, command) for path in DOCUMENTS for command in commands(path.read_text())]


@pytest.mark.parametrize(
    ("path", "command"), ALL_COMMANDS, ids=[command[:60] for _, command in ALL_COMMANDS]
)
def test_a_documented_command_is_understood(path: Path, command: str) -> None:
    prefix = next(prefix for prefix in PARSERS if command.startswith(prefix))
    arguments = shlex.split(command.removeprefix(prefix))
    if prefix == "python app.py" and arguments[0].startswith("-"):
        arguments.insert(0, "serve")  # what is served without saying so
    PARSERS[prefix](arguments).parse_args(arguments)


@pytest.mark.parametrize("prefix", PARSERS)
def test_every_command_has_help_and_stands_in_the_readme(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in subcommands(PARSERS[prefix]([])):
        parser = PARSERS[prefix]([name])
        for path, command in leaves(subcommands(parser)[name], (name,)):
            spelled = " ".join((prefix, *path))
            # `serve` is what happens without a command, and is documented as that.
            assert name == "serve" or f"`{spelled}`" in README, f"README lacks {spelled}"
            assert command.description, f"{spelled} does not say what it does"
            for action in command._actions:
                assert action.help, f"{spelled} {action.dest} has no help"
            with pytest.raises(SystemExit, match="0"):
                parser.parse_args([*path, "--help"])
            assert "usage:" in capsys.readouterr().out


def test_every_format_stands_in_the_readme() -> None:
    for name in FORMATS:
        assert f"\n| `{name}` |" in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_named_files_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    for row in rows:
        names = re.findall(r"`([^`]+)`", row)
        # The first name of a row carries the folder: `dinov/types.py`, `errors.py`.
        folder = Path(names[0]).parent
        for name in names:
            places = [ROOT / name, ROOT / folder / name]
            assert any(place.exists() for place in places), f"ARCHITECTURE.md names {name}"


def test_every_picture_has_its_licence_noted() -> None:
    notes = (ROOT / "assets/README.md").read_text()
    for path in (ROOT / "assets").rglob("*"):
        if path.suffix in {".jpg", ".jpeg", ".png", ".webp"}:
            assert f"`{path.relative_to(ROOT / 'assets').as_posix()}`" in notes


def test_make_targets_are_documented() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    guide = README + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "Makefile").read_text()
    assert {"run", "test", "check"} <= set(targets)
    assert all(f"make {target}" in guide for target in targets)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the checkout, in which documented commands may write."""
    for name in ("app", "app.py", "assets", "checkpoints", "dinov"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.weights
def test_the_readme_segments_a_folder(checkout: Path, lite_checkpoint: Path) -> None:
    (command,) = [line for line in commands(README) if " segment --references" in line]
    run([sys.executable, *shlex.split(command)[1:]], checkout)
    found = COCO(checkout / "found.json")
    names = {image["file_name"] for image in found.loadImgs(found.getImgIds())}
    assert {Path(name).name for name in names} == {
        path.name for path in (ROOT / "assets/example/targets").iterdir()
    }
    assert len(found.getAnnIds()) > 0
    assert all(0 <= annotation["score"] <= 1 for annotation in found.loadAnns(found.getAnnIds()))


@pytest.mark.slow
@pytest.mark.weights
def test_the_readme_works_from_python(checkout: Path, lite_checkpoint: Path) -> None:
    scripts = [block for block in blocks(README, "python") if "Predictor" in block]
    printed = [run([sys.executable, "-c", script], checkout).strip() for script in scripts]
    assert len(printed) == 2
    assert all(printed)
    assert re.search(r"on 4 of 4 targets", "\n".join(printed))
    assert COCO(checkout / "found.json").getAnnIds()


@pytest.fixture
def server(checkout: Path) -> Iterator[str]:
    """The app as the README starts it, on a free port and an empty data folder."""
    arguments = ["app.py", "serve", "--port", "0", "--data-dir", str(checkout / "data")]
    with (checkout / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=checkout,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, (checkout / "server.log").read_text()
        yield address.group()
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.weights
def test_the_readme_works_from_a_script(checkout: Path, server: str, lite_checkpoint: Path) -> None:
    (script,) = [block for block in blocks(README, "python") if "gradio_client" in block]
    assert "http://127.0.0.1:7860" in script
    script = script.replace("http://127.0.0.1:7860", server)
    *_, exported = run([sys.executable, "-c", script], checkout).strip().splitlines()
    document = json.loads(Path(exported).read_text())
    assert [category["name"] for category in document["categories"]] == ["deer"]
