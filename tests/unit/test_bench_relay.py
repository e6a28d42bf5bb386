"""The relay that the benchmarks put in front of a registry: everything arrives late by the same time, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

import pytest

DELAY = 0.1
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
End = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def relay(bench_program: Callable[[str], ModuleType]) -> ModuleType:
    return bench_program("relay")


def _relayed(relay: ModuleType, client: End, server: End) -> None:
    """Run both ends of one relayed connection, until both are done."""

    async def run() -> None:
        served: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        listening = await asyncio.start_server(lambda *streams: served.set_result(streams), "127.0.0.1", 0)
        relaying = await relay.serve("127.0.0.1", listening.sockets[0].getsockname()[1], DELAY)
        reader, writer = await asyncio.open_connection("127.0.0.1", relaying.sockets[0].getsockname()[1])
        async with asyncio.timeout(20), asyncio.TaskGroup() as ends:
            ends.create_task(client(reader, writer))
            ends.create_task(server(*await served))
        writer.close()
        served.result()[1].close()
        listening.close()
        relaying.close()

    asyncio.run(run())


def _sent(relay: ModuleType, pieces: list[bytes], pause: float = 0.0) -> tuple[float, list[tuple[float, bytes]]]:
    """Send the pieces, each ``pause`` seconds after the other. Returns when that began, and what came when; the end is
    an empty piece."""
    began = 0.0
    came: list[tuple[float, bytes]] = []

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal began
        began = time.monotonic()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        writer.write_eof()

    async def receive(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while not came or came[-1][1]:
            data = await reader.read(1 << 16)
            came.append((time.monotonic(), data))

    _relayed(relay, send, receive)
    return began, came


def test_what_is_sent_arrives_late_in_order_and_ends(relay: ModuleType) -> None:
    sent = [b"%d " % number for number in range(50)]
    began, came = _sent(relay, sent, pause=0.001)
    assert b"".join(data for _, data in came) == b"".join(sent)
    assert came[-1][1] == b""
    assert came[0][0] - began >= DELAY * 0.99


def test_requests_under_way_do_not_wait_for_each_other(relay: ModuleType) -> None:
    began, came = _sent(relay, [b"GET"] * 20, pause=0.005)
    assert came[-1][0] - began < DELAY * 20 / 2


def test_a_tls_handshake_is_no_request(relay: ModuleType) -> None:
    began, came = _sent(relay, [b"\x16\x03\x01"])
    assert came[0][0] - began < DELAY


def test_the_answer_comes_at_once_and_after_the_client_has_said_all(relay: ModuleType) -> None:
    answered = came = 0.0

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read() == b"answer"
        came = time.monotonic()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        assert await reader.read() == b"question"
        answered = time.monotonic()
        writer.write(b"answer")
        writer.write_eof()

    _relayed(relay, ask, answer)
    assert came - answered < DELAY / 2


def test_much_goes_both_ways_when_neither_end_is_quick(relay: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "UNDER_WAY", 4 << 20)
    much = bytes(range(256)) * (16 << 12)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(much)
        writer.write_eof()
        await asyncio.sleep(0.3)
        assert await reader.read() == much

    _relayed(relay, exchange, exchange)


def test_a_client_that_sends_more_than_may_be_under_way_waits(
    relay: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "UNDER_WAY", 4 << 20)
    waited = asyncio.Event()
    much = bytes(32 << 20)

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(much)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.3)
        waited.set()
        await writer.drain()
        writer.write_eof()

    async def receive(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await waited.wait()
        assert len(await reader.read()) == len(much)

    _relayed(relay, send, receive)


@pytest.mark.parametrize("client_breaks", [True, False])
def test_who_breaks_the_connection_off_ends_it_for_the_other(relay: ModuleType, client_breaks: bool) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await reader.readexactly(1)
        writer.transport.abort()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"y")
        assert await reader.read() == b"x"

    _relayed(relay, *((break_off, wait) if client_breaks else (wait, break_off)))


def test_a_client_is_not_kept_waiting_for_a_server_that_is_not_there(relay: ModuleType) -> None:
    async def run() -> bytes:
        unused = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = unused.sockets[0].getsockname()[1]
        unused.close()
        relaying = await relay.serve("127.0.0.1", port, DELAY)
        reader, writer = await asyncio.open_connection("127.0.0.1", relaying.sockets[0].getsockname()[1])
        async with asyncio.timeout(5):
            said = await reader.read()
        writer.close()
        relaying.close()
        return said

    assert asyncio.run(run()) == b""
