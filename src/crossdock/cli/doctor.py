"""crossdock doctor: what this machine is, what it lacks to build and run Arm images, and mending it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crossdock.cli.messages import say
from crossdock.cli.options import format_option, platform_option
from crossdock.cli.output import style_of, waiting_for, write
from crossdock.errors import CrossdockError, EngineError, ExitCode, InputError, UsageError
from crossdock.platforms import DEFAULT_TARGETS, Platform
from crossdock.process import SystemRunner

if TYPE_CHECKING:
    from crossdock.doctor.diagnosis import Diagnosis
    from crossdock.doctor.facts import Facts
    from crossdock.doctor.mirrors import Mirror
    from crossdock.host.steps import Step

FILE = click.Path(path_type=Path)


@click.command("doctor")
@click.option(
    "--fix", is_flag=True, help="Mend what can be mended here, step by step (root). Each step is asked about."
)
@click.option("-y", "--yes", is_flag=True, help="With --fix or --undo: do not ask.")
@click.option("--undo", is_flag=True, help="Take back what --fix, or a script, has changed on this machine (root).")
@click.option("--script", is_flag=True, help="Print the steps as one shell script, to review and to carry.")
@click.option("--facts", is_flag=True, help="Print the facts of this machine as JSON, unjudged.")
@click.option("--collector", is_flag=True, help="Print the shell script that collects the facts elsewhere.")
@click.option("--from", "from_", type=FILE, metavar="FILE", help="Judge a machine by its facts; - is standard input.")
@platform_option("--platform", help="What is to be built and run.  [default: linux/amd64,linux/arm64]")
@click.option("--interpreter", type=FILE, metavar="FILE", help="Register this QEMU instead of the distribution's.")
@click.option(
    "--install",
    type=click.Choice(["auto", "docker", "distribution", "static"]),
    default="auto",
    show_default=True,
    help="Where Docker would come from: its own repository, the distribution's packages, static programs.",
)
@click.option(
    "--mirror",
    metavar="NAME|URL",
    help="Which copy of Docker's repository: official, tuna, aliyun, ustc, huawei, or an address.  [default: official; "
    "with --fix and --script the one that answers first]",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what each line was concluded from.")
@format_option
def command(
    *,
    fix: bool,
    yes: bool,
    undo: bool,
    script: bool,
    facts: bool,
    collector: bool,
    from_: Path | None,
    platform: tuple[Platform, ...],
    interpreter: Path | None,
    install: str,
    mirror: str | None,
    verbose: bool,
    format_: str,
) -> int:
    """Look at this machine, say what it lacks to build and run images for Arm, and mend it on request.

    Nothing is changed without --fix. Every file that --fix or a script changes is backed up, a second run changes
    nothing, and --undo takes back exactly what was changed.

    For a machine without crossdock: --collector prints a shell script that collects the facts there, --from judges them
    here, and with --script it prints what to run there.

    Exit code: 0 images for all platforms can be built and run here, 1 a problem was found (with --fix: is left), 2
    wrong usage, 3 the facts could not be read or a step failed.

    \b
    Examples:
      crossdock doctor
      sudo crossdock doctor --fix
      crossdock doctor --script > prepare.sh
      crossdock doctor --script --install docker --mirror tuna > docker.sh
      crossdock doctor --collector > collect.sh
      crossdock doctor --from facts.json --script
      sudo crossdock doctor --undo
    """
    from crossdock.doctor.examine import examine
    from crossdock.doctor.install import Source
    from crossdock.doctor.material import collector as collector_script
    from crossdock.doctor.material import read_facts

    modes = {"--fix": fix, "--undo": undo, "--script": script, "--facts": facts, "--collector": collector}
    _check_modes([name for name, given in modes.items() if given], elsewhere=from_ is not None, yes=yes)
    if collector:
        write(collector_script())
        return ExitCode.DONE
    runner = SystemRunner()
    if undo:
        return _undo(runner, yes=yes)
    platforms = platform or DEFAULT_TARGETS
    chosen = _named(mirror) if mirror else None
    text = _read(from_) if from_ else _collect(runner)
    if facts:
        write(text)
        return ExitCode.DONE
    machine = read_facts(text, str(from_ or "facts"))
    if (fix or script) and not from_ and not chosen:
        chosen = _nearest_mirror(machine)
    diagnosis = examine(machine, platforms, interpreter, mirror=chosen, install=Source(install))
    if script:
        write(_script(diagnosis))
        return ExitCode.DONE
    if fix and diagnosis.steps:
        _fix(diagnosis, runner, yes=yes)
        diagnosis = examine(
            read_facts(_collect(runner), "facts"), platforms, interpreter, mirror=chosen, install=Source(install)
        )
    if format_ == "json":
        from crossdock.report.json import doctor_report, encode

        write(encode(doctor_report(diagnosis)))
    else:
        from crossdock.report.examined import examined_text

        write(examined_text(diagnosis, style_of(sys.stdout), verbose=verbose, here=from_ is None))
    return ExitCode.DONE if diagnosis.healthy else ExitCode.FINDINGS


def _check_modes(given: list[str], *, elsewhere: bool, yes: bool) -> None:
    """Raises UsageError for options that have no meaning together."""
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together", hint="Choose one of them.")
    mode = given[0] if given else ""
    if elsewhere and mode not in ("", "--script"):
        raise UsageError(
            f"--from is about a machine whose facts were collected, and {mode} about this one",
            hint="Use --from FILE --script, and run the script there.",
        )
    if yes and mode not in ("--fix", "--undo"):
        raise UsageError("--yes belongs to --fix or --undo", hint="Without them nothing is changed.")
    if mode in ("--fix", "--undo"):
        if os.geteuid() != 0:
            raise CrossdockError(
                f"only root may change this machine, and {mode} would",
                hint=f"Run `sudo crossdock doctor {mode}`; `crossdock doctor --script` shows beforehand what it does.",
            )
        if not yes and not sys.stdin.isatty():
            raise UsageError(f"{mode} asks before each step, and nobody is there to answer", hint="Add --yes.")


def _named(mirror: str) -> Mirror:
    from crossdock.doctor.mirrors import named

    return named(mirror)


def _nearest_mirror(machine: Facts) -> Mirror | None:
    """The one to take Docker from, as far as this machine needs one."""
    if machine.docker and not machine.docker.is_podman:
        return None
    from crossdock.doctor.distribution import identify
    from crossdock.doctor.mirrors import nearest
    from crossdock.http.client import Http

    with waiting_for("Asking mirrors of Docker's repository"), Http() as http:
        return nearest(http, identify(machine), machine.userland or machine.platform)


def _collect(runner: SystemRunner) -> str:
    from crossdock.doctor.material import collect

    with waiting_for("Looking at this machine"):
        return collect(runner)


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"cannot be read: {reason}",
            where=str(path),
            hint="Name the file that `sh collect.sh > facts.json` has written.",
        ) from error


def _script(diagnosis: Diagnosis) -> str:
    from crossdock.host.script import script_of

    title = f"Arm images on {diagnosis.distribution.name}, {diagnosis.facts.platform}"
    if not diagnosis.steps:
        say("crossdock: there is nothing that a script could mend")
    return script_of(diagnosis.steps, title=title, notes=diagnosis.notes)


def _fix(diagnosis: Diagnosis, runner: SystemRunner, *, yes: bool) -> None:
    """Take the steps of each check. Where one is declined, those that would follow it in its check are left out too."""
    from crossdock.host.change import Ending, run_steps
    from crossdock.report.examined import step_text

    style = style_of(sys.stderr)
    order = [step.id for step in diagnosis.steps]
    consent = _Consent(yes)
    agreed: dict[str, bool] = {}
    declined = False

    def confirm(step: Step) -> bool:
        nonlocal declined
        if declined or step.id in agreed:
            return agreed.setdefault(step.id, False)
        write(step_text(step, order.index(step.id) + 1, len(order), style), sys.stderr)
        agreed[step.id] = consent.to("Do this?")
        declined = not agreed[step.id]
        return agreed[step.id]

    def tell(_step: Step, line: str) -> None:
        say(f"  | {line}")

    for check in diagnosis.checks:
        declined = False
        for outcome in run_steps(check.steps, runner, confirm=confirm, tell=tell):
            if outcome.ending is Ending.FAILED:
                raise EngineError(
                    f"the step `{outcome.step.title}` failed: {outcome.what}",
                    hint="Mend that and run it again: what is done stays. `crossdock doctor --undo` takes it back.",
                    log=outcome.log,
                )


def _undo(runner: SystemRunner, *, yes: bool) -> int:
    from crossdock.host.journal import Change, undo
    from crossdock.report.examined import undone_text

    consent = _Consent(yes)

    def confirm(change: Change) -> bool:
        return consent.to(f"{change.undoing}?")

    undone = undo(runner, confirm=confirm, tell=lambda _change, line: say(f"  | {line}"))
    write(undone_text(undone, style_of(sys.stdout)))
    return ExitCode.DONE if all(entry.done for entry in undone) else ExitCode.FINDINGS


class _Consent:
    """Asks people before each change, unless they have said yes to all. To quit is as to press Ctrl-C."""

    def __init__(self, given: bool) -> None:
        self._given = given

    def to(self, question: str) -> bool:
        while not self._given:
            write(f"{question} [y]es, [n]o, [a]ll, [q]uit: ", sys.stderr)
            line = sys.stdin.readline()
            answer = line.strip().lower()[:1]
            if not line or answer == "q":
                raise KeyboardInterrupt
            if answer in {"y", "n"}:
                return answer == "y"
            self._given = answer == "a"
        return True
