"""What would make an emulated stage quicker, if it ran on the build platform: a hint, never a choice.

Whether it may, cannot be proven from the instructions alone, so nothing is planned by it; ``port --cross`` writes it
into a Dockerfile where more is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from crossdock.plan.work import UNKNOWN, Evidence, Kind, Makes
from crossdock.read.trace import Role, StageTrace, Trace

_INSTALLED = re.compile(r"^/?$|^/(usr|lib|lib64|bin|sbin|opt|etc)(/|$)|node_modules|site-packages|vendor|venv|\.gem")
"""Where package managers put things: taken out of a stage, they have to be of the target's architecture."""


def opportunity(stage: StageTrace, found: Trace, shown: Sequence[Evidence]) -> str:
    """In words, or empty: the stage is the image itself, is pinned, or makes what has to be made where it runs."""
    if stage.is_image or stage.role is Role.BUILD or stage.platform is not None or stage.parent is not None:
        return ""
    makes = {one.work.makes for one in shown}
    if Makes.MACHINE in makes or any(one.work is UNKNOWN for one in shown):
        return ""
    heavy = [one for one in shown if one.work.kind in (Kind.COMPILE, Kind.PROGRAM)]
    line = found.dockerfile.source.position(stage.stage.from_.span.start).line
    target = next((one for one in heavy if one.work.makes is Makes.TARGET), None)
    same = next((one for one in heavy if one.work.makes is Makes.SAME), None)
    taken = copied_from(stage, found)
    if not taken or (Makes.IMAGE in makes and any(_INSTALLED.search(path) for path in taken)):
        return ""
    change = f"--platform=$BUILDPLATFORM in FROM on line {line}"
    if target:
        return f"{target.says}, which can be for any target: {change} and {target.work.cross} would run it natively"
    if same:
        return f"{same.says}, which should give the same for every target: {change} would run it once, natively"
    return ""


def copied_from(stage: StageTrace, found: Trace) -> tuple[str, ...]:
    """The paths that other stages take from this one; ``/`` for a mount or a stage that goes on from it."""
    paths: list[str] = []
    index = stage.stage.index
    for other in found.stages:
        if other.parent == index:
            paths.append("/")
        for step in other.steps:
            if step.copied_from == index:
                paths += [word.text for word in step.words]
            elif step.instruction.keyword == "RUN" and index in other.needs:
                names = {str(index), (stage.stage.name or "").lower()} - {""}
                mounts = [flag.value or "" for flag in step.instruction.flags if flag.name == "mount"]
                if any(
                    re.search(rf"(?:^|,)from=({'|'.join(map(re.escape, names))})(,|$)", one, re.I) for one in mounts
                ):
                    paths.append("/")
    return tuple(dict.fromkeys(paths))
