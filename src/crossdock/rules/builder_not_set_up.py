"""builder-not-set-up: a workflow builds for arm64 with what can build for amd64 only."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Confidence, Finding, Severity
from crossdock.rules.base import Example, OtherFile, Rule, fixes_of

_WORKFLOW = """\
on: push
jobs:
  image:
    runs-on: {}
    steps:
      - uses: actions/checkout@v4
{}      - uses: {}
        with:
          platforms: linux/amd64,linux/arm64
"""
_BUILDX = "      - uses: docker/setup-buildx-action@v3\n"
_QEMU = "      - uses: docker/setup-qemu-action@v3\n"
_BUILD = "docker/build-push-action@v6"
_PATH = ".github/workflows/image.yaml"


class BuilderNotSetUp(Rule):
    """A GitHub Actions job on an amd64 runner builds for arm64 with Docker's own builder, and sets nothing up for it.

    With the classic image store that builder refuses several platforms: "Multi-platform build is not supported for the
    docker driver". With the containerd one, and for arm64 alone, every RUN fails with "exec format error", because the
    runner's kernel knows no emulator.

    Add docker/setup-qemu-action and docker/setup-buildx-action before the build, or build on an Arm runner
    (ubuntu-24.04-arm).
    """

    id = "builder-not-set-up"

    VALID = (
        Example(_WORKFLOW.format("ubuntu-latest", _QEMU + _BUILDX, _BUILD), path=_PATH),
        Example(
            _WORKFLOW.format("ubuntu-latest", _BUILDX, _BUILD), note="BuildKit's image has emulators in it", path=_PATH
        ),
        Example(_WORKFLOW.format("self-hosted", "", _BUILD), note="what such a runner has is not known", path=_PATH),
    )
    INVALID = (
        Example(
            _WORKFLOW.format("ubuntu-latest", "", f"⟦{_BUILD}⟧"),
            fixed=_WORKFLOW.format("ubuntu-latest", _QEMU + _BUILDX, _BUILD),
            path=_PATH,
        ),
    )

    def check_other(self, file: OtherFile) -> Iterator[Finding]:
        for missing in file.declared.missing:
            yield self.finding(
                file.source,
                missing.span,
                missing.what,
                severity=Severity.WARNING,
                confidence=Confidence.MEDIUM,
                fixes=fixes_of(missing.mend),
            )
