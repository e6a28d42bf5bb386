"""Answers for all packages of a Dockerfile: what the indexes say, else what the catalogue does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from crossdock.findings import Skipped
from crossdock.packages.catalogue import debian_names, known
from crossdock.packages.model import NOT_ASKED, Answer, Ask, Ecosystem, PackageFact, PackageRequest, Status

_NAMED = 3
"""So many packages are named in a note on what was not looked up."""


def offline(requests: Sequence[PackageRequest]) -> Mapping[PackageRequest, Answer]:
    """An ``Ask`` that asks nobody, and says so."""
    return dict.fromkeys(requests, Answer(Status.UNKNOWN, f"{NOT_ASKED}: --offline"))


def answer_all(
    requests: Iterable[PackageRequest], ask: Ask | None = None
) -> tuple[tuple[PackageFact, ...], tuple[Skipped, ...]]:
    """What is known of each package, and which could not be looked up. Without ``ask`` only the catalogue is asked, and
    nothing is said of what it does not know.

    An index is more recent than the catalogue, so its word counts; what to do instead is the catalogue's.
    """
    said = {request: known(request) for request in requests}
    asked = ask([request for request, answer in said.items() if _is_open(request, answer)]) if ask else {}
    facts: list[PackageFact] = []
    unknown: dict[tuple[Ecosystem, str], list[PackageRequest]] = defaultdict(list)
    for request, answer in said.items():
        found = asked.get(request)
        if found and found.status is Status.UNKNOWN:
            if answer is None:
                unknown[request.ecosystem, found.detail].append(request)
        elif found:
            instead, dispensable = (answer.instead, answer.dispensable) if answer else ("", False)
            answer = replace(found, instead=found.instead or instead, dispensable=dispensable)
        if answer:
            facts.append(PackageFact(request, answer))
    return tuple(facts), tuple(_note(ecosystem, why, left) for (ecosystem, why), left in unknown.items())


def _is_open(request: PackageRequest, answer: Answer | None) -> bool:
    """Whether an index could say more. Of Debian's own packages the catalogue has all those that are for amd64 alone,
    so that nobody has to load its indexes."""
    if request.stated or not request.direct or request.ecosystem is Ecosystem.ANDROID:
        return False  # what Google publishes for Linux is for x86-64 or for every machine
    if request.ecosystem is not Ecosystem.APT or request.system.distribution != "debian":
        return True
    releases, codename = debian_names().releases, request.system.codename
    if codename and codename not in releases:
        return True
    listed = any(request.name in names for names in releases.values())
    return answer is None if listed else bool(request.repositories)


def _note(ecosystem: Ecosystem, why: str, requests: Sequence[PackageRequest]) -> Skipped:
    """For what concerns a whole ecosystem one note, the same in every Dockerfile; else the packages and where."""
    if why.startswith(NOT_ASKED):
        return Skipped(f"{ecosystem} packages that the catalogue does not know", why)
    names = list(dict.fromkeys(request.name for request in requests))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Skipped(f"{ecosystem} packages {', '.join(names[:_NAMED])}{more} in {requests[0].origin.path}", why)
