"""`gatelight serve`: saved models answer over HTTP, with a page to look inside."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from typing import Annotated

import typer

from gatelight.cli.options import Threads
from gatelight.cli.output import console, say
from gatelight.errors import DataError, MissingExtraError

BACKLOG = 1024
IDLE_SECONDS = 30  # between two requests of a connection
SECONDS_TO_END = 5  # beyond the longest answer


def serve(
    models: Annotated[list[str], typer.Argument(help="Folders of saved models.", metavar="MODEL…")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="GATELIGHT_TOKEN", help="What clients must send.", show_default=False),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Serve other machines without a token.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A host name by which clients may call.", metavar="NAME"),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Longest time for an answer.")] = 30.0,
    requests: Annotated[int, typer.Option("--requests", min=1, help="Most requests in work.")] = 256,
    threads: Threads = None,
) -> None:
    """Serve models: a page for people at /, a JSON API under /v1, metrics for Prometheus at /metrics.

    Only this machine is served unless --host says otherwise, and then --token or --open is needed.
    """
    try:
        import uvicorn

        from gatelight.service.application import application
        from gatelight.service.connections import bounded
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve", "serving models") from None
    from gatelight.nn.threads import set_threads
    from gatelight.service.hosted import load_all
    from gatelight.service.limits import Limits

    local = is_loopback(host)
    if not local and token is None and not open_to_all:
        raise DataError(
            f"--host {host} lets other machines in: give a --token that they must send, or say --open"
        )
    if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
        raise DataError("--token must have 8 or more letters, figures or signs of ASCII")
    limits = Limits(seconds=seconds, requests=requests)
    set_threads(threads)
    listening = _listen(host, port)
    hosted = load_all(models)
    where = f"[{host}]" if ":" in host else host
    names = {"localhost", "127.0.0.1", "[::1]", where, *(name or [])} if local or name else ()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.WARNING)
    config = uvicorn.Config(
        application(hosted, limits, token, frozenset(names)),
        http=bounded(limits),
        ws="none",
        backlog=BACKLOG,
        limit_concurrency=limits.connections,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(seconds) + SECONDS_TO_END,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal once more when all is done; that is the end, not a fault.
        signal.signal(number, lambda number, frame: None)
    listening.listen(BACKLOG)
    at = console()
    address = f"http://{where}:{listening.getsockname()[1]}/{'#token=…' if token else ''}"
    say(at, f"{', '.join(hosted)} at {address}")
    say(at, "Ctrl-C ends it")
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before the models are loaded: what cannot be said at once is said at once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise DataError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    listening.set_inheritable(True)
    return listening
