"""amd64-repository: a package source is limited to amd64."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind


class Amd64Repository(SinkRule):
    """A package source is limited to amd64, with apt's `[arch=amd64]` or `Architectures: amd64`.

    On arm64 apt leaves such a source out, and what should come from it is "Unable to locate package".

    Leave the restriction away, or write `[arch=$(dpkg --print-architecture)]`.
    """

    id = "amd64-repository"
    kinds = frozenset({Kind.REPOSITORY})

    VALID = (
        Example(
            "FROM debian\n"
            'RUN echo "deb [arch=$(dpkg --print-architecture)] https://example.com/ stable main"'
            " > /etc/apt/sources.list.d/e.list\n"
        ),
        Example(
            "FROM debian\n"
            'RUN echo "deb [arch=amd64,arm64] https://example.com/ stable main" > /etc/apt/sources.list.d/e.list\n'
        ),
    )
    INVALID = (
        Example(
            "FROM debian\n"
            'RUN echo "deb https://repo.example.com/debian/⟦amd64⟧ stable main" > /etc/apt/sources.list.d/e.list\n',
            fixed=(
                "FROM debian\n"
                'RUN echo "deb https://repo.example.com/debian/$(dpkg --print-architecture) stable main"'
                " > /etc/apt/sources.list.d/e.list\n"
            ),
        ),
        Example(
            "FROM debian\n"
            'RUN echo "deb [arch=⟦amd64⟧] https://example.com/ stable main" > /etc/apt/sources.list.d/e.list\n',
            fixed=(
                "FROM debian\n"
                'RUN echo "deb [arch=$(dpkg --print-architecture)] https://example.com/ stable main"'
                " > /etc/apt/sources.list.d/e.list\n"
            ),
        ),
    )

    def message(self, at: Arrival) -> str:
        return f"this package source is limited to {at.words}"
