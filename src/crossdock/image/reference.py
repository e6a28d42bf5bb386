"""Image references, read as Docker reads them (distribution/reference: names, defaults, tags, digests)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crossdock.errors import UsageError

DOCKER_HUB = "docker.io"
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_MAX_NAME = 255


@dataclass(frozen=True, order=True)
class Reference:
    """An image in a registry. ``host`` may carry a port; ``repository`` is what follows it, ``library/`` included.

    At least one of ``tag`` and ``digest`` is set; where both are, the digest decides. ``str()`` is the full form.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The short form people write: ``alpine:3.20`` for ``docker.io/library/alpine:3.20``."""
        short = self.repository.removeprefix("library/")
        # docker.io/a.b/c stays long: short, its first part would be taken for a host.
        name = short if _split_host(short) == (self.host, self.repository) else f"{self.host}/{self.repository}"
        return f"{name}{self._suffix}"

    @property
    def identifier(self) -> str:
        """What a manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """``alpine``, ``localhost:5000/team/app:1.2``, ``[::1]:5000/app@sha256:…`` → Reference; the tag defaults to latest.

    Raises UsageError for what is no reference, saying which part is wrong.
    """
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, f"{digest!r} is not a digest", "A digest is sha256: and 64 hexadecimal digits.")
    if "://" in name:
        raise _wrong(text, "a reference has no scheme", f"Write it as {name.partition('://')[2] or 'host/name:tag'}.")
    slash, colon = name.rfind("/"), name.rfind(":")
    tag = None
    if colon > slash:
        name, tag = name[:colon], name[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise _wrong(text, f"{tag!r} is not a tag", "A tag has letters, digits, '_', '.' and '-', at most 128.")
    host, repository = _split_host(name)
    if not _HOST.fullmatch(host):
        raise _wrong(text, f"{host!r} is not the name of a registry", "Write host[:port]/name:tag.")
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise _wrong(
                text,
                f"{component!r} cannot be part of an image's name",
                "Use lower-case letters and digits, with single '.', '_' or '-' between them.",
            )
    if len(f"{host}/{repository}") > _MAX_NAME:
        raise _wrong(text, f"the name is longer than {_MAX_NAME} characters", "Choose a shorter name.")
    if host == DOCKER_HUB and re.fullmatch(r"library/[a-f0-9]{64}", repository) and "/" not in name:
        raise _wrong(text, "64 hexadecimal digits are an image id, not a name", "Give the image a tag and use that.")
    return Reference(host, repository, tag or (None if digest else "latest"), digest or None)


def is_tag(text: str) -> bool:
    return bool(_TAG.fullmatch(text))


def _split_host(name: str) -> tuple[str, str]:
    """The registry's host and the repository. A first part is a host if it looks like one: a dot, a colon, upper case,
    or ``localhost``; everything else is on Docker Hub, where official images live below ``library/``."""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        first, rest = DOCKER_HUB, name
    if first in ("index.docker.io", DOCKER_HUB):
        first = DOCKER_HUB
        if "/" not in rest:
            rest = f"library/{rest}"
    return first, rest


def _wrong(text: str, why: str, hint: str) -> UsageError:
    return UsageError(f"{text!r} is not an image reference: {why}", hint=hint)
