"""A rule's page as Markdown: what it finds, why that breaks, how to mend it, with its examples (docs/rules)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from crossdock.report.canvas import render, table
from crossdock.report.style import Style

if TYPE_CHECKING:
    from crossdock.rules.base import Example, Rule

_MARKED = re.compile("⟦(.*?)⟧", re.DOTALL)


def rule_page(rule: type[Rule]) -> str:
    """The whole page, which ``crossdock explain RULE`` prints and docs/rules holds."""
    what, why, how = rule.paragraphs()
    parts = [f"# {rule.id}", what, "## Why it breaks on arm64", why, "## What to do", how]
    if rule.INVALID:
        parts.append("## What it finds")
        for example in rule.INVALID:
            parts += _found_example(example)
    if rule.VALID:
        parts.append("## What it leaves alone")
        for example in rule.VALID:
            parts += [*_note(example), _block(example, example.text), *_around(example)]
    parts += [
        "## Where it does not apply",
        "Say so above the instruction or line, with the reason; reports repeat it:",
        f"```dockerfile\n# crossdock: ignore={rule.id} why this is meant to be so\n```",
        "For whole files or folders, say it in `crossdock.toml` (docs/configuration.md).",
    ]
    return "\n\n".join(parts) + "\n"


def rules_text(rules: Iterable[type[Rule]], style: Style) -> str:
    """Every rule with one sentence about what it finds."""
    return render(style, table(style, ("rule", "finds"), [(rule.id, rule.paragraphs()[0]) for rule in rules]))


def _found_example(example: Example) -> Iterator[str]:
    yield from _note(example)
    yield _block(example, example.text)
    yield from _around(example)
    marked = _MARKED.findall(example.text)
    for content in example.files.values():
        marked += _MARKED.findall(content.decode("utf-8", "replace"))
    if marked:
        yield "Found: " + ", ".join(f"`{' '.join(words.split())}`" for words in marked)
    if example.fixed is not None:
        yield "After the fix:"
        yield _block(example, example.fixed)


def _note(example: Example) -> list[str]:
    return [example.note[:1].upper() + example.note[1:]] if example.note else []


def _around(example: Example) -> Iterator[str]:
    """What else there is: files of the context, and what the registry has."""
    for name, content in example.files.items():
        try:
            text = _unmarked(content.decode())
        except UnicodeDecodeError:
            yield f"with `{name}`, a binary file"
        else:
            yield f"with `{name}`:\n\n```\n{text.rstrip()}\n```"
    has = [
        f"- `{name}`: {', '.join(str(have.platform) for have in found.platforms)}"
        for name, found in example.registry.items()
    ]
    if has:
        yield "where the registry has\n\n" + "\n".join(has)


def _block(example: Example, text: str) -> str:
    suffix = example.path.rpartition(".")[2] if "." in example.path else "dockerfile"
    language = "yaml" if suffix == "yml" else suffix
    return f"```{language}\n{_unmarked(text).rstrip()}\n```"


def _unmarked(text: str) -> str:
    return _MARKED.sub(r"\1", text)
