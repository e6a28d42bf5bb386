"""crossdock push: an archive or a layout into a registry, without a daemon."""

from __future__ import annotations

import click

from crossdock.cli.options import format_option, login_options, plain_http_option, platform_option, read_login
from crossdock.cli.sending import send, tell
from crossdock.errors import ExitCode
from crossdock.platforms import Platform


@click.command("push")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.argument("reference")
@platform_option("--platform", help="Push only these platforms.  [default: all]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A further tag in the repository. Repeatable.")
@login_options
@plain_http_option
@format_option
def command(
    *,
    images: tuple[str, ...],
    reference: str,
    platform: tuple[Platform, ...],
    tags: tuple[str, ...],
    username: str | None,
    password_stdin: bool,
    plain_http: bool,
    format_: str,
) -> int:
    """Push IMAGE to REFERENCE, with everything that belongs to it: the same bytes, the same digest.

    IMAGE is an OCI archive or layout, a Docker archive (docker save), or a reference in a registry. Several, built
    separately for one platform each (by an old Docker, on an Arm machine), become one index; their annotations and
    attestations stay. Content that the registry has is not sent, a broken connection is taken up where it broke, and
    the tag appears when all is there.

    Exit code: 0 pushed, 2 wrong usage, 3 could not be pushed.

    \b
    Examples:
      crossdock push app.tar registry.example.com/team/app:1.0
      crossdock push app-amd64.tar app-arm64.tar registry.example.com/team/app:1.0
      crossdock push --username ci --password-stdin app.tar HOST/app:1 < token
      crossdock push --plain-http ./layout 192.168.1.10:5000/app:1
    """
    login = read_login(username, password_stdin)
    sent = send(images, reference, platforms=platform, tags=tags, login=login, plain_http=plain_http)
    tell(sent, "push", format_)
    return ExitCode.DONE
