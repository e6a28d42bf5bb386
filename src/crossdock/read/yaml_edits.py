"""Edits on YAML by span, which leave every other byte as it is: taking an entry away, adding to a list."""

from __future__ import annotations

import re

from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence
from crossdock.source import Edit, Source, Span


def without_entry(source: Source, mapping: YamlMapping, key: YamlNode, value: YamlNode) -> Edit | None:
    """Take away the lines of a key and its value. None in flow style, where commas would have to go too, and where they
    share a line with something else (the first key of a list's item)."""
    if source.data[mapping.span.start : mapping.span.start + 1] == b"{":
        return None
    first = source.line_span(source.position(key.span.start).line)
    # A collection in block style ends where the next token begins, a scalar where it ends.
    end = value.span.end
    while end > value.span.start and source.data[end - 1 : end].isspace():
        end -= 1
    last_line = source.position(max(value.span.start, end - 1)).line
    last = source.line_span(last_line)
    before = source.data[first.start : key.span.start].strip(b" \t\"'")
    after = source.data[end : last.end].strip(b" \t\"'")
    if before or (after and not after.startswith(b"#")):
        return None
    stop = source.line_span(last_line + 1).start if last_line < source.line_count else len(source.data)
    return Edit(source.path, Span(first.start, stop), b"")


def with_item(source: Source, items: YamlSequence, text: str) -> Edit | None:
    """Add a scalar at the end of a list of scalars, written as the last one is. None for an empty list."""
    if not items.items or not all(isinstance(item, YamlScalar) for item in items.items):
        return None
    last = items.items[-1]
    quote = source.data[last.span.start - 1 : last.span.start]
    quote = quote if quote in {b'"', b"'"} else b""
    end = last.span.end + len(quote)
    written = quote + text.encode() + quote
    if source.data[items.span.start : items.span.start + 1] == b"[":
        return Edit(source.path, Span(end, end), _separator(source, items) + written)
    line = source.line_span(source.position(last.span.start).line)
    match = re.match(rb"[ \t]*-[ \t]+", source.data[line.start : line.end])
    if match is None or line.start + match.end() != last.span.start - len(quote):
        return None
    return Edit(source.path, Span(line.end, line.end), source.newline + match[0] + written)


def _separator(source: Source, items: YamlSequence) -> bytes:
    """What stands between the items of a flow list: ``, `` unless they show something else."""
    if len(items.items) < 2:
        return b", "
    first, second = items.items[0], items.items[1]
    between = source.data[first.span.end : second.span.start].strip(b"\"'")
    return between if re.fullmatch(rb"\s*,\s*", between) else b", "
