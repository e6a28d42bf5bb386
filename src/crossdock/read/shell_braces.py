"""Works around a blind spot of the shell grammar: of several expansions in a word, it loses a later ``$NAME``.

tree-sitter-bash 0.25 ends the word ``v$V/tool-$V-amd64`` behind its second ``$``, and takes the rest for another one.
With ``${V}`` it does not, so such names get braces before the text is parsed again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crossdock.read.model import LogicalText
from crossdock.read.shell_model import ShellText

if TYPE_CHECKING:
    from tree_sitter import Node

MOST_ROUNDS = 20
"""Each parses the text again and mends one more variable of every word."""
_TWO_IN_A_WORD = re.compile(rb"(?:\$[A-Za-z_{]|[)`])[^\s\"']*\$[A-Za-z_]")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def braced(source: ShellText, root: Node) -> LogicalText | None:
    """The text with braces around the names that the parser left behind; None when there are none.

    The braces point at the name they enclose, so every other character keeps its place in the file.
    """
    if not _TWO_IN_A_WORD.search(source.data):
        return None
    logical = source.logical
    text, offsets, at = [], [], 0
    for dollar in sorted(_lone_dollars(root)):
        start = source.char(dollar) + 1
        name = _NAME.match(logical.text, start)
        if not name or start < at:
            continue
        text += [logical.text[at:start], "{", name[0], "}"]
        offsets += [*logical.offsets[at:start], logical.offsets[start], *logical.offsets[start : name.end()]]
        offsets.append(logical.offsets[name.end()])
        at = name.end()
    if not at:
        return None
    return LogicalText("".join([*text, logical.text[at:]]), (*offsets, *logical.offsets[at:]))


def _lone_dollars(root: Node) -> list[int]:
    """The byte offsets of the ``$`` with which a concatenation ends."""
    found: list[int] = []
    todo = [root]
    while todo:
        node = todo.pop()
        todo += node.children
        if node.type == "concatenation" and node.children and node.children[-1].type == "$":
            found.append(node.children[-1].start_byte)
    return found
