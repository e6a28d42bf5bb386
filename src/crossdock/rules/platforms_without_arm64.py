"""platforms-without-arm64: an image is built for a list of platforms that has no arm64."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossdock.findings import Confidence, Finding, Severity
from crossdock.rules.base import Example, OtherFile, Rule, fixes_of

_HANDLES_ARM64 = re.compile(rb"arm64|aarch64|[-_]arm\b", re.IGNORECASE)
"""In a file that says so somewhere, each list may be one of several on purpose: jobs for one architecture each."""
_WORKFLOW = """\
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: docker/setup-qemu-action@v3
      - uses: docker/setup-buildx-action@v3
      - uses: docker/build-push-action@v6
        with:
          push: true
          platforms: {}
"""


class PlatformsWithoutArm64(Rule):
    """A workflow, pipeline, compose file or bake file builds images for amd64, and none for arm64.

    What is published has no image for Arm machines: `docker pull` fails there, or takes the amd64 image, which runs
    emulated or not at all.

    Add linux/arm64 to the list. Where no platforms are named at all, the image is for the machine that builds; name
    both, `linux/amd64,linux/arm64`.
    """

    id = "platforms-without-arm64"

    VALID = (
        Example(_WORKFLOW.format("linux/amd64,linux/arm64"), path=".github/workflows/image.yaml"),
        Example(
            "image:\n  tags: [x86]\n  script:\n    - docker build --platform linux/amd64 -t app:amd64 .\n"
            "image-arm:\n  tags: [arm64]\n  script:\n    - docker build -t app:arm64 .\n",
            note="one job for each architecture",
            path=".gitlab-ci.yml",
        ),
    )
    INVALID = (
        Example(
            _WORKFLOW.format("⟦linux/amd64⟧"),
            fixed=_WORKFLOW.format("linux/amd64,linux/arm64"),
            path=".github/workflows/image.yaml",
        ),
        Example(
            'target "app" {\n  tags = ["app:1"]\n  platforms = ["⟦linux/amd64⟧"]\n}\n',
            fixed='target "app" {\n  tags = ["app:1"]\n  platforms = ["linux/amd64", "linux/arm64"]\n}\n',
            path="docker-bake.hcl",
        ),
        Example(
            "image:\n  script:\n    - docker buildx build --platform ⟦linux/amd64⟧ --push -t app:1 .\n",
            fixed="image:\n  script:\n    - docker buildx build --platform linux/amd64,linux/arm64 --push -t app:1 .\n",
            path=".gitlab-ci.yml",
        ),
    )

    def check_other(self, file: OtherFile) -> Iterator[Finding]:
        if _HANDLES_ARM64.search(file.source.data):
            return
        for platforms in file.declared.lists:
            if platforms.names_amd64:
                yield self.finding(
                    file.source,
                    platforms.span,
                    f"{platforms.what} is built for {', '.join(platforms.platforms)}, not for linux/arm64",
                    severity=Severity.WARNING if platforms.published else Severity.INFO,
                    fixes=fixes_of(platforms.mend),
                )
            elif not platforms.platforms and platforms.published:
                yield self.finding(
                    file.source,
                    platforms.span,
                    f"{platforms.what} publishes an image for the platform of the machine that builds alone",
                    severity=Severity.INFO,
                    confidence=Confidence.MEDIUM,
                )
