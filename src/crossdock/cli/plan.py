"""crossdock plan: how each stage would be built for each platform."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from crossdock.assist.packs import natively
from crossdock.assist.registration import Availability, available
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
from crossdock.cli.planning import builder_nodes
from crossdock.errors import ExitCode, UsageError
from crossdock.plan.planner import make_plan
from crossdock.platforms import DEFAULT_TARGETS, Platform, host_platform
from crossdock.process import SystemRunner
from crossdock.read.context import load_context
from crossdock.read.dockerfile import parse


@click.command("plan")
@click.argument("path", default=".", metavar="[PATH]", type=click.Path(path_type=Path))
@platform_option("--platform", help=f"Platforms to plan for.  {DEFAULT_PLATFORMS}")
@click.option("--target", metavar="STAGE", help="Plan up to this stage.")
@click.option("--explain", "explained", metavar="STAGE", help="Show what the plan for this stage rests on.")
@click.option("--estimate", "estimated", is_flag=True, help="Show how long each stage takes, compared with native.")
@click.option("--builder", "builder_name", default="", metavar="NAME", help="Plan for this builder's nodes.")
@file_option
@build_arg_option
@format_option
def command(
    *,
    path: Path,
    platform: tuple[Platform, ...],
    target: str | None,
    explained: str | None,
    estimated: bool,
    builder_name: str,
    file: Path | None,
    build_args: tuple[str, ...],
    format_: str,
) -> int:
    """Show how each stage of a Dockerfile would be built on this machine for each platform, and why.

    native: this machine, or a node of the builder, is of that architecture. neutral: the stage runs once for all
    platforms, or runs no program. cross: its toolchain targets the platform by itself. emulate: its programs run in an
    emulator. assist: emulated too, but the programs that the reason names run natively.

    --explain shows each command that the plan rests on, and what would change the strategy. --estimate shows multiples
    of the native time, from measured ratios (docs/planning.md). A hint is never done by itself.

    The Dockerfile is taken as it is; `crossdock build --port --dry-run` plans with what port would mend.

    \b
    Examples:
      crossdock plan .
      crossdock plan --platform linux/arm64 -f docker/Dockerfile .
      crossdock plan --explain build .
      crossdock plan --estimate --builder both .
      crossdock plan --format json .
    """
    dockerfile, folder = locate_dockerfile(path, file)
    platforms, host = platform or configs().of(dockerfile).platforms or DEFAULT_TARGETS, host_platform()
    runner = SystemRunner()
    nodes = builder_nodes(builder_name, runner) if builder_name else ()
    able = Availability() if nodes else available(platforms, host, runner)
    parsed = parse(read_source(dockerfile))
    if explained is not None and parsed.stage(explained) is None:
        names = ", ".join(stage.label for stage in parsed.stages)
        raise UsageError(f"there is no stage {explained!r}", where=str(dockerfile), hint=f"The stages: {names}.")
    plan = make_plan(
        parsed,
        platforms,
        host=host,
        assisted=able.platforms,
        natively=natively,
        nodes=nodes,
        target=target or explained,
        build_args=build_arguments(build_args),
        context=load_context(folder, dockerfile),
    )
    if explained is not None:
        label = parsed.stage(explained)
        plan = replace(plan, stages=tuple(entry for entry in plan.stages if label and entry.stage == label.label))
    if format_ == "json":
        from crossdock.report.json import encode, plan_report

        write(encode(plan_report(plan)))
        return ExitCode.DONE
    from crossdock.report.planned import estimate_text, explain_text, plan_text

    style = style_of(sys.stdout)
    if explained is not None:
        write(explain_text(plan, able.missing, style))
    elif not estimated:
        write(plan_text(plan, style))
    if estimated:
        write(estimate_text(plan, style))
    if able.missing and plan.emulated() and explained is None:
        write(f"\nNo native programs for emulated stages: {able.missing}.\n", sys.stderr)
    return ExitCode.DONE
