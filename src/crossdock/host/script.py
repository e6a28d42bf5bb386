"""Steps as one POSIX shell script, to be reviewed, carried to another machine and run there; also by this program."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossdock import __version__
from crossdock.host.binfmt import BINFMT
from crossdock.host.steps import Step

_FUNCTIONS = Path(__file__).with_name("functions.sh")
_JSON = Path(__file__).with_name("json.sh")
"""Only where a step needs it: it is long."""
_WIDTH = 118
_DIRECTIVE = (
    "# shellcheck disable=SC2016,SC2034,SC2317,SC2329 # dollars in titles; not every script needs all the functions"
)


@dataclass(frozen=True)
class Places:
    """Where things are on the machine that is changed; tests have their own. ``state`` holds the journal of changes and
    what they replaced; in ``runtime`` it shows what starts services."""

    state: Path = Path("/var/lib/crossdock")
    binfmt: Path = BINFMT
    runtime: Path = Path("/run")

    @property
    def journal(self) -> Path:
        return self.state / "changes"


PLACES = Places()

_MAIN = """\
# --- What it does with them ---------------------------------------------------------------------------------------

main() {
  case "${1:-} $#" in
    " 0") ;;
    "--dry-run 1")
      steps would_take
      exit 0
      ;;
    "--undo 1")
      need_root
      undo_all
      exit 0
      ;;
    *)
      echo "usage: sh $0 [--dry-run | --undo]" >&2
      exit 2
      ;;
  esac
  need_root
  trap interrupted HUP INT TERM
  steps take
  echo "All is done."
}

need_root() {
  if [ "$(id -u)" != 0 ]; then fail "only root may do this: sudo sh $0"; fi
}

holds() { # TEST: sets $held to 0 if it passes. Each of its commands counts, so it is not run as a condition.
  set +e
  said=$(
    set -eu
    "$1" </dev/null 2>&1
  )
  held=$?
  set -e
}

would_take() { # NUMBER ID TITLE INTERRUPTED
  holds "done_$1"
  if [ "$held" -eq 0 ]; then echo "[done]  $1. $3"; else echo "[to do] $1. $3"; fi
}

take() { # NUMBER ID TITLE INTERRUPTED
  echo "$1/$count $3"
  holds "done_$1"
  if [ "$held" -eq 0 ]; then
    echo "  - nothing to do"
    return
  fi
  if [ -n "$4" ]; then echo "  - this interrupts $4"; fi
  at="step $1 ($3)"
  step=$2
  set +e
  (
    set -eu
    "change_$1" </dev/null
  )
  held=$?
  set -e
  seal
  if [ "$held" -ne 0 ]; then fail "stopped at $at, which ended with exit code $held"; fi
  holds "check_$1"
  if [ "$held" -ne 0 ]; then
    printf '%s\\n' "$said" | tail -n 20 >&2
    fail "stopped at $at: it was done, and what it should bring about is not there"
  fi
  echo "  - done"
}

interrupted() {
  trap '' HUP INT TERM
  if [ -n "$step" ]; then seal; fi
  echo "crossdock: interrupted at ${at:-the beginning}" >&2
  exit 130
}

undo_all() {
  if [ ! -e "$state/changes" ]; then
    echo "Nothing was changed by crossdock, or all of it was taken back."
    return
  fi
  undo_those_that restarted -v
  undo_those_that restarted
}

undo_those_that() { # KIND [-v]: of this kind, or of all others; newest first
  numbers=$(grep -n "" "$state/changes" 2>/dev/null | grep -v "^[0-9]*:#" |
    grep ${2:+"$2"} "^[^$tab]*${tab}[^$tab]*$tab$1$tab" | cut -d : -f 1 | sort -rn)
  for number in $numbers; do
    line=$(sed -n "${number}p" "$state/changes")
    case $line in
      *"${tab}packages$tab"*) agreed "Remove the packages ${line##*"$tab"}?" || continue ;;
    esac
    set +e
    undo_change "$number"
    held=$?
    set -e
    if [ "$held" -ne 0 ] && [ "$held" -ne 3 ]; then fail "stopped at: $line"; fi
  done
}

agreed() { # QUESTION
  if [ ! -t 0 ]; then
    echo "left, as nobody is there to be asked: $1"
    return 1
  fi
  printf '%s [y/N] ' "$1"
  read -r answer
  [ "$answer" = y ] || [ "$answer" = Y ]
}

