"""crossdock builder: builders of several machines, each for its own platform."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from crossdock.builders.nodes import Driver
from crossdock.cli.messages import say
from crossdock.cli.options import format_option, platform_option
from crossdock.cli.output import style_of, waiting_for, write
from crossdock.errors import ExitCode, InputError, UsageError
from crossdock.platforms import Platform
from crossdock.process import SystemRunner

F = TypeVar("F", bound=Callable[..., Any])
REGISTRY = "HOST[,mirror=HOST][,http][,insecure][,ca=FILE][,cert=FILE,key=FILE]"


def _registry_option(help: str, *, required: bool = False) -> Callable[[F], F]:
    return click.option(
        "--registry", "registries", multiple=True, required=required, metavar=REGISTRY, help=f"{help} Repeatable."
    )


@click.group("builder", no_args_is_help=False)
def command() -> None:
    """Make builders of several machines, each for its own platform.

    A builder is docker buildx's: one or more nodes that build. crossdock finds out which platform each node has by
    itself, and pins it there; without that, BuildKit takes the first node that can emulate.

    \b
    Examples:
      crossdock builder create arm --node default --node ssh://me@arm-machine
      crossdock build --builder arm --port --push -t HOST/app:1 .
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="ADDRESS[,platform=OS/ARCH]",
    help="ssh://user@host, tcp://host:port, unix:///path, a docker context, or k8s://namespace/deployment."
    "  [default: the Docker in use]  Repeatable.",
)
@platform_option("--platform", help="Platforms that the builder is to have.  [default: those its nodes have natively]")
@_registry_option("How a registry is reached.")
@click.option("--network", type=click.Choice(["host"]), help="host: BuildKit uses the network of its node.")
@click.option(
    "--driver",
    type=click.Choice(list(Driver)),
    help="What the nodes are.  [default: found out by asking them]",
)
@click.option(
    "--driver-opt",
    "driver_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="As docker buildx create takes it, such as image=HOST/moby/buildkit:TAG. Repeatable.",
)
@click.option("--bootstrap", "boot", is_flag=True, help="Start BuildKit on every node as well.")
@click.option("--use", is_flag=True, help="Make it the builder in use.")
@click.option("--dry-run", is_flag=True, help="Ask the nodes, make nothing; print buildkitd.toml and the commands.")
@format_option
def create_command(
    *,
    name: str,
    nodes: tuple[str, ...],
    platform: tuple[Platform, ...],
    registries: tuple[str, ...],
    network: str | None,
    driver: str | None,
    driver_options: tuple[str, ...],
    boot: bool,
    use: bool,
    dry_run: bool,
    format_: str,
) -> int:
    """Make the builder NAME with all its nodes.

    Every node is asked first, so that nothing is made when one does not answer. If something fails, or on Ctrl-C,
    everything that was made is removed. A builder that is there already is never touched.

    Platforms are pinned on every node: what is said after its address, or else its machine's own. A platform of
    --platform that no node has natively goes to the first node that can emulate it, and that is said.

    A registry's mirror that speaks plain HTTP is written mirror=http://HOST:PORT; one with a certificate of its own
    gets a --registry of its own.

    Exit code: 0 done, 2 wrong usage, 3 could not be made: a node does not answer, the name is taken.

    \b
    Examples:
      crossdock builder create two --node default --node ssh://me@arm-machine --bootstrap --use
      crossdock builder create two --node unix:///run/a.sock --node tcp://10.0.0.7:1234,platform=linux/arm64
      crossdock builder create lan --registry docker.io,mirror=http://10.0.0.5:5000 --registry r.lan:5000,ca=r.pem
      crossdock builder create pods --node "k8s://ci/build-arm?replicas=2,platform=linux/arm64"
      crossdock builder create lan --network host --driver-opt image=r.lan:5000/moby/buildkit:buildx-stable-1
    """
    from crossdock.builders.builder import NewBuilder, check_name, create, script
    from crossdock.builders.nodes import NodeOption, ask, one_driver, parse_node, pin
    from crossdock.builders.settings import buildkitd_toml, check_files, parse_registries

    check_name(name)
    options = tuple(map(parse_node, nodes)) or (NodeOption(""),)
    settings = parse_registries(registries, Path.cwd())
    check_files(settings)
    runner = SystemRunner()
    answers = []
    for option in options:
        with waiting_for(f"Asking {option}"):
            wanted = Driver(driver) if driver else None
            answers.append((option, ask(option, runner, driver=wanted, options=driver_options)))
    kind = one_driver(answers)
    if driver and kind != driver:
        raise UsageError(f"these nodes are for the driver {kind}, not {driver}", hint="Leave --driver out.")
    made, notes = pin(answers, platform)
    new = NewBuilder(
        name, kind, made, buildkitd_toml(settings) if settings else "", network == "host", driver_options, use, boot
    )
    for note in notes:
        say(f"crossdock: note: {note}")
    if dry_run:
        write(script(new))
        return ExitCode.DONE
    with waiting_for(f"Making {name}"):
        create(new, runner, lambda _: None)
    return _show(name, format_)


