"""`gatelight serve`: saved models answer over HTTP, with a page to look inside."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatelight.cli.options import THREADS, argument, option
from gatelight.cli.output import say
from gatelight.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console

BACKLOG = 1024
IDLE_SECONDS = 30  # between two requests of a connection
SECONDS_TO_END = 5  # more than the longest answer takes


@dataclass(kw_only=True)
class Serve:
    """Serve models over HTTP, with a page to look inside.

    The page is at /, a JSON API under /v1, metrics for Prometheus at /metrics. Only this machine is served
    unless --host says otherwise, and then --token or --open is needed. The token may also come in
    GATELIGHT_TOKEN.
    """

    models: list[str] = argument("folders of saved models", "MODEL")
    host: str = option("address to listen on", "127.0.0.1", metavar="ADDRESS")
    port: int = option("port; 0: any free one", 8000, least=0, most=65535)
    token: str | None = option("what clients must send", metavar="TOKEN")
    open: bool = option("serve other machines without a token", False)
    name: list[str] = option("host names by which clients may call", [])
    seconds: float = option("longest time for an answer", 30.0, least=1)
    requests: int = option("most requests in work", 256, least=1)
    threads: int | None = option(THREADS, least=1)

    def run(self, to: Console) -> None:
        try:
            import uvicorn

            from gatelight.service.application import application
            from gatelight.service.connections import bounded
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "serve", "serving models") from None
        from gatelight.service.hosted import load_all
        from gatelight.service.limits import Limits

        token = self.token or os.environ.get("GATELIGHT_TOKEN") or None
        local = is_loopback(self.host)
        if not local and token is None and not self.open:
            raise DataError(
                f"--host {self.host} lets other machines in: give a --token that they must send, or --open"
            )
        if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
            raise DataError("--token must have 8 or more letters, figures or signs of ASCII")
        limits = Limits(seconds=self.seconds, requests=self.requests)
        listening = _listen(self.host, self.port)
        hosted = load_all(self.models)
        where = f"[{self.host}]" if ":" in self.host else self.host
        names = {"localhost", "127.0.0.1", "[::1]", where, *self.name} if local or self.name else ()
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
            timeout_graceful_shutdown=int(self.seconds) + SECONDS_TO_END,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises the signal once more when all is done; that is the end, not a fault.
            signal.signal(number, lambda number, frame: None)
        listening.listen(BACKLOG)
        address = f"http://{where}:{listening.getsockname()[1]}/{'#token=…' if token else ''}"
        say(to, f"{', '.join(hosted)} at {address}")
        say(to, "Ctrl-C ends it")
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
