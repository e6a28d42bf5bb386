"""crossdock build: check, port in memory, plan, build, verify, then push, load or export what was verified."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crossdock.cli.options import (
    DEFAULT_PLATFORMS,
    build_arguments,
    configs,
    engine_option,
    file_option,
    format_option,
    locate_dockerfile,
    offline_option,
    outside,
    plain_http_option,
    platform_option,
    read_source,
    smoke_timeout_option,
)
from crossdock.cli.outputs import Destination, Output, parse_outputs
from crossdock.cli.publishing import check_outputs, load_warning, publish
from crossdock.errors import ExitCode
from crossdock.platforms import DEFAULT_TARGETS, Platform, host_platform
from crossdock.process import Runner, SystemRunner, uninterrupted
from crossdock.source import write_atomically

if TYPE_CHECKING:
    from crossdock.cli.talk import Talk
    from crossdock.config import Allowed
    from crossdock.engines.model import BuildRequest, Engine
    from crossdock.fixes.port import PortResult
    from crossdock.plan.model import BuildPlan
    from crossdock.verify.model import VerifyResult

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before anything runs."""

    ported: PortResult
    plan: BuildPlan
    request: BuildRequest
    allow: tuple[Allowed, ...]


def _repeated(name: str, parameter: str, metavar: str, help: str) -> Callable[[F], F]:
    names = name.split("/")
    return click.option(*names, parameter, multiple=True, metavar=metavar, help=help)


