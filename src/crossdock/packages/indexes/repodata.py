"""The metadata of an RPM repository: repomd.xml, and of primary.xml the names, versions and what is provided.

Sources: createrepo_c's documentation and the RELAX NG schemas of libsolv and yum for repomd.xml and primary.xml; rpm's
"Dependencies basics" (capabilities); dnf(8), "Specifying packages".
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from posixpath import normpath
from xml.parsers import expat

from crossdock.errors import InputError
from crossdock.image.compression import unpack

LARGEST_UNPACKED = 1 << 30
"""Bytes; the largest in use has 400 million."""
_LETTERS = {"aarch64": "a", "x86_64": "x", "noarch": "n"}
"""What is kept, and the letter that stands for it. Packages of other architectures are passed over."""
_UNASKED = re.compile(
    r"[^(]*\.so\b.*|(?:config|bundled|application|metainfo|appdata|mimehandler|font|debuginfo|rpmlib|user|group|crate)\(.*"
    r"|.*\((?:64bit|x86-64|aarch-64)\)$"
)
"""Capabilities that other packages need, and nobody installs by name; they are the greatest part."""
_SPACE = re.compile(r"\s")
_WILD = re.compile(r"[*?\[]")


def reduce_repomd(data: bytes) -> bytes:
    """Where primary.xml is, relative to the repository. Raises ValueError for what is no repomd.xml."""
    tags: list[str] = []
    found: list[str] = []
    kind = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal kind
        name = tag.rpartition(":")[2]
        tags.append(name)
        if name == "data":
            kind = attributes.get("type", "")
        elif name == "location" and kind == "primary":
            found.append(attributes.get("href", ""))

    parser = _parser()
    parser.StartElementHandler = start
    _parse(parser, iter((data,)))
    if tags[0] != "repomd":
        raise ValueError("it is no repomd.xml")
    path = found[0] if found else ""
    if not path or "://" in path or normpath(path).startswith(("/", "..")):
        raise ValueError("it names no primary.xml")
    return path.encode()


def reduce_primary(data: bytes) -> bytes:
    """The text of an ``RpmIndex``. Raises ValueError for what is no primary.xml, packed in any usual way."""
    parser = _parser()
    reader = _Primary(parser)
    _parse(parser, _unpacked(data))
    return reader.text()


def _unpacked(data: bytes) -> Iterator[bytes]:
    total = 0
    try:
        for piece in unpack(io.BytesIO(data), "primary.xml")[1]:
            total += len(piece)
            if total > LARGEST_UNPACKED:
                raise ValueError(f"it unpacks to more than {LARGEST_UNPACKED >> 20} MiB")
            yield piece
    except InputError as error:
        raise ValueError(error.what) from error


def _parser() -> expat.XMLParserType:
    """A parser that expands nothing which the document defines: one with a DOCTYPE is refused, so that it can name no
    file and cannot multiply itself."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def _refuse(*_: object) -> None:
    raise ValueError("it has a DOCTYPE, as metadata never does")


