"""The check ``healthcheck``: an image's own HEALTHCHECK, run beside its program."""

from __future__ import annotations

import shlex
import time

from crossdock.engines.containers import Container, shell_code
from crossdock.engines.model import SmokeVerdict
from crossdock.engines.smoke import judge
from crossdock.image.model import Healthcheck
from crossdock.platforms import Platform
from crossdock.process import Command, CommandTimeout, Runner
from crossdock.verify.model import CheckResult, Status

CHECK = "healthcheck"
_CANNOT_RUN = frozenset({126, 127})
_SAYS_WHY = 200
"""Characters of its output that are told."""


class Health:
    """Asked every second, and not as seldom as the image says, so that a smoke run ends as soon as the image is
    healthy. Failing does not end it, because a program may need its time to start; but a command that cannot be run at
    all will not become right."""

    def __init__(self, check: Healthcheck, container: Container, runner: Runner, limit: float) -> None:
        self._check = check
        self._command = container.execute(check.command)
        self._runner = runner
        self._limit = limit
        self._began = time.monotonic()
        self._tries = 0
        self._healthy_after: float | None = None
        self._code = 0
        self._said: tuple[str, ...] = ()

    def ask(self) -> bool:
        """Run it once; whether it is known now how it goes."""
        if self._command is None:
            return False
        left = self._limit - (time.monotonic() - self._began)
        if left <= 0:
            return False
        self._tries += 1
        self._try(self._command, min(left, self._check.timeout))
        if self._code == 0:
            self._healthy_after = time.monotonic() - self._began
        return self._code == 0 or self._is_broken

    def _try(self, command: Command, limit: float) -> None:
        try:
            done = self._runner.run(command, timeout=limit, check=False)
        except CommandTimeout:
            if not self._said or limit == self._check.timeout:  # else only the run's own time was over
                self._said = (f"no answer within {limit:.1f} s",)
            self._code = -1
            return
        text = done.text + done.stderr.decode("utf-8", "replace")
        self._code, self._said = shell_code(done.exit_code), tuple(line for line in text.splitlines() if line.strip())

    @property
    def _is_broken(self) -> bool:
        return self._code in _CANNOT_RUN or judge(self._code, self._said) in (
            SmokeVerdict.EXEC_FORMAT_ERROR,
            SmokeVerdict.MISSING_LOADER,
            SmokeVerdict.ILLEGAL_INSTRUCTION,
        )

    def result(self, platform: Platform) -> CheckResult | None:
        """None where it was never run: the program has ended before."""
        name = f"HEALTHCHECK `{shlex.join(self._check.command)[:120]}`"
        if self._command is None:
            hint = "Docker and podman can: --engine docker."
            text = f"{name} not run: this engine cannot run a second command in a container"
            return CheckResult(CHECK, Status.SKIPPED, text, platform, hint=hint)
        if not self._tries:
            return None
        if self._healthy_after is not None:
            return CheckResult(CHECK, Status.PASSED, f"{name} passed after {self._healthy_after:.1f} s", platform)
        said = f": {' '.join(self._said[-2:])[:_SAYS_WHY]}" if self._said else ""
        if self._is_broken:
            hint = "The program that it starts has to be in the image, for this platform (curl and wget often are not)."
            return CheckResult(CHECK, Status.FAILED, f"{name} cannot be run{said}", platform, hint=hint)
        took = min(time.monotonic() - self._began, self._limit)
        text = f"{name} not passed within {took:.0f} s, in {self._tries} tries{said}"
        engine_waits = self._check.start_period + self._check.retries * self._check.interval
        if took < engine_waits:
            hint = f"Docker would wait {engine_waits:g} s to give up; so does --smoke-timeout {engine_waits:g}."
            return CheckResult(CHECK, Status.WARNING, text, platform, hint=hint)
        hint = "It runs without network here, as its program does; localhost can be reached."
        return CheckResult(CHECK, Status.FAILED, text, platform, hint=hint)
