"""Reads the attributes of HCL files, as far as bake files need: where they stand, and lists of plain strings.

Source: HCL Native Syntax Specification (hashicorp/hcl, hclsyntax/spec.md): blocks, attributes, comments, templates,
here-documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.errors import InputError
from crossdock.findings import locate
from crossdock.source import Source, Span

_SPACE = re.compile(rb"(?:[ \t\r]+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_IDENTIFIER = re.compile(rb"[A-Za-z_][\w-]*")
_NUMBER = re.compile(rb"[0-9][0-9.eE+-]*")
_HEREDOC = re.compile(rb"<<-?([A-Za-z_]\w*)[ \t]*\r?\n")


@dataclass(frozen=True)
class Token:
    """``kind`` is one of ``identifier``, ``string``, ``newline`` and ``other``. A string's ``text`` and ``span`` are
    what stands between its quotes; ``plain`` says that nothing in it is replaced."""

    kind: str
    text: str
    span: Span
    plain: bool = True


@dataclass(frozen=True)
class Attribute:
    """``block`` is the type and labels of the block around it, empty at the top; ``value`` are its tokens."""

    block: tuple[str, ...]
    name: str
    value: tuple[Token, ...]

    def strings(self) -> tuple[Token, ...] | None:
        """The items of a list of plain strings; None for anything else."""
        tokens = [token for token in self.value if token.kind != "newline"]
        if len(tokens) < 2 or tokens[0].text != "[" or tokens[-1].text != "]":
            return None
        items, commas = tokens[1:-1:2], tokens[2:-1:2]
        if not all(item.kind == "string" and item.plain for item in items):
            return None
        return tuple(items) if all(comma.text == "," for comma in commas) else None


def read_hcl(source: Source) -> tuple[Attribute, ...]:
    """All attributes in the order of the file. Raises InputError with ``path:line:column`` for what is no HCL."""
    return tuple(_attributes(source, _tokens(source)))


def _attributes(source: Source, tokens: list[Token]) -> Iterator[Attribute]:
    blocks: list[tuple[str, ...]] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.kind == "newline":
            continue
        if token.text == "}" and token.kind == "other" and blocks:
            blocks.pop()
            continue
        if token.kind != "identifier":
            raise _fail(source, token.span.start, "a block or an attribute was expected here")
        header = [token.text]
        while at < len(tokens) and tokens[at].kind in {"identifier", "string"}:
            header.append(tokens[at].text)
            at += 1
        following = tokens[at].text if at < len(tokens) and tokens[at].kind == "other" else ""
        at += 1
        if following == "{":
            blocks.append(tuple(header))
        elif following == "=" and len(header) == 1:
            end = _end_of_expression(tokens, at)
            yield Attribute(blocks[-1] if blocks else (), header[0], tuple(tokens[at:end]))
            at = end
        else:
            raise _fail(source, token.span.start, "this is neither a block nor an attribute")
    if blocks:
        raise _fail(source, len(source.data), "a block is not closed")


def _end_of_expression(tokens: list[Token], at: int) -> int:
    """An expression ends with its line, but for the lines inside brackets."""
    depth = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "other":
            if token.text in "([{":
                depth += 1
            elif token.text in ")]}":
                depth -= 1
                if depth < 0:
                    return at
        elif token.kind == "newline" and depth == 0:
            return at
        at += 1
    return at


def _tokens(source: Source) -> list[Token]:
    data = source.data
    found: list[Token] = []
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while at < len(data):
        if match := _SPACE.match(data, at):
            at = match.end()
            continue
        if data[at : at + 1] == b"\n":
            found.append(Token("newline", "\n", Span(at, at + 1)))
            at += 1
        elif data[at : at + 1] == b'"':
            end, plain = _string_end(source, at)
            span = Span(at + 1, end - 1)
            found.append(Token("string", source.text(span), span, plain))
            at = end
        elif match := _HEREDOC.match(data, at):
            last = re.compile(rb"^[ \t]*" + match[1] + rb"[ \t]*\r?$", re.MULTILINE).search(data, match.end())
            if last is None:
                raise _fail(source, at, "a here-document has no end")
            found.append(Token("string", "", Span(at, last.end()), plain=False))
            at = last.end()
        elif match := _IDENTIFIER.match(data, at):
            found.append(Token("identifier", match[0].decode(), Span(*match.span())))
            at = match.end()
        else:
            end_of = match.end() if (match := _NUMBER.match(data, at)) else at + 1
            found.append(Token("other", data[at:end_of].decode("utf-8", "replace"), Span(at, end_of)))
            at = end_of
    return found


def _string_end(source: Source, start: int) -> tuple[int, bool]:
    """The end of a quoted template, after its quote, and whether it is plain text. Braces of interpolations nest, and
    strings may stand in them."""
    data = source.data
    at, plain, depth = start + 1, True, 0
    while at < len(data):
        char = data[at : at + 1]
        if depth == 0 and char == b"\\":
            plain = False
            at += 2
            continue
        if depth == 0 and char == b'"':
            return at + 1, plain
        if char == b"\n" and depth == 0:
            break
        if data[at : at + 3] in (b"$${", b"%%{") and depth == 0:
            plain = False
            at += 3
            continue
        if data[at : at + 2] in (b"${", b"%{"):
            plain = False
            depth += 1
            at += 2
            continue
        if depth:
            if char == b'"':
                at, _ = _string_end(source, at)
                continue
            depth += (char == b"{") - (char == b"}")
        at += 1
    raise _fail(source, start, "a string is not closed")


def _fail(source: Source, offset: int, what: str) -> InputError:
    where = str(locate(source, Span(offset, offset)))
    return InputError(f"this is not valid HCL: {what}", where=where, hint="Correct it there or just above.")
