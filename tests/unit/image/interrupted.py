"""Ctrl-C in a test, and that everything ends at once then."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from faulty import FAST

SLOW = replace(FAST, connect=60.0, read=60.0, document=60.0, stall=60.0)
"""For tests in which nothing but Ctrl-C, or another failure, ends a wait."""


@contextlib.contextmanager
def interrupted_when(condition: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C as soon as the condition holds, and KeyboardInterrupt within three seconds of it."""
    pressed: list[float] = []

    def press() -> None:
        while not condition():
            time.sleep(0.01)
        pressed.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        yield
    assert time.monotonic() - pressed[0] < 3
