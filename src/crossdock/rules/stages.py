"""The idiom for ADD: one small stage for each architecture, and COPY from the one that TARGETARCH names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crossdock.read.trace import StageTrace, Step
from crossdock.rules.base import Project
from crossdock.rules.sinks import Mark
from crossdock.source import Edit, Span

_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})


def stage_per_architecture(
    project: Project, stage: StageTrace, step: Step, marks: tuple[Mark, ...], names: Mapping[str, str], *, slug: str
) -> tuple[tuple[Edit, ...], tuple[str, str] | None] | None:
    """The edits, and the placeholder and algorithm of the checksum where ADD has one. None when the instruction is not
    of the simple form (one URL and a destination)."""
    instruction = step.instruction
    if len(step.words) != 1 or step.destination is None or instruction.exec_form is not None or instruction.heredocs:
        return None
    source = project.dockerfile.source
    newline = source.newline.decode()
    url_span = step.words[0].origin.span
    url = source.text(url_span)
    arm_url = url
    for mark in sorted(marks, key=lambda mark: -mark.origin.span.start):
        if mark.origin.span not in url_span:
            return None
        low, high = mark.origin.span.start - url_span.start, mark.origin.span.end - url_span.start
        arm_url = arm_url[:low] + names[mark.token.text] + arm_url[high:]
    arguments = _arguments(project, stage, step, url)
    if arguments is None:
        return None
    into = _destination(step)
    stem = _free_name(project, slug.replace("_", "-"))
    kept = " ".join(source.text(flag.span) for flag in instruction.flags if flag.name != "checksum")
    checksum = instruction.flag("checksum")
    digest: tuple[str, str] | None = None
    amd_flag = arm_flag = ""
    if checksum:
        algorithm, _, hexadecimal = (checksum.value or "").partition(":")
        if algorithm not in _ALGORITHMS or "$" in hexadecimal:
            return None
        placeholder = f"digest-of-{slug}"
        digest = (placeholder, algorithm)
        amd_flag, arm_flag = f"--checksum={checksum.value} ", f"--checksum={algorithm}:{placeholder} "
    lines: list[str] = []
    for architecture, address, flag in (("amd64", url, amd_flag), ("arm64", arm_url, arm_flag)):
        lines += [f"FROM scratch AS {stem}-{architecture}", *arguments, f"ADD {flag}{address} /{stem}", ""]
    lines += [f"FROM {stem}-${{TARGETARCH}} AS {stem}", "", ""]
    at = _before(project, stage)
    renamed = _numbers_to_names(project, stage)
    if renamed is None:
        return None
    copy = f"COPY --from={stem} " + (f"{kept} " if kept else "") + f"/{stem} {into}"
    whole = Span(instruction.keyword_span.start, step.destination.origin.span.end)
    edits = (
        Edit(source.path, Span(at, at), newline.join(lines).encode()),
        Edit(source.path, whole, copy.encode()),
        *renamed,
    )
    return edits, digest


def _destination(step: Step) -> str:
    """Where the file goes; in a folder it keeps the name that ADD gave it, so that what follows finds it."""
    if step.destination is None:
        return ""
    into = step.destination.text
    name = step.words[0].text.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    if into.endswith("/") or into in {".", ".."}:
        return f"{into.rstrip('/')}/{name}"
    return into


def _numbers_to_names(project: Project, stage: StageTrace) -> list[Edit] | None:
    """New stages shift the numbers of those that follow: references by number become references by name. None when
    one cannot be rewritten."""
    source = project.dockerfile.source
    edits: list[Edit] = []
    for other in project.dockerfile.stages:
        for instruction in other.instructions:
            for flag in instruction.flags:
                value = flag.value or ""
                if flag.name == "mount" and re.search(r"(?:^|,)from=\d+(?:,|$)", value):
                    return None
                if flag.name != "from" or not value.isdecimal() or flag.value_span is None:
                    continue
                if int(value) < stage.stage.index:
                    continue
                named = project.dockerfile.stages[int(value)]
                name = named.name or f"stage-{value}"
                if named.name is None:
                    end = named.from_.span.end
                    edits.append(Edit(source.path, Span(end, end), f" AS {name}".encode()))
                edits.append(Edit(source.path, flag.value_span, name.encode()))
    return edits


def _before(project: Project, stage: StageTrace) -> int:
    """The beginning of the stage's FROM, or of the comments that stand directly above it."""
    source = project.dockerfile.source
    start = stage.stage.from_.span.start
    line = source.position(start).line
    while line > 1:
        above = source.text(source.line_span(line - 1)).lstrip()
        if not above.startswith("#") or re.match(r"#\s*(?:syntax|escape|check)\s*=", above):
            break
        line -= 1
    return source.line_span(line).start


def _arguments(project: Project, stage: StageTrace, step: Step, url: str) -> list[str] | None:
    """ARG lines that the URL's variables need in a stage of their own, in the order of the file. None when one of them
    cannot be taken along."""
    wanted = set(_VARIABLE.findall(url))
    lines: list[str] = []
    source = project.dockerfile.source
    for earlier in reversed(stage.steps[: stage.steps.index(step)]):
        if earlier.instruction.keyword not in {"ARG", "ENV"}:
            continue
        for word in reversed(earlier.instruction.words):
            match = re.match(r"(\w+)(?:=|\s+)?(.*)$", word.text, re.DOTALL)
            if not match or match[1] not in wanted:
                continue
            wanted.discard(match[1])
            written = source.text(word.span)
            if "\n" in written:
                return None
            if earlier.instruction.keyword == "ENV" and "=" not in written.split(" ")[0]:
                name, _, value = written.partition(" ")
                written = f'{name}="{value.strip()}"'
            wanted |= set(_VARIABLE.findall(match[2]))
            lines.insert(0, f"ARG {written}")
    return None if wanted else lines


def _free_name(project: Project, name: str) -> str:
    """A stage name that no stage has."""
    taken = {stage.name.lower() for stage in project.dockerfile.stages if stage.name}
    candidate, number = name, 1
    while {candidate, f"{candidate}-amd64", f"{candidate}-arm64"} & taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
