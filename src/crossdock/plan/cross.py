"""Stages that may run on the build platform: what ``port --cross`` writes into a Dockerfile, and how sure that is.

Go without cgo compiles for any architecture by itself, and its output does not depend on the machine
(https://go.dev/blog/rebuild). So a stage whose commands are all known, and from which only what ``go build`` wrote or
what is alike everywhere is taken, can run on the build platform: safe. A stage from which only class files or a bundle
for browsers are taken can as well, but what a build tool puts into these is not seen: unsafe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from posixpath import normpath

from crossdock.findings import Confidence, Finding, Fix, Safety, Severity, locate
from crossdock.plan.opportunity import copied_from
from crossdock.plan.work import UNKNOWN, Evidence, Files, Kind, Makes, evidence
from crossdock.read.context import Context
from crossdock.read.pieces import HOLE
from crossdock.read.shell_model import Command, resolve
from crossdock.read.trace import Role, StageTrace, Step, Trace
from crossdock.read.values import literal
from crossdock.source import Edit, Span

RULE = "emulated-cross-build"
"""The name under which findings stand."""
_WHY = "The stage's programs are emulated for every platform but the machine's own, 12 to 23 times slower."
_HELP = "FROM --platform=$BUILDPLATFORM lets the stage run natively, and its output is for the target all the same."
_PLATFORM_ARGUMENTS = re.compile(r"(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)")
_GO_VERBS = re.compile(r"(?:build|mod|vet|test|version|fmt|list)$")
_CHOSEN = ("GOARCH", "GOARM64", "GOAMD64", "GOEXPERIMENT")
"""Variables by which a project says itself what Go compiles for."""
_TELLS_MACHINE = frozenset("uname arch getconf lscpu dpkg-architecture xx-info".split())
_LEAVES_ALONE = frozenset("chmod chown ls stat test [ echo file du sha256sum md5sum mkdir rm find".split())
"""Commands that may name what was compiled: they neither run nor change it."""
_ALIKE = re.compile(r"/etc/(?:ssl/certs(?:/.*)?|passwd|group|nsswitch\.conf|mime\.types)|/usr/share/zoneinfo(?:/.*)?")
"""Files of distributions that are alike on every architecture: certificates, time zones, lists of text."""
_CLASSES = re.compile(r"\.(?:jar|war|ear)$")
_BUNDLE = re.compile(r"(?:^|/)(?:dist|build|public|www|html|out|static|_site|site)(?:/.*)?$")
_JAVA, _BUNDLER = frozenset({"maven", "gradle", "javac"}), frozenset({"node-bundle"})
_BUILD_FILES = re.compile(r"(?:^|/)(?:pom\.xml|build\.gradle(?:\.kts)?|settings\.gradle(?:\.kts)?|.*\.versions\.toml)$")
_NATIVE_PARTS = re.compile(
    rb"os\.detected|os-maven-plugin|osdetector|<classifier>[^<]*(?:linux|osx|windows|x86|aarch)|natives-|javacpp|<arch>"
    rb"|os\.arch|jlink|jpackage|native-image|graalvm|protoc|exec-maven|frontend-maven"
)
"""What in a Java build chooses or makes parts for one machine."""


def cross_findings(found: Trace, context: Context | None) -> tuple[Finding, ...]:
    """One for each stage that may run on the build platform, with the fix that makes it so."""
    findings: list[Finding] = []
    for stage in found.stages:
        if _is_candidate(stage, found):
            findings += _findings(stage, found, context)
    return tuple(findings)


def _is_candidate(stage: StageTrace, found: Trace) -> bool:
    """A stage from an image of its own that other stages take files from, and that asks for no architecture."""
    if stage.role is Role.BUILD or stage.is_image or not stage.reaches_image or stage.amd64_only:
        return False
    if stage.platform is not None or stage.parent is not None or HOLE in stage.base.render():
        return False
    if any(step.copied_from is not None for step in stage.steps) or stage.needs:
        return False  # what it has from elsewhere is for the target, and its commands may run it
    arguments = [word.text for step in stage.steps for word in step.declared]
    written = found.dockerfile.source.text(stage.stage.from_.span)
    return not any(map(_PLATFORM_ARGUMENTS.match, arguments)) and not _PLATFORM_ARGUMENTS.search(written)


def _findings(stage: StageTrace, found: Trace, context: Context | None) -> Iterator[Finding]:
    commands = [(step, command) for step in stage.steps for command in step.commands if command.name]
    shown = evidence(stage, found.dockerfile.source, Files(context))
    if not shown or any(step.scripts for step in stage.steps if step.instruction.keyword == "RUN"):
        return
    if any(one.work is UNKNOWN or one.work.makes is Makes.MACHINE for one in shown):
        return
    if any(_tells_machine(command) for _, command in commands):
        return
    taken = [normpath("/" + path.lstrip("/")) for path in copied_from(stage, found)]
    if not taken or any(HOLE in path or "*" in path for path in taken if not _CLASSES.search(path)):
        return
    heavy = {one.work.name for one in shown if one.work.kind in (Kind.COMPILE, Kind.PROGRAM)}
    from_ = stage.stage.from_
    platform = Edit(found.dockerfile.source.path, Span(from_.keyword_span.end, from_.keyword_span.end), _FROM)
    location = locate(found.dockerfile.source, from_.span)

    def finding(message: str, fix: Fix) -> Finding:
        return Finding(RULE, Severity.INFO, Confidence.HIGH, location, message, _WHY, _HELP, (fix,))

    if heavy == {"go"}:
        edits = _go_edits(stage, found, commands, taken)
        if edits:
            title = "compile on the build platform, for the target: --platform=$BUILDPLATFORM and GOARCH=$TARGETARCH"
            yield finding(
                "Go without cgo compiles for every architecture by itself, and is emulated here",
                Fix(title, Safety.SAFE, (platform, *edits)),
            )
        return
    what = _alike(heavy, taken, shown, stage, context)
    if what:
        yield finding(
            f"what other stages take of it, {what}, does not depend on the architecture, and it is emulated here",
            Fix(
                "build once, on the build platform: --platform=$BUILDPLATFORM",
                Safety.UNSAFE,
                (platform,),
                doubt=f"what the build tool puts into {what} was not seen",
            ),
        )


_FROM = b" --platform=$BUILDPLATFORM"


def _tells_machine(command: Command) -> bool:
    words = " ".join(word.text for word in command.arguments)
    if command.name == "dpkg":
        return "--print-architecture" in words
    if command.name == "apk":
        return "--print-arch" in words
    if command.name == "go":
        return words.startswith("env")
    if command.name == "rpm":
        return re.search(r"(^|\s)(-E|--eval)\b", words) is not None
    return command.name in _TELLS_MACHINE


# ---------------------------------------------------------------- Go


def _go_edits(
    stage: StageTrace, found: Trace, commands: Sequence[tuple[Step, Command]], taken: Sequence[str]
) -> list[Edit]:
    """GOARCH before each ``go build``, and the argument that it needs; empty where it is not proven right."""
    builds: list[tuple[Step, Command]] = []
    outputs: list[str] = []
    for step, command in commands:
        if command.name != "go":
            continue
        verb = command.arguments[0].text if command.arguments else ""
        if not _GO_VERBS.match(verb):
            return []
        if verb == "build":
            output = _output(command)
            if not output or not _may_be_prefixed(step, command, found):
                return []
            outputs.append(output)
            builds.append((step, command))
    if not builds or not all(_is_of(path, outputs) or _is_alike(path, stage) for path in taken):
        return []
    if any(_touches(command, outputs) for _, command in commands):
        return []
    path = found.dockerfile.source.path
    starts = dict.fromkeys(command.words[0].origin.span.start for _, command in builds)
    first = builds[0][0].instruction
    at = first.comments[0].start if first.comments else first.span.start
    newline = found.dockerfile.source.newline
    keyword = b"arg" if found.dockerfile.source.text(first.keyword_span).islower() else b"ARG"
    # Right before it is used: what stands above it has one cache for all targets.
    declared = Edit(path, Span(at, at), keyword + b" TARGETARCH" + newline)
    return [declared, *(Edit(path, Span(start, start), b"GOARCH=$TARGETARCH ") for start in starts)]


def _output(command: Command) -> str:
    """The absolute path that ``go build -o`` names; empty where it names none that is known."""
    words = [word.text for word in command.arguments]
    named = [after for before, after in pairwise(words) if before in {"-o", "--o"}]
    named += [word.partition("=")[2] for word in words if re.match(r"--?o=", word)]
    if len(named) != 1 or not named[0]:
        return ""
    place = resolve(command.directory, literal(named[0])).render()
    if HOLE in place or not place.startswith("/"):
        return ""
    return normpath(place) + ("/" if place.endswith("/") else "")


def _may_be_prefixed(step: Step, command: Command, found: Trace) -> bool:
    """Whether ``GOARCH=…`` can stand before it, and nothing else says what it is for."""
    if not command.certain or step.instruction.exec_form:
        return False
    system = command.variable("GOOS")
    if (system is not None and system.text != "linux") or any(command.variable(name) is not None for name in _CHOSEN):
        return False
    span = command.words[0].origin.span
    before = found.dockerfile.source.data[span.start - 1 : span.start]
    return found.dockerfile.source.text(span) == "go" and before in {b" ", b"\t", b"\n", b"(", b";", b"&", b"|"}


def _is_of(path: str, outputs: Sequence[str]) -> bool:
    return any(path == output or (output.endswith("/") and path.startswith(output)) for output in outputs)


def _is_alike(path: str, stage: StageTrace) -> bool:
    """Files that the stage has from the context, and files of distributions that are alike everywhere."""
    if _ALIKE.fullmatch(path):
        return True
    copied = [copied for step in stage.steps for copied in step.copies]
    return any(path == one.place and "*" not in one.source for one in copied if one.source not in {".", ""})


def _touches(command: Command, outputs: Sequence[str]) -> bool:
    """Whether a command may run or change what was compiled."""
    if command.name == "go" or not command.words:
        return False
    named = [normpath(resolve(command.directory, word.value).render()) for word in command.words if word.text]
    mine = [one for one in named if any(one == output.rstrip("/") or _is_of(one, [output]) for output in outputs)]
    if not mine:
        return False
    return command.name not in _LEAVES_ALONE or named[0] in mine


# ---------------------------------------------------------------- what is alike


def _alike(
    heavy: set[str], taken: Sequence[str], shown: Sequence[Evidence], stage: StageTrace, context: Context | None
) -> str:
    """What other stages take, in words, if it should be alike for every architecture; else empty."""
    if heavy and heavy <= _JAVA and all(_CLASSES.search(path) for path in taken):
        return "class files" if context is not None and not _names_native_parts(context) else ""
    makes = {one.work.makes for one in shown if one.work.name in heavy}
    if (
        heavy & _BUNDLER
        and makes <= {Makes.SAME, Makes.IMAGE}
        and all(_BUNDLE.search(path) or _is_alike(path, stage) for path in taken)
    ):
        return "a bundle for browsers"
    return ""


def _names_native_parts(context: Context) -> bool:
    for file in context.files():
        if _BUILD_FILES.search(file.path):
            data = context.read(file.path)
            if data and _NATIVE_PARTS.search(data):
                return True
    return False
