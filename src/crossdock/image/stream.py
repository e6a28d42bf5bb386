"""Content that is checked against its descriptor: documents at once, layers while they stream."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Protocol

from crossdock.errors import CrossdockError
from crossdock.image.model import Descriptor

Fault = Callable[[str, str], CrossdockError]
"""Makes the error that fits where the content came from, of what happened and what to do."""

Progress = Callable[[int, int], None]
"""Takes the bytes that have arrived and the bytes in all. Called from several threads, one at a time."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def check_bytes(descriptor: Descriptor, data: bytes, fault: Fault) -> bytes:
    """``data``, if it is what the descriptor says."""
    if len(data) != descriptor.size:
        raise _differs(descriptor, f"has {len(data)} bytes instead of {descriptor.size}", fault)
    found = digest_of(data, descriptor.digest.partition(":")[0])
    if found != descriptor.digest:
        raise _differs(descriptor, f"has the digest {found}", fault)
    return data


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class CheckedStream(io.RawIOBase):
    """A readable stream that raises instead of giving the last byte when size or digest are not the descriptor's.
    Without ``verify`` only the size is checked."""

    def __init__(self, source: Readable, descriptor: Descriptor, fault: Fault, *, verify: bool = True) -> None:
        self._source = source
        self._descriptor = descriptor
        self._fault = fault
        self._hash = hashlib.new(descriptor.digest.partition(":")[0])
        self._seen = 0
        self._checked = not verify
        self._verify = verify

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        if size == 0:
            return b""
        try:
            chunk = self._source.read(size)
        except OSError as error:
            raise self._fault(
                f"{self._descriptor.digest} cannot be read: {error.strerror or error}", "Check the disk it is on."
            ) from error
        if self._verify:
            self._hash.update(chunk)
        self._seen += len(chunk)
        expected = self._descriptor.size
        if self._seen > expected:
            raise _differs(self._descriptor, f"is larger than the {expected} bytes it should have", self._fault)
        if not chunk and self._seen < expected:
            raise _differs(self._descriptor, f"ends after {self._seen} of {expected} bytes", self._fault)
        if self._seen == expected and not self._checked:
            found = f"{self._hash.name}:{self._hash.hexdigest()}"
            if found != self._descriptor.digest:
                raise _differs(self._descriptor, f"has the digest {found}", self._fault)
            self._checked = True
        return chunk

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(1 << 20), b""))

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _differs(descriptor: Descriptor, how: str, fault: Fault) -> CrossdockError:
    return fault(
        f"{descriptor.digest} {how}",
        "The content was damaged or replaced on its way. Fetch or build the image again; do not use this one.",
    )
