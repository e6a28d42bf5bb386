"""The check ``entrypoint``: everything the kernel needs to start the image's program, step by step.

ENTRYPOINT and CMD → the file → ``#!`` interpreters → the ELF program → its loader → its libraries. What is missing or
for another machine here is what people see as ``exec format error`` and ``no such file or directory``.
Sources: image-spec config.md; execve(2); env(1).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.image.binary import Format
from crossdock.image.model import ImageConfig
from crossdock.image.tar import Kind
from crossdock.platforms import Platform
from crossdock.verify.binaries import instruction
from crossdock.verify.filesystem import FileSystem, Found, Missing
from crossdock.verify.loader import Problem, load
from crossdock.verify.model import CheckResult, Status

CHECK = "entrypoint"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What container runtimes set when the image sets no PATH."""
MAX_INTERPRETERS = 5
"""How often the kernel follows one ``#!`` to the next."""

_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_WRAPPERS = frozenset({"tini", "tini-static", "dumb-init", "catatonit", "docker-init"})
"""Programs whose job it is to start the program that their arguments name."""
_FIRST_WORD = re.compile(r"(?:exec\s+)?([\w./+-]+)(?=\s|$)")
_BUILTINS = frozenset(
    ". : [ alias bg break case cd command continue do echo eval exec exit export false fg for function getopts hash if"
    " jobs kill local printf pwd read readonly return set shift source test time times trap true type ulimit umask"
    " unalias unset until wait while".split()
)


@dataclass(frozen=True)
class _Step:
    """One thing the kernel is asked to start: a program (a path, or a name to look up in PATH)."""

    program: str
    arguments: tuple[str, ...]
    certain: bool
    """False when a script decides whether, and with which environment, it is started."""


