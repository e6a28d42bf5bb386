"""Pulling an image into an OCI layout or archive: several blobs at once, checked, and whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crossdock.errors import CrossdockError
from crossdock.image.archive import write_oci_archive
from crossdock.image.documents import contents
from crossdock.image.layout import LayoutWriter
from crossdock.image.model import Descriptor, Image

DOWNLOADS = 4
"""Blobs on their way at once."""
Progress = Callable[[int, int], None]


def pull_layout(image: Image, destination: Path, tags: Sequence[str] = (), *, on_progress: Progress) -> None:
    """Copy ``image`` into a new folder ``destination``, an OCI layout. Raises what reading the image raises, and
    CrossdockError when it cannot be written; nothing is left then."""
    with _beside(destination) as folder:
        _fill(image, folder, tags, on_progress)
        folder.chmod(0o755)
        folder.replace(destination)


def pull_archive(image: Image, destination: Path, tags: Sequence[str] = (), *, on_progress: Progress) -> None:
    """As ``pull_layout``, into one tar file that skopeo, podman and ``docker load`` read."""
    with _beside(destination) as folder:
        _fill(image, folder, tags, on_progress)
        write_oci_archive(folder, destination, tags)


@contextmanager
def _beside(destination: Path) -> Iterator[Path]:
    """A folder on the same file system, gone in the end."""
    parent = destination.absolute().parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=parent))
    except OSError as error:
        raise CrossdockError(
            f"cannot write there: {error.strerror or error}",
            where=str(destination),
            hint="Create the folder, or make it writable.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(image: Image, folder: Path, tags: Sequence[str], on_progress: Progress) -> None:
    parts = contents(image)
    writer = LayoutWriter(folder)
    done = _Counter(sum(part.size for part in (*parts.blobs, *parts.documents)), on_progress)
    with ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="pull") as pool:
        # Large ones first, so that the last to end is a small one.
        order = sorted(parts.blobs, key=lambda blob: -blob.size)
        futures = [pool.submit(_copy, image, blob, writer, done) for blob in order]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            done.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for document in parts.documents:
        writer.add_document(image.read(document), document.media_type)
        done.add(document.size)
    writer.finish(image.root(), tags)


def _copy(image: Image, blob: Descriptor, writer: LayoutWriter, done: _Counter) -> None:
    with image.open(blob) as source:
        writer.add_blob(blob, done.counted(source))


class _Counter:
    """Counts bytes for all threads, and stops them when one has failed."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def add(self, count: int) -> None:
        if self._stopped:
            raise CrossdockError("the pull was stopped")
        with self._lock:
            self._done += count
            self._on_progress(self._done, self._total)

    def counted(self, source: BinaryIO) -> _Counted:
        return _Counted(source, self)


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
