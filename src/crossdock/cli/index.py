"""crossdock index: one index from images that were built separately."""

from __future__ import annotations

import click

from crossdock.cli.options import format_option, login_options, plain_http_option, platform_option, read_login
from crossdock.cli.sending import send, tell
from crossdock.errors import ExitCode
from crossdock.platforms import Platform


@click.group("index", no_args_is_help=False)
def command() -> None:
    """Join images that were built separately into one index.

    \b
    Examples:
      crossdock index create HOST/app:1.0 --from HOST/app:1.0-amd64 --from HOST/app:1.0-arm64
    """


@command.command("create")
@click.argument("reference")
@click.option("--from", "sources", multiple=True, required=True, metavar="IMAGE", help="An image to take. Repeatable.")
@platform_option("--platform", help="Take only these platforms.  [default: all]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A further tag in the repository. Repeatable.")
@login_options
@plain_http_option
@format_option
def create(
    *,
    reference: str,
    sources: tuple[str, ...],
    platform: tuple[Platform, ...],
    tags: tuple[str, ...],
    username: str | None,
    password_stdin: bool,
    plain_http: bool,
    format_: str,
) -> int:
    """Make REFERENCE an index of every platform of the images given with --from.

    An image is a reference in a registry, an OCI archive or layout, or a Docker archive. Content that the registry
    already has, in whichever of its repositories, is not sent again. The manifests stay as they are, with their
    digests, annotations and attestations.

    Exit code: 0 done, 2 wrong usage, 3 could not be done: two images of one platform, no access, network.

    \b
    Examples:
      crossdock index create HOST/app:1.0 --from HOST/app:1.0-amd64 --from HOST/app:1.0-arm64
      crossdock index create HOST/app:1.0 --from HOST/ci/app:x86 --from ./arm64.tar -t latest
      crossdock index create HOST/app:arm --from HOST/app:1.0 --platform linux/arm64
    """
    login = read_login(username, password_stdin)
    sent = send(sources, reference, platforms=platform, tags=tags, login=login, plain_http=plain_http)
    tell(sent, "index", format_)
    return ExitCode.DONE
