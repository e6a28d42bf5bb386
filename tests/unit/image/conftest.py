"""A server that misbehaves as told, and a client that does not wait long for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faulty import FAST, Server

from crossdock.http.client import Http


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(patience=FAST) as client:
        yield client
