"""crossdock platforms: which platforms images have, and what to use instead of those that lack one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crossdock.cli.options import (
    build_arg_option,
    build_arguments,
    format_option,
    login_options,
    near,
    plain_http_option,
    platform_option,
    read_login,
    read_source,
    registries,
)
from crossdock.cli.output import counting, style_of, write
from crossdock.errors import CrossdockError, ExitCode, UsageError
from crossdock.platforms import Platform

if TYPE_CHECKING:
    from crossdock.findings import Skipped
    from crossdock.image.registries import Registries


@click.command("platforms")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="A Dockerfile, compose file or Kubernetes manifest whose images are meant (- for standard input). Repeatable.",
)
@platform_option("--require", help="Exit with 1 unless every image has these.")
@click.option(
    "--tags", "pattern", metavar="PATTERN", help="All tags of the one IMAGE that match, such as '16*-alpine'."
)
@click.option("--sizes", is_flag=True, help="Also ask for each platform's download size: one more request for each.")
@build_arg_option
@login_options
@plain_http_option
@format_option
def command(
    *,
    images: tuple[str, ...],
    files: tuple[Path, ...],
    require: tuple[Platform, ...],
    pattern: str | None,
    sizes: bool,
    build_args: tuple[str, ...],
    username: str | None,
    password_stdin: bool,
    plain_http: bool,
    format_: str,
) -> int:
    """Show which platforms images have, without pulling them.

    IMAGE is a reference as Docker reads it; - takes references from standard input, one a line. An index is answered by
    one request, a single image by two. For an image without linux/arm64 (or what --require names) other tags of its
    repository and known successors are looked for, and told with the digest to pin. Documents are cached by digest
    below ~/.cache/crossdock.

    Exit code: 0 every image was answered, 1 one lacks what --require names, 3 one could not be looked up.

    \b
    Examples:
      crossdock platforms alpine:3.20 mysql:5.7
      crossdock platforms --tags '16*-alpine' postgres
      crossdock platforms --require linux/arm64 -f Dockerfile -f compose.yaml
      helm template . | crossdock platforms -f -
      crossdock platforms --format json - < images.txt
    """
    login = read_login(username, password_stdin)
    asked, skipped = _asked(images, files, build_arguments(build_args))
    if not asked and not skipped:
        raise UsageError(
            "no image is named", hint="Name images, or a file with -f FILE. See crossdock platforms --help"
        )
    from crossdock.image.lookup import WANTED, look_up
    from crossdock.report.looked import Looked

    with registries(plain_http, login=login, hosts=_hosts(asked) if login else ()) as reached:
        if pattern is not None:
            asked = _tags(asked, pattern, reached)
        with counting("Looking up images") as on_done:
            found = look_up(
                asked,
                reached,
                wanted=() if pattern is not None else require or WANTED,
                sizes=sizes,
                on_done=on_done,
                # What shows the result takes as long to load as an answer to come.
                meanwhile=lambda: import_module(f"crossdock.report.{'json' if format_ == 'json' else 'looked_text'}"),
            )
        looked = Looked(found, require, skipped, reached.limits())
    if format_ == "json":
        from crossdock.report.json import encode, platforms_report

        write(encode(platforms_report(looked)))
    else:
        from crossdock.report.looked_text import looked_text

        write(looked_text(looked, style_of(sys.stdout)))
    if looked.failures:
        return ExitCode.CANNOT
    return ExitCode.FINDINGS if looked.lacking else ExitCode.DONE


def _asked(
    images: Sequence[str], files: Sequence[Path], build_args: dict[str, str]
) -> tuple[list[str], tuple[Skipped, ...]]:
    """Every reference in the order given, each once; and what a file holds that names no image that can be told."""
    asked: dict[str, None] = {}
    skipped: list[Skipped] = []
    for image in images:
        if image != "-":
            asked[image] = None
            continue
        lines = (line.strip() for line in sys.stdin)
        asked |= dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    for path in files:
        from crossdock.read.images import find_images
        from crossdock.source import Source

        source = Source("-", sys.stdin.buffer.read()) if str(path) == "-" else read_source(near(path))
        found = find_images(source, build_args=build_args, environ=os.environ)
        asked |= dict.fromkeys(use.text for use in found.images)
        skipped += found.skipped
    return list(asked), tuple(skipped)


def _hosts(asked: Sequence[str]) -> set[str]:
    """The registries that are asked; what is no reference is told later, with the others."""
    from crossdock.image.reference import parse_reference

    found = set()
    for text in asked:
        try:
            found.add(parse_reference(text).host)
        except CrossdockError:
            continue
    return found


def _tags(asked: Sequence[str], pattern: str, reached: Registries) -> list[str]:
    from crossdock.image.lookup import find_tags
    from crossdock.image.reference import parse_reference

    if len(asked) != 1:
        raise UsageError(
            "--tags is for one repository", hint="Name one image: crossdock platforms --tags '16*' postgres"
        )
    repository = parse_reference(asked[0])
    found = find_tags(repository, pattern, reached)
    if not found:
        raise CrossdockError(
            f"no tag matches {pattern!r}",
            where=f"{repository.host}/{repository.repository}",
            hint="* stands for any characters and ? for one; quote the pattern, so that the shell leaves it alone.",
        )
    name = repository.familiar.removesuffix(f":{repository.tag}")
    return [f"{name}:{tag}" for tag in found]
