"""crossdock pull: an image from a registry into a file or a folder, to be carried elsewhere."""

from __future__ import annotations

import click

from crossdock.cli.options import (
    format_option,
    login_options,
    plain_http_option,
    platform_option,
    read_login,
    registries,
)
from crossdock.cli.output import transferring
from crossdock.cli.outputs import Destination, parse_pull_output
from crossdock.cli.publishing import check_outputs
from crossdock.cli.sending import tell, together
from crossdock.errors import ExitCode
from crossdock.platforms import Platform


@click.command("pull")
@click.argument("image")
@click.option(
    "-o",
    "--output",
    default="oci-archive",
    show_default=True,
    metavar="OUTPUT",
    help="FILE.tar, oci-archive[:FILE], oci:FOLDER, or type=oci,dest=FILE (tar=false: a folder).",
)
@platform_option("--platform", help="Pull only these platforms.  [default: all]")
@login_options
@plain_http_option
@format_option
def command(
    *,
    image: str,
    output: str,
    platform: tuple[Platform, ...],
    username: str | None,
    password_stdin: bool,
    plain_http: bool,
    format_: str,
) -> int:
    """Copy IMAGE, with all its platforms and attestations, into an OCI archive or layout.

    `crossdock push` brings it into another registry, with the same digest: so images get into a closed network. skopeo,
    podman and docker load read the archive too (Docker before 29 only that of one platform). With --platform the
    archive holds an index of just these, which has a digest of its own. Without a file name the archive is called after
    the image, in this folder.

    Exit code: 0 pulled, 2 wrong usage, 3 could not be pulled or written; nothing is left then.

    \b
    Examples:
      crossdock pull nginx:1.27 -o nginx.tar
      crossdock pull nginx:1.27 -o oci-archive --platform linux/amd64,linux/arm64
      crossdock pull HOST/team/app:1.0 -o oci:./layout
    """
    from crossdock.image.pull import pull_archive, pull_layout
    from crossdock.image.reference import parse_reference
    from crossdock.report.sent import Sent

    login = read_login(username, password_stdin)
    reference = parse_reference(image)
    wanted = parse_pull_output(output, _file_name(reference.repository, reference.tag or reference.identifier))
    check_outputs([wanted], wanted.names)
    assert wanted.path is not None
    with registries(plain_http, login=login, hosts={reference.host}) as reached:
        found = together([reached.image(reference)], platform)
        root = found.root()
        write = pull_layout if wanted.destination is Destination.LAYOUT else pull_archive
        own = (f"{reference.host}/{reference.repository}:{reference.tag}",) if reference.tag else ()
        platforms = tuple(entry.platform for entry in found.index().images if entry.platform)
        with transferring(f"Pulling {reference.familiar}") as on_progress:
            write(found, wanted.path, wanted.names or own, on_progress=on_progress)
    tell(Sent((reference.familiar,), str(wanted.path), root.digest, platforms), "pull", format_)
    return ExitCode.DONE


def _file_name(repository: str, identifier: str) -> str:
    """``nginx-1.27.tar`` for docker.io/library/nginx:1.27."""
    return f"{repository.rpartition('/')[2]}-{identifier.removeprefix('sha256:')[:40]}.tar"
