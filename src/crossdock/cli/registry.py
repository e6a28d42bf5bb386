"""crossdock registry: a registry on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crossdock.cli.messages import say
from crossdock.cli.options import format_option
from crossdock.cli.output import style_of, write
from crossdock.host.registry import RegistrySettings, exposure, parse_listen, parse_mirror, serve
from crossdock.process import SystemRunner

FILE = click.Path(path_type=Path)


@click.group("registry", no_args_is_help=False)
def command() -> None:
    """Run a registry on this machine, for a test or a closed network.

    It is the registry of github.com/distribution/distribution, which has to be installed (Debian: docker-registry);
    crossdock configures it, starts it and ends it.

    \b
    Examples:
      crossdock registry serve ./images
      crossdock registry serve --help
    """


@command.command("serve")
@click.argument("folder", metavar="DIR", type=FILE)
@click.option(
    "--listen",
    default="127.0.0.1:5000",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to listen. :0 takes a free port of 127.0.0.1, 0.0.0.0:5000 lets other machines in.",
)
@click.option("--certificate", type=FILE, metavar="FILE", help="Speak TLS, with this certificate (PEM).")
@click.option("--key", type=FILE, metavar="FILE", help="The certificate's key (PEM).")
@click.option("--htpasswd", type=FILE, metavar="FILE", help="Ask for a password of this file (htpasswd -B).")
@click.option("--mirror", metavar="URL", help="Fetch images from this registry when they are asked for, and keep them.")
@click.option("-v", "--verbose", is_flag=True, help="Show what the registry says, on standard error.")
@format_option
def serve_command(
    *,
    folder: Path,
    listen: str,
    certificate: Path | None,
    key: Path | None,
    htpasswd: Path | None,
    mirror: str | None,
    verbose: bool,
    format_: str,
) -> int:
    """Run a registry that keeps its images in DIR, until Ctrl-C.

    DIR is made when it is missing; started again with it, the registry has the same images. As soon as it answers, its
    address is on standard output, with --format json as one line. Nothing but the images is left behind.

    A mirror (--mirror) takes no images itself, and its registry has to be reachable when it starts.

    Exit code: 130 ended by Ctrl-C or SIGTERM, 2 wrong usage, 3 the registry did not start or ended by itself.

    \b
    Examples:
      crossdock registry serve ./images
      crossdock registry serve --listen :0 --format json ./images
      crossdock registry serve --listen 0.0.0.0:443 --certificate r.crt --key r.key --htpasswd users /srv/images
      crossdock registry serve --mirror https://registry-1.docker.io ./hub
    """
    settings = RegistrySettings(
        folder,
        listen=parse_listen(listen),
        certificate=certificate,
        key=key,
        htpasswd=htpasswd,
        mirror=parse_mirror(mirror) if mirror is not None else None,
    )
    for note in exposure(settings):
        say(f"crossdock: warning: {note}")
    with serve(settings, SystemRunner(), say if verbose else None) as registry:
        if format_ == "json":
            from crossdock.report.json import encode_line, registry_report

            write(encode_line(registry_report(registry.place)))
        else:
            from crossdock.report.served import served_text

            write(served_text(registry.place, settings, style_of(sys.stdout)))
        registry.watch()
