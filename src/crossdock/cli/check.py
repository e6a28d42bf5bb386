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
    formats,
    near,
    offline_option,
    prober,
    read_source,
)
from crossdock.cli.output import style_of, waiting_for, write
from crossdock.errors import CrossdockError, ExitCode, InputError, UsageError
from crossdock.findings import Finding, Skipped
from crossdock.fixes.decide import decide
from crossdock.read.context import load_context
from crossdock.read.discover import find_dockerfiles
from crossdock.report.checked import Checked
from crossdock.rules.check import check_dockerfile
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
      crossdock check --format sarif . > findings.sarif
    """
    projects, skipped = _projects(paths or (Path(),), file)
    checked, failures = _check(projects, skipped, build_arguments(build_args), offline)
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
    projects: Sequence[tuple[Path, Path]], skipped: tuple[Skipped, ...], build_args: Mapping[str, str], offline: bool
) -> tuple[Checked, list[CrossdockError]]:
    """Check every project; one that cannot be read does not keep the others from being checked."""
    findings: list[Finding] = []
    left_out = list(skipped)
    sources: dict[str, Source] = {}
    failures: list[CrossdockError] = []
    files: list[str] = []
    for path, folder in projects:
        try:
            source = read_source(path)
            report = check_dockerfile(source, context=load_context(folder, path), build_args=build_args)
        except CrossdockError as error:
            failures.append(error)
            left_out.append(Skipped(str(path), error.what))
            continue
        files.append(source.path)
        sources[source.path] = source
        findings += report.findings
        left_out += report.skipped
        _add_sources(sources, report.findings)
    with prober(offline) as http, waiting_for(f"Looking for fixes of {len(findings)} findings"):
        decisions = decide(findings, http)
    return Checked(tuple(files), decisions, tuple(left_out), sources), failures


def _add_sources(sources: dict[str, Source], findings: Sequence[Finding]) -> None:
    """The other files that findings point into: scripts of the context. One that has gone is shown without source."""
    for path in {finding.location.path for finding in findings} - sources.keys():
        with contextlib.suppress(InputError):
            sources[path] = read_source(Path(path))
