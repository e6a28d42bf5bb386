"""Whether apt asks the right archive on Arm: Ubuntu keeps what is for other processors in another one, ubuntu-ports."""

from __future__ import annotations

import re

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.doctor.distribution import Distribution
from crossdock.doctor.facts import Facts
from crossdock.doctor.mirrors import Mirror, mirrors
from crossdock.doctor.version import version_number
from crossdock.host.script import quoted
from crossdock.host.steps import Step

_LAST_ARM64 = (20, 4)
"""Later releases for arm64 were in ubuntu-ports alone, too, until Ubuntu began to add them to the archive in 2026
(https://github.com/canonical/apport/pull/622), so nothing is said of them."""
_OFFICIAL = r"https?://([a-z]{2}\.)?(archive|security)\.ubuntu\.com/ubuntu/?([[:space:]]|$)"


def check_apt_sources(facts: Facts, distribution: Distribution, mirror: Mirror) -> tuple[Check, ...]:
    """A warning where sources name Ubuntu's archive on a machine that it has no packages for. ``mirror`` is where
    packages come from instead, if it has Ubuntu's ports."""
    base = distribution.base
    platform = facts.userland or facts.platform
    if base is None or base.id != "ubuntu" or not _only_in_ports(platform.architecture, base.version):
        return ()
    wrong = {path: lines for path, text in facts.apt_sources.items() if (lines := _wrong_lines(path, text))}
    if not wrong:
        return ()
    evidence = tuple(f"{path}: {line}" for path, lines in wrong.items() for line in lines)
    what = f"apt's sources name Ubuntu's archive; the packages of {base.name} for {platform} are in ubuntu-ports."
    hint = "apt-get update finds no packages there (404)."
    step = _step(tuple(wrong), mirror)
    return (Check("apt-sources", Topic.SYSTEM, State.WARNING, what, evidence, hint, (step,)),)


def _wrong_lines(path: str, text: str) -> list[str]:
    """The lines that take packages for this machine from the archive; those for named architectures mean others."""
    if path.endswith(".sources"):
        if re.search(r"^Architectures:", text, re.MULTILINE):
            return []
        lines = [line for line in text.splitlines() if line.startswith("URIs:")]
    else:
        lines = [line for line in text.splitlines() if re.match(r"deb(-src)?\s", line) and "arch=" not in line]
    wrong = re.compile("|".join(_python(pattern) for pattern in (_OFFICIAL, *_mirrored())))
    return [line for line in lines if wrong.search(line)]


def _step(paths: tuple[str, ...], mirror: Mirror) -> Step:
    official = mirror.ports or mirrors()[0].ports
    changes = [f"s#{_OFFICIAL}#{official}/\\3#g"]
    changes += [f"s#{pattern}#\\1/ubuntu-ports/\\2#g" for pattern in _mirrored()]
    files = " ".join(quoted(path) for path in paths)
    wrong = "|".join((_OFFICIAL, *_mirrored()))
    return Step(
        id="apt-ports",
        title="Take Ubuntu's packages from ubuntu-ports",
        why="There are no packages for this processor in the archive: https://ports.ubuntu.com.",
        done=f"! grep -hE '^(deb|URIs:)' {files} 2>/dev/null | grep -v 'arch=' | grep -qE '{wrong}'",
        run=f"""\
for file in {files}; do
  keep "$file"
  sed -i -E {" ".join(f"-e '/^(deb|URIs:)/{{/arch=/!{change}}}'" for change in changes)} "$file"
done
apt-get update""",
    )


def _mirrored() -> tuple[str, ...]:
    """Mirrors that have the archive beside the ports."""
    beside = [one.ports.removesuffix("-ports") for one in mirrors()[1:] if one.ports]
    addresses = [address.partition("://")[2].removesuffix("/ubuntu") for address in beside]
    return tuple(rf"(https?://{re.escape(address)})/ubuntu/?([[:space:]]|$)" for address in addresses)


def _python(pattern: str) -> str:
    return pattern.replace("[[:space:]]", r"\s")


def _only_in_ports(architecture: str, version: str) -> bool:
    if architecture == "arm64":
        return version_number(version) <= _LAST_ARM64
    return architecture not in ("amd64", "386")
