"""crossdock run: an image of another architecture, on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from crossdock.cli.messages import say, say_error
from crossdock.cli.options import platform_option
from crossdock.cli.output import pass_on, waiting_for
from crossdock.engines.choose import RUN_NAMES, choose_to_run
from crossdock.engines.containers import ContainerEngine, Pull, RunRequest
from crossdock.errors import UsageError
from crossdock.host.binfmt import prepare_emulation
from crossdock.image.locate import open_local
from crossdock.image.model import Image
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.process import SystemRunner
from crossdock.verify.running import run_to_the_end

F = TypeVar("F", bound=Callable[..., Any])


def _repeated(name: str, parameter: str, metavar: str, help: str) -> Callable[[F], F]:
    return click.option(*name.split("/"), parameter, multiple=True, metavar=metavar, help=f"{help} Repeatable.")


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("image")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD...]")
@platform_option("--platform", help="The platform to run.  [default: linux/arm64, on Arm linux/amd64]")
@click.option(
    "--engine",
    type=click.Choice(RUN_NAMES),
    default="auto",
    show_default=True,
    help="The program that runs containers.",
)
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop it after this long.")
@click.option("--fix-binfmt", is_flag=True, help="Make the kernel run such programs first (root).")
@click.option(
    "--pull",
    type=click.Choice([one.value for one in Pull]),
    default="missing",
    show_default=True,
    help="When to pull IMAGE.",
)
@click.option("-i", "--interactive", is_flag=True, help="Standard input is the program's.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@_repeated("-e/--env", "env", "NAME[=VALUE]", "Environment variable.")
@_repeated("-v/--volume", "volumes", "SOURCE:TARGET[:ro]", "Folder or volume to mount.")
@_repeated("-p/--publish", "publish", "[HOST:]PORT", "Port to publish.")
@click.option("--network", metavar="MODE", help="Network: none, host, or one that the engine has.")
@click.option("--entrypoint", metavar="PROGRAM", help="Start this instead of the image's ENTRYPOINT.")
@click.option("-w", "--workdir", metavar="FOLDER", help="Folder to start in.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="User to run as.")
@click.option("--rm", "_rm", is_flag=True, help="Accepted; the container is always removed.")
def command(
    *,
    image: str,
    words: tuple[str, ...],
    platform: tuple[Platform, ...],
    engine: str,
    timeout: float | None,
    fix_binfmt: bool,
    pull: str,
    interactive: bool,
    tty: bool,
    _rm: bool,
    **flags: Any,
) -> int:
    """Run IMAGE, for another architecture than this machine's, and say why when it does not run.

    The flags of docker run mean here what they mean there, with Docker, podman or buildah. Emulation is looked for
    first. IMAGE is a reference, which the engine pulls, or a folder with an OCI layout or an archive, which is loaded
    under a name that is gone afterwards, as is the container. Options come before IMAGE.

    The platform is linux/arm64, on Arm machines linux/amd64; but what the engine has under this name for one other
    platform, or a file that has only one, is run as it is.

    Output, input and signals are the program's own; Ctrl-C gives it ten seconds to end, a second one ends it. What
    crossdock has to say comes afterwards on standard error: which file is missing or for another machine after an exec
    format error, a crash of the emulator, what the program was doing at the time limit.

    Exit code: the program's own; 124 stopped after --timeout, 126 it cannot be executed, 127 it is not there (as
    timeout, shells and docker run have it), 2 wrong usage, 3 nothing could be run, 130 interrupted.

    \b
    Examples:
      crossdock run alpine:3.20 -- uname -m
      crossdock run --timeout 30 HOST/team/app:1.0
      crossdock run -it --engine podman --platform linux/riscv64 debian:13 -- bash
      crossdock run app.tar
    """
    if interactive and tty and not os.isatty(0):
        raise UsageError("-t needs a terminal, and standard input is none", hint="Leave -t out.")
    runner = SystemRunner()
    content = open_local(image)
    runs = choose_to_run(engine, runner)
    facts = runs.probe()
    name = image.removeprefix("docker://")
    chosen = _platform(platform, name, content, runs)
    if facts.shares_kernel:
        prepare_emulation((chosen,), runner, fix=fix_binfmt, host=facts.host)
    request = RunRequest(
        image=name,
        platform=chosen,
        command=words[1:] if words[:1] == ("--",) else words,
        content=content,
        pull=Pull(pull),
        interactive=interactive,
        tty=tty,
        **flags,
    )

    def bringing() -> contextlib.AbstractContextManager[None]:
        return waiting_for(f"{'Loading' if content else 'Pulling'} {name} for {chosen}")

    with runs.create(request, bringing) as container:
        ended = run_to_the_end(container, request, facts, runner, timeout=timeout, write=pass_on, tell=say)
    if ended.error:
        say_error(ended.error)
    return ended.exit_code


def _platform(given: tuple[Platform, ...], name: str, content: Image | None, engine: ContainerEngine) -> Platform:
    """The platform to run, as the image has it. Raises UsageError where that is not clear."""
    if len(given) > 1:
        raise UsageError("--platform names several platforms", hint="Name the one to run.")
    host = engine.probe().host
    usual = AMD64 if host.architecture == ARM64.architecture else ARM64
    wanted = given[0] if given else usual
    if content is None:
        local = None if given else engine.local_platform(name)
        return local if local and not local.runs_natively_on(host) else wanted
    there = tuple(dict.fromkeys(entry.platform for entry in content.index().images if entry.platform))
    if not given and len(there) == 1:
        return there[0]
    fitting = [one for one in there if one == wanted] or [one for one in there if one.satisfies(wanted)]
    if not fitting:
        has = ", ".join(map(str, there)) or "none"
        raise UsageError(f"the image has no {wanted}; it has {has}", where=name, hint="Choose with --platform.")
    return fitting[0]
