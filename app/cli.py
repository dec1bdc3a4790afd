"""The command line: python app.py [serve] | batch | export | import | bank | users."""

from __future__ import annotations

import argparse
import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app.banks import Banks
from app.batch_command import add_batch, batch
from app.data_folder import open_data_folder
from app.exporting import export_project
from app.formats import FORMATS
from app.image_files import ImageFiles
from app.importing import ImportedAs, import_files
from app.model_options import add_model, given, model_settings
from app.model_session import ModelSession
from app.passwords import PasswordFile
from app.project import AppError, NotFound, Project, ServerError
from app.settings import Settings, default_data_dir
from app.store import Store
from app.users_command import add_users
from app.workspace import Workspace
from dinov.arguments import LOSS, add_allow_loss, share
from dinov.download import find
from dinov.errors import DinovError

# Browsers keep event streams open; waiting longer for them would only delay the end.
_GRACE_SECONDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; without a command, serve the page."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    chosen = build_parser().parse_args(given)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except (AppError, DinovError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run_serve(chosen: argparse.Namespace) -> int:
    serve(
        Settings(
            data_dir=_data_dir(chosen),
            host=chosen.host,
            port=chosen.port,
            auth_file=_auth_file(chosen),
            admins=tuple(chosen.admin),
            model=given(chosen),
        )
    )
    return 0


def _auth_file(chosen: argparse.Namespace) -> Path | None:
    """Return the file of users, unless nobody else can reach the server or all are welcome.

    Raises:
        ServerError: if strangers could come in, or nobody could.
    """
    file: Path | None = chosen.auth_file
    if file is None:
        if chosen.admin:
            raise ServerError("--admin names users of --auth-file. Give that, too.")
        if not is_loopback(chosen.host) and not chosen.allow_anyone:
            raise ServerError(
                f"Whoever reaches {chosen.host} could read and change all projects. Name the users "
                "with --auth-file (see: python app.py users add --help), or add --allow-anyone "
                "where you trust the network."
            )
        return None
    users = PasswordFile(file).hashes()
    if not users:
        raise ServerError(
            f"{file} names nobody who may log in. Add users with: "
            f"python app.py users add NAME --auth-file {file}"
        )
    unknown = [name for name in chosen.admin if name not in users]
    if unknown:
        raise ServerError(f"{file} has no user {unknown[0]}, but: {', '.join(users)}.")
    return file


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a server that listens on an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _run_batch(chosen: argparse.Namespace) -> int:
    with _workspace(chosen) as (workspace, store, files):
        return batch(chosen, store, files, _project(workspace, chosen.project))


def _run_export(chosen: argparse.Namespace) -> int:
    with _workspace(chosen) as (workspace, store, files):
        report = export_project(
            store,
            files,
            _project(workspace, chosen.project).id,
            chosen.output,
            format_name=chosen.format,
            score_threshold=chosen.score_threshold,
            with_images=chosen.with_images,
            encoding=chosen.mask_encoding,
            results=chosen.results,
        )
    print("\n".join([*report.lines, str(report.path)]))
    return 0 if report.is_lossless or chosen.allow_loss else LOSS


def _run_import(chosen: argparse.Namespace) -> int:
    with (
        _workspace(chosen) as (workspace, store, files),
        _project_to_fill(workspace, store, files, chosen.project) as project,
    ):
        report = import_files(
            workspace,
            project.id,
            chosen.sources,
            image_folders=chosen.images,
            format_name=chosen.format,
            as_=ImportedAs(chosen.as_),
        )
    print("\n".join(report.lines))
    return 0 if report.is_lossless or chosen.allow_loss else LOSS


@contextlib.contextmanager
def _project_to_fill(
    workspace: Workspace, store: Store, files: ImageFiles, named: str
) -> Iterator[Project]:
    """Find a project, or begin one, of which nothing is left if what follows fails."""
    try:
        known = _project(workspace, named)
    except NotFound:
        known = None
    if known is not None:
        yield known
        return
    project = workspace.create_project(named)
    try:
        yield project
    except BaseException:
        store.remove_project(project.id)
        files.remove_project(project.id)
        raise
    print(f"New project “{project.name}”.")


def _run_bank(chosen: argparse.Namespace) -> int:
    with _workspace(chosen) as (workspace, store, files):
        project = _project(workspace, chosen.project)
        ids = {category.name: category.id for category in workspace.categories(project.id)}
        unknown = [name for name in chosen.category or () if name not in ids]
        if unknown:
            raise NotFound(
                f"“{project.name}” has no category “{unknown[0]}”, but: {', '.join(ids)}."
            )
        wanted = [ids[name] for name in chosen.category] if chosen.category else None
        banks = Banks(workspace, store, files, ModelSession(model_settings(chosen, store)))
        print(banks.save(project.id, chosen.output, wanted))
    return 0


@contextlib.contextmanager
def _workspace(
    chosen: argparse.Namespace,
) -> Iterator[tuple[Workspace, Store, ImageFiles]]:
    """Open the data folder without the jobs, which a page served meanwhile may be running."""
    store, files = open_data_folder(_data_dir(chosen))
    try:
        yield Workspace(store, files), store, files
    finally:
        store.close()


def _project(workspace: Workspace, named: str) -> Project:
    """Find a project by its name or its id.

    Raises:
        NotFound: if there is none; the message names those that there are.
    """
    projects = workspace.projects()
    for project in projects:
        if named in (project.id, project.name):
            return project
    names = ", ".join(f"“{project.name}”" for project in projects) or "none yet"
    raise NotFound(f"There is no project “{named}”. Projects here: {names}.")


