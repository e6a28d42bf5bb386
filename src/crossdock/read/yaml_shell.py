"""Shell commands inside YAML: the scripts of workflows and pipelines, and the image builds among their commands.

Source: Docker's and Podman's command line references (build, buildx build, buildx bake), buildah-bud(1), and kaniko's
README (--custom-platform, once --customPlatform).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crossdock.platforms import AMD64
from crossdock.read.model import LogicalText
from crossdock.read.script import script_text
from crossdock.read.shell import evaluate
from crossdock.read.shell_model import Command, Machine, ShellWord
from crossdock.read.values import literal
from crossdock.read.yaml_model import YamlNode, YamlScalar, YamlSequence
from crossdock.source import Source, Span

_EXPRESSION = re.compile(r"\$\{\{.*?\}\}|\$\[\[.*?\]\]", re.DOTALL)
"""What GitHub (``${{ }}``) and GitLab (``$[[ ]]``) replace before a shell sees it."""
_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_BUILDS = (("build",), ("image", "build"), ("buildx", "build"), ("buildx", "b"), ("builder", "build"))
_WRAPPERS = frozenset({"sudo", "time", "exec", "env"})


@dataclass(frozen=True)
class ShellBuild:
    """A command that builds an image. ``platforms`` are what it names, None where that cannot be told; ``span`` is
    where they are written, or the command. ``publishes`` says that it pushes by itself."""

    platforms: tuple[str, ...] | None
    span: Span
    publishes: bool


def commands(source: Source, node: YamlScalar, environment: Mapping[str, str]) -> tuple[Command, ...]:
    """The commands of a script, as an amd64 runner reaches them; none where its text cannot be followed back to the
    file (folded scalars)."""
    text = _shell_text(source, node)
    if text is None:
        return ()
    variables = {name: literal(value) for name, value in environment.items() if "${{" not in value}
    return evaluate(text, source.path, variables=variables, machine=Machine(AMD64, AMD64)).commands


def image_build(command: Command) -> ShellBuild | None:
    """What a command builds an image for; None where it builds none."""
    words = list(command.words)
    while words and words[0].text in _WRAPPERS:
        words.pop(0)
    name = words[0].text.rsplit("/", 1)[-1] if words else ""
    plain = [word.text for word in words[1:] if not word.text.startswith("-")]
    options: tuple[str, ...] = ("--platform",)
    if name in _ENGINES:
        if not any(tuple(plain[: len(form)]) == form for form in _BUILDS):
            return None
    elif name == "buildah" and plain[:1] in (["build"], ["bud"]):
        pass
    elif name == "executor" and any("kaniko" in word.text for word in words[:1]):
        options = ("--custom-platform", "--customPlatform")
    else:
        return None
    found = _values(words, options)
    texts = [word.text for word in words]
    publishes = any(text == "--push" or "type=registry" in text for text in texts)
    publishes = publishes or (name == "executor" and "--no-push" not in texts)
    if not found:
        return ShellBuild((), command.origin.span, publishes)
    start, end = found[0].origin.span.start, found[-1].origin.span.end
    values = [word.value.text for word in found]
    if any(value is None for value in values):
        return ShellBuild(None, Span(start, end), publishes)
    joined = ",".join(value.partition("=")[2] if value.startswith("--") else value for value in values if value)
    return ShellBuild(tuple(part.strip() for part in joined.split(",") if part.strip()), Span(start, end), publishes)


def _values(words: list[ShellWord], options: tuple[str, ...]) -> list[ShellWord]:
    """The words that hold an option's values: the one that follows, or the whole ``--option=value``."""
    found = []
    for index, word in enumerate(words):
        if word.text in options and index + 1 < len(words):
            found.append(words[index + 1])
        elif word.text.partition("=")[0] in options:
            found.append(word)
    return found


def _shell_text(source: Source, node: YamlScalar) -> LogicalText | None:
    places = _places(source, node)
    if places is None:
        return None
    text = _EXPRESSION.sub(lambda match: re.sub(r"[^\n]", "@", match[0]), node.text)
    joined = script_text(Source(source.path, text.encode("utf-8", "surrogateescape")))
    return LogicalText(joined.text, tuple(places[offset] for offset in joined.offsets))


def _places(source: Source, node: YamlScalar) -> list[int] | None:
    """For each byte of a scalar's text, and its end, where it is written."""
    data = node.text.encode("utf-8", "surrogateescape")
    written = source.slice(node.span)
    if written == data:
        return [node.span.start + index for index in range(len(data) + 1)]
    if not written.startswith(b"|"):
        return None
    places: list[int] = []
    at = source.data.find(b"\n", node.span.start) + 1
    for line in data.splitlines(keepends=True):
        content = line.rstrip(b"\r\n")
        end = source.data.find(b"\n", at)
        end = len(source.data) if end == -1 else end
        raw = source.data[at:end].rstrip(b"\r")
        if not raw.endswith(content):
            return None
        first = at + len(raw) - len(content)
        places += (first + index for index in range(len(line)))
        at = end + 1
    return [*places, places[-1] + 1 if places else node.span.start]


def scripts(node: YamlNode | None) -> Iterator[YamlScalar]:
    """The scalars of a script: one, or a list, which may hold lists (GitLab takes what an alias stands for)."""
    if isinstance(node, YamlScalar):
        yield node
    for item in node.items if isinstance(node, YamlSequence) else ():
        yield from scripts(item)
