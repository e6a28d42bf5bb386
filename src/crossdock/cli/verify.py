"""crossdock verify: whether an image is what its labels say."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

import click

from crossdock.cli.options import (
    configs,
    formats,
    plain_http_option,
    platform_option,
    read_source,
    registries,
    smoke_timeout_option,
)
from crossdock.cli.output import style_of, write
from crossdock.config import Allowed, Limits, parse_size
from crossdock.engines.choose import RUN_NAMES, choose_to_run
from crossdock.errors import EngineError, ExitCode, UsageError
from crossdock.image.locate import open_image
from crossdock.image.model import Image
from crossdock.image.registry_image import RegistryImage
from crossdock.image.stored import is_stored, open_stored
from crossdock.platforms import Platform
from crossdock.process import Runner, SystemRunner
from crossdock.read.model import Dockerfile
from crossdock.verify.assertions import Assertions, CommandTest, read_assertions
from crossdock.verify.attestation import Attestations, Policy, not_attested
from crossdock.verify.commands import check_commands
from crossdock.verify.image import verify_image
from crossdock.verify.limits import check_limits, weigh
from crossdock.verify.machines import Machine, machine_named
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.places import Place, Places, node_places
from crossdock.verify.remembered import Remembered, default_memory
from crossdock.verify.root import verify_root
from crossdock.verify.smoke import smoke_runs, with_smoke_runs

_ROOT = "rootfs:"


def _size(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    return None if value is None else parse_size(value)


@click.command("verify")
@click.argument("image")
@platform_option("--require", help="Platforms that must be there; all others that are there are checked as well.")
@platform_option("--platform", help="Check only these platforms.  [default: all]")
@click.option(
    "--machine",
    metavar="NAME",
    help="The arm64 programs have to start on this machine too: kunpeng-920, phytium-ft-2000, raspberry-pi-5 …",
)
@click.option(
    "--base", metavar="IMAGE", help="The image that it is built on: of what is wrong in its layers, that is told."
)
@click.option(
    "--dockerfile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What it was built from: of what is wrong, the instruction that brought it is told, with its line.",
)
@click.option(
    "--tests",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What files, config and commands have to be and do: container-structure-test's YAML. Repeatable.",
)
@click.option(
    "--attest",
    "attests",
    is_flag=True,
    help="When everything has passed, push a statement of that, unsigned, beside the image in its registry.",
)
@click.option(
    "--trust-attestation",
    "trusts",
    is_flag=True,
    help="Where such a statement answers what is asked here, believe it, though unsigned, and look at nothing.",
)
@click.option("--no-cache", is_flag=True, help="Look again at an image of a registry that was looked at before.")
@click.option("--strict", is_flag=True, help="A warning fails, too.")
@click.option(
    "--max-size", callback=_size, metavar="SIZE", help="What a platform's packed layers may be at most: 500MB, 1.5GB."
)
@click.option(
    "--max-size-difference",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="How much larger than the smallest a platform may be.",
)
@click.option("--max-layers", type=click.IntRange(min=1), metavar="N", help="How many layers a platform may have.")
@click.option("--no-smoke", is_flag=True, help="Do not start the images.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="'WORDS'",
    help="Start the image with these words in place of its CMD; it has to end with 0. Repeatable.",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="ADDRESS",
    help="Start platforms of its architecture there: ssh://user@host, or the name of a docker context. Repeatable.",
)
@smoke_timeout_option
@click.option(
    "--engine",
    type=click.Choice((*RUN_NAMES, "buildx")),
    default="auto",
    show_default=True,
    help="The program that runs images here (buildx means docker).",
)
@plain_http_option
@formats(sarif="SARIF 2.1.0", junit="JUnit XML for CI systems")
def command(
    *,
    image: str,
    require: tuple[Platform, ...],
    platform: tuple[Platform, ...],
    machine: str | None,
    base: str | None,
    dockerfile: Path | None,
    tests: tuple[Path, ...],
    attests: bool,
    trusts: bool,
    no_cache: bool,
    strict: bool,
    max_size: int | None,
    max_size_difference: float | None,
    max_layers: int | None,
    no_smoke: bool,
    runs: tuple[str, ...],
    nodes: tuple[str, ...],
    smoke_timeout: float,
    engine: str,
    plain_http: bool,
    format_: str,
) -> int:
    """Prove that IMAGE really is what its labels say, for every platform.

    IMAGE is a reference in a registry, a folder with an OCI layout, or an OCI or Docker archive (docker save); an image
    in a local store by skopeo's names, docker-daemon:IMAGE, containers-storage:IMAGE or containerd:IMAGE; or a root
    file system, as a folder or a tar (docker export), rootfs:PATH, of which only the binaries are compared. Compared
    are the index, the configuration, every binary in every layer, and the entrypoint with its interpreter, loader and
    libraries; then each platform's image is started without network, on a --node of its architecture or here, emulated,
    and its HEALTHCHECK is run. Where this machine cannot start it (no engine, no emulation), that is said and does not
    count as failed. Binaries that may be of another architecture are named, with
    the reason, in the current folder's crossdock.toml (docs/configuration.md).

    --attest writes an in-toto statement (SLSA's verification summary) of what was asked and that it has passed, as a
    referrer of the image. It is not signed: --trust-attestation is for repositories to which only those may write whom
    you believe. cosign can sign it; docs/verify.md shows how.

    Exit code: 0 every check passed, 1 a check failed, 3 the image could not be read.

    \b
    Examples:
      crossdock verify debian:12-slim
      crossdock verify --require linux/amd64,linux/arm64 HOST/team/app:1.0
      crossdock verify --machine kunpeng-920 HOST/team/app:1.0
      crossdock verify --base debian:12-slim HOST/team/app:1.0
      crossdock verify --dockerfile Dockerfile HOST/team/app:1.0
      crossdock verify --no-smoke app.tar
      crossdock verify --node ssh://user@arm-server --run '--version' HOST/team/app:1.0
      crossdock verify --max-size 200MB --max-size-difference 20 HOST/team/app:1.0
      crossdock verify --tests structure.yaml HOST/team/app:1.0
      crossdock verify --attest --require linux/amd64,linux/arm64 HOST/team/app:1.0
      crossdock verify --trust-attestation --no-smoke HOST/team/app:1.0
      crossdock verify docker-daemon:team/app:1.0
      crossdock verify --platform linux/arm64 rootfs:/mnt/sdcard
      crossdock verify --format json ./layout > verified.json
    """
    on = machine_named(machine) if machine else None
    wanted = read_assertions(map(read_source, tests)) if tests else None
    config = configs().of(Path())
    allow = config.allow
    limits = Limits(max_size, max_size_difference, max_layers)
    commands = tuple(_words(text) for text in runs)
    runner = SystemRunner()
    there = node_places(nodes, runner) if nodes else ()
    if image.startswith(_ROOT):
        if attests or trusts:
            raise _not_in_a_registry(image)
        if limits != Limits():
            hint = "Name the image that it is from, or leave --max-… out."
            raise UsageError("a root file system has no packed layers to limit", where=image, hint=hint)
        if base or dockerfile:
            hint = "Name the image that it is from, or leave --base and --dockerfile out."
            raise UsageError("a root file system has no layers, of which that could be told", where=image, hint=hint)
        result = verify_root(Path(image.removeprefix(_ROOT)), _only(image, (*require, *platform)), on, allow)
    else:
        with registries(plain_http) as reached:
            found = open_stored(image, runner) if is_stored(image) else open_image(image, reached)
            platforms = _wanted(found, require, platform)
            beside = None
            if attests or trusts:
                if not isinstance(found, RegistryImage):
                    raise _not_in_a_registry(image)
                asked = platforms or _there(found)
                policy = Policy(asked, on.name if on else "", strict, starts=not no_smoke, allow=allow)
                beside = Attestations(found.reference, found.root(), policy, reached)
            most = _over(limits, config.limits)
            # What the files of --tests ask, and --run, is in no attestation. Limits are looked at all the same.
            believes = trusts and not (wanted or commands)
            if known := beside.believed(found.name) if beside and believes else None:
                result = _with(known, check_limits(weigh(found, known.platforms), most))
            else:
                remembers = isinstance(found, RegistryImage) and not (no_cache or wanted or base or dockerfile)
                memory = default_memory(os.environ) if remembers else None
                below = open_image(base, reached) if base else None
                written = _parsed(dockerfile) if dockerfile else None
                result = _looked(found, platforms, on, wanted, allow, below, written, memory)
                result = _with(result, check_limits(weigh(found, result.platforms), most))
                asked_to_run = wanted.commands if wanted else ()
                if asked_to_run or not no_smoke:
                    smoke = None if no_smoke else commands
                    places = _places(there, engine, runner)
                    result = _run(found, result, smoke, asked_to_run, places, runner, smoke_timeout)
                if beside and attests:
                    said = beside.attest(result) if _is_good(result, strict) else not_attested()
                    result = _with(result, [said])
    write(_report(result, format_))
    return ExitCode.DONE if _is_good(result, strict) else ExitCode.FINDINGS


def _with(result: VerifyResult, more: Iterable[CheckResult]) -> VerifyResult:
    return replace(result, results=(*result.results, *more))


def _over(given: Limits, configured: Limits) -> Limits:
    """The command line's, and where it says nothing the project's."""
    pairs = ((getattr(given, one.name), getattr(configured, one.name)) for one in fields(Limits))
    return Limits(*(first if first is not None else second for first, second in pairs))


def _words(text: str) -> tuple[str, ...]:
    try:
        found = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--run {text!r} is no command: {error}", hint="Quote it as a shell would.") from error
    if not found:
        raise UsageError("--run names nothing to run", hint="Write --run '--version', or leave it out.")
    return found


def _run(
    image: Image,
    result: VerifyResult,
    smoke: tuple[tuple[str, ...], ...] | None,
    tests: tuple[CommandTest, ...],
    places: Places,
    runner: Runner,
    timeout: float,
) -> VerifyResult:
    """Start each platform's image, with the words of ``smoke`` or as it is, unless that is None; and run the tests'
    commands in it."""
    if smoke is not None:
        words = smoke
        result = with_smoke_runs(result, lambda platform: smoke_runs(image, platform, places, words, runner, timeout))
    for platform in result.platforms if tests else ():
        result = _with(result, check_commands(image, tests, platform, places, runner, timeout))
    return result


def _parsed(path: Path) -> Dockerfile:
    from crossdock.read.dockerfile import parse

    return parse(read_source(path))


def _places(nodes: tuple[Place, ...], engine: str, runner: Runner) -> Places:
    """Where images are started. An engine that was asked for has to answer; where there is none by itself, what cannot
    be started is told."""
    try:
        found = choose_to_run("docker" if engine == "buildx" else engine, runner)
    except EngineError as error:
        if engine != "auto":
            raise
        return Places(nodes, error, runner)
    return Places(nodes, Place(found, found.probe()), runner)


def _is_good(result: VerifyResult, strict: bool) -> bool:
    return result.passed and not (strict and result.count(Status.WARNING))


def _not_in_a_registry(image: str) -> UsageError:
    hint = "Push the image first, and verify its reference there."
    return UsageError("an attestation lies beside an image in a registry, and this is none", where=image, hint=hint)


def _looked(
    image: Image,
    platforms: tuple[Platform, ...],
    machine: Machine | None,
    wanted: Assertions | None,
    allow: tuple[Allowed, ...],
    base: Image | None,
    dockerfile: Dockerfile | None,
    memory: Remembered | None,
) -> VerifyResult:
    if memory and (known := memory.find(image.root().digest, platforms, machine, allow)):
        return replace(known, reference=image.name)
    result = verify_image(
        image, require=platforms, machine=machine, wanted=wanted, allow=allow, base=base, dockerfile=dockerfile
    )
    if memory:
        memory.keep(result, platforms, machine, allow)
    return result


def _report(result: VerifyResult, format_: str) -> str:
    from crossdock.report.json import encode, verify_report

    match format_:
        case "json":
            return encode(verify_report(result))
        case "sarif":
            from crossdock.report.sarif import verify_sarif

            return encode(verify_sarif(result))
        case "junit":
            from crossdock.report.junit import verify_junit

            return verify_junit(result)
        case _:
            from crossdock.report.terminal import verify_text

            return verify_text(result, style_of(sys.stdout))


def _only(image: str, platforms: tuple[Platform, ...]) -> Platform:
    """The one platform that a root file system is to be of."""
    if len(set(platforms)) != 1:
        hint = "Add --platform linux/arm64, or whichever it is for."
        raise UsageError("a root file system does not say which platform it is for", where=image, hint=hint)
    return platforms[0]


def _wanted(image: Image, require: tuple[Platform, ...], only: tuple[Platform, ...]) -> tuple[Platform, ...]:
    """What to check: those that must be there, and, unless ``only`` limits it, all that are there."""
    if only or not require:
        return tuple(dict.fromkeys((*require, *only)))
    return tuple(dict.fromkeys((*require, *_there(image))))


def _there(image: Image) -> tuple[Platform, ...]:
    return tuple(dict.fromkeys(entry.platform for entry in image.index().images if entry.platform is not None))
