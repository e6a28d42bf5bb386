"""The check ``commands``: commands in containers of an image, and what they have to print and end with."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator

from crossdock.engines.containers import ContainerEngine, Pull, RunRequest, shell_code
from crossdock.errors import EngineError
from crossdock.image.model import Image
from crossdock.platforms import Platform
from crossdock.process import CommandTimeout, Runner
from crossdock.verify.assertions import CommandTest
from crossdock.verify.model import CheckResult, Status
from crossdock.verify.places import Places

CHECK = "commands"


def check_commands(
    image: Image,
    tests: tuple[CommandTest, ...],
    platform: Platform,
    places: Places,
    runner: Runner,
    timeout: float,
) -> Iterator[CheckResult]:
    """Each command in a container of its own, without network. Raises EngineError when there can be no container."""
    try:
        engine = places.of(platform).engine
    except EngineError as error:
        yield CheckResult(CHECK, Status.SKIPPED, f"not run: {error.what}", platform, hint=error.hint or "")
        return
    for test in tests:
        problem = _problem(image, test, platform, engine, runner, timeout)
        if problem:
            yield CheckResult(CHECK, Status.FAILED, f"{test.name}: {problem}", platform)
        else:
            ended = f"`{shlex.join(test.command)}` ended with {test.exit_code}"
            yield CheckResult(CHECK, Status.PASSED, f"{test.name}: {ended}", platform)


def _problem(
    image: Image, test: CommandTest, platform: Platform, engine: ContainerEngine, runner: Runner, timeout: float
) -> str:
    program, *arguments = _with_setup(test)
    request = RunRequest(
        image=image.name,
        platform=platform,
        command=tuple(arguments),
        content=image,
        pull=Pull.NEVER,
        entrypoint=program,
        env=test.env,
        network="none",
    )
    with engine.create(request, contextlib.nullcontext) as container:
        try:
            done = runner.run(container.command, timeout=timeout, check=False)
        except CommandTimeout:
            return f"still running after {timeout:g} s"
        output, errors = done.text, done.stderr.decode("utf-8", "replace")
        outcome = container.outcome(done.exit_code, ())
    if not outcome.started:
        return outcome.trouble or errors.strip() or "it could not be started"
    code = shell_code(outcome.exit_code)
    if code != test.exit_code:
        last = next((line for line in reversed(errors.splitlines() or output.splitlines()) if line.strip()), "")
        return f"ended with {code}, not {test.exit_code}" + (f": {last.strip()[:200]}" if last else "")
    for what, text, expected, excluded in (
        ("output", output, test.expected_output, test.excluded_output),
        ("standard error", errors, test.expected_error, test.excluded_error),
    ):
        for pattern in expected:
            if not re.search(pattern, text, re.MULTILINE):
                return f"its {what} does not have {pattern!r}"
        for pattern in excluded:
            if re.search(pattern, text, re.MULTILINE):
                return f"its {what} has {pattern!r}"
    return ""


def _with_setup(test: CommandTest) -> tuple[str, ...]:
    if not test.setup:
        return test.command
    lines = [f"{shlex.join(words)} >/dev/null" for words in test.setup]
    return ("/bin/sh", "-ec", "\n".join([*lines, f"exec {shlex.join(test.command)}"]))
