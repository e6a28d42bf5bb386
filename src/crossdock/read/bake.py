"""What a bake file (docker-bake.hcl, docker-bake.json) declares: the platforms that its targets are built for.

Source: Docker, "Bake file reference" (target.platforms).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crossdock.read.declared import Declared, FileKind, Mend, PlatformList
from crossdock.read.hcl import Token, read_hcl
from crossdock.read.yaml_edits import with_item
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence
from crossdock.source import Edit, Source, Span

_TITLE = "Build for linux/arm64 as well"


def is_bake(document: YamlNode) -> bool:
    """Whether a JSON document is a bake file."""
    return isinstance(document, YamlMapping) and isinstance(document.get("target"), YamlMapping)


def bake_hcl(source: Source) -> Declared:
    """A bake file in HCL. Raises InputError for what is no HCL."""
    return Declared(source, FileKind.BAKE, lists=tuple(_from_hcl(source)))


def bake_json(source: Source, documents: Sequence[YamlNode]) -> Declared:
    """A bake file in JSON."""
    return Declared(source, FileKind.BAKE, lists=tuple(_from_json(source, documents)))


def _from_hcl(source: Source) -> Iterator[PlatformList]:
    for attribute in read_hcl(source):
        items = attribute.strings()
        if attribute.name == "platforms" and attribute.block[:1] == ("target",) and items:
            span = Span(items[0].span.start, items[-1].span.end)
            edit = Edit(source.path, Span(span.end + 1, span.end + 1), _separator(source, items) + b'"linux/arm64"')
            name = " ".join(attribute.block)
            yield PlatformList(name, tuple(item.text for item in items), span, mend=Mend(_TITLE, (edit,), safe=False))


def _separator(source: Source, items: tuple[Token, ...]) -> bytes:
    """What stands between the first two items, or else between the bracket and the first, if that is a new line."""
    if len(items) > 1:
        return source.data[items[0].span.end + 1 : items[1].span.start - 1]
    line = source.line_span(source.position(items[0].span.start).line)
    before = source.data[line.start : items[0].span.start - 1]
    return b"," + source.newline + before if not before.strip() else b", "


def _from_json(source: Source, documents: Sequence[YamlNode]) -> Iterator[PlatformList]:
    for document in documents:
        targets = document.get("target") if isinstance(document, YamlMapping) else None
        for name, target in targets.entries() if isinstance(targets, YamlMapping) else ():
            node = target.get("platforms") if isinstance(target, YamlMapping) else None
            if not isinstance(node, YamlSequence):
                continue
            texts = [item.text for item in node.items if isinstance(item, YamlScalar)]
            if texts and len(texts) == len(node.items) and not any("${" in text for text in texts):
                edit = with_item(source, node, "linux/arm64")
                mend = Mend(_TITLE, (edit,), safe=False) if edit else None
                yield PlatformList(f"target {name}", tuple(texts), node.span, mend=mend)
