"""Runs the rules over one Dockerfile and what it uses of its context."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from crossdock.errors import InputError
from crossdock.findings import Finding, Skipped
from crossdock.image.availability import ImagePlatforms
from crossdock.image.binary import HEAD_BYTES, Binary, identify
from crossdock.packages.answers import answer_all
from crossdock.packages.model import Ask
from crossdock.packages.requests import collect_requests
from crossdock.platforms import ARM64, Platform
from crossdock.read.context import Context
from crossdock.read.declared import Declared
from crossdock.read.dockerfile import parse
from crossdock.read.model import Dockerfile, Instruction
from crossdock.read.pieces import HOLE
from crossdock.read.trace import Trace, trace
from crossdock.rules import RULES
from crossdock.rules.base import ImagesLookUp, OtherFile, Project
from crossdock.rules.collect import collect
from crossdock.rules.images import UsedImage, declared_images, references, used_images
from crossdock.source import Source, Span

MOST_FILES = 20_000
"""Files of a context whose headers are read; a bigger context is reported as skipped."""
_IGNORE = re.compile(r"#\s*crossdock:\s*ignore\s*=\s*([\w-]+(?:\s*,\s*[\w-]+)*)\s*(.*)")


_NO_REASON = "ignored by a comment without a reason"


ReasonToIgnore = Callable[[Finding], str | None]
"""Why a finding does not count, as the project's settings have it; None where it does."""


def _count_all(_: Finding) -> str | None:
    return None


@dataclass(frozen=True)
class CheckReport:
    """What was found, by position, and what was not looked at."""

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]


def check_dockerfile(
    source: Source,
    *,
    context: Context | None,
    build_args: Mapping[str, str],
    target: Platform = ARM64,
    look_up: ImagesLookUp | None = None,
    ask: Ask | None = None,
    reason_to_ignore: ReasonToIgnore = _count_all,
) -> CheckReport:
    """Every finding of every rule. ``look_up`` asks registries for the images that are used, ``ask`` looks packages up;
    without them, what is known counts. ``reason_to_ignore`` leaves findings out. Raises InputError when the Dockerfile
    cannot be parsed or the context not read."""
    project = read_project(source, context=context, build_args=build_args, target=target, ask=ask)
    return check_project(project, look_up(references(project.images)) if look_up else None, reason_to_ignore)


def read_project(
    source: Source,
    *,
    context: Context | None,
    build_args: Mapping[str, str],
    target: Platform = ARM64,
    ask: Ask | None = None,
) -> Project:
    """What the rules look at, but for what registries say. Raises InputError as ``check_dockerfile``."""
    dockerfile = parse(source)
    traced = trace(dockerfile, context=context, build_args=build_args, target=target)
    binaries, left_out = _binaries(traced, context)
    sources = {source.path: source}
    for _, step in traced.steps:
        sources |= {run.source.path: run.source for run in step.scripts}
    requested = collect_requests(traced, context)
    packages, not_looked_up = answer_all(requested.requests, ask)
    sources |= {read.path: read for read in requested.sources}
    return Project(
        dockerfile,
        traced,
        collect(traced),
        binaries,
        sources,
        packages=packages,
        target=target,
        build_args=dict(build_args),
        images=used_images(traced),
        skipped=(*traced.skipped, *left_out, *requested.skipped, *not_looked_up),
    )


def check_project(
    project: Project,
    registry: Mapping[str, ImagePlatforms] | None = None,
    reason_to_ignore: ReasonToIgnore = _count_all,
) -> CheckReport:
    """Every finding of every rule. ``registry`` is what registries say of the images; None if none was asked."""
    source = project.dockerfile.source
    skipped = list(project.skipped)
    if registry is not None:
        skipped += _not_looked_up(project.images, registry, source)
        project = replace(project, registry=registry)
    ignores, complaints = _ignores(project.dockerfile)
    skipped += complaints
    findings: dict[tuple[str, str, Span], Finding] = {}
    for rule in RULES:
        for finding in rule().check(project):
            ignored = next((i.reason for i in ignores if i.covers(finding, source.path)), None)
            ignored = ignored or reason_to_ignore(finding)
            if ignored:
                skipped.append(Skipped(f"{finding.rule} at {finding.location}", ignored))
            else:
                findings.setdefault((finding.rule, finding.location.path, finding.location.span), finding)
    ordered = sorted(
        findings.values(), key=lambda f: (f.location.path != source.path, f.location.path, f.location.span)
    )
    return CheckReport(tuple(ordered), tuple(dict.fromkeys(skipped)))


