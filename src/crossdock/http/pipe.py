"""Bytes between the event loop, which must never wait, and a thread that may."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

CAPACITY = 4 << 20
"""Bytes that may wait in a pipe. Enough that neither side waits for each single chunk of the other."""


class Pipe:
    """A bounded queue of bytes with one end in the event loop and the other in a thread.

    The loop's side answers at once: ``offer`` says False and ``take`` gives None when there is no room or nothing there
    yet, and then ``wake`` is called, from the other side's thread, as soon as that has changed. The thread's side,
    ``put`` and ``get``, waits. ``finish`` may be called from either side and ends both.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._refused = False
        self._finished = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def offer(self, data: bytes) -> bool:
        """Loop's side: add ``data`` if there is room."""
        with self._changed:
            if self._size >= CAPACITY:
                self._refused = True
                return False
            self._chunks.append(data)
            self._size += len(data)
            self._changed.notify()
            return True

    def take(self, size: int) -> bytes | None:
        """Loop's side: up to ``size`` bytes; empty at the end, None when there is nothing yet. Raises what the other
        side ended with."""
        with self._changed:
            if self._chunks:
                data = self._chunks.popleft()
                if len(data) > size:
                    self._chunks.appendleft(data[size:])
                    data = data[:size]
                self._size -= len(data)
                self._changed.notify()
                return data
            if self._error:
                raise self._error
            if self._finished:
                return b""
            self._refused = True
            return None

    def put(self, data: bytes) -> bool:
        """Thread's side: add ``data``, waiting for room. False when nobody takes it any more."""
        with self._changed:
            while self._size >= CAPACITY and not self._finished:
                self._changed.wait()
            if self._finished:
                return False
            self._chunks.append(data)
            self._size += len(data)
        self._stir()
        return True

    def get(self) -> bytes:
        """Thread's side: all bytes that are there, waiting for some; empty at the end. Raises what the other side ended
        with, after the bytes that came before."""
        with self._changed:
            while not self._chunks and not self._finished:
                self._changed.wait()
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
            if not data and self._error:
                raise self._error
        self._stir()
        return data

    def finish(self, error: Exception | None = None) -> None:
        """Nothing more will come, or be taken. The first call counts."""
        with self._changed:
            if not self._finished:
                self._finished = True
                self._error = error
            self._changed.notify_all()
        self._stir()

    def _stir(self) -> None:
        with self._changed:
            refused, self._refused = self._refused, False
        if refused:
            self.wake()