main "$@"
"""


_HOW_TO = (
    "Read it, then run it as root. `--dry-run` tells what would be done. What is done already is left out, so a second "
    "run changes nothing; it stops at the first error, and can be run again when that is mended. Each file is "
    "backed up before it is changed, and each change is noted in {state}/changes: `--undo` puts back what is still as "
    "it was left by this script, and so does `crossdock doctor --undo`."
)


def script_of(steps: Sequence[Step], *, title: str, notes: Sequence[str] = (), places: Places = PLACES) -> str:
    """A script that takes ``steps`` in order and ends at the first that fails; run again, it changes nothing.

    ``title`` says what it is for (``Docker for arm64 on Kylin V10``), ``notes`` what its reader should know. With
    ``--dry-run`` it tells which steps would be taken, with ``--undo`` it takes back what its journal holds.
    """
    header = [
        "#!/bin/sh",
        _DIRECTIVE,
        "#",
        *_commented(title),
        "#",
        *_commented(f"Made by crossdock {__version__}. It will:"),
        "#",
    ]
    numbered = list(enumerate(steps, 1))
    for number, step in numbered:
        header += _commented(f"{number}. {step.title}" + (f" (interrupts {step.restarts})" if step.restarts else ""), 3)
    header += ["#", *_commented(_HOW_TO.format(state=places.state)), *(["#"] if notes else [])]
    for note in notes:
        header += _commented(note)
    parts = ["\n".join(header), f"{_prelude(places)}\ncount={len(steps)}"]
    parts += [_block(number, step, len(steps)) for number, step in numbered]
    calls = [
        f'  "$1" {number} {quoted(step.id)} {quoted(step.title)} {quoted(step.restarts)}' for number, step in numbered
    ]
    parts.append("\n".join(["steps() { # calls what it is given for each of them", *(calls or ["  :"]), "}"]))
    return "\n\n".join([*parts, _library("".join(parts)), _MAIN])


def program_to_test(test: str, places: Places = PLACES) -> str:
    """A program that ends with 0 if ``test`` (``Step.done``, ``Step.check``) passes. It needs no root by itself."""
    return _program(places, test.rstrip("\n") + "\n")


def program_to_change(step: Step, places: Places = PLACES) -> str:
    """A program that does what the step says, without asking whether it is done already, and notes the changes."""
    ending = f"""
trap 'trap "" HUP INT TERM; seal; exit 130' HUP INT TERM
step={quoted(step.id)}
set +e
(
  set -eu
  change
)
ended=$?
set -e
seal
exit "$ended"
"""
    return _program(places, _function("change", step.run) + ending)


def program_to_undo(number: int, places: Places = PLACES) -> str:
    """A program that takes back the change in this line of the journal, counted from 1. It ends with 3, and a last
    line that begins with ``left: ``, if it is better left as it is."""
    return _program(places, f"set +e\nundo_change {number}\n")


def quoted(text: str) -> str:
    """A word for the shell, for people to read: with double quotes where there is an apostrophe in it."""
    if "'" in text and not set(text) & set('"\\$`!'):
        return f'"{text}"'
    return shlex.quote(text)


def _program(places: Places, what: str) -> str:
    return "\n\n".join([_DIRECTIVE, _prelude(places), _library(what), what])


def _library(program: str) -> str:
    """The functions that a program needs."""
    files = [_FUNCTIONS, _JSON] if "_json " in program else [_FUNCTIONS]
    return "\n".join(file.read_text() for file in files)


def _prelude(places: Places) -> str:
    """What every program begins with. Programs whose output is read should say it in English and ask nothing; the
    tools of root are not in everybody's PATH."""
    lines = ["set -eu", 'export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"']
    lines += [f"state={quoted(str(places.state))}", f"binfmt={quoted(str(places.binfmt))}"]
    lines += [f"runtime={quoted(str(places.runtime))}", "step=''", "at=''"]
    return "\n".join(lines)


def _block(number: int, step: Step, count: int) -> str:
    lines = [_rule(f"{number}/{count} {step.title}"), *_commented(step.why), ""]
    lines += [_function(f"done_{number}", step.done), "", _function(f"change_{number}", step.run), ""]
    return "\n".join([*lines, _function(f"check_{number}", step.check or f"done_{number}")])


def _function(name: str, body: str) -> str:
    """Not indented, because a line may be part of a here-document."""
    body = body.strip("\n")
    return f"{name}() {{\n{body}\n}}"


def _rule(text: str) -> str:
    return f"# --- {' '.join(text.split())} ".ljust(_WIDTH, "-")


def _commented(text: str, indent: int = 0) -> list[str]:
    """A paragraph as comments. A line break in it must not end the comment."""
    lines = textwrap.wrap(" ".join(text.split()), _WIDTH - 2, subsequent_indent=" " * indent)
    return [f"# {line}" for line in lines]
