"""A build in a process of its own, for tests that interrupt it: ``build_once.py ENGINE CONTEXT WORK``.

The Dockerfile is that of the context. Each event is a line of output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crossdock.cli.verbs import interrupt_on_termination
from crossdock.engines.choose import choose
from crossdock.engines.model import BuildEvent, BuildRequest
from crossdock.errors import ExitCode
from crossdock.platforms import DEFAULT_TARGETS
from crossdock.process import SystemRunner


def main(engine: str, context: str, work: str) -> int:
    interrupt_on_termination()
    dockerfile = (Path(context) / "Dockerfile").read_bytes()
    request = BuildRequest(Path(context), dockerfile, b"", DEFAULT_TARGETS, no_cache=True)

    def show(event: BuildEvent) -> None:
        print(event.state.value, event.name, event.text, flush=True)

    try:
        choose(engine, SystemRunner()).build(request, Path(work), show)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