def check_declared(
    declared: Declared,
    registry: Mapping[str, ImagePlatforms] | None = None,
    reason_to_ignore: ReasonToIgnore = _count_all,
) -> CheckReport:
    """Every finding of every rule in a file that is no Dockerfile. ``registry`` as in ``check_project``."""
    source, images = declared.source, declared_images(declared)
    skipped = list(declared.skipped)
    if registry is not None:
        skipped += _not_looked_up(images, registry, source)
    file = OtherFile(declared, images, registry or {})
    findings: dict[tuple[str, Span], Finding] = {}
    for rule in RULES:
        for finding in rule().check_other(file):
            reason = _reason_in_comment(source, finding) or reason_to_ignore(finding)
            if reason is None:
                findings.setdefault((finding.rule, finding.location.span), finding)
            else:
                skipped.append(Skipped(f"{finding.rule} at {finding.location}", reason))
    ordered = sorted(findings.values(), key=lambda finding: finding.location.span)
    return CheckReport(tuple(ordered), tuple(dict.fromkeys(skipped)))


def _reason_in_comment(source: Source, finding: Finding) -> str | None:
    """What a comment on the finding's line, or on lines of their own above it, says."""
    line = finding.location.line
    texts = [source.text(source.line_span(line))]
    while line > 1 and (above := source.text(source.line_span(line - 1)).strip()).startswith("#"):
        texts.append(above)
        line -= 1
    for text in texts:
        match = _IGNORE.search(text)
        if match and finding.rule in {name.strip() for name in match[1].split(",")}:
            return match[2].strip() or _NO_REASON
    return None


def _not_looked_up(
    images: tuple[UsedImage, ...], registry: Mapping[str, ImagePlatforms], source: Source
) -> Iterator[Skipped]:
    """The images of which nothing can be said, and why."""
    for image in images:
        if image.text is None:
            where = f"{source.path}:{source.position(image.span.start).line}"
            name = image.unknown
            why = f"{name} has no value; give it one with --build-arg {name}=…" if name else "its name is not known"
            yield Skipped(f"image {source.text(image.span)} in {where}", why)
        elif image.text in registry and (error := registry[image.text].error):
            yield Skipped(f"image {image.text}", error.what)


def _binaries(traced: Trace, context: Context | None) -> tuple[dict[str, Binary], list[Skipped]]:
    """Headers of the files that COPY and ADD take from the context."""
    found: dict[str, Binary] = {}
    if context is None:
        return found, []
    patterns = {
        word.text
        for _, step in traced.steps
        if step.instruction.keyword in {"COPY", "ADD"} and step.copied_from is None
        for word in step.words
        if "://" not in word.text and not word.text.startswith("<<") and HOLE not in word.text
    }
    paths = list(dict.fromkeys(path for pattern in sorted(patterns) for path in context.match(pattern)))
    skipped = []
    if len(paths) > MOST_FILES:
        skipped.append(
            Skipped("some files of the context", f"it has {len(paths)}, more than {MOST_FILES} are not read")
        )
    for path in paths[:MOST_FILES]:
        try:
            head = context.read(path, HEAD_BYTES)
        except InputError as error:
            skipped.append(Skipped(path, error.what))
            continue
        binary = identify(head) if head else None
        if binary:
            found[path] = binary
    return found, skipped


@dataclass(frozen=True)
class _Ignore:
    rules: frozenset[str]
    reason: str
    span: Span

    def covers(self, finding: Finding, path: str) -> bool:
        return finding.rule in self.rules and finding.location.path == path and finding.location.span in self.span


def _ignores(dockerfile: Dockerfile) -> tuple[list[_Ignore], list[Skipped]]:
    """The ``crossdock: ignore`` comments above instructions, and complaints about rules that do not exist."""
    known = {rule.id for rule in RULES}
    found: list[_Ignore] = []
    complaints: list[Skipped] = []
    for instruction, line, text in _comments(dockerfile):
        match = _IGNORE.match(text)
        if not match:
            continue
        names = [name.strip() for name in match[1].split(",")]
        for name in names:
            if name not in known:
                complaints.append(
                    Skipped(f"the comment at {dockerfile.source.path}:{line}", f"there is no rule called {name}")
                )
        found.append(_Ignore(frozenset(names), match[2].strip() or _NO_REASON, instruction.span))
    return found, complaints


def _comments(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, int, str]]:
    source = dockerfile.source
    if b"crossdock:" not in source.data:
        return
    for instruction in dockerfile.instructions:
        for span in instruction.comments:
            yield instruction, source.position(span.start).line, source.text(span)