@click.command("build")
@click.argument("path", default=".", metavar="[PATH]", type=click.Path(path_type=Path))
@click.option("--port", "ports", is_flag=True, help="Mend the Dockerfile and its scripts first, in memory only.")
@click.option("--unsafe", is_flag=True, help="With --port: also apply fixes that may change the amd64 image.")
@click.option("--dry-run", is_flag=True, help="Stop after the plan; print the engine's exact commands.")
@platform_option("--platform", help=f"Platforms to build.  {DEFAULT_PLATFORMS}")
@engine_option
@click.option("--builder", "builder_name", default="", metavar="NAME", help="A builder of buildx (crossdock builder).")
@click.option("--fix-binfmt", is_flag=True, help="Make the kernel run other platforms' programs first (root).")
@click.option("--no-assist", is_flag=True, help="Run every program of other platforms emulated, none natively.")
@click.option("--no-smoke", is_flag=True, help="Verify without starting the images.")
@smoke_timeout_option
@_repeated("-t/--tag", "tags", "NAME[:TAG]", "Name of the image. Repeatable.")
@file_option
@_repeated("--build-arg", "build_args", "NAME[=VALUE]", "Build argument. Repeatable.")
@click.option("--target", metavar="STAGE", help="Build up to this stage.")
@_repeated("--secret", "secrets", "id=ID[,src=FILE|,env=NAME]", "Secret for RUN --mount=type=secret. Repeatable.")
@_repeated("--ssh", "ssh", "default|ID[=SOCKET|KEY]", "SSH agent or key for RUN --mount=type=ssh. Repeatable.")
@_repeated("--label", "labels", "NAME=VALUE", "Label of the image. Repeatable.")
@click.option("--no-cache", is_flag=True, help="Build every step anew.")
@click.option("--pull", is_flag=True, help="Look for newer base images.")
@click.option("--network", metavar="MODE", help="Network of RUN: default, host or none.")
@_repeated("--cache-from", "cache_from", "SOURCE", "Cache to build from, as docker buildx build takes it. Repeatable.")
@_repeated("--cache-to", "cache_to", "TARGET", "Cache to write. Repeatable.")
@_repeated("--build-context", "build_contexts", "NAME=SOURCE", "Further context. Repeatable.")
@click.option("--push", is_flag=True, help="Push the verified image, under every -t.")
@click.option("--load", is_flag=True, help="Put the verified image into the engine's own store.")
@_repeated("-o/--output", "outputs", "type=oci,dest=FILE", "Write an OCI archive (tar=false: a layout). Repeatable.")
@click.option(
    "--metadata-file", type=click.Path(path_type=Path), metavar="FILE", help="Write digest and names as JSON."
)
@click.option(
    "--progress",
    type=click.Choice(["auto", "tty", "plain", "quiet"]),
    default="auto",
    show_default=True,
    help="tty redraws one line per platform; plain prints every line; quiet prints the digest alone.",
)
@offline_option
@plain_http_option
@format_option
def command(
    *,
    path: Path,
    ports: bool,
    unsafe: bool,
    dry_run: bool,
    platform: tuple[Platform, ...],
    engine: str,
    builder_name: str,
    fix_binfmt: bool,
    no_assist: bool,
    no_smoke: bool,
    smoke_timeout: float,
    file: Path | None,
    outputs: tuple[str, ...],
    push: bool,
    load: bool,
    metadata_file: Path | None,
    progress: str,
    offline: bool,
    plain_http: bool,
    format_: str,
    **flags: Any,
) -> int:
    """Build one image for several platforms, prove that each is what it says, and only then publish it.

    The flags of docker buildx build mean here what they mean there. Without --push, --load or -o the image is loaded
    into the engine if it has a name (-t), and otherwise only verified.

    Exit code: 0 built, verified and published, 1 verification failed (nothing is published), 2 wrong usage, 3 the build
    or the publishing failed.

    \b
    Examples:
      crossdock build --port .
      crossdock build --port --dry-run .
      crossdock build --port --push -t registry.example.com/team/app:1.0 .
      crossdock build --engine buildah -o type=oci,dest=app.tar -t app:1.0 .
    """
    from crossdock.assist.build import as_planned, build_assisted
    from crossdock.cli.talk import Talk
    from crossdock.engines.choose import choose
    from crossdock.host.binfmt import prepare_emulation
    from crossdock.report.built import Built

    talk = Talk(progress, as_json=format_ == "json")
    began = time.monotonic()
    destinations = parse_outputs(outputs, push=push, load=load) or _default_outputs(flags["tags"])
    check_outputs(destinations, flags["tags"])
    with _workspace() as work:
        prepared = _prepare(
            path, file, ports=ports, unsafe=unsafe, offline=offline, plain_http=plain_http,
            platforms=platform, flags=flags, work=work,
        )  # fmt: skip
        ported, plan, request = prepared.ported, prepared.plan, prepared.request
        talk.ported(ported, wanted=ports)
        runner = SystemRunner()
        builder = choose(engine, runner, builder=builder_name)
        info = builder.probe()
        if info.shares_kernel and info.builds_here and not no_assist:
            plan = _with_assistance(plan, request, talk, runner)
        built = Built(info, ported if ports else None, plan)
        if dry_run:
            wanted = as_planned(request, plan, work / "assist", host_platform())
            talk.finished(replace(built, commands=tuple(map(str, builder.commands(wanted, work)))))
            return ExitCode.DONE
        talk.planned(plan, info)
        if warning := load_warning(info, request.platforms, destinations):
            talk.say(warning)
        if info.shares_kernel:
            # Smoke runs start the images here, so they need what the build may not.
            building = plan.emulated() if info.builds_here else ()
            prepare_emulation(building if no_smoke else request.platforms, runner, fix=fix_binfmt)
        with talk.building(request.platforms) as on_event:
            layout = build_assisted(builder, request, plan, work, runner, on_event, talk.say, host=host_platform())
        talk.say("Verifying")
        smoke_seconds = None if no_smoke else smoke_timeout
        verified = _verify(builder, layout, request, allow=prepared.allow, smoke_seconds=smoke_seconds)
        published: tuple[str, ...] = ()
        if verified.passed:
            for output in destinations:
                published += publish(
                    output, layout, tags=request.tags, platforms=request.platforms, engine=builder,
                    plain_http=plain_http, pushing=talk.pushing,
                )  # fmt: skip
            if metadata_file:
                _write_metadata(metadata_file, verified, request.tags)
    talk.finished(replace(built, verified=verified, published=published, seconds=time.monotonic() - began))
    return ExitCode.DONE if verified.passed else ExitCode.FINDINGS


