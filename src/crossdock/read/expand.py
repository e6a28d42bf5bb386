"""BuildKit's variable expansion, with the origin of every character of the result.

Source: BuildKit, frontend/dockerfile/shell/lex.go; Dockerfile reference, "Environment replacement".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from crossdock.errors import InputError
from crossdock.read.model import LogicalText, Word
from crossdock.read.pieces import either
from crossdock.read.values import Fragment, Origin, Value
from crossdock.read.words import BLANKS, quoted_words
from crossdock.source import Span

Lookup = Callable[[str], Value | None]
"""The value of a variable, or None when it is not set."""

MAX_LENGTH = 1 << 20
"""Characters; variables that double each other line by line end here instead of filling the memory."""
_MAX_DEPTH = 100
_NAME = re.compile(r"\d+|[@*#?$!0-]|(?:[^\W\d]|_)\w*")
_PATTERN_PIECE = re.compile(r"\\.|.", re.DOTALL)
_BLANK = re.compile(f"[{BLANKS}]+")


class ExpansionError(InputError):
    """A substitution that BuildKit refuses; ``span`` is where it stands in the file ``where``."""

    def __init__(self, what: str, *, where: str, hint: str, span: Span) -> None:
        super().__init__(what, where=where, hint=hint)
        self.span = span


def expand(text: LogicalText, start: int, end: int, lookup: Lookup, *, path: str = "", escape: str = "\\") -> Value:
    """The characters ``start:end`` with variables replaced, quotes removed and escapes resolved.

    ``path`` is the file that the offsets of ``text`` belong to. A variable that is not set is empty; an unknown one
    stays an unknown fragment with its name. Raises ExpansionError.
    """
    return _Expansion(text, (start, end), lookup, path, escape).value()


def expand_word(word: Word, lookup: Lookup, *, path: str, escape: str) -> Value:
    """The value of one word of an instruction (or of a flag: ``Flag.word``). Raises ExpansionError."""
    return expand(word.logical, 0, len(word.text), lookup, path=path, escape=escape)


def split_assignment(word: Word, *, escape: str) -> tuple[Word, Word | None]:
    """A word of ENV, ARG or LABEL as name and value, both as written. ARG may have no value; the old form
    ``ENV NAME some value`` has everything after the first blank as its value."""
    first = next(quoted_words(word.logical, escape), word)
    if "=" not in first.text:
        blank = _BLANK.search(word.text)
        if blank is None:
            return word, None
        return word.slice(0, blank.start()), word.slice(blank.end(), len(word.text))
    equals = word.text.index("=")
    return word.slice(0, equals), word.slice(equals + 1, len(word.text))


def assignment(word: Word, lookup: Lookup, *, path: str, escape: str) -> tuple[Word, Value | None]:
    """A word of ENV, ARG or LABEL as its name, as written, and its expanded value. Raises ExpansionError."""
    name, value = split_assignment(word, escape=escape)
    return name, None if value is None else expand_word(value, lookup, path=path, escape=escape)


class _Expansion:
    """One pass over the text from left to right."""

    def __init__(self, text: LogicalText, span: tuple[int, int], lookup: Lookup, path: str, escape: str) -> None:
        self._logical = text
        self._text = text.text
        self._at, self._end = span
        self._lookup = lookup
        self._path = path
        self._escape = escape
        self._depth = 0

    def value(self) -> Value:
        return Value(tuple(self._until("", raw=False)))

    def _until(self, stop: str, *, raw: bool) -> list[Fragment]:
        """Everything up to ``stop``, which is taken too. ``raw`` keeps escape characters, for patterns."""
        out: list[Fragment] = []
        opened = self._at
        plain = _plain(self._escape, stop)
        while self._at < self._end:
            character = self._text[self._at]
            if character == stop:
                self._at += 1
                return self._checked(out, opened)
            if character == "'":
                out += self._single_quoted()
            elif character == '"':
                out += self._double_quoted(raw)
            elif character == "$":
                out += self._variable()
            elif character == self._escape:
                out += self._characters(self._at, self._at + 1) if raw else ()
                out += self._characters(self._at + 1, min(self._at + 2, self._end))
                self._at += 2
            else:
                match = plain.match(self._text, self._at, self._end)
                end = match.end() if match else self._at + 1
                out += self._characters(self._at, end)
                self._at = end
        if stop:
            raise self._fail(
                opened - 1, f"`{stop}` was expected before the end", f"Close the substitution with {stop}."
            )
        return self._checked(out, opened)

    def _single_quoted(self) -> Iterator[Fragment]:
        end = self._text.find("'", self._at + 1, self._end)
        if end == -1:
            raise self._fail(
                self._at, "this single quote is never closed", "Add the closing quote, or escape this one."
            )
        yield from self._characters(self._at + 1, end)
        self._at = end + 1

    def _double_quoted(self, raw: bool) -> list[Fragment]:
        out: list[Fragment] = []
        opened = self._at
        self._at += 1
        plain = _plain(self._escape, '"')
        while self._at < self._end:
            character = self._text[self._at]
            if character == '"':
                self._at += 1
                return out
            if character == "$":
                out += self._variable()
            elif character == self._escape:
                following = self._text[self._at + 1 : min(self._at + 2, self._end)]
                special = following != "" and following in ('"', "$", self._escape)
                if raw:
                    out += self._characters(self._at, self._at + 1)
                self._at += special
                out += self._characters(self._at, self._at + 1)
                self._at += 1
            else:
                match = plain.match(self._text, self._at, self._end)
                end = match.end() if match else self._at + 1
                out += self._characters(self._at, end)
                self._at = end
        raise self._fail(opened, "this double quote is never closed", "Add the closing quote, or escape this one.")

    def _variable(self) -> list[Fragment]:
        start = self._at
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            return list(self._get(name)) if name else list(self._characters(start, start + 1))
        self._at += 1
        if self._peek() in ("", "{", "}", ":"):
            raise self._fail(start, "a variable's name was expected after `${`", "Write ${NAME}.")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fail(start, "substitutions are nested too deeply", "Use a variable for the inner one.")
        value = self._substitution(start, self._name())
        self._depth -= 1
        return list(value)

    def _substitution(self, start: int, name: str) -> Value:
        """``${name`` was read; take the modifier and what belongs to it."""
        modifier = self._peek()
        self._at += 1
        if modifier == "}":
            return self._get(name)
        colon = modifier == ":"
        if colon:
            modifier = self._peek()
            self._at += 1
        if modifier in ("-", "+", "?"):
            word = Value(tuple(self._until("}", raw=False)))
            return self._conditional(start, name, modifier, colon, word)
        if modifier in ("#", "%") and not colon:
            return self._trimmed(start, name, modifier)
        if modifier == "/" and not colon:
            return self._replaced(start, name)
        raise self._fail(
            start,
            f"`{':' if colon else ''}{modifier}` is no modifier that BuildKit knows",
            "It knows :- - :+ + :? ? # ## % %% / and //.",
        )

    def _conditional(self, start: int, name: str, modifier: str, colon: bool, word: Value) -> Value:
        value = self._lookup(name)
        there = None if value is None else self._get(name)
        if there is not None and colon and not any(fragment.text for fragment in there):
            if not there.known:
                unknown = Value((Fragment(None, variable=name),))
                if modifier == "-":
                    # Built without build arguments, an ARG that has no default is empty.
                    return either((word, unknown))
                return there if modifier == "?" else unknown
            there = None
        if modifier == "-":
            return word if there is None else there
        if modifier == "+":
            return Value() if there is None else word
        if there is None:
            reason = word.render() or f"is not allowed to be {'unset or empty' if colon else 'unset'}"
            raise self._fail(start, f"{name}: {reason}", f"Give it a value: --build-arg {name}=…")
        return there

    def _trimmed(self, start: int, name: str, modifier: str) -> Value:
        pattern = Value(tuple(self._until("}", raw=True))).text
        value = self._get(name)
        text = value.text
        if pattern is None or text is None:
            return Value((Fragment(None, variable=name),))
        longest = pattern.startswith(modifier)
        pattern = pattern[1:] if longest else pattern
        if modifier == "#":
            match = _glob(self._pattern(start, pattern), longest).match(text)
            return value.slice(match.end(), len(text)) if match else value
        backwards = "".join(reversed(_PATTERN_PIECE.findall(pattern)))
        match = _glob(self._pattern(start, backwards), longest).match(text[::-1])
        return value.slice(0, len(text) - match.end()) if match else value

    def _replaced(self, start: int, name: str) -> Value:
        everywhere = self._peek() == "/"
        if everywhere:
            self._at += 1
        pattern = Value(tuple(self._until("/", raw=True))).text
        replacement = Value(tuple(self._until("}", raw=True)))
        value = self._get(name)
        text = value.text
        if pattern is None or text is None:
            return Value((Fragment(None, variable=name),))
        out = Value()
        done = 0
        for match in _glob(self._pattern(start, pattern), True).finditer(text):
            if match.start() == match.end() == done and done:
                continue
            out = out + value.slice(done, match.start()) + replacement
            done = match.end()
            if not everywhere:
                break
        return out + value.slice(done, len(text))

    def _pattern(self, start: int, pattern: str) -> tuple[str, ...]:
        """The pattern as tokens: ``*``, ``?`` or one literal character with a backslash before it."""
        tokens: list[str] = []
        characters = iter(pattern)
        for character in characters:
            if character == "\\":
                character = next(characters, "")
                if character not in ("}", "/", "*", "?", "\\"):
                    raise self._fail(
                        start, f"invalid escape `\\{character}` in a pattern", "Only * ? \\ / and } can be escaped."
                    )
                tokens.append(f"\\{character}")
            else:
                tokens.append(character if character in "*?" else f"\\{character}")
        return tuple(tokens)

    def _name(self) -> str:
        match = _NAME.match(self._text, self._at, self._end)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _get(self, name: str) -> Value:
        value = self._lookup(name)
        return Value() if value is None else value.via(name)

    def _peek(self) -> str:
        return self._text[self._at] if self._at < self._end else ""

    def _characters(self, start: int, end: int) -> Iterator[Fragment]:
        """Literal text, one fragment for each run that is in one piece in the file."""
        while start < end:
            stop = _contiguous(self._logical, start, end)
            yield Fragment(self._text[start:stop], Origin(self._path, self._logical.span(start, stop)))
            start = stop

    def _checked(self, fragments: list[Fragment], opened: int) -> list[Fragment]:
        if sum(len(fragment.text or "") for fragment in fragments) > MAX_LENGTH:
            raise self._fail(
                opened,
                f"this expands to more than {MAX_LENGTH} characters",
                "Check which variables contain each other.",
            )
        return fragments

    def _fail(self, at: int, what: str, hint: str) -> ExpansionError:
        at = min(at, self._end)
        shown = self._text[at : min(at + 40, self._end)]
        return ExpansionError(f"{what}: {shown}", where=self._path, hint=hint, span=self._logical.span(at, self._end))


@functools.cache
def _plain(escape: str, stop: str) -> re.Pattern[str]:
    """A run of characters that mean nothing here; between double quotes a single quote is one of them."""
    quotes = "" if stop == '"' else "'\""
    return re.compile(f"[^{re.escape(quotes + '$' + escape + stop)}]+")


def _contiguous(logical: LogicalText, start: int, end: int) -> int:
    """The end of the run of characters from ``start`` that follow each other without a gap in the file."""
    span = logical.span(start, end)
    if span.end - span.start == len(logical.text[start:end].encode("utf-8", "surrogateescape")):
        return end
    stop = start + 1
    while stop < end and logical.span(stop - 1, stop + 1).end - logical.offsets[stop - 1] == sum(
        len(character.encode("utf-8", "surrogateescape")) for character in logical.text[stop - 1 : stop + 1]
    ):
        stop += 1
    return stop


def _glob(tokens: tuple[str, ...], longest: bool) -> re.Pattern[str]:
    """A regular expression for a pattern of ``*``, ``?`` and literals that begins where matching begins.

    What stands between two stars is taken at its first chance and kept (an atomic group): that never changes whether a
    pattern of this kind matches, nor where its shortest match ends, and the time stays linear. Only the last piece
    decides how long a longest match is.
    """
    pieces: list[str] = [""]
    for token in tokens:
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if token == "?" else re.escape(token[1:])
    first, *rest = pieces
    out = first + "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    if rest:
        out += f".*{'' if longest else '?'}{rest[-1]}"
    return re.compile(out)
