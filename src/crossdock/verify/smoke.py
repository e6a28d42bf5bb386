"""Smoke runs as checks: starting the image of each platform that has passed everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from crossdock.engines.model import SmokeResult, SmokeVerdict
from crossdock.platforms import Platform
from crossdock.verify.model import CheckResult, Status, VerifyResult

Start = Callable[[Platform], SmokeResult]
"""Starts the image of one platform and says how that went. May raise EngineError."""


def with_smoke_runs(
    result: VerifyResult, start: Start, unable: Mapping[Platform, CheckResult] | None = None
) -> VerifyResult:
    """``result`` with a check ``smoke`` for each platform. One that has failed already is not started; for one in
    ``unable`` this machine cannot do it, and that check is taken instead."""

    def check(platform: Platform) -> CheckResult:
        if any(entry.status is Status.FAILED and entry.platform in (platform, None) for entry in result.results):
            return CheckResult("smoke", Status.SKIPPED, "not started: a check has failed already", platform)
        return (unable or {}).get(platform) or smoke_check(start(platform))

    return replace(result, results=(*result.results, *map(check, result.platforms)))


def smoke_check(smoke: SmokeResult) -> CheckResult:
    """What a smoke run says, as a check."""
    last = next((line.strip() for line in reversed(smoke.output) if line.strip()), "")
    said = f": {last[:200]}" if last else ""
    seconds = f"{smoke.seconds:.1f} s"
    match smoke.verdict:
        case SmokeVerdict.RAN:
            ending = f"ended with 0 after {seconds}" if smoke.exit_code == 0 else f"still running after {seconds}"
            return CheckResult("smoke", Status.PASSED, f"started and {ending}", smoke.platform)
        case SmokeVerdict.FAILED:
            text = f"ended with exit code {smoke.exit_code} after {seconds}{said}"
            hint = "If it needs arguments or a server to start, give a command for the smoke run, or --no-smoke."
        case SmokeVerdict.EXEC_FORMAT_ERROR:
            text = f"exec format error{said}"
            hint = (
                f"A program in the image is not for {smoke.platform}; the checks binaries and entrypoint name it."
                " If they pass, this machine cannot run such programs."
            )
        case SmokeVerdict.MISSING_LOADER:
            text = f"a program's loader or library is missing{said}"
            hint = "The check entrypoint names the file; install its C library or link the program statically."
        case SmokeVerdict.HUNG:
            text = f"did not start within {seconds}{said}"
            hint = "Some programs hang under emulation: run it on an Arm machine, or give a shorter command."
    return CheckResult("smoke", Status.FAILED, text, smoke.platform, hint=hint)
