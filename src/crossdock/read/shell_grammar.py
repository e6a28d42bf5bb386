"""The shape of shell programs: the grammar's trees as and-or lists of pipelines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from crossdock.read.model import LogicalText

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


@cache
def parser() -> Parser:
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


_COMMENT_BETWEEN_WORDS = re.compile(r"(?:(?<=\s)|\A)`\s*#[^`\n]*`(?=\s|\Z)")
_CLOSING = r"fi|done|esac|\}"
_CLOSED_TWICE = re.compile(rf"(?<![\w$-])(?:{_CLOSING})(?=\s+(?:{_CLOSING}|else|elif|then|do)(?![\w-])|\))")


def without_word_comments(text: str) -> str:
    """The same text, as long as before, with blanks for comments that are written between the words of a command as a
    substitution (``\\ `# why` \\``): the grammar takes all that follows for a comment."""
    return _COMMENT_BETWEEN_WORDS.sub(lambda match: " " * len(match[0]), text) if "`" in text else text


def separated(logical: LogicalText) -> LogicalText:
    """The same text with separators that the grammar asks for and shells do not: ``fi; fi``, ``esac;)``. They have no
    place in the file."""
    text, offsets = logical.text, logical.offsets
    parts: list[str] = []
    places: list[int] = []
    at = 0
    for match in _CLOSED_TWICE.finditer(text):
        parts += [text[at : match.end()], ";"]
        places += [*offsets[at : match.end()], offsets[match.end()]]
        at = match.end()
    return LogicalText("".join([*parts, text[at:]]), (*places, *offsets[at:])) if parts else logical


@dataclass(frozen=True)
class Stage:
    """One part of a pipeline, with the redirections that belong to it."""

    node: Node
    redirects: list[Node]


@dataclass
class Link:
    """One part of an and-or list: a pipeline and the operator before it."""

    operator: str
    stages: list[Stage]


def links(node: Node) -> list[Link]:
    """An and-or list in the shell's own shape. The grammar hangs a pipe or a redirection that follows ``a && b`` on the
    whole list; they belong to ``b``."""
    if node.type == "list":
        parts: list[list[Link]] = []
        while node.type == "list" and (children := node.children):
            if len(children) > 1:
                right = links(children[-1])
                right[0].operator = next((c.type for c in reversed(children) if c.type in {"&&", "||"}), "&&")
                parts.append(right)
            node = children[0]
        return [*links(node), *(link for part in reversed(parts) for link in part)]
    if node.type == "pipeline":
        chain: list[Link] = []
        for child in node.named_children:
            if child.type == "comment":
                continue
            more = links(child)
            if chain:
                chain[-1].stages += more[0].stages
                chain += more[1:]
            else:
                chain = more
        return chain or [Link("", [])]
    if node.type == "redirected_statement":
        body = node.child_by_field_name("body")
        redirects = [child for child in node.named_children if child.type.endswith("_redirect")]
        if body is None:
            return [Link("", [])]
        chain = links(body)
        if chain[-1].stages:
            last = chain[-1].stages[-1]
            inner = [child for redirect in redirects for child in redirect.named_children if "_redirect" in child.type]
            chain[-1].stages[-1] = Stage(last.node, [*last.redirects, *redirects, *inner])
        for redirect in redirects:
            if redirect.type == "heredoc_redirect":
                chain = _after_heredoc(redirect, chain)
        return chain
    return [Link("", [Stage(node, [])])]


def _after_heredoc(redirect: Node, chain: list[Link]) -> list[Link]:
    """What follows ``<<EOF`` on its line: the grammar puts it inside the redirection."""
    operator = ""
    for child in redirect.children:
        if child.type in {"&&", "||"}:
            operator = child.type
        elif child.type == "|":
            operator = "|"
        elif operator and child.is_named:
            more = links(child)
            if operator == "|":
                chain[-1].stages += more[0].stages
                chain += more[1:]
            else:
                more[0].operator = operator
                chain = chain + more
            operator = ""
    return chain


def condition_and_body(node: Node) -> tuple[list[Node] | None, list[Node]]:
    """The condition and the commands of an ``if`` or ``elif``."""
    condition: list[Node] = []
    body: list[Node] = []
    seen_then = False
    for child in node.children:
        if child.type == "then":
            seen_then = True
        elif not child.is_named or child.type in {"comment", "elif_clause", "else_clause"}:
            continue
        else:
            (body if seen_then else condition).append(child)
    return condition, body


def is_test(stages: list[Stage]) -> bool:
    """Whether a pipeline is there to be asked rather than to do something: it may well fail, and that is no error."""
    node = stages[-1].node if stages else None
    if node is None:
        return False
    if node.type in {"test_command", "negated_command"}:
        return True
    if node.type != "command" or node.text is None:
        return False
    return bool(re.match(rb"(\[|test|grep|egrep|which|command\s+-v|type)\s", node.text))
