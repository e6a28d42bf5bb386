"""crossdock check: what ties Dockerfiles, their scripts, and files around them to amd64."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from crossdock.cli.messages import say_error
from crossdock.cli.options import (
    build_arg_option,
    build_arguments,
    configs,
    file_option,
    formats,
    near,
    offline_option,
    outside,
    package_indexes,
    read_source,
)
from crossdock.cli.output import style_of, waiting_for, write
from crossdock.config import Configs
from crossdock.errors import CrossdockError, ExitCode, InputError, UsageError
from crossdock.findings import Finding, Skipped
from crossdock.fixes.decide import decide
from crossdock.image.availability import ImagePlatforms
from crossdock.read.context import load_context
from crossdock.read.declared import Declared
from crossdock.read.discover import FoundFiles, find_files
from crossdock.read.files import read_declared
from crossdock.report.checked import Checked
from crossdock.rules.base import ImagesLookUp, Project
from crossdock.rules.check import check_declared, check_project, read_project
from crossdock.rules.images import declared_images, references
from crossdock.source import Source


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@file_option
@build_arg_option
@offline_option
@formats(sarif="SARIF 2.1.0 for code hosts")
def command(
    paths: tuple[Path, ...], file: Path | None, build_args: tuple[str, ...], offline: bool, format_: str
) -> int:
    """Find what ties Dockerfiles, the scripts that they copy and run, and what deploys them, to amd64.

    PATH is a file or a folder (default: the current one). In a folder every Dockerfile, Dockerfile.*, *.Dockerfile and
    Containerfile is checked that no .gitignore leaves out, and compose files, Kubernetes manifests, values of Helm
    charts, GitHub workflows, GitLab pipelines and bake files. Each finding says why it breaks on arm64, what to do, and
    which fix `crossdock port` has for it. Whether the fix's arm64 file exists, and which platforms images have, is
    looked up, and so are packages that are installed (apt, apk, pip, npm, Maven, RubyGems), where this machine is
    configured to get them.

    Exit code: 0 nothing found, 1 errors or warnings found, 3 a file could not be read.

    \b
    Examples:
      crossdock check .
      crossdock check --offline services/*/Dockerfile
      crossdock check -f docker/Dockerfile.prod .
      crossdock check compose.yaml .github/workflows/image.yaml
      crossdock check --format json . > findings.json
      crossdock check --format sarif . > findings.sarif
    """
    settings = configs()
    asked, skipped = _asked(paths or (Path(),), file, settings)
    checked, failures = _check(asked, skipped, build_arguments(build_args), offline, settings)
    if format_ == "json":
        from crossdock.report.json import check_report, encode

        write(encode(check_report(checked)))
    elif format_ == "sarif":
        from crossdock.report.json import encode
        from crossdock.report.sarif import check_sarif

        write(encode(check_sarif(checked)))
    elif checked.files or not failures:
        from crossdock.report.terminal import check_text

        write(check_text(checked, style_of(sys.stdout)))
    for failure in failures:
        say_error(failure)
    if failures:
        return ExitCode.CANNOT
    return ExitCode.FINDINGS if checked.wrong else ExitCode.DONE


@dataclass(frozen=True)
class _Asked:
    """What to check: Dockerfiles, each with its context folder, and other files, with whether somebody named them."""

    dockerfiles: tuple[tuple[Path, Path], ...] = ()
    others: tuple[tuple[Path, bool], ...] = ()


def _asked(paths: Sequence[Path], file: Path | None, settings: Configs) -> tuple[_Asked, tuple[Skipped, ...]]:
    """Raises InputError when a folder holds nothing to check."""
    paths = [near(path) for path in paths]
    if file is None:
        found = find_files(paths)
        found, excluded = _without_excluded(found, paths, settings)
        if not found.dockerfiles and not found.others:
            raise InputError(
                "no Dockerfile or Containerfile here",
                where=", ".join(map(str, paths)),
                hint="Name the file: crossdock check -f FILE.",
            )
        asked = _Asked(
            tuple((path, path.parent) for path in found.dockerfiles),
            tuple((path, path in paths) for path in found.others),
        )
        return asked, (*found.skipped, *excluded)
    if len(paths) > 1:
        raise UsageError("-f FILE belongs to one PATH, its context", hint="Name the Dockerfiles as PATHs instead.")
    return _Asked(((near(file), paths[0]),)), ()


def _check(
    asked: _Asked, skipped: tuple[Skipped, ...], build_args: Mapping[str, str], offline: bool, settings: Configs
) -> tuple[Checked, list[CrossdockError]]:
    """Check every file; one that cannot be read does not keep the others from being checked."""
    findings: list[Finding] = []
    left_out = list(skipped)
    failures: list[CrossdockError] = []
    others: list[Declared] = []
    projects: list[Project] = []
    for path, named in asked.others:
        try:
            others.append(read_declared(read_source(path), os.environ))
        except CrossdockError as error:
            failures += [error] if named else []
            left_out.append(Skipped(str(path), error.what))
    with package_indexes(offline) as ask, waiting_for("Looking packages up"):
        for path, folder in _with_contexts(asked.dockerfiles, others):
            try:
                context = load_context(folder, path)
                projects.append(read_project(read_source(path), context=context, build_args=build_args, ask=ask))
            except CrossdockError as error:
                failures.append(error)
                left_out.append(Skipped(str(path), error.what))
    images = [image for project in projects for image in project.images]
    images += [image for declared in others for image in declared_images(declared)]
    if offline and images:
        left_out.append(Skipped("the platforms of images", "not looked up: --offline"))
    with outside(offline) as world:
        registry = _look_up(references(images), world.look_up)
        reports = [check_project(project, registry, settings.reason_to_ignore) for project in projects]
        reports += [check_declared(declared, registry, settings.reason_to_ignore) for declared in others]
        for report in reports:
            findings += report.findings
            left_out += report.skipped
        with waiting_for(f"Looking for fixes of {len(findings)} findings"):
            decisions = decide(findings, world.prober)
    sources = {
        source.path: source for source in (*(p.dockerfile.source for p in projects), *(o.source for o in others))
    }
    checked = tuple(sources)
    _add_sources(sources, findings)
    return Checked(checked, decisions, tuple(dict.fromkeys(left_out)), sources), failures


def _without_excluded(
    found: FoundFiles, named: Sequence[Path], settings: Configs
) -> tuple[FoundFiles, tuple[Skipped, ...]]:
    """What the projects' settings do not exclude. A file that somebody named is checked all the same."""
    excluded = {
        path for path in (*found.dockerfiles, *found.others) if path not in named and settings.of(path).excludes(path)
    }
    kept = FoundFiles(
        tuple(path for path in found.dockerfiles if path not in excluded),
        tuple(path for path in found.others if path not in excluded),
        found.skipped,
    )
    return kept, tuple(Skipped(str(path), f"excluded by {settings.of(path).path}") for path in sorted(excluded))


def _with_contexts(found: Sequence[tuple[Path, Path]], others: Sequence[Declared]) -> list[tuple[Path, Path]]:
    """The Dockerfiles with the contexts that compose files give them, and those that only compose files name."""
    contexts = dict(found)
    named: dict[Path, Path] = {}
    for use in (use for declared in others for use in declared.dockerfiles):
        path, context = Path(use.path), Path(use.context)
        if path.is_file() and context.is_dir():
            named.setdefault(path, context)
    return [*(contexts | named).items()]


def _look_up(images: Sequence[str], look_up: ImagesLookUp | None) -> Mapping[str, ImagePlatforms] | None:
    """What registries say of the images of all files, each asked for once; None when offline."""
    if look_up is None:
        return None
    with waiting_for(f"Looking up {len(images)} images"):
        return look_up(images)


def _add_sources(sources: dict[str, Source], findings: Sequence[Finding]) -> None:
    """The other files that findings point into: scripts of the context. One that has gone is shown without source."""
    for path in {finding.location.path for finding in findings} - sources.keys():
        with contextlib.suppress(InputError):
            sources[path] = read_source(Path(path))
