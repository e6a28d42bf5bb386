"""What was verified, as a statement beside the image: written for a later gate, and believed by one that trusts it.

It is an in-toto Statement v1 with the predicate of SLSA's Verification Summary Attestation
(https://slsa.dev/spec/v1.0/verification_summary), which nobody has signed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from crossdock import __version__
from crossdock.config import Allowed
from crossdock.errors import Kind, RegistryError
from crossdock.image.model import Descriptor
from crossdock.image.reference import Reference
from crossdock.image.referrers import Referrers
from crossdock.image.registries import Registries
from crossdock.platforms import Platform
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.remembered import WHEN

CHECK = "attestation"
MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "pkg:generic/crossdock"
POLICY = "pkg:generic/crossdock#verify"
LEVEL = "CROSSDOCK_PLATFORMS"
"""What takes the place of a SLSA level, about which nothing is said."""
_PREDICATE_TYPE = "in-toto.io/predicate-type"
_CREATED = "org.opencontainers.image.created"
_MOST_READ = 20
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
"""What is told of an attestation's own words; anything else may be made to look like ours in a terminal."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ONE_ALONE = frozenset({Kind.NO_TAG, Kind.NO_IMAGE, Kind.DIGEST, Kind.TOO_LARGE})
"""Trouble with one attestation, of which another may be free."""


@dataclass(frozen=True)
class Policy:
    """What was asked of an image. ``platforms`` are all that had to be right; ``starts`` says whether each had to be
    seen starting."""

    platforms: tuple[Platform, ...]
    machine: str = ""
    strict: bool = False
    starts: bool = False
    allow: tuple[Allowed, ...] = ()


@dataclass(frozen=True)
class Attestation:
    """An attestation in a registry, and what it says of itself. ``verified`` is the time (RFC 3339)."""

    digest: str
    verifier: str
    verified: str


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Verifier(msgspec.Struct, frozen=True):
    id: str
    version: dict[str, str]


class _Exception(msgspec.Struct, frozen=True):
    path: str
    reason: str


class _Asked(msgspec.Struct, frozen=True):
    platforms: tuple[str, ...]
    started: tuple[str, ...]
    machine: str
    strict: bool
    allow: tuple[_Exception, ...]


class _Policy(msgspec.Struct, frozen=True):
    uri: str
    annotations: _Asked


class _Summary(msgspec.Struct, frozen=True, rename="camel"):
    verifier: _Verifier
    time_verified: str
    resource_uri: str
    policy: _Policy
    verification_result: str
    verified_levels: tuple[str, ...]


class _Statement(msgspec.Struct, frozen=True, rename="camel"):
    type_: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: _Summary


def statement(result: VerifyResult, policy: Policy, reference: Reference) -> bytes:
    """That ``result``, which has passed, was found by ``policy`` of an image in the repository of ``reference``."""
    algorithm, _, value = result.digest.partition(":")
    repository = f"{reference.host}/{reference.repository}"
    started = {entry.platform for entry in result.results if entry.check == "smoke" and entry.status is Status.PASSED}
    asked = _Asked(
        platforms=_texts({*policy.platforms, *result.platforms}),
        started=_texts(platform for platform in started if platform),
        machine=policy.machine,
        strict=policy.strict,
        allow=tuple(_Exception(one.path, one.reason) for one in policy.allow),
    )
    name = reference.repository.rpartition("/")[2]
    found = _Statement(
        type_=STATEMENT,
        subject=(_Subject(repository, {algorithm: value}),),
        predicate_type=PREDICATE,
        predicate=_Summary(
            verifier=_Verifier(VERIFIER, {"crossdock": __version__}),
            time_verified=_time(result),
            resource_uri=f"pkg:oci/{name}@{quote(result.digest, '')}?repository_url={quote(repository, '')}",
            policy=_Policy(POLICY, asked),
            verification_result="PASSED",
            verified_levels=(LEVEL,),
        ),
    )
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