class _Stop(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def check_entrypoint(system: FileSystem, config: ImageConfig, platform: Platform) -> Iterator[CheckResult]:
    """One passed result that tells the chain, or a failure for each thing that breaks it."""
    words = (*config.entrypoint, *config.command)
    if not words:
        text = "the image names no program to start (neither ENTRYPOINT nor CMD)"
        yield CheckResult(CHECK, Status.SKIPPED, text, platform)
        return
    if platform.os != "linux":
        yield CheckResult(CHECK, Status.SKIPPED, f"start-up is looked at for Linux only, not {platform.os}", platform)
        return
    chain = _Chain(system, config, platform)
    problems = chain.follow(_Step(words[0], words[1:], certain=True))
    for problem, certain in problems:
        failed = certain or problem.foreign
        yield CheckResult(
            CHECK,
            Status.FAILED if failed else Status.SKIPPED,
            problem.message if failed else f"{problem.message}; a script starts it and may know better",
            platform,
            path=f"/{problem.path}" if problem.path else "",
            created_by=instruction(config.created_by, problem.layer),
            hint=problem.hint,
        )
    if not any(certain or problem.foreign for problem, certain in problems):
        yield CheckResult(CHECK, Status.PASSED, " → ".join(chain.told), platform)


class _Chain:
    def __init__(self, system: FileSystem, config: ImageConfig, platform: Platform) -> None:
        self._system = system
        self._config = config
        self._platform = platform
        self.told: list[str] = []

    def follow(self, step: _Step) -> list[tuple[Problem, bool]]:
        problems: list[tuple[Problem, bool]] = []
        pending: _Step | None = step
        for _ in range(8):
            if pending is None:
                break
            certain = pending.certain
            try:
                found, interpreted = self._start(pending.program, problems, certain)
            except _Stop as stop:
                problems.append((stop.problem, certain))
                break
            pending = self._next(found, pending, interpreted)
        return problems

    def _next(self, found: Found, step: _Step, interpreted: bool) -> _Step | None:
        """What the program starts in turn, where its arguments say so clearly."""
        name = found.path.rpartition("/")[2]
        asked = step.program.rpartition("/")[2]
        words = step.arguments
        if interpreted:
            return self._of_script(step)
        if asked in _WRAPPERS or name in _WRAPPERS:
            started = words[words.index("--") + 1 :] if "--" in words else words
            return _Step(started[0], started[1:], step.certain) if started and started[0][:1] != "-" else None
        if asked == "env" and words:
            rest = _after_env_options(words)
            return _Step(rest[0], tuple(rest[1:]), step.certain) if rest else None
        if asked in _SHELLS and words:
            return self._of_shell(words, step.certain)
        return None

    def _of_script(self, step: _Step) -> _Step | None:
        """An entrypoint script ends, by custom, with ``exec "$@"``; CMD counts if it names a program of the image."""
        command = self._config.command
        if not self._config.entrypoint or step.program != self._config.entrypoint[0] or not command:
            return None
        try:
            self._look_up(command[0])
        except _Stop:
            return None
        return _Step(command[0], command[1:], certain=False)

    def _of_shell(self, words: tuple[str, ...], certain: bool) -> _Step | None:
        if re.fullmatch(r"-[a-z]*c", words[0]) and len(words) > 1:
            script = words[1].strip()
            match = _FIRST_WORD.match(script)
            if not match or match[1] in _BUILTINS or re.search(r"\|\||[;\n]", script):
                return None
            try:
                arguments = tuple(shlex.split(script[match.end() :]))
            except ValueError:
                arguments = ()
            return _Step(match[1], arguments, certain)
        return None

    def _start(self, program: str, problems: list[tuple[Problem, bool]], certain: bool) -> tuple[Found, bool]:
        """Follow a program to the ELF file that runs; the file it is, and whether an interpreter runs it."""
        found = self._look_up(program)
        first = found
        told = f"/{found.path}"
        for _ in range(MAX_INTERPRETERS):
            file = found.file
            if file is None or file.kind is not Kind.FILE:
                raise _Stop(self._problem(f"/{found.path} is no file", found, "Name a program."))
            if not file.mode & 0o111:
                hint = "Add `RUN chmod +x` or `COPY --chmod=755` for it."
                raise _Stop(self._problem(f"/{found.path} is not executable (permission denied)", found, hint))
            if file.binary is not None:
                self._binary(found, told, problems, certain)
                return first, found is not first
            if not file.script.strip():
                raise _Stop(self._no_program(found, told))
            found = self._interpreter(found)
            told = f"{told} (#!) /{found.path}"
        raise _Stop(self._problem(f"/{first.path} has too many #! lines in a row", first, "Name a program directly."))

    def _binary(self, found: Found, told: str, problems: list[tuple[Problem, bool]], certain: bool) -> None:
        file = found.file
        assert file is not None
        binary = file.binary
        assert binary is not None
        architecture = self._platform.architecture
        if binary.format is not Format.ELF or not binary.runs_on(architecture):
            if (architecture, binary.architectures) == ("amd64", ("386",)):
                architecture = "386"
            else:
                text = f"/{found.path} is {binary.describe()}: exec format error on {architecture}"
                hint = f"Get this program for {architecture} in the instruction that brought it."
                raise _Stop(self._problem(text, found, hint, foreign=True))
        if not binary.is_loaded:
            raise _Stop(self._problem(f"/{found.path} is a {binary.kind}, not a program", found, "Link it first."))
        loading = load(self._system, found, architecture, self._config.env)
        problems += [(problem, certain) for problem in loading.problems]
        count = loading.libraries
        libraries = f", {count} {'library' if count == 1 else 'libraries'}" if count else ""
        self.told.append(f"{told} ({architecture}{libraries})")

    def _interpreter(self, script: Found) -> Found:
        assert script.file is not None
        line = script.file.script
        if line.endswith("\r"):
            text = (
                f"/{script.path} has Windows line ends: its first line asks for {line.strip()!r} with a carriage return"
            )
            hint = "Convert it to LF line ends (for git: `*.sh text eol=lf` in .gitattributes)."
            raise _Stop(self._problem(text, script, hint))
        interpreter, _, rest = line.strip(" \t").partition(" ")
        rest = rest.strip(" \t")
        found = self._system.find(interpreter)
        if isinstance(found, Missing):
            text = f"/{script.path} asks for {interpreter}{_because(interpreter, found)}, which is not in the image"
            hint = f"Install what brings {interpreter} in the final stage, or change the script's first line."
            raise _Stop(self._problem(text, script, hint))
        if interpreter.rpartition("/")[2] == "env" and rest:
            return self._by_env(script, rest)
        return found

    def _by_env(self, script: Found, rest: str) -> Found:
        """``#!/usr/bin/env`` gets everything behind it as one argument, unless -S splits it."""
        split = re.match(r"(?:-S|--split-string)[=\s]*", rest)
        words = _after_env_options(tuple(rest[split.end() :].split())) if split else [rest]
        if not words:
            return script
        try:
            return self._look_up(words[0])
        except _Stop as stop:
            text = f"/{script.path} asks env for {words[0]!r}, which is not in the image's PATH"
            hint = "Write `#!/usr/bin/env -S`, so that env splits the words." if " " in words[0] else stop.problem.hint
            raise _Stop(self._problem(text, script, hint)) from None

    def _look_up(self, program: str) -> Found:
        """A file as execvp finds it: by path, else in PATH, where what is not executable is passed over."""
        working = self._config.working_directory or "/"
        if "/" in program:
            path = program if program.startswith("/") else f"{working}/{program}"
            found = self._system.find(path)
            if isinstance(found, Missing):
                hint = "Check the path, and that the final stage copies the file (COPY --from) for every platform."
                text = f"{program} is not in the image{_because(program, found)}"
                raise _Stop(Problem(text, found.path, found.layer, hint))
            return found
        fallback: Found | None = None
        search = self._config.env.get("PATH") or DEFAULT_PATH
        for folder in search.split(":"):
            path = f"{folder or working}/{program}"
            found = self._system.find(path if path.startswith("/") else f"{working}/{path}")
            if isinstance(found, Found) and found.file is not None:
                if found.file.mode & 0o111:
                    return found
                fallback = fallback or found
        if fallback is not None:
            return fallback
        text = f"{program} is in no folder of the image's PATH ({search})"
        hint = "Install it in the final stage, or write its full path in ENTRYPOINT or CMD."
        raise _Stop(Problem(text, "", None, hint))

    def _no_program(self, found: Found, told: str) -> Problem:
        if told == f"/{found.path}":
            text = f"/{found.path} is neither a program nor a script with a #! line: exec format error"
        else:
            text = f"{told} is neither a program nor a script"
        return self._problem(text, found, "Begin the script with `#!/bin/sh`, or start it through its interpreter.")

    def _problem(self, text: str, found: Found, hint: str, *, foreign: bool = False) -> Problem:
        return Problem(text, found.path, found.layer, hint, foreign)


def _because(asked: str, missing: Missing) -> str:
    """Names the dangling link, if what was asked for is one (and not only on the way there)."""
    dangling = missing.link.rpartition("/")[2] == asked.rpartition("/")[2]
    return f" (/{missing.link} is a link to /{missing.path})" if missing.link and dangling else ""


def _after_env_options(words: tuple[str, ...]) -> list[str]:
    """The program and arguments behind env's own options and assignments."""
    left = list(words)
    while left and (left[0].startswith("-") or "=" in left[0]):
        option = left.pop(0)
        if option in ("-u", "--unset", "-C", "--chdir") and left:
            left.pop(0)
        elif option == "--":
            break
    return left