@command.command("show")
@click.argument("name", required=False)
@format_option
def show_command(*, name: str | None, format_: str) -> int:
    """Show the builder NAME, or all of them, with their nodes.

    Of each node: its address, whether BuildKit runs there and which version, how soon it answers, the platforms that
    are pinned on it, and of all that it can build for which are its machine's own and which are emulated.

    How soon it answers is the time to connect to it, over ssh that of a question to its Docker; the quickest of three.

    Exit code: 0 shown, 2 wrong usage, 3 there is no such builder, or Docker does not answer.

    \b
    Examples:
      crossdock builder show
      crossdock builder show arm --format json
    """
    return _show(name, format_)


def _show(name: str | None, format_: str) -> int:
    from crossdock.builders.state import look

    with waiting_for("Asking the nodes"):
        builders = look(name, SystemRunner())
    if format_ == "json":
        from crossdock.report.json import builder_report, encode

        write(encode(builder_report(builders)))
    else:
        from crossdock.report.fared import builders_text

        write(builders_text(builders, style_of(sys.stdout)))
    return ExitCode.DONE


@command.command("bootstrap")
@click.argument("name")
@format_option
def bootstrap_command(*, name: str, format_: str) -> int:
    """Start BuildKit on every node of the builder NAME, and show what came of it.

    Exit code: 0 all nodes run, 2 wrong usage, 3 there is no such builder, or a node could not be started.

    \b
    Examples:
      crossdock builder bootstrap arm
    """
    from crossdock.builders.builder import bootstrap

    with waiting_for(f"Starting {name}"):
        bootstrap(name, SystemRunner(), lambda _: None)
    return _show(name, format_)


@command.command("remove")
@click.argument("name")
def remove_command(*, name: str) -> int:
    """Remove the builder NAME, the containers that buildx started for it, and its build cache.

    Exit code: 0 removed, 2 wrong usage, 3 there is no such builder, or a node does not answer.

    \b
    Examples:
      crossdock builder remove arm
    """
    from crossdock.builders.builder import remove

    with waiting_for(f"Removing {name}"):
        remove(name, SystemRunner())
    return ExitCode.DONE


@command.command("settings")
@_registry_option("How a registry is reached.", required=True)
@click.option(
    "--for",
    "program",
    type=click.Choice(["buildkit", "podman"]),
    default="buildkit",
    show_default=True,
    help="buildkit: buildkitd.toml. podman, also for buildah and skopeo: registries.conf and certs.d.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the files there, with copies of the certificates for podman, instead of printing the text.",
)
def settings_command(*, registries: tuple[str, ...], program: str, folder: Path | None) -> int:
    """Print the settings for registries that `builder create --registry` makes, to be used elsewhere.

    For podman and buildah, -o ~/.config/containers (as root: /etc/containers) puts them where they are read: a file of
    its own in registries.conf.d, and certificates in certs.d. For BuildKit the file is buildkitd.toml. A file that is
    there already with other content is not overwritten.

    Exit code: 0 done, 2 wrong usage, 3 a file could not be read or written.

    \b
    Examples:
      crossdock builder settings --registry r.lan:5000,http
      crossdock builder settings --registry docker.io,mirror=http://10.0.0.5:5000 --for podman -o ~/.config/containers
    """
    from crossdock.builders.settings import buildkitd_toml, files, parse_registries, registries_conf

    options = parse_registries(registries, Path.cwd())
    if folder is None:
        write(buildkitd_toml(options) if program == "buildkit" else registries_conf(options))
        if program == "podman" and any(option.files for option in options):
            say("crossdock: note: the certificates belong into certs.d beside it; -o DIR writes both")
        return ExitCode.DONE
    _write_all({folder / name: content for name, content in files(options, program).items()})
    return ExitCode.DONE


def _write_all(contents: dict[Path, bytes]) -> None:
    """Write all files, or none where one is there with other content."""
    from crossdock.source import write_atomically

    for path, content in contents.items():
        if path.exists() and path.read_bytes() != content:
            raise InputError(
                "is there already, with other content",
                where=str(path),
                hint="Put the two together by hand (without -o the text is printed), or move it away.",
            )
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        if path.suffix == ".key":
            path.chmod(0o600)
        say(f"crossdock: wrote {path}")