class Attestations:
    """What attestations say of one image in a registry, by what ``policy`` asks. Raises RegistryError."""

    def __init__(self, reference: Reference, root: Descriptor, policy: Policy, registries: Registries) -> None:
        self._reference = reference
        self._digest = root.digest
        self._policy = policy
        self._referrers = Referrers(registries, reference, root)
        self._repository = f"{reference.host}/{reference.repository}"

    def attest(self, result: VerifyResult) -> CheckResult:
        """Put a statement about ``result``, which has passed, beside the image; says which. One that is there already
        and answers the same question is left as it is."""
        known = self.find()
        digest = known.digest if known else self._attach(result).digest
        how = "attested before" if known else "attested"
        return CheckResult(CHECK, Status.PASSED, f"{how}, not signed: {self._repository}@{digest}")

    def believed(self, name: str) -> VerifyResult | None:
        """The result that an attestation stands for, if there is one: nothing was looked at, and it says on whose
        word."""
        found = self.find()
        if found is None:
            return None
        text = (
            f"nothing was looked at: by its attestation {found.digest}, {found.verifier} verified this digest at"
            f" {found.verified}; that is not signed, so it is the word of whoever may write to {self._repository}"
        )
        return VerifyResult(name, self._digest, self._policy.platforms, (CheckResult(CHECK, Status.PASSED, text),))

    def find(self) -> Attestation | None:
        """The newest one that says the image has passed all that is asked. What is no such attestation is passed
        over."""
        entries = self._referrers.list(MEDIA_TYPE)
        newest_first = sorted(entries, key=lambda entry: entry.annotations.get(_CREATED, ""), reverse=True)
        for entry in newest_first[:_MOST_READ]:
            said = self._read(entry)
            if said and _says_passed(said, self._digest) and _answers(said.predicate.policy.annotations, self._policy):
                version = said.predicate.verifier.version["crossdock"]
                return Attestation(entry.digest, f"crossdock {version}", said.predicate.time_verified)
        return None

    def _read(self, entry: Descriptor) -> _Statement | None:
        try:
            return msgspec.json.decode(self._referrers.read(entry), type=_Statement)
        except msgspec.MsgspecError:
            return None
        except RegistryError as error:
            if error.kind not in _ONE_ALONE:
                raise
            return None

    def _attach(self, result: VerifyResult) -> Descriptor:
        annotations = {_PREDICATE_TYPE: PREDICATE, _CREATED: _time(result)}
        return self._referrers.attach(statement(result, self._policy, self._reference), MEDIA_TYPE, annotations)


def not_attested() -> CheckResult:
    return CheckResult(CHECK, Status.SKIPPED, "not attested: not all has passed")


def _says_passed(found: _Statement, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    summary = found.predicate
    return bool(
        (found.type_, found.predicate_type) == (STATEMENT, PREDICATE)
        and (summary.verifier.id, summary.policy.uri) == (VERIFIER, POLICY)
        and summary.verification_result == "PASSED"
        and _VERSION.fullmatch(summary.verifier.version.get("crossdock", ""))
        and _TIME.fullmatch(summary.time_verified)
        and any(subject.digest.get(algorithm) == value for subject in found.subject)
    )


def _answers(asked: _Asked, policy: Policy) -> bool:
    """Whether what was asked then is at least what ``policy`` asks. Without a machine, what does not start on some of
    them is a warning, which --strict counts: so a strict answer is one about the same machine."""
    wanted = set(map(str, policy.platforms))
    same_machine = asked.machine == policy.machine
    return (
        wanted <= set(asked.platforms)
        and (not policy.starts or wanted <= set(asked.started))
        and (same_machine or not (policy.machine or policy.strict))
        and (asked.strict or not policy.strict)
        and {one.path for one in asked.allow} <= {one.path for one in policy.allow}
    )


def _texts(platforms: Iterable[Platform]) -> tuple[str, ...]:
    return tuple(sorted(map(str, platforms)))


def _time(result: VerifyResult) -> str:
    """When it was found out: now, unless it was remembered."""
    then = datetime.strptime(result.remembered, WHEN).replace(tzinfo=UTC) if result.remembered else datetime.now(UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")
