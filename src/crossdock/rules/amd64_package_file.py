"""amd64-package-file: a package file for amd64 is installed."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import Kind


class Amd64PackageFile(SinkRule):
    """A package file (.deb, .rpm, .apk, wheel) that is built for amd64 is installed.

    Package managers refuse a package of another architecture ("package architecture (amd64) does not match system
    (arm64)", "is not a supported wheel on this platform"), so the arm64 build fails at this step.

    Install the package from the distribution's or the vendor's repository, which chooses the architecture, or bring
    the file for each architecture and name it with `${TARGETARCH}`.
    """

    id = "amd64-package-file"
    kinds = frozenset({Kind.PACKAGE_FILE})

    VALID = (
        Example("FROM debian\nARG TARGETARCH\nCOPY tool_1.0_${TARGETARCH}.deb /tmp/\nRUN dpkg -i /tmp/*.deb\n"),
        Example("FROM python\nRUN pip install https://example.com/pure-1.0-py3-none-any.whl\n"),
    )
    INVALID = (
        Example("FROM debian\nCOPY tool_1.0_⟦amd64⟧.deb /tmp/\nRUN dpkg -i /tmp/tool_1.0_amd64.deb\n"),
        Example(
            "FROM rockylinux\nRUN dnf install -y https://example.com/tool-1.0.⟦x86_64⟧.rpm\n",
            fixed="FROM rockylinux\nRUN dnf install -y https://example.com/tool-1.0.$(uname -m).rpm\n",
        ),
        Example("FROM python\nRUN pip install /wheels/fast-1.0-cp311-cp311-linux_⟦x86_64⟧.whl\n"),
    )

    def message(self, at: Arrival) -> str:
        name = at.text.split("?")[0].rsplit("/", 1)[-1]
        return f"{shortened(name)} is a package for amd64"
