"""Reads YAML files.

Source: YAML 1.2.2. ruamel.yaml reads the events; the tree is ours, so that no depth and no number of aliases can
exhaust the machine: nodes are counted as if every alias was written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

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
from crossdock.read.json_tree import read_json
from crossdock.read.yaml_model import (
    YamlMapping,
    YamlNode,
    YamlScalar,
    YamlSequence,
    YamlText,
    template_error,
    well_formed,
)
from crossdock.source import Source

MAX_SIZE = 10 << 20
"""Bytes; a larger file takes more than half a minute to read."""
MAX_DEPTH = 200
MAX_NODES = 5_000_000
"""Nodes of a document, with every alias written out."""

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")


def read_yaml(source: Source) -> tuple[YamlNode, ...]:
    """The documents of a YAML or JSON file without the empty ones. Raises InputError with ``path:line:column``."""
    if source.data.lstrip()[:1] in (b"{", b"["):
        whole = read_json(source)
        if whole is not None:
            return (whole,)
    if len(source.data) > MAX_SIZE:
        raise InputError(
            f"this file has more than {MAX_SIZE >> 20} MiB",
            where=source.path,
            hint="Split it into several files.",
        )
    return _Reader(source).documents()


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
        self._text = YamlText(source)

    def documents(self) -> tuple[YamlNode, ...]:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _LenientScanner
        try:
            documents = tuple(self._built(iter(yaml.parse(self._text.text))))
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
                    raise self._text.fail(
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
                raise self._text.fail(
                    event.start_mark.index,
                    f"with its aliases written out this has more than {MAX_NODES} values",
                    "Check which anchors contain aliases of each other.",
                )

    def _alias(self, event: AliasEvent, anchors: dict[str, YamlNode | None]) -> YamlNode:
        node = anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in anchors
            raise self._text.fail(
                event.start_mark.index,
                f"the alias *{event.anchor} stands inside its own anchor" if inside else f"no anchor &{event.anchor}",
                "An alias repeats what is complete." if inside else "An anchor stands above its aliases.",
            )
        return node

    def _scalar(self, event: ScalarEvent) -> YamlScalar:
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor is not None or event.tag is not None:
            properties = _PROPERTIES.match(self._text.text, start, end)
            start = properties.end() if properties else start
        quoted = event.style in ("'", '"')
        return YamlScalar(well_formed(event.value), not event.style, self._text.span(start + quoted, end - quoted))

    def _collection(self, done: _Open, end: int) -> YamlNode:
        span = self._text.span(done.start, end)
        if done.mapping:
            pairs = tuple(zip(done.children[::2], done.children[1::2], strict=True))
            return YamlMapping(pairs, span, done.size)
        return YamlSequence(tuple(done.children), span, done.size)

    def _invalid(self, error: Exception) -> InputError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        index = mark.index if mark is not None else getattr(error, "position", 0)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        if self._text.template:
            return template_error(self._text.where(index))
        hint = "Indent with spaces; YAML takes no tabs there." if "'\\t'" in why else "Correct it there or just above."
        return self._text.fail(index, f"this is not valid YAML: {why}", hint)
