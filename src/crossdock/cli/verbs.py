"""Runs one verb's click command and puts click's complaints into crossdock's own form."""

from __future__ import annotations

import importlib
import signal
import threading

import click

from crossdock.errors import CrossdockError, UsageError


def invoke(module: str, program: str, arguments: list[str]) -> int:
    """Import ``module``, run its ``command`` and return the exit code that the verb returned.

    Raises UsageError for a wrong command line, and whatever CrossdockError the verb raises.
    """
    if threading.current_thread() is threading.main_thread():
        interrupt_on_termination()
    command: click.Command = importlib.import_module(module).command
    try:
        code = command.main(arguments, prog_name=program, standalone_mode=False)
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else program  # a group's command has help of its own
        raise UsageError(error.format_message(), hint=f"See {asked} --help") from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as error:  # click's ending when nobody reads the output; its code 1 would mean findings
        raise BrokenPipeError from error
    except click.ClickException as error:
        raise CrossdockError(error.format_message()) from error
    return int(code or 0)


def interrupt_on_termination() -> None:
    """Make SIGTERM and SIGHUP end this program as Ctrl-C does: by KeyboardInterrupt, so that everything is cleaned up.

    Called once, by the command line, in the main thread.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup stays in force
        signal.signal(signal.SIGHUP, interrupt)
