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

PIECE = 1 << 16
TLS_HANDSHAKE = b"\x16"
"""How everything that a client sends begins, if it tries TLS."""

UNDER_WAY = 1024
"""Pieces of one connection that may be on their way; a client that sends more waits."""


async def relay_delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Hand on what is read, each piece ``seconds`` after it came, and in the end that no more will come."""
    clock = asyncio.get_running_loop().time
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)

    async def deliver() -> None:
        while True:
            due, piece = await line.get()
            # One piece after the other: timers of their own could end in another order.
            if (early := due - clock()) > 0:
                await asyncio.sleep(early)
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deliver())
        piece = b"more"
        while piece:
            piece = await reader.read(PIECE)
            if piece.startswith(TLS_HANDSHAKE):
                seconds = 0
            await line.put((clock() + seconds, piece))


async def relay_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def serve(host: str, port: int, seconds: float) -> asyncio.Server:
    """Start relaying from a free port of 127.0.0.1 to ``host:port``."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Either side may break a connection off; the other side is then told so, and that is all.
        with contextlib.suppress(OSError), contextlib.closing(writer):
            from_server, to_server = await asyncio.open_connection(host, port)
            with contextlib.closing(to_server):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(relay_delayed(reader, to_server, seconds))
                        tasks.create_task(relay_at_once(from_server, writer))
                except* OSError:
                    pass

    return await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)


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
