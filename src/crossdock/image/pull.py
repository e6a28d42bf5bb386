"""Pulling an image into an OCI layout or archive: several blobs at once, checked, and whole or not at all."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crossdock.errors import CrossdockError
from crossdock.image.archive import write_oci_archive
from crossdock.image.documents import contents
from crossdock.image.layout import LayoutWriter
from crossdock.image.model import Descriptor, Image
from crossdock.image.stream import Progress

DOWNLOADS = 4
"""Blobs on their way at once."""
_END_SECONDS = 2.0
"""How long threads that were told to stop are waited for."""


def pull_layout(image: Image, destination: Path, tags: Sequence[str] = (), *, on_progress: Progress) -> None:
    """Copy ``image`` into a new folder ``destination``, an OCI layout. Raises what reading the image raises, and
    CrossdockError when it cannot be written or something is there already; nothing is left then."""
    with _beside(destination) as folder:
        _fill(image, folder, tags, on_progress)
        folder.chmod(0o755)
        try:
            folder.replace(destination)
        except OSError as error:
            raise CrossdockError(
                f"cannot put the layout there: {error.strerror or error}",
                where=str(destination),
                hint="Name a folder that does not exist yet.",
            ) from error


def pull_archive(image: Image, destination: Path, tags: Sequence[str] = (), *, on_progress: Progress) -> None:
    """As ``pull_layout``, into one tar file that skopeo, podman and ``docker load`` read."""
    with _beside(destination) as folder:
        _fill(image, folder, tags, on_progress)
        write_oci_archive(folder, destination, tags)


@contextmanager
def _beside(destination: Path) -> Iterator[Path]:
    """A folder on the same file system, gone in the end."""
    # Named before it is made, so that an interruption at any moment leaves nothing.
    folder = destination.absolute().parent / f".{destination.name}.{secrets.token_hex(6)}"
    try:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise CrossdockError(
                f"cannot write there: {error.strerror or error}",
                where=str(destination),
                hint="Create the folder, or make it writable.",
            ) from error
        yield folder
    except CrossdockError as error:
        if error.where == str(folder):
            error.where = str(destination)  # nobody knows the folder of ours, which is gone by then
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(image: Image, folder: Path, tags: Sequence[str], on_progress: Progress) -> None:
    parts = contents(image)
    writer = LayoutWriter(folder)
    done = _Counter(sum(part.size for part in (*parts.blobs, *parts.documents)), on_progress)
    pool = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="pull")
    try:
        # Large ones first, so that the last to end is a small one.
        order = sorted(parts.blobs, key=lambda blob: -blob.size)
        for future in as_completed([pool.submit(_copy, image, blob, writer, done) for blob in order]):
            future.result()
    except BaseException:
        done.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    for document in parts.documents:
        writer.add_document(image.read(document), document.media_type)
        done.add(document.size)
    writer.finish(image.root(), tags)


def _copy(image: Image, blob: Descriptor, writer: LayoutWriter, done: _Counter) -> None:
    with image.open(blob) as source, done.counted(source) as counted:
        writer.add_blob(blob, counted)


class _Counter:
    """Counts bytes for all threads, and stops them when one has failed or Ctrl-C was pressed."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._stopped = False
        self._open: set[BinaryIO] = set()
        self._left = threading.Condition(self._lock)

    def stop(self) -> None:
        """Returns when no thread writes any more. Sources are closed, because a thread that waits for a byte that does
        not come would hold up the end."""
        self._stopped = True
        with self._lock:
            sources = tuple(self._open)
        for source in sources:
            source.close()
        # Not left to the pool: Ctrl-C while it starts a thread makes it forget that thread.
        with self._lock:
            self._left.wait_for(lambda: not self._open, _END_SECONDS)

    def add(self, count: int) -> None:
        if self._stopped:
            raise CrossdockError("the pull was stopped")
        with self._lock:
            self._done += count
            self._on_progress(self._done, self._total)

    @contextmanager
    def counted(self, source: BinaryIO) -> Iterator[_Counted]:
        with self._lock:
            self._open.add(source)
        try:
            self.add(0)  # it may have been stopped just before
            yield _Counted(source, self)
        finally:
            with self._lock:
                self._open.discard(source)
                self._left.notify_all()


class _Counted:
    def __init__(self, source: BinaryIO, counter: _Counter) -> None:
        self._source = source
        self._counter = counter

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._counter.add(len(data))
        return data

    def close(self) -> None:
        """The source is its opener's to close."""
