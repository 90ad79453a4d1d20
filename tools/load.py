"""Put a running `gatelight serve` under load and say how it answers: rate, latencies, statuses, memory.

    gatelight serve MODEL & python tools/load.py --pid $!

32 connections, each sending the next text of 100 words when the last is answered. With --mixed they also ask
for explanations, traces and sessions, send what is no JSON, and leave in the middle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

try:
    import uvloop
except ImportError:  # Windows has none; the figures are then the client's as much as the service's
    uvloop = None

WORDS = 100
SHARES = {"predict": 80, "many": 4, "explain": 3, "trace": 4, "session": 5, "nonsense": 2, "leave": 2}


class Connection(asyncio.Protocol):
    """One connection that sends a request and waits for its answer."""

    def __init__(self) -> None:
        self.received = b""
        self.waiting: asyncio.Future[int] | None = None
        self.body = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None or self.waiting.done():
            return
        head = self.received[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.received) - end - 4 >= length:
            self.body = self.received[end + 4 :]
            self.received = b""
            self.waiting.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(0)

    async def ask(self, request: bytes) -> int:
        """Return the status, 0 where the connection ended."""
        if self.transport.is_closing():
            return 0
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiting


def request(path: str, content: object, method: str = "POST", token: str | None = None) -> bytes:
    """Return the bytes of a request."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    extra = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{extra}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """What is sent, and what came back."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        words = re.findall(r"\w+", options.words.read_text(encoding="utf-8").lower())
        draw = random.Random(options.seed)
        self.texts = [" ".join(draw.choices(words, k=WORDS)) for _ in range(2000)]
        self.plain = [request("/v1/predict", {"text": text}, token=options.token) for text in self.texts]
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.memory: list[tuple[float, float]] = []
        self.until = 0.0

    async def run(self) -> None:
        """Warm up for a moment, then measure."""
        options = self.options
        self.until = time.monotonic() + options.warm
        await asyncio.gather(*(self.client(number, mixed=False) for number in range(options.connections)))
        self.statuses.clear()
        self.seconds.clear()
        self.until = time.monotonic() + options.seconds
        watch = asyncio.create_task(self.watch())
        clients = (self.client(number, options.mixed) for number in range(options.connections))
        await asyncio.gather(*clients)
        watch.cancel()

    async def client(self, number: int, mixed: bool) -> None:
        """Send one request after the other until the time is up."""
        draw = random.Random(self.options.seed + number)
        connection: Connection | None = None
        kinds, shares = list(SHARES), list(SHARES.values())
        while time.monotonic() < self.until:
            if connection is None or connection.transport.is_closing():
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, "127.0.0.1", self.options.port)
            kind = draw.choices(kinds, shares)[0] if mixed else "predict"
            if kind == "session":
                await self.session(connection, draw)
            elif kind == "leave":
                sent = draw.choice(self.plain)
                connection.transport.write(sent[: draw.randrange(1, len(sent))])
                await asyncio.sleep(draw.random() / 10)
                connection.transport.abort()
                connection = None
            else:
                await self.one(connection, kind, self.made(kind, draw))

    def made(self, kind: str, draw: random.Random) -> bytes:
        """Return a request of a kind."""
        token, text = self.options.token, draw.choice(self.texts)
        if kind == "predict":
            return draw.choice(self.plain)
        if kind == "many":
            return request("/v1/predict", {"texts": draw.sample(self.texts, 50)}, token=token)
        if kind == "nonsense":
            return request("/v1/predict", draw.randbytes(200), token=token)
        return request(f"/v1/{kind}", {"text": text[:200]}, token=token)

    async def session(self, connection: Connection, draw: random.Random) -> None:
        """Begin a session, feed it three times, end it."""
        token = self.options.token
        if await self.one(connection, "session", request("/v1/sessions", {}, token=token)) != 201:
            return
        path = f"/v1/sessions/{json.loads(connection.body)['session']}"
        for _ in range(3):
            piece = {"text": draw.choice(self.texts)[:60]}
            await self.one(connection, "session", request(f"{path}/feed", piece, token=token))
        await self.one(connection, "session", request(path, b"", "DELETE", token=token))

    async def one(self, connection: Connection, kind: str, sent: bytes) -> int:
        """Send a request; note its status and time."""
        began = time.perf_counter()
        status = await connection.ask(sent)
        self.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        self.statuses[kind, status] += 1
        return status

    async def watch(self) -> None:
        """Note the service's memory from time to time."""
        began = time.monotonic()
        while self.options.pid:
            status = Path(f"/proc/{self.options.pid}/status").read_text()
            found = re.search(r"VmRSS:\s+(\d+)", status)
            assert found is not None
            self.memory.append((time.monotonic() - began, int(found[1]) / 1024))
            await asyncio.sleep(max(1.0, self.options.seconds / 60))

    def report(self) -> str:
        """Return what was measured, a line for each kind of request."""
        lines = []
        for kind, seconds in self.seconds.items():
            seconds.sort()
            cut = {f"p{share:g}": seconds[int(len(seconds) * share / 100)] for share in (50, 99, 99.9)}
            told = ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in cut.items())
            statuses = ", ".join(f"{n}× {s}" for (k, s), n in sorted(self.statuses.items()) if k == kind)
            rate = len(seconds) / self.options.seconds
            lines.append(f"{kind}: {rate:,.0f}/s, {told}, longest {seconds[-1] * 1000:.1f} ms; {statuses}")
        if len(self.memory) > 3:
            tenth = len(self.memory) // 10 + 1
            first, last = self.memory[tenth : 2 * tenth], self.memory[-tenth:]
            mean = [sum(size for _, size in part) / len(part) for part in (first, last)]
            lines.append(
                f"memory: {mean[0]:.0f} MB after a tenth of the time, {mean[1]:.0f} MB at the end, at most "
                f"{max(size for _, size in self.memory):.0f} MB"
            )
        return "\n".join(lines)


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm", type=float, default=5)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--pid", type=int, help="the service's process, whose memory is watched")
    parser.add_argument("--token")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", type=Path, default=Path("README.md"), help="a file of words to draw from")
    load = Load(parser.parse_args())
    (asyncio if uvloop is None else uvloop).run(load.run())
    print(load.report())


if __name__ == "__main__":
    main()
