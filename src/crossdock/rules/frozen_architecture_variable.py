"""frozen-architecture-variable: a variable holds amd64 and decides what is built."""

from __future__ import annotations

from crossdock.findings import Severity
from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import DefinedBy, Kind, Mark, Sink
from crossdock.rules.vocabulary import READ_VARIABLES


class FrozenArchitectureVariable(SinkRule):
    """A variable is set to the name of amd64, and what it says reaches a download, a path, a compiler or an image.

    The variable says amd64 in the arm64 build as well, so everything that is chosen by it is for amd64.

    Let BuildKit say it: `ARG TARGETARCH` after FROM, and that in place of the constant. Where another name is needed
    (x86_64, x64), compute it in the RUN that uses it.
    """

    id = "frozen-architecture-variable"
    kinds = frozenset(Kind)

    VALID = (
        Example("FROM debian\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nRUN curl -LO https://example.com/tool-$ARCH\n"),
        Example("FROM debian\nRUN ARCH=$(uname -m); curl -LO https://example.com/tool-$ARCH\n"),
        Example(
            'FROM debian\nRUN ARCH=x86_64; if [ "$(uname -m)" = aarch64 ]; then ARCH=arm64; fi; wget https://e.com/t-$ARCH\n'
        ),
    )
    INVALID = (
        Example(
            "FROM debian\nENV ARCH=⟦amd64⟧\nRUN curl -LO https://example.com/tool-$ARCH\n",
            fixed=(
                "FROM debian\nARG TARGETARCH\nENV ARCH=${TARGETARCH}\nRUN curl -LO https://example.com/tool-$ARCH\n"
            ),
        ),
        Example(
            "FROM debian\nARG ARCH=⟦x86_64⟧\nRUN curl -LO https://example.com/tool-$ARCH\n",
            fixed=(
                "FROM debian\n"
                "ARG TARGETARCH\n"
                "ARG ARCH=x86_64\n"
                'RUN case "$TARGETARCH" in \\\n'
                "        amd64) ;; \\\n"
                "        arm64) ARCH=aarch64 ;; \\\n"
                '        *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\\n'
                "    esac \\\n"
                "    && curl -LO https://example.com/tool-$ARCH\n"
            ),
        ),
        Example(
            "FROM debian\nRUN ARCH=⟦amd64⟧; wget https://example.com/tool-$ARCH\n",
            fixed=("FROM debian\nARG TARGETARCH\nRUN ARCH=${TARGETARCH}; wget https://example.com/tool-$ARCH\n"),
        ),
    )

    def blames(self, mark: Mark) -> bool:
        return mark.definition is not None and mark.definition.bare and mark.definition.name != "GOARCH"

    def severity(self, sink: Sink, marks: tuple[Mark, ...]) -> Severity:
        """What the image only keeps, for nobody that is known to read it, need not break anything."""
        definition = marks[0].definition
        is_kept = sink.kind is Kind.VARIABLE and sink.command is None
        if is_kept and definition is not None and definition.name not in READ_VARIABLES:
            return Severity.INFO
        return super().severity(sink, marks)

    def message(self, at: Arrival) -> str:
        definition = at.marks[0].definition
        name = definition.name if definition else ""
        value = definition.value.render() if definition else ""
        if at.sink.kind is Kind.VARIABLE:
            keyword = definition.by if definition and definition.by is not DefinedBy.SHELL else "variable"
            return f"{keyword} {name} says {value} to every command that reads it"
        return f"{name}={value} decides {shortened(at.entry, 70)}"
