"""crossdock check: what ties Dockerfiles and their scripts to amd64."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from crossdock.cli.messages import say_error
from crossdock.cli.options import (
    build_arg_option,
    build_arguments,
    file_option,
    format_option,
    near,
    offline_option,
    outside,
    read_source,
)
from crossdock.cli.output import style_of, waiting_for, write
from crossdock.errors import CrossdockError, ExitCode, InputError, UsageError
from crossdock.findings import Finding, Skipped
from crossdock.fixes.decide import decide
from crossdock.image.availability import ImagePlatforms
from crossdock.read.context import load_context
from crossdock.read.discover import find_dockerfiles
from crossdock.report.checked import Checked
from crossdock.rules.base import ImagesLookUp, Project
from crossdock.rules.check import check_project, read_project
from crossdock.rules.images import references
from crossdock.source import Source


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@file_option
@build_arg_option
@offline_option
@format_option
def command(
    paths: tuple[Path, ...], file: Path | None, build_args: tuple[str, ...], offline: bool, format_: str
) -> int:
    """Find what ties Dockerfiles, and the scripts that they copy and run, to amd64.

    PATH is a Dockerfile or a folder (default: the current one). In a folder every Dockerfile, Dockerfile.*,
    *.Dockerfile and Containerfile is checked that no .gitignore leaves out. Each finding says why it breaks on arm64,
    what to do, and which fix `crossdock port` has for it; whether the fix's arm64 file exists is looked up.

    Exit code: 0 nothing found, 1 errors or warnings found, 3 a file could not be read.

    \b
    Examples:
      crossdock check .
      crossdock check --offline services/*/Dockerfile
      crossdock check -f docker/Dockerfile.prod .
      crossdock check --format json . > findings.json
    """
    projects, skipped = _projects(paths or (Path(),), file)
    checked, failures = _check(projects, skipped, build_arguments(build_args), offline)
    if format_ == "json":
        from crossdock.report.json import check_report, encode

        write(encode(check_report(checked)))
    elif checked.files or not failures:
        from crossdock.report.terminal import check_text

        write(check_text(checked, style_of(sys.stdout)))
    for failure in failures:
        say_error(failure)
    if failures:
        return ExitCode.CANNOT
    return ExitCode.FINDINGS if checked.wrong else ExitCode.DONE


def _projects(paths: Sequence[Path], file: Path | None) -> tuple[list[tuple[Path, Path]], tuple[Skipped, ...]]:
    """Each Dockerfile with its context folder. Raises InputError when a folder holds none."""
    paths = [near(path) for path in paths]
    if file is None:
        found, skipped = find_dockerfiles(paths)
        if not found:
            raise InputError(
                "no Dockerfile or Containerfile here",
                where=", ".join(map(str, paths)),
                hint="Name the file: crossdock check -f FILE.",
            )
        return [(path, path.parent) for path in found], skipped
    if len(paths) > 1:
        raise UsageError("-f FILE belongs to one PATH, its context", hint="Name the Dockerfiles as PATHs instead.")
    return [(near(file), paths[0])], ()


def _check(
    files: Sequence[tuple[Path, Path]], skipped: tuple[Skipped, ...], build_args: Mapping[str, str], offline: bool
) -> tuple[Checked, list[CrossdockError]]:
    """Check every Dockerfile; one that cannot be read does not keep the others from being checked."""
    findings: list[Finding] = []
    left_out = list(skipped)
    failures: list[CrossdockError] = []
    projects: list[Project] = []
    for path, folder in files:
        try:
            context = load_context(folder, path)
            projects.append(read_project(read_source(path), context=context, build_args=build_args))
        except CrossdockError as error:
            failures.append(error)
            left_out.append(Skipped(str(path), error.what))
    if offline and any(project.images for project in projects):
        left_out.append(Skipped("the platforms of images", "not looked up: --offline"))
    with outside(offline) as world:
        registry = _look_up_images(projects, world.look_up)
        for project in projects:
            report = check_project(project, registry)
            findings += report.findings
            left_out += report.skipped
        with waiting_for(f"Looking for fixes of {len(findings)} findings"):
            decisions = decide(findings, world.prober)
    sources = {project.dockerfile.source.path: project.dockerfile.source for project in projects}
    checked = tuple(sources)
    _add_sources(sources, findings)
    return Checked(checked, decisions, tuple(dict.fromkeys(left_out)), sources), failures


def _look_up_images(projects: Sequence[Project], look_up: ImagesLookUp | None) -> Mapping[str, ImagePlatforms] | None:
    """What registries say of the images of all projects, each asked for once; None when offline."""
    if look_up is None:
        return None
    asked = references(image for project in projects for image in project.images)
    with waiting_for(f"Looking up {len(asked)} images"):
        return look_up(asked)


def _add_sources(sources: dict[str, Source], findings: Sequence[Finding]) -> None:
    """The other files that findings point into: scripts of the context. One that has gone is shown without source."""
    for path in {finding.location.path for finding in findings} - sources.keys():
        with contextlib.suppress(InputError):
            sources[path] = read_source(Path(path))
