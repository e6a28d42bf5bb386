"""What a YAML or JSON file is once read: nodes that know where they are written.

Source: YAML 1.2.2 (chapter 3.2), with merge keys as in https://yaml.org/type/merge.html. An alias is one more way to
the same node, so a tree is never larger than its file.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from crossdock.errors import InputError
from crossdock.findings import locate
from crossdock.source import Source, Span

_TEMPLATE = re.compile(rb"^[ \t]*+(?:- ++)*+(?:[\w./-]++:[ \t]++)?\{[{%]", re.MULTILINE)
"""What no YAML file holds outside of quotes, except by chance."""
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

    def pair(self, key: str) -> tuple[YamlNode, YamlNode] | None:
        """A key as written and its value, which ``get`` gives."""
        for mapping in self._lineage():
            found = [
                (name, value) for name, value in mapping.pairs if isinstance(name, YamlScalar) and name.text == key
            ]
            if found:
                return found[-1]
        return None

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


class YamlText:
    """The characters of a file, and where each of them stands in it. Raises InputError for what is no text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = _decoded(source)
        self._offsets: array[int] | None = None
        if not self.text.isascii():
            self._offsets = array("L", accumulate((len(c.encode()) for c in self.text), initial=0))

    @property
    def template(self) -> bool:
        """Whether some lines of it are a template's."""
        return bool(_TEMPLATE.search(self.source.data))

    def span(self, start: int, end: int) -> Span:
        """The bytes of the characters ``start:end``."""
        return Span(self._byte(start), self._byte(max(start, end)))

    def where(self, index: int) -> str:
        """``path:line:column`` of a character."""
        return str(locate(self.source, self.span(index, index)))

    def fail(self, index: int, what: str, hint: str) -> InputError:
        """An error that points at a character."""
        return InputError(what, where=self.where(index), hint=hint)

    def _byte(self, index: int) -> int:
        index = min(index, len(self.text))
        return index if self._offsets is None else self._offsets[index]


def well_formed(text: str) -> str:
    """The text with the halves of characters beyond U+FFFF joined, as JSON's escapes write them; a single half becomes
    the replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_template(source: Source, node: YamlNode) -> bool:
    """Whether a node is what a template engine (Helm's, Jinja) would replace, which can look like YAML."""
    written = source.slice(node.span)
    return b"{{" in written if isinstance(node, YamlScalar) else written.startswith(b"{{")


def template_error(where: str) -> InputError:
    """What is said of a file that becomes YAML only when it is rendered."""
    return InputError(
        "this is a template, not YAML",
        where=where,
        hint="Render it first: for Helm `helm template . | crossdock platforms -f -`.",
    )


def describe(source: Source, node: YamlNode) -> str:
    """An image for people, on one line: ``image nginx:$TAG in compose.yaml:3``."""
    written = " ".join(source.text(node.span).split())
    return f"image {written if len(written) <= 200 else f'{written[:200]}…'} in {place(source, node)}"


def place(source: Source, node: YamlNode) -> str:
    """File and line of a node."""
    location = locate(source, node.span)
    return f"{location.path}:{location.line}"


def _decoded(source: Source) -> str:
    data = source.data
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError("this file is UTF-16", where=source.path, hint="Save it again as UTF-8.")
    if b"\0" in data:
        raise InputError(
            "this is a binary file (it has a NUL byte)",
            where=source.path,
            hint="Name a Dockerfile, a compose file or a Kubernetes manifest.",
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        where = str(locate(source, Span(error.start, error.start)))
        raise InputError("this is not UTF-8", where=where, hint="Save the file again as UTF-8.") from error
