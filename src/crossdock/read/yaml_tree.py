"""YAML and JSON files as trees of nodes that know where they are written.

Source: YAML 1.2.2 (chapter 3.2, with merge keys as in https://yaml.org/type/merge.html) and RFC 8259. ruamel.yaml reads
the events; the tree is ours, so that no depth and no number of aliases can exhaust the machine: an alias is one more
way to the same node, and nodes are counted as if every alias was written out.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.scanner import Scanner

from crossdock.errors import InputError
from crossdock.findings import locate
from crossdock.source import Source, Span

MAX_SIZE = 10 << 20
"""Bytes; a larger file takes more than half a minute to read."""
MAX_DEPTH = 200
MAX_NODES = 5_000_000
"""Nodes of a document, with every alias written out."""

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_TEMPLATE = re.compile(rb"\{\{|\{%")
_MERGE = "<<"


@dataclass(frozen=True, eq=False)
class YamlScalar:
    """``text`` is its value as text, also of numbers; ``span`` is what stands between the quotes, if it has any."""

    text: str
    plain: bool
    span: Span
    size = 1

    @property
    def null(self) -> bool:
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, eq=False)
class YamlSequence:
    items: tuple[YamlNode, ...] = field(repr=False)
    span: Span
    size: int


@dataclass(frozen=True, eq=False)
class YamlMapping:
    """``pairs`` are the keys and values as written, a merge key (``<<``) among them."""

    pairs: tuple[tuple[YamlNode, YamlNode], ...] = field(repr=False)
    span: Span
    size: int

    def get(self, key: str) -> YamlNode | None:
        """The value of a key, or that of the first mapping merged into this one that has it; of several values of one
        mapping the last."""
        return next((mapping._own[key] for mapping in self._lineage() if key in mapping._own), None)

    def text(self, key: str) -> str | None:
        """The value of a key if it is a scalar and not null."""
        value = self.get(key)
        return value.text if isinstance(value, YamlScalar) and not value.null else None

    def entries(self) -> Iterator[tuple[str, YamlNode]]:
        """Keys and values with those merged in; of a key's several values the one that ``get`` takes."""
        seen = {_MERGE}
        for mapping in self._lineage():
            for key, value in mapping._own.items():
                if key not in seen:
                    seen.add(key)
                    yield key, value

    def _lineage(self) -> Iterator[YamlMapping]:
        """This mapping and those merged into it, the nearest first."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            mapping = todo.pop()
            if id(mapping) not in seen:
                seen.add(id(mapping))
                yield mapping
                todo += reversed(mapping._merged)

    @cached_property
    def _own(self) -> dict[str, YamlNode]:
        return {key.text: value for key, value in self.pairs if isinstance(key, YamlScalar)}

    @cached_property
    def _merged(self) -> tuple[YamlMapping, ...]:
        merged: list[YamlNode] = []
        for key, value in self.pairs:
            if isinstance(key, YamlScalar) and key.plain and key.text == _MERGE:
                merged += value.items if isinstance(value, YamlSequence) else (value,)
        return tuple(node for node in merged if isinstance(node, YamlMapping))


YamlNode = YamlScalar | YamlSequence | YamlMapping


def read_yaml(source: Source) -> tuple[YamlNode, ...]:
    """The documents of a file without the empty ones. Raises InputError with ``path:line:column``."""
    if len(source.data) > MAX_SIZE:
        raise InputError(
            f"this file has more than {MAX_SIZE >> 20} MiB",
            where=source.path,
            hint="Split it into several files.",
        )
    return _Reader(source).documents()


def is_template(source: Source, node: YamlNode) -> bool:
    """Whether a node is what a template engine (Helm's, Jinja) would replace, which can look like YAML."""
    return bool(_TEMPLATE.search(source.slice(node.span))) and (
        isinstance(node, YamlScalar) or source.slice(node.span).startswith(b"{{")
    )


def describe(source: Source, node: YamlNode, kind: str = "image") -> str:
    """A node for people, on one line: ``image nginx:$TAG in compose.yaml:3``."""
    written = " ".join(source.text(node.span).split())
    return f"{kind} {written if len(written) <= 200 else f'{written[:200]}…'} in {place(source, node)}"


def place(source: Source, node: YamlNode) -> str:
    """File and line of a node."""
    location = locate(source, node.span)
    return f"{location.path}:{location.line}"


class _LenientScanner(Scanner):
    """Takes a tab between a key and its value, as YAML allows and as Compose and Kubernetes do."""

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while not self.allow_simple_key and self.reader.peek() == "\t":
            self.reader.forward()
            super().scan_to_next_token()


@dataclass
class _Open:
    """A sequence or mapping whose end has not come yet."""

    mapping: bool
    anchor: str | None
    start: int
    children: list[YamlNode]
    size: int = 1


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = self._decoded()
        self._offsets: array[int] | None = None
        if not self._text.isascii():
            self._offsets = array("L", accumulate((len(c.encode()) for c in self._text), initial=0))

    def documents(self) -> tuple[YamlNode, ...]:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _LenientScanner
        try:
            documents = tuple(self._built(iter(yaml.parse(self._text))))
        except InputError:
            raise
        except Exception as error:  # ruamel.yaml has its own errors, and others for numbers and escapes out of range
            raise self._invalid(error) from error
        return tuple(node for node in documents if not (isinstance(node, YamlScalar) and node.null))

    def _built(self, events: Iterator[object]) -> Iterator[YamlNode]:
        open_: list[_Open] = []
        anchors: dict[str, YamlNode | None] = {}
        root: list[YamlNode] = []
        for event in events:
            node: YamlNode
            anchor = event.anchor if isinstance(event, NodeEvent) else None
            if isinstance(event, DocumentStartEvent):
                anchors, root = {}, []
            elif isinstance(event, DocumentEndEvent):
                yield from root
            if isinstance(event, AliasEvent):
                node = self._alias(event, anchors)
                anchor = None
            elif isinstance(event, ScalarEvent):
                node = self._scalar(event)
            elif isinstance(event, CollectionEndEvent):
                done = open_.pop()
                node, anchor = self._collection(done, event.end_mark.index), done.anchor
            elif isinstance(event, NodeEvent):
                if len(open_) >= MAX_DEPTH:
                    raise self._fail(
                        event.start_mark.index, f"values are nested more than {MAX_DEPTH} deep", "Make it flatter."
                    )
                if anchor is not None:
                    anchors[anchor] = None
                open_.append(_Open(isinstance(event, MappingStartEvent), anchor, event.start_mark.index, []))
                continue
            else:
                continue
            if anchor is not None:
                anchors[anchor] = node
            if not open_:
                root.append(node)
                continue
            open_[-1].children.append(node)
            open_[-1].size += node.size
            if open_[-1].size > MAX_NODES:
                raise self._fail(
                    event.start_mark.index,
                    f"with its aliases written out this has more than {MAX_NODES} values",
                    "Check which anchors contain aliases of each other.",
                )

    def _alias(self, event: AliasEvent, anchors: dict[str, YamlNode | None]) -> YamlNode:
        node = anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in anchors
            raise self._fail(
                event.start_mark.index,
                f"the alias *{event.anchor} stands inside its own anchor" if inside else f"no anchor &{event.anchor}",
                "An alias repeats what is complete." if inside else "An anchor stands above its aliases.",
            )
        return node

    def _scalar(self, event: ScalarEvent) -> YamlScalar:
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor is not None or event.tag is not None:
            properties = _PROPERTIES.match(self._text, start, end)
            start = properties.end() if properties else start
        quoted = event.style in ("'", '"')
        # An escape for half of a character beyond U+FFFF (JSON's way to write them) is joined to the other half.
        text = event.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return YamlScalar(text, event.style is None or event.style == "", self._span(start + quoted, end - quoted))

    def _collection(self, done: _Open, end: int) -> YamlNode:
        span = self._span(done.start, end)
        if done.mapping:
            pairs = tuple(zip(done.children[::2], done.children[1::2], strict=True))
            return YamlMapping(pairs, span, done.size)
        return YamlSequence(tuple(done.children), span, done.size)

    def _span(self, start: int, end: int) -> Span:
        return Span(self._byte(start), self._byte(max(start, end)))

    def _byte(self, index: int) -> int:
        index = min(index, len(self._text))
        return index if self._offsets is None else self._offsets[index]

    def _decoded(self) -> str:
        data = self._source.data
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError("this file is UTF-16", where=self._source.path, hint="Save it again as UTF-8.")
        if b"\0" in data:
            raise InputError(
                "this is a binary file (it has a NUL byte)",
                where=self._source.path,
                hint="Name a Dockerfile, a compose file or a Kubernetes manifest.",
            )
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            place = locate(self._source, Span(error.start, error.start))
            raise InputError("this is not UTF-8", where=str(place), hint="Save the file again as UTF-8.") from error

    def _invalid(self, error: Exception) -> InputError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        index = mark.index if mark is not None else getattr(error, "position", 0)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        if _TEMPLATE.search(self._source.data):
            return self._fail(
                index,
                "this is a template, not YAML",
                "Render it first: for Helm `helm template . | crossdock platforms -f -`.",
            )
        hint = "Indent with spaces; YAML takes no tabs there." if "'\\t'" in why else "Correct it there or just above."
        return self._fail(index, f"this is not valid YAML: {why}", hint)

    def _fail(self, index: int, what: str, hint: str) -> InputError:
        at = self._byte(index)
        return InputError(what, where=str(locate(self._source, Span(at, at))), hint=hint)