def _data_dir(chosen: argparse.Namespace) -> Path:
    folder: Path = chosen.data_dir
    return folder.expanduser().resolve()


def serve(settings: Settings) -> None:
    """Serve the page until the program is stopped.

    Raises:
        ServerError: if the address or the data folder cannot be used.
        CheckpointMissing: if a checkpoint was asked for that is not on this machine.
    """
    # Without the shipped checkpoint the page still opens and says so; a choice is answered at once.
    if "checkpoint" in settings.model:
        find(settings.model["checkpoint"])
    with listening_socket(settings.host, settings.port) as listener:
        # Imported late, so that --help and a port that is taken are answered at once.
        import uvicorn

        from app.segmentation import Studio
        from app.ui.build import build_app

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                print(f"DINOv Studio is at {address_of(listener)} (Ctrl+C stops it)", flush=True)

        studio = Studio.open(settings)
        config = uvicorn.Config(
            build_app(studio, settings.auth_file),
            log_level="warning",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        try:
            with contextlib.suppress(KeyboardInterrupt):
                Server(config).run(sockets=[listener])
        finally:
            studio.close()


def listening_socket(host: str, port: int) -> socket.socket:
    """Reserve the address before anything slow begins.

    Raises:
        ServerError: if the port is taken or the host is not this machine; it says what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                # Lets a restart take the port over from connections that are still fading out.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"Port {port} is in use. Stop what runs there, or choose another with --port."
        else:
            reason = f"Cannot listen on {host}, port {port} ({error.strerror})."
        raise ServerError(reason) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address to open in a browser on this machine."""
    host, port = listener.getsockname()[:2]
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    shown = everywhere.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of ``python app.py``."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="DINOv Studio: mark a few objects in the browser, segment every other one.",
        epilog="Without a command the page is served.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "serve",
        help="serve the page (the default)",
        description="Serve the page until Ctrl+C; the address is printed once it can be opened.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=_run_serve)
    command.add_argument("--host", default=Settings.host, help="address to listen on")
    command.add_argument("--port", type=_port, default=Settings.port, help="0 takes a free one")
    add_model(command)
    entrance = command.add_mutually_exclusive_group()
    entrance.add_argument(
        "--auth-file", type=Path, help="users who may log in; made by: python app.py users add"
    )
    entrance.add_argument(
        "--allow-anyone",
        action="store_true",
        help="with another --host: whoever reaches it may do everything, without logging in",
    )
    command.add_argument(
        "--admin",
        action="append",
        default=[],
        metavar="NAME",
        help="a user who may change the model for all, under Settings; may be repeated. Without "
        "one only the command line can",
    )
    _add_data_dir(command)
    command = add_batch(commands)
    command.set_defaults(run=_run_batch)
    _add_data_dir(command)
    _add_export(commands)
    _add_import(commands)
    _add_bank(commands)
    add_users(commands)
    return parser


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "export",
        help="write a project to files",
        description=(
            "Write what a project shows to files that other tools read, and say what became of it. "
            f"Exit status {LOSS} if something was lost, unless --allow-loss."
        ),
    )
    command.set_defaults(run=_run_export)
    command.add_argument("--project", required=True, help="name or id of the project")
    command.add_argument(
        "--output",
        type=Path,
        required=True,
        help="a .json file for formats that are one, a .zip, or a folder that is not there yet",
    )
    command.add_argument("--format", choices=FORMATS, default="coco", help="default: coco")
    command.add_argument("--with-images", action="store_true", help="write the upright images, too")
    command.add_argument(
        "--score-threshold",
        type=share,
        metavar="SCORE",
        help="lowest score to write, 0 to 1; that of the project if not given",
    )
    command.add_argument(
        "--mask-encoding",
        choices=("auto", "polygon", "rle"),
        default="auto",
        help="of the format coco; auto writes polygons, and RLE for masks with holes",
    )
    command.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="also write a COCO results file with the same ids, for evaluation tools",
    )
    add_allow_loss(command)
    _add_data_dir(command)


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "import",
        help="read files into a project",
        description=(
            "Read annotations that another tool wrote into a project, and say what became of them. "
            f"Exit status {LOSS} if something was left out, unless --allow-loss."
        ),
    )
    command.set_defaults(run=_run_import)
    command.add_argument("sources", type=Path, nargs="+", help="a file, a folder or a .zip")
    command.add_argument(
        "--project", required=True, help="name or id; an unknown name makes a new project"
    )
    command.add_argument("--format", choices=FORMATS, default=None, help="recognised if not given")
    command.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="where the images are, unless beside the annotations or in the project already",
    )
    command.add_argument(
        "--as",
        dest="as_",
        choices=("annotations", "prompts"),
        default="annotations",
        help="accepted instances (the default), or marks that show what to look for",
    )
    add_allow_loss(command)
    _add_data_dir(command)


def _add_bank(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "bank",
        help="write the examples of a project as a prompt bank",
        description=(
            "Embed the examples of a project that are in use, and write them as a prompt bank for "
            "other projects and for `python -m dinov segment --bank`."
        ),
    )
    command.set_defaults(run=_run_bank)
    command.add_argument("--project", required=True, help="name or id of the project")
    command.add_argument(
        "--output", type=Path, required=True, metavar="X.safetensors", help="the bank"
    )
    command.add_argument(
        "--category", action="append", metavar="NAME", help="may be repeated; all if not given"
    )
    add_model(command)
    _add_data_dir(command)


def _add_data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=Path,
        default=default_data_dir(),
        help=f"folder for projects (default: {default_data_dir()})".replace("%", "%%"),
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port
