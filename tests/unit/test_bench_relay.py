"""The relay that the benchmarks put in front of a registry: everything arrives late by the same time, in order."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from pathlib import Path
from types import ModuleType

import pytest

DELAY = 0.1


@pytest.fixture(scope="module")
def relay() -> ModuleType:
    path = Path(__file__).parents[2] / "bench/relay.py"
    spec = importlib.util.spec_from_file_location("bench_relay", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Receiver:
    """Stands in for the server's side of a connection, and remembers what came when."""

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []

    def write(self, data: bytes) -> None:
        self.came.append((time.monotonic(), data))

    def write_eof(self) -> None:
        self.write(b"")

    async def drain(self) -> None:
        await asyncio.sleep(0)


def _relayed(relay: ModuleType, pieces: list[bytes], pause: float = 0.0) -> tuple[float, list[tuple[float, bytes]]]:
    """Send the pieces, each ``pause`` seconds after the other. Returns when that began and what came."""

    async def send() -> float:
        reader = asyncio.StreamReader()
        relaying = asyncio.create_task(relay.relay_delayed(reader, receiver, DELAY))
        began = time.monotonic()
        for piece in pieces:
            reader.feed_data(piece)
            await asyncio.sleep(pause)
        reader.feed_eof()
        await relaying
        return began

    receiver = Receiver()
    return asyncio.run(send()), receiver.came


def test_what_is_sent_arrives_late_in_order_and_ends(relay: ModuleType) -> None:
    sent = [b"%d " % number for number in range(50)]
    began, came = _relayed(relay, sent, pause=0.001)
    assert b"".join(data for _, data in came) == b"".join(sent)
    assert came[-1][1] == b""
    assert came[0][0] - began >= DELAY * 0.99


def test_requests_under_way_do_not_wait_for_each_other(relay: ModuleType) -> None:
    began, came = _relayed(relay, [b"GET"] * 20, pause=0.005)
    assert came[-1][0] - began < DELAY * 20 / 2


def test_a_tls_handshake_is_no_request(relay: ModuleType) -> None:
    began, came = _relayed(relay, [b"\x16\x03\x01"])
    assert came[0][0] - began < DELAY
