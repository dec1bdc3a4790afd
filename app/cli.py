"""The command line: python app.py [serve]."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from app.project import AppError, ServerError
from app.settings import Settings, default_data_dir
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
    settings = Settings(
        data_dir=chosen.data_dir.expanduser().resolve(),
        host=chosen.host,
        port=chosen.port,
        checkpoint=chosen.checkpoint,
        device=chosen.device,
        input_size=chosen.input_size,
    )
    try:
        serve(settings)
    except (AppError, DinovError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def serve(settings: Settings) -> None:
    """Serve the page until the program is stopped.

    Raises:
        ServerError: if the address or the data folder cannot be used.
        CheckpointMissing: if a checkpoint was asked for that is not on this machine.
    """
    # Without the shipped checkpoint the page still opens and says so; a choice is answered at once.
    if settings.checkpoint != Settings.checkpoint:
        find(settings.checkpoint)
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
            build_app(studio), log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS
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
    command.add_argument("--host", default=Settings.host, help="address to listen on")
    command.add_argument("--port", type=_port, default=Settings.port, help="0 takes a free one")
    command.add_argument(
        "--data-dir", type=Path, default=default_data_dir(), help="folder for projects"
    )
    command.add_argument(
        "--checkpoint", default=Settings.checkpoint, help="lite, swin-t, swin-l or a file"
    )
    command.add_argument(
        "--device", default=Settings.device, help="auto, cpu, mps or a name PyTorch knows"
    )
    command.add_argument(
        "--input-size",
        type=_input_size,
        default=Settings.input_size,
        help="side in pixels to which images are resized; the checkpoint's own if not given",
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _input_size(text: str) -> int:
    size = int(text)
    if size < 32:
        raise argparse.ArgumentTypeError("the input size is at least 32")
    return size
