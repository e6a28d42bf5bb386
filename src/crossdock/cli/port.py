"""crossdock port: rewrite a project for both architectures."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from crossdock.cli.explain import find_rule
from crossdock.cli.options import (
    build_arg_option,
    build_arguments,
    configs,
    file_option,
    format_option,
    locate_dockerfile,
    near,
    offline_option,
    outside,
    package_indexes,
    read_source,
)
from crossdock.cli.output import style_of, waiting_for, write, write_exact
from crossdock.errors import ExitCode
from crossdock.findings import Finding, Severity
from crossdock.fixes.port import PortResult, port, write_changes
from crossdock.read.context import Context, load_context
from crossdock.read.dockerfile import parse
from crossdock.read.files import is_dockerfile_name
from crossdock.read.trace import trace
from crossdock.source import Source


@click.command("port")
@click.argument("path", default=".", metavar="[PATH]", type=click.Path(path_type=Path))
@click.option(
    "--write", "write_files", is_flag=True, help="Apply the diff: every file, or none if one cannot be written."
)
@click.option("--unsafe", is_flag=True, help="Also apply fixes that may change what the amd64 image does.")
@click.option("--cross", is_flag=True, help="Also let stages run on the build platform that need not be emulated.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Fix only what this rule finds. Repeatable.")
@file_option
@build_arg_option
@offline_option
@format_option
def command(
    *,
    path: Path,
    write_files: bool,
    unsafe: bool,
    cross: bool,
    rules: tuple[str, ...],
    file: Path | None,
    build_args: tuple[str, ...],
    offline: bool,
    format_: str,
) -> int:
    """Rewrite a Dockerfile, and the scripts that it copies and runs, so that it builds for amd64 and arm64.

    PATH may also be one compose file, Kubernetes manifest, workflow, pipeline or bake file.

    The diff goes to standard output, and what was fixed or not, and why, to standard error; no file is changed without
    --write. Safe fixes leave the amd64 image as it was, and the arm64 file they rely on was seen to exist.

    --cross writes FROM --platform=$BUILDPLATFORM where a stage's output does not depend on the machine that makes it:
    safe for Go without cgo (with GOARCH=$TARGETARCH), if all that other stages take is what `go build` wrote; with
    --unsafe also for class files and bundles for browsers. `crossdock plan` tells what it would bring.

    Exit code: 0 nothing is left to fix, 1 errors or warnings are left, 3 it could not be done.

    \b
    Examples:
      crossdock port .
      crossdock port . | git apply
      crossdock port --write .
      crossdock port --cross .
      crossdock port --unsafe .github/workflows/image.yaml
      crossdock port --rule amd64-download --rule pinned-platform .
      crossdock port --unsafe -f docker/Dockerfile .
    """
    for name in rules:
        find_rule(name)
    wanted = (lambda finding: finding.rule in rules) if rules else _everything
    with outside(offline) as world, package_indexes(offline) as ask, waiting_for("Looking for fixes"):
        if file is None and path.is_file() and not is_dockerfile_name(path.name):
            from crossdock.fixes.port_other import port_other

            result = port_other(
                read_source(near(path)),
                environ=os.environ,
                prober=world.prober,
                look_up=world.look_up,
                reason_to_ignore=configs().reason_to_ignore,
                unsafe=unsafe,
                wanted=wanted,
            )
        else:
            dockerfile, folder = locate_dockerfile(path, file)
            arguments = build_arguments(build_args)
            result = port(
                read_source(dockerfile),
                context=load_context(folder, dockerfile),
                build_args=arguments,
                prober=world.prober,
                ask=ask,
                look_up=world.look_up,
                reason_to_ignore=configs().reason_to_ignore,
                unsafe=unsafe,
                wanted=wanted,
                further=(lambda source, context: _crossing(source, context, arguments)) if cross else None,
            )
    if write_files:
        write_changes(result.changes)
    _show(result, format_, written=write_files and bool(result.changes))
    left = any(decision.finding.severity is not Severity.INFO for decision in result.left)
    return ExitCode.FINDINGS if left else ExitCode.DONE


def _everything(_: Finding) -> bool:
    return True


def _crossing(source: Source, context: Context | None, build_args: Mapping[str, str]) -> tuple[Finding, ...]:
    from crossdock.plan.cross import cross_findings

    return cross_findings(trace(parse(source), context=context, build_args=build_args), context)


def _show(result: PortResult, format_: str, *, written: bool) -> None:
    if format_ == "json":
        from crossdock.report.json import encode, port_report

        write(encode(port_report(result, written=written)))
        return
    from crossdock.report.terminal import diff_text, port_text

    diff = "".join(change.diff() for change in result.changes)
    style = style_of(sys.stdout)
    if style.colour:
        write(diff_text(diff, style))
    else:
        write_exact(diff)
    write(port_text(result, style_of(sys.stderr), written=written), sys.stderr)