def _parse(parser: expat.XMLParserType, pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(f"its XML is damaged: {error}") from error


class _Primary:
    """What of primary.xml counts, read from the beginnings of its elements.

    There are millions of them, most in lists that nobody asks for, so little is done for each: the end of an element is
    only listened to where its text counts.
    """

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._lines: set[bytes] = set()
        self._in_head = self._in_provides = False
        self._name = self._letter = self._version = ""
        self._provides: list[str] = []
        self._text = ""
        parser.StartElementHandler = self._root

    def text(self) -> bytes:
        self._keep()
        return b"".join(sorted(self._lines))

    def _root(self, tag: str, _: dict[str, str]) -> None:
        if tag.rpartition(":")[2] != "metadata":
            raise ValueError("it is no primary.xml")
        self._parser.StartElementHandler = self._start

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "rpm:entry":
            if self._in_provides:
                self._provides.append(attributes.get("name", ""))
            return
        self._in_provides = False
        if tag == "file":
            self._listen(self._file)
        elif tag == "rpm:provides":
            self._in_provides = True
        elif tag == "package":
            self._keep()
            self._name = self._letter = self._version = ""
            self._provides = []
            self._in_head = True
        elif tag == "format":
            self._in_head = False
        elif self._in_head and tag == "name":
            self._listen(self._named)
        elif self._in_head and tag == "arch":
            self._listen(self._built_for)
        elif self._in_head and tag == "version":
            epoch = attributes.get("epoch", "0")
            version = f"{attributes.get('ver', '')}-{attributes.get('rel', '')}"
            self._version = version if epoch in {"", "0"} else f"{epoch}:{version}"

    def _listen(self, told: Callable[[str], None]) -> None:
        self._text = ""

        def end(_: str) -> None:
            self._parser.CharacterDataHandler = self._parser.EndElementHandler = None
            told(self._text.strip())

        self._parser.CharacterDataHandler = self._add
        self._parser.EndElementHandler = end

    def _add(self, data: str) -> None:
        self._text += data

    def _named(self, text: str) -> None:
        self._name = text

    def _built_for(self, text: str) -> None:
        self._letter = _LETTERS.get(text, "")

    def _file(self, text: str) -> None:
        if "bin/" in text:
            self._provides.append(text)

    def _keep(self) -> None:
        if not self._letter or not self._name or _SPACE.search(self._name + self._version):
            return
        self._lines.add(f"{self._name}\t{self._letter}{self._version}\n".encode())
        for name in self._provides:
            if name and name != self._name and not _UNASKED.match(name) and not _SPACE.search(name):
                self._lines.add(f"{name}\t{self._letter}\n".encode())


class RpmIndex:
    """What a repository has, as sorted lines that are searched as they are: no more memory than their text.

    A line is a name with the letter of an architecture, and behind it a version; without one where another package
    provides the name.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text

    def has(self, wanted: str, architecture: str) -> bool:
        """Whether ``dnf install WANTED`` would find something: a name, a name with a version, a pattern, a capability,
        or a file among programs."""
        if _WILD.search(wanted):
            prefix = _WILD.split(wanted, maxsplit=1)[0]
            return any(version and fnmatchcase(name, wanted) for name, version in self._below(prefix, architecture))
        if next(self._below(f"{wanted}\t", architecture), None):
            return True
        return any(
            _is_version(have, version)
            for name, version in _splits(wanted)
            for have in self.versions(name, architecture)
        )

    def versions(self, name: str, architecture: str) -> tuple[str, ...]:
        """The versions of a package that can be installed on an architecture."""
        return tuple(version for _, version in self._below(f"{name}\t", architecture) if version)

    def _below(self, prefix: str, architecture: str) -> Iterator[tuple[str, str]]:
        """Name and version of the lines that begin with ``prefix``, of what can be installed on an architecture."""
        letters = _LETTERS[architecture] + _LETTERS["noarch"]
        key = prefix.encode()
        start = self._first(key)
        while self._text.startswith(key, start):
            end = self._text.find(b"\n", start)
            name, _, told = self._text[start:end].decode().partition("\t")
            if told[0] in letters:
                yield name, told[1:]
            start = end + 1

    def _first(self, key: bytes) -> int:
        """Where the first line begins that does not come before ``key``."""
        low, high = 0, len(self._text)
        while low < high:
            start = max(low, self._text.rfind(b"\n", low, (low + high) // 2) + 1)
            end = self._text.find(b"\n", start)
            if self._text[start:end] < key:
                low = end + 1
            else:
                high = start
        return low


def _splits(wanted: str) -> Iterator[tuple[str, str]]:
    """``bash-5.2-1.fc40`` is bash 5.2-1.fc40, or bash-5.2 in version 1.fc40."""
    head, _, release = wanted.rpartition("-")
    name, _, version = head.rpartition("-")
    if head:
        yield head, release
    if name:
        yield name, f"{version}-{release}"


def _is_version(have: str, wanted: str) -> bool:
    """Whether a version is meant, which may be written without its release and its epoch."""
    plain = have.partition(":")[2] or have
    return wanted in {have, plain, have.rpartition("-")[0], plain.rpartition("-")[0]}


def split_version(wanted: str, index: RpmIndex, architecture: str) -> tuple[str, str] | None:
    """The name and the version in ``wanted``, where the index has a package of that name; None where it has not."""
    return next((split for split in _splits(wanted) if index.versions(split[0], architecture)), None)
