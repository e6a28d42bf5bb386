"""crossdock arch: which architecture binary files are for."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crossdock.cli.messages import say_error
from crossdock.cli.options import format_option
from crossdock.cli.output import style_of, write
from crossdock.errors import CrossdockError, ExitCode
from crossdock.image.inspect import Inspection, inspect_file


@click.command("arch")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@format_option
def command(files: tuple[Path, ...], format_: str) -> int:
    """Tell which architecture each FILE is for.

    Reads ELF programs and libraries, static libraries, Mach-O (universal too), Windows and WebAssembly binaries, and
    the binaries inside .jar, .whl, .deb, .zip and .tar archives.

    Exit code: 0 all files were read, whatever they are; 3 a file could not be read.

    \b
    Examples:
      crossdock arch /usr/bin/env
      crossdock arch lib/*.so app.jar
      crossdock arch --format json vendor/driver.deb
    """
    inspections: list[Inspection] = []
    failures: list[CrossdockError] = []
    for file in files:
        try:
            inspections.append(inspect_file(file))
        except CrossdockError as error:
            failures.append(error)
    if format_ == "json":
        from crossdock.report.json import arch_report, encode

        write(encode(arch_report(inspections)))
    elif inspections:
        from crossdock.report.terminal import arch_text

        write(arch_text(inspections, style_of(sys.stdout)))
    for failure in failures:
        say_error(failure)
    return ExitCode.CANNOT if failures else ExitCode.DONE
