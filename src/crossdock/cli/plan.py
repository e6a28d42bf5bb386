"""crossdock plan: how each stage would be built for each platform."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crossdock.assist.registration import available
from crossdock.cli.options import (
    DEFAULT_PLATFORMS,
    build_arg_option,
    build_arguments,
    configs,
    file_option,
    format_option,
    locate_dockerfile,
    platform_option,
    read_source,
)
from crossdock.cli.output import style_of, write
from crossdock.errors import ExitCode
from crossdock.plan.planner import make_plan
from crossdock.platforms import DEFAULT_TARGETS, Platform, host_platform
from crossdock.process import SystemRunner
from crossdock.read.dockerfile import parse


@click.command("plan")
@click.argument("path", default=".", metavar="[PATH]", type=click.Path(path_type=Path))
@platform_option("--platform", help=f"Platforms to plan for.  {DEFAULT_PLATFORMS}")
@click.option("--target", metavar="STAGE", help="Plan up to this stage.")
@file_option
@build_arg_option
@format_option
def command(
    *,
    path: Path,
    platform: tuple[Platform, ...],
    target: str | None,
    file: Path | None,
    build_args: tuple[str, ...],
    format_: str,
) -> int:
    """Show how each stage of a Dockerfile would be built on this machine for each platform, and why.

    native: this machine is of that architecture. neutral: the stage runs once for all platforms, or runs no program.
    cross: its toolchain targets the platform by itself. emulate: its programs run in an emulator. assist: emulated too,
    but compilers, shell tools and package managers run natively.

    The Dockerfile is taken as it is; `crossdock build --port --dry-run` plans with what port would mend.

    \b
    Examples:
      crossdock plan .
      crossdock plan --platform linux/arm64 -f docker/Dockerfile .
      crossdock plan --format json .
    """
    dockerfile, _ = locate_dockerfile(path, file)
    platforms, host = platform or configs().of(dockerfile).platforms or DEFAULT_TARGETS, host_platform()
    able = available(platforms, host, SystemRunner())
    plan = make_plan(
        parse(read_source(dockerfile)),
        platforms,
        host=host,
        assisted=able.platforms,
        target=target,
        build_args=build_arguments(build_args),
    )
    if format_ == "json":
        from crossdock.report.json import encode, plan_report

        write(encode(plan_report(plan)))
    else:
        from crossdock.report.terminal import plan_text

        write(plan_text(plan, style_of(sys.stdout)))
        if able.missing and plan.emulated():
            write(f"\nNo native programs for emulated stages: {able.missing}.\n", sys.stderr)
    return ExitCode.DONE
