#!/usr/bin/env python3
"""A TCP relay that makes a server on this machine look far away: what a client sends arrives a fixed time later.

    python bench/relay.py HOST:PORT MILLISECONDS

Listens on a free port of 127.0.0.1, prints that port on a line of its own, and relays until it is ended. What the
server sends is handed on at once, so a request takes MILLISECONDS longer than without the relay, however many are
under way. Order within a connection is kept. Opening a connection takes no longer, and bandwidth has no limit. Neither
does a TLS handshake take longer: some clients try one before they see that the registry speaks plain HTTP, and that is
no request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections import deque
from typing import cast

TLS_HANDSHAKE = b"\x16"
"""How everything that a client sends begins, if it tries TLS."""

UNDER_WAY = 64 << 20
"""Bytes of one connection that may be on their way; a client that sends more waits."""


class Side(asyncio.Protocol):
    """One side of a relayed connection: what comes from there, and what goes there."""

    transport: asyncio.Transport | None = None
    other: Side
    ended = False
    """Whether the other side was told that nothing more comes from this one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        # Either side may break a connection off; the other side is then told so, and that is all.
        self.other.close()

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def end(self) -> None:
        """Tell the other side that nothing more comes; what comes from there is still relayed."""
        self.ended = True
        if self.other.transport:
            with contextlib.suppress(OSError):  # it is broken, which ``connection_lost`` hears of as well
                self.other.transport.write_eof()
        if self.other.ended:
            self.close()
            self.other.close()


class Server(Side):
    """The server's side: what comes is handed on at once, as quickly as the client takes it."""

    def __init__(self, client: Client) -> None:
        self.other = client
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._client.resume_delivery()

    def data_received(self, data: bytes) -> None:
        if self._client.transport:
            self._client.transport.write(data)

    def eof_received(self) -> bool:
        self.end()
        return True

    def pause_writing(self) -> None:
        self._client.pause_delivery()

    def resume_writing(self) -> None:
        self._client.resume_delivery()


class Client(Side):
    """The client's side: each piece is handed on some seconds after it came, and so is the end."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.other = self._server = Server(self)
        self._address = host, port
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._line: deque[tuple[float, bytes]] = deque()
        self._under_way = 0
        self._full = False
        self._begun = False
        # One timer for all pieces: timers of their own could end in another order.
        self._timer: asyncio.TimerHandle | None = None
        self._delivers = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self._server, *self._address)
        except OSError:
            self.close()
        if self.transport and self.transport.is_closing():
            self._server.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.pause_delivery()
        super().connection_lost(_exc)

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            if data.startswith(TLS_HANDSHAKE):
                self._seconds = 0
        self._send(data)
        if self._under_way > UNDER_WAY and self.transport:
            self._full = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._send(b"")
        return True

    def _send(self, piece: bytes) -> None:
        """Put a piece on its way; an empty one is the end."""
        self._line.append((self._loop.time() + self._seconds, piece))
        self._under_way += len(piece)
        if self._delivers and not self._timer:
            self._deliver()

    def pause_delivery(self) -> None:
        self._delivers = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def resume_delivery(self) -> None:
        self._delivers = True
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what has been under way for long enough, and come back for the rest."""
        self._timer = None
        now = self._loop.time()
        while self._line and self._delivers:
            due, piece = self._line[0]
            if due > now:
                self._timer = self._loop.call_at(due, self._deliver)
                break
            self._line.popleft()
            self._under_way -= len(piece)
            if not piece:
                self.end()
            elif self._server.transport:
                self._server.transport.write(piece)  # may call ``pause_delivery``
        if self._full and self._under_way <= UNDER_WAY and self.transport:
            self._full = False
            self.transport.resume_reading()


async def serve(host: str, port: int, seconds: float) -> asyncio.Server:
    """Start relaying from a free port of 127.0.0.1 to ``host:port``."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Client(host, port, seconds), "127.0.0.1", 0, backlog=1024)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("milliseconds", type=float)
    options = parser.parse_args()
    host, _, port = options.server.rpartition(":")
    server = await serve(host, int(port), options.milliseconds / 1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
