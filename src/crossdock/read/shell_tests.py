"""Decides ``[ … ]``, ``[[ … ]]`` and ``test``: true, false, or not to be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossdock.platforms import AMD64
from crossdock.read.programs import posix_regex
from crossdock.read.shell_model import State, is_nonempty
from crossdock.read.shell_words import WordReader, escaped
from crossdock.read.values import Value, literal

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Operand:
    """A word of a test: its value, or the operator it is. For ``test`` every word is both until read."""

    value: Value | None
    operator: str
    node: Node | None


def test_tokens(words: WordReader, node: Node, state: State) -> Iterator[Operand]:
    """The operands and operators of ``[ … ]`` and ``[[ … ]]`` in the order written: the grammar nests some of them
    wrongly."""
    for child in node.children:
        if child.type in {"[", "]", "[[", "]]"}:
            continue
        if child.type in {
            "binary_expression",
            "unary_expression",
            "parenthesized_expression",
            "negation_expression",
        }:
            yield from test_tokens(words, child, state)
        elif child.type == "test_operator" or not child.is_named:
            yield Operand(None, words.source.slice(child.start_byte, child.end_byte), None)
        else:
            yield Operand(words.value(child, state), "", child)


class Test:
    """Reads the words of a test: ``!``, ``-a``, ``-o``, ``&&``, ``||``, parentheses, unary and binary operators."""

    _BINARY = frozenset(
        {"=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-gt", "-le", "-ge", "-nt", "-ot", "-ef", "<", ">"}
    )

    def __init__(self, words: WordReader, tokens: list[Operand], state: State, double: bool) -> None:
        self.words, self.tokens, self.state, self.double = words, tokens, state, double
        self.at = 0

    def decide(self) -> bool | None:
        try:
            return self._or()
        except IndexError:
            return None

    def _peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index].operator if index < len(self.tokens) else ""

    def _or(self) -> bool | None:
        result = self._and()
        while self._peek() in {"-o", "||"}:
            self.at += 1
            other = self._and()
            result = True if result or other else (None if result is None or other is None else False)
        return result

    def _and(self) -> bool | None:
        result = self._not()
        while self._peek() in {"-a", "&&"}:
            self.at += 1
            other = self._not()
            result = False if result is False or other is False else (None if result is None or other is None else True)
        return result

    def _not(self) -> bool | None:
        if self._peek() == "!":
            self.at += 1
            result = self._not()
            return None if result is None else not result
        if self._peek() == "(":
            self.at += 1
            result = self._or()
            self.at += 1
            return result
        return self._primary()

    def _primary(self) -> bool | None:
        if self._peek(1) in self._BINARY and self.at + 2 < len(self.tokens):
            left, operator, right = self.tokens[self.at], self._peek(1), self.tokens[self.at + 2]
            self.at += 3
            return self._binary(left.value or literal(left.operator), operator, right)
        token = self.tokens[self.at]
        if re.fullmatch(r"-[a-zA-Z]", token.operator) and self.at + 1 < len(self.tokens):
            operand = self.tokens[self.at + 1]
            self.at += 2
            value = operand.value or literal(operand.operator)
            if token.operator in {"-n", "-z"}:
                result = self._has_text(value)
                return None if result is None else result is (token.operator == "-n")
            if token.operator in {"-d", "-e", "-f", "-x", "-r", "-s"} and _only_on_amd64(value.render()):
                return None if self.words.machine.runs_on == AMD64 else False
            return None
        self.at += 1
        return self._has_text(token.value or literal(token.operator))

    def _has_text(self, value: Value) -> bool | None:
        result = is_nonempty(value)
        return None if result is False and self.words.is_open(value) else result

    def _binary(self, left: Value, operator: str, right: Operand) -> bool | None:
        words, state = self.words, self.state
        value = right.value or literal(right.operator)
        if operator in {"=", "==", "!="}:
            pattern = None
            if self.double and right.node is not None:
                pattern = words.pattern(right.node, state)
            elif value.text is not None:
                pattern = escaped(value.text)
            result: bool | None = None
            if pattern is not None:
                result = words.compare(left, pattern)
            elif left.text is not None:
                result = words.compare(value, escaped(left.text))
            return result if operator != "!=" or result is None else not result
        if operator == "=~":
            text = words.source.slice(right.node.start_byte, right.node.end_byte) if right.node else value.text
            pattern_re = posix_regex((text or "").strip("\"'"), True) if text and "$(" not in text else None
            if pattern_re is None:
                return None
            if left.text is not None:
                return bool(pattern_re.search(left.text))
            return words.taken_for_architecture(left, (text or "").strip("^$()"))
        if words.is_open(left) or words.is_open(value):
            return None
        if operator.startswith("-") and left.text is not None and value.text is not None:
            try:
                a, b = int(left.text), int(value.text)
            except ValueError:
                return None
            return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-gt": a > b, "-le": a <= b, "-ge": a >= b}.get(
                operator
            )
        return None


def _only_on_amd64(path: str) -> bool:
    """Whether a path is that of a directory or loader that other architectures do not have."""
    return re.search(r"x86_64-linux-(gnu|musl)|ld-linux-x86-64|ld-musl-x86_64|openjdk-amd64", path) is not None
