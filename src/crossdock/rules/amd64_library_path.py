"""amd64-library-path: a path that exists only on amd64."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import Kind


class Amd64LibraryPath(SinkRule):
    """A path names what exists only on amd64: a multiarch directory, a dynamic loader, the folder of a JVM, or
    another folder that is named for amd64 and that no download or COPY brought by that name.

    On arm64 the directory is called otherwise (`/usr/lib/aarch64-linux-gnu`, `ld-linux-aarch64.so.1`,
    `java-11-openjdk-arm64`). COPY and compilers fail; a JAVA_HOME or LD_LIBRARY_PATH is wrong without a word.

    In a RUN write `$(dpkg-architecture -qDEB_HOST_MULTIARCH)` or `$(uname -m)-linux-gnu`; in ENV and COPY use
    `${TARGETARCH}` where the path has Debian's name, or make an architecture-neutral link in a RUN and use that.
    """

    id = "amd64-library-path"
    kinds = frozenset({Kind.LIBRARY_PATH, Kind.NAMED_PATH})

    VALID = (
        Example("FROM debian\nRUN sed -i '/x86_64-linux-gnu/d' /etc/ld.so.conf\n"),
        Example("FROM debian\nRUN rm -rf /usr/lib/x86_64-linux-gnu/dri\n"),
        Example('FROM debian\nRUN ln -s "/usr/lib/$(uname -m)-linux-gnu/libz.so.1" /opt/libz.so\n'),
        Example("FROM debian\nARG TARGETARCH\nENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-${TARGETARCH}\n"),
        Example("FROM debian\nRUN sed -i 's|/usr/lib/x86_64-linux-gnu|/usr/lib|' /etc/x.conf\n"),
    )
    INVALID = (
        Example(
            "FROM debian\nENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-⟦amd64⟧\n",
            fixed=("FROM debian\nARG TARGETARCH\nENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-${TARGETARCH}\n"),
        ),
        Example(
            "FROM debian\nRUN cp /usr/lib/⟦x86_64-linux-gnu⟧/libz.so.1 /opt/\n",
            fixed=("FROM debian\nRUN cp /usr/lib/$(uname -m)-linux-gnu/libz.so.1 /opt/\n"),
        ),
        Example(
            'FROM debian\nRUN echo "export JAVA_HOME=/usr/lib/jvm/java-17-openjdk-⟦amd64⟧" >> /etc/env\n',
            fixed=(
                "FROM debian\n"
                'RUN echo "export JAVA_HOME=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)" >> /etc/env\n'
            ),
            note="written into a file",
        ),
        Example(
            "FROM debian\nCOPY libfoo.so /usr/lib/⟦x86_64-linux-gnu⟧/\n",
            note="the arm64 loader does not look there",
        ),
        Example("FROM debian\nRUN make install\nENV PATH=/opt/texlive/bin/⟦x86_64-linux⟧:$PATH\n"),
        Example(
            "FROM debian\nRUN curl -L https://example.com/solver.tgz | tar xz\nENV SOLVER=/solver/bin/linux-⟦x64⟧\n",
            note="the archive holds a folder for each architecture",
        ),
    )

    def message(self, at: Arrival) -> str:
        return f"{shortened(at.entry, 70)} exists only on amd64"
