"""amd64-compiler-flag: a flag that only compilers for x86 know."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind


class Amd64CompilerFlag(SinkRule):
    """A compiler flag exists only on x86: an instruction set (-msse4.2, -mavx2), a processor (-march=haswell), -m64.

    Compilers for arm64 stop with "unrecognized command-line option".

    Leave the flag away where it only tunes, or add it on amd64 only:
    `case "$TARGETARCH" in amd64) flags=-mavx2 ;; esac`.
    """

    id = "amd64-compiler-flag"
    kinds = frozenset({Kind.COMPILER_FLAG})

    VALID = (
        Example("FROM gcc\nRUN gcc -O2 -march=native -o /app app.c\n"),
        Example('FROM gcc\nRUN if [ "$(uname -m)" = x86_64 ]; then F=-mavx2; fi; gcc $F -o /app app.c\n'),
    )
    INVALID = (
        Example('FROM gcc\nARG CC="gcc ⟦-m32⟧"\nRUN make\n'),
        Example("FROM gcc\nRUN gcc -O2 ⟦-mavx2⟧ -o /app app.c\n"),
        Example('FROM gcc\nENV CFLAGS="-O2 ⟦-march=haswell⟧"\nRUN make\n'),
    )

    def message(self, at: Arrival) -> str:
        return f"{at.words} is known only to compilers for x86"
