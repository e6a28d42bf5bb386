"""A change to a machine, as shell: to be read, carried to another machine as a script, or run here one by one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing that root does to a machine. All of it is POSIX shell (dash, busybox, bash), run with ``set -eu``.

    Besides the shell's own, these functions may be used in ``run`` (they are part of each script):

    - ``keep FILE``: back FILE up before its first change and note it, so that ``doctor --undo`` can put it back; a FILE
      that does not exist is noted as made. Call it before any command that changes a file by itself.
    - ``put FILE [MODE]``: standard input becomes FILE, atomically, after ``keep FILE``; the folder is made. Empty input
      is an error; the shell cannot tell of other failures before a pipe, so get the content first.
    - ``service start|restart|enable NAME``: by systemd or OpenRC; where nothing starts services it says so and goes on.
    - ``note KIND WORD…``: what else was changed, for ``--undo``: ``note binfmt NAME``, ``note group GROUP USER``,
      ``note packages NAME…`` (only those that were not there before).
    - ``is_installed PACKAGE``: whether the package manager has it as installed.
    - ``fail MESSAGE``: end with this message.
    - ``merge_json FILE ADDITIONS [MODE]``: add the keys of a JSON object to a JSON file, every other byte of which
      stays (daemon_settings); ``has_json FILE ADDITIONS``: whether they are there.
    - ``soon COMMAND…``: whether COMMAND succeeds within half a minute, for what takes a while to start.

    Each text is a program of its own: no variables, folder or traps of another, and nothing to read from. Programs
    speak English there (``LC_ALL=C``) and dpkg asks nothing. What is inserted is quoted (``shlex.quote``).
    """

    id: str
    """Kebab-case, the same for the same change, also from different checks."""
    title: str
    """What it does, as an imperative: ``Add Docker's package source``."""
    why: str
    done: str
    """A test that succeeds when there is nothing to do. It changes nothing."""
    run: str
    check: str = ""
    """A test that succeeds when the change works, run afterwards (``docker info``); empty where ``done`` tells."""
    restarts: str = ""
    """What is interrupted meanwhile (``Docker, and with it its containers``), so that people are asked."""
