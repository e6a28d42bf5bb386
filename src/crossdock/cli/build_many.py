"""crossdock build of several projects: each in a process of its own, all at once on one builder.

BuildKit runs a step that several builds have in common once, whether they come from one client or from several, so
nothing is gained by `docker buildx bake` but a tenth of a second of each client; and bake cancels all targets when one
fails (docs/planning.md, "Several projects").
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from crossdock.cli.output import style_of, write
from crossdock.engines.choose import choose
from crossdock.errors import CrossdockError, ExitCode, UsageError
from crossdock.platforms import Platform
from crossdock.process import Command, Runner, SystemRunner
from crossdock.report.style import harmless

PLACEHOLDER = "{name}"
"""In -t, -o and the like: stands for the name of a project, that of its folder."""
_MOST_AT_ONCE = 8
"""Builds; the steps of them are the builder's to schedule."""
_MUST_DIFFER = ("tags", "outputs", "metadata_file")
"""Options that say where a result goes, and so must not say the same for two projects."""
_FILLED = (*_MUST_DIFFER, "file", "cache_from", "cache_to")


@dataclass(frozen=True)
class Project:
    name: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """How the build of one project ended; ``report`` is what it wrote to standard output."""

    project: Project
    exit_code: int
    report: bytes


def wants_many(context: click.Context) -> bool:
    """Whether a command line is about several projects, or is written for however many there are."""
    values = (context.params[name] for name in _MUST_DIFFER)
    written = [text for value in values for text in (value if isinstance(value, tuple) else (value,)) if text]
    return len(context.params["paths"]) > 1 or any(PLACEHOLDER in str(text) for text in written)


def build_many(context: click.Context) -> int:
    """Build them all, tell how each ended, and return the worst exit code. Raises UsageError for projects that would
    overwrite each other's results, EngineError when there is no engine."""
    projects = name_projects(context.params["paths"] or (Path(),))
    _refuse_overwriting(context, projects)
    runner = SystemRunner()
    engine = choose(context.params["engine"], runner, builder=context.params["builder_name"])
    # buildah has no scheduler for several builds, and binfmt_misc is changed by one at a time.
    one_by_one = engine.name == "buildah" or context.params["fix_binfmt"]
    as_json = context.params["format_"] == "json"
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        stop = threading.Event()
        commands = [
            _command(list(arguments_again(context, project.name)), project, Path(folder) / f"{number}", stop)
            for number, project in enumerate(projects)
        ]
        outcomes = _run(runner, list(zip(projects, commands, strict=True)), stop, 1 if one_by_one else _MOST_AT_ONCE)
        found = [
            Outcome(project, code, _written(Path(folder) / f"{number}"))
            for number, (project, code) in enumerate(zip(projects, outcomes, strict=True))
        ]
    _tell(found, as_json=as_json)
    return max((outcome.exit_code for outcome in found), default=ExitCode.DONE)


def name_projects(paths: Sequence[Path]) -> tuple[Project, ...]:
    """Each path with the name of its folder, as a repository may be called. Raises UsageError when two have one name,
    or one has none."""
    projects = []
    for path in paths:
        folder = path if path.is_dir() or not path.exists() else path.parent
        name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
        if not name:
            raise UsageError(f"{path} has no name that could be part of an image's", hint="Name its folder otherwise.")
        projects.append(Project(name, path))
    twice = [name for name, count in Counter(project.name for project in projects).items() if count > 1]
    if twice:
        raise UsageError(
            f"two projects are called {twice[0]}",
            hint="Build them one by one: their images would have one name.",
        )
    return tuple(projects)


def _refuse_overwriting(context: click.Context, projects: Sequence[Project]) -> None:
    for name in _MUST_DIFFER if len(projects) > 1 else ():
        value = context.params[name]
        texts = value if isinstance(value, tuple) else (value,)
        for text in texts:
            if text and PLACEHOLDER not in str(text):
                option = next(one for one in context.command.params if one.name == name).opts[0]
                raise UsageError(
                    f"{option} {text} would be the same for {len(projects)} projects",
                    hint=f"Write {PLACEHOLDER} where the name of its folder goes, as in -t HOST/{PLACEHOLDER}:1.0",
                )


def arguments_again(context: click.Context, name: str) -> Iterator[str]:
    """The options of the command line once more, for one project. Those that were not given stay away."""
    for option in context.command.params:
        if not isinstance(option, click.Option) or option.name is None:
            continue
        if context.get_parameter_source(option.name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[option.name]
        if option.is_flag:
            if value:
                yield option.opts[0]
            continue
        values: Iterable[object] = value if option.multiple else (_plain(value),)
        for one in values:
            text = str(one).replace(PLACEHOLDER, name) if option.name in _FILLED else str(one)
            yield f"{option.opts[-1]}={text}"


def _plain(value: object) -> object:
    """Lists of platforms are one word."""
    if isinstance(value, tuple) and all(isinstance(one, Platform) for one in value):
        return ",".join(map(str, value))
    return value


def _command(arguments: list[str], project: Project, report: Path, stop: threading.Event) -> Command:
    """The build of one project. Its report goes into a file, and all that it says meanwhile comes line by line."""
    python = (sys.executable, "-m", "crossdock", "build", *arguments, "--", str(project.path))
    return Command(("sh", "-c", 'exec "$@" >"$0"', str(report), *python), stop=stop)


def _run(runner: Runner, builds: Sequence[tuple[Project, Command]], stop: threading.Event, at_once: int) -> list[int]:
    """The exit codes. When this is interrupted, every build is asked to end, and is waited for."""
    lock = threading.Lock()

    def run(project: Project, command: Command) -> int:
        if stop.is_set():
            return ExitCode.INTERRUPTED

        def say(line: str) -> None:
            with lock:
                write(f"{project.name} | {harmless(line)}\n", sys.stderr)

        try:
            return runner.stream(command, say)
        except CrossdockError as error:
            say(f"crossdock: {error.what}")
            return error.exit_code

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = [pool.submit(run, project, command) for project, command in builds]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise


def _written(report: Path) -> bytes:
    return report.read_bytes() if report.is_file() else b""


def _tell(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        from crossdock.report.json import builds_report, encode

        write(encode(builds_report([(o.project.name, str(o.project.path), o.exit_code, o.report) for o in outcomes])))
        return
    from crossdock.report.canvas import render, table
    from crossdock.report.style import Style

    style: Style = style_of(sys.stdout)
    for outcome in outcomes:
        if outcome.report:
            write(f"{outcome.project.name}\n{outcome.report.decode('utf-8', 'replace')}\n")
    rows = [(outcome.project.name, _WORDS.get(outcome.exit_code, "failed")) for outcome in outcomes]
    write(render(style, table(style, ("project", "result"), rows)))


_WORDS = {
    int(ExitCode.DONE): "done",
    int(ExitCode.FINDINGS): "not verified: nothing of it was published",
    int(ExitCode.USAGE): "wrong usage",
    int(ExitCode.CANNOT): "failed",
    int(ExitCode.INTERRUPTED): "interrupted",
}
