"""amd64-checksum: the checksum of an amd64 file is written down."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Confidence, Finding, Severity, locate
from crossdock.rules.base import Example, Project, Rule
from crossdock.rules.checksums import digest_of, file_name
from crossdock.rules.reach import shortened, shown
from crossdock.rules.sinks import Kind
from crossdock.source import Span


class Amd64Checksum(Rule):
    """A download that is for amd64 is held against a checksum that is written down, which is the amd64 file's.

    The file for arm64 has another checksum. Whoever changes the address alone gets a build for arm64 that stops where
    the checksum is compared.

    Write the checksum of each file, chosen where the file is chosen. `crossdock port` fetches both and does so together
    with the download.
    """

    id = "amd64-checksum"

    VALID = (
        Example(
            f"FROM debian\nENV SUM={'a' * 64}\n"
            'RUN curl -LO https://example.com/t.jar && echo "$SUM  t.jar" | sha256sum -c\n'
        ),
        Example(
            "FROM debian\nRUN curl -LO https://e.com/t-amd64 && curl -LO https://e.com/sums && sha256sum -c sums\n",
            note="the checksums come from upstream",
        ),
    )
    INVALID = (
        Example(
            f"FROM debian\nENV SUM=⟦{'a' * 64}⟧\n"
            'RUN curl -LO https://example.com/t-amd64 && echo "$SUM  t-amd64" | sha256sum -c\n',
            note="amd64-download tells of the address",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        told: set[tuple[str, Span]] = set()
        for sink in project.sinks:
            digest = digest_of(project, sink) if sink.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} else None
            if digest is None or digest.has_counterpart(project):
                continue
            place = (digest.origin.path, digest.origin.span)
            if place not in told:
                told.add(place)
                name = shortened(file_name(shown(sink.value)))
                written = sink.marks[0].origin
                yield self.finding(
                    project.source(digest.origin.path),
                    digest.origin.span,
                    f"this {digest.algorithm} is that of the amd64 file {name}: it changes together with the download",
                    severity=Severity.WARNING,
                    confidence=Confidence.MEDIUM,
                    part_of=locate(project.source(written.path), written.span),
                )