@contextmanager
def _workspace() -> Iterator[Path]:
    """A folder for the Dockerfile, the layout and the engine's state; gone afterwards, whatever happens."""
    work = Path(tempfile.mkdtemp(prefix="crossdock-"))
    try:
        yield work
    finally:
        with uninterrupted():
            shutil.rmtree(work, ignore_errors=True)


def _prepare(
    path: Path, file: Path | None, *, ports: bool, unsafe: bool, offline: bool, plain_http: bool,
    platforms: tuple[Platform, ...], flags: dict[str, Any], work: Path,
) -> Prepared:  # fmt: skip
    """Read, check, port and plan. Nothing runs and nothing is written outside ``work``."""
    from crossdock.engines.model import BuildRequest
    from crossdock.engines.shadow import shadow_context
    from crossdock.fixes.port import port
    from crossdock.image.given import with_given
    from crossdock.plan.planner import make_plan
    from crossdock.read.context import load_context
    from crossdock.read.dockerfile import parse

    dockerfile, folder = locate_dockerfile(path, file)
    settings = configs()
    config = settings.of(dockerfile)
    platforms = platforms or config.platforms or DEFAULT_TARGETS
    build_args = build_arguments(flags["build_args"])
    context = load_context(folder, dockerfile)
    with outside(offline or not ports, plain_http) as world:
        ported = port(
            read_source(dockerfile),
            context=context,
            build_args=build_args,
            prober=world.prober,
            look_up=with_given(flags["build_contexts"], world.look_up),
            reason_to_ignore=settings.reason_to_ignore,
            unsafe=unsafe,
            wanted=lambda _: ports,
        )
    plan = make_plan(
        parse(ported.dockerfile), platforms, target=flags["target"], build_args=build_args, host=host_platform()
    )
    request = BuildRequest(
        context=shadow_context(ported.context or context, work),
        dockerfile=ported.dockerfile.data,
        ignore=context.ignore,
        platforms=platforms,
        **flags,
    )
    return Prepared(ported, plan, request, config.allow)


def _with_assistance(plan: BuildPlan, request: BuildRequest, talk: Talk, runner: Runner) -> BuildPlan:
    """The plan with native programs in emulated stages, where this machine can have them."""
    from crossdock.assist.registration import available
    from crossdock.plan.planner import make_plan
    from crossdock.read.dockerfile import parse
    from crossdock.source import Source

    host = host_platform()
    able = available(plan.emulated(), host, runner)
    if able.missing:
        talk.say(f"No native programs for emulated stages: {able.missing}.")
    return make_plan(
        parse(Source("Dockerfile", request.dockerfile)), plan.targets, host=host, target=request.target,
        build_args=build_arguments(request.build_args), assisted=able.platforms,
    )  # fmt: skip


def _default_outputs(tags: tuple[str, ...]) -> tuple[Output, ...]:
    """As docker build does: what has a name goes into the engine's store."""
    return (Output(Destination.ENGINE),) if tags else ()


def _verify(
    builder: Engine, layout: Path, request: BuildRequest, *, allow: tuple[Allowed, ...], smoke_seconds: float | None
) -> VerifyResult:
    from crossdock.image.layout import LayoutImage
    from crossdock.verify.image import verify_image
    from crossdock.verify.smoke import with_smoke_runs

    result = verify_image(LayoutImage(layout), require=request.platforms, allow=allow)
    if smoke_seconds is not None:
        seconds = smoke_seconds
        result = with_smoke_runs(result, lambda platform: builder.smoke(layout, platform, None, seconds))
    return replace(result, reference=request.tags[0] if request.tags else str(request.context))


def _write_metadata(path: Path, verified: VerifyResult, tags: tuple[str, ...]) -> None:
    """The two fields of buildx's metadata file that scripts read."""
    data = {"containerimage.digest": verified.digest, "image.name": ",".join(tags)}
    write_atomically(path, (json.dumps(data, indent=2) + "\n").encode())
