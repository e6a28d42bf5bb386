"""base-without-arm64: an image that the build takes is not there for arm64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crossdock.findings import Confidence, Finding, Fix, Safety, Severity
from crossdock.image.alternatives import Entry, debian_package, known_without_arm64
from crossdock.image.availability import Alternative, ImagePlatforms, PlatformImage
from crossdock.image.reference import Reference, parse_reference
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS
from crossdock.rules.base import Example, ImageRule
from crossdock.rules.images import UsedImage, is_pinned_to_one
from crossdock.rules.names import amd64_tokens
from crossdock.source import Edit, Source, Span

_AMD64_ALONE = (PlatformImage(AMD64, f"sha256:{'a' * 64}"),)
_BOTH = f"sha256:{'b' * 64}"


class BaseWithoutArm64(ImageRule):
    """An image that a stage starts from, or takes files from, has no linux/arm64.

    The arm64 build fails with "no match for platform in manifest". If the image's tag is no index but a single image,
    it is taken with a warning, and amd64 programs are in the image that is labelled arm64.

    Use an image that has both platforms, in this order: another tag of the same repository, the image that took its
    place, the distribution's own image with the program's package installed, an image that you build from its
    Dockerfile. `crossdock platforms IMAGE` shows which platforms an image has, and what has more.
    """

    id = "base-without-arm64"

    VALID = (
        Example("FROM mysql:8.4\n", note="MySQL has arm64 from version 8 on"),
        Example(
            "FROM --platform=$BUILDPLATFORM mailhog/mailhog:v1.0.1 AS tool\nFROM debian\n"
            "COPY --from=tool /MailHog.txt /\n",
            note="it runs on the machine that builds",
        ),
        Example("FROM mailhog/mailhog:v1.0.1 AS unused\nFROM debian\n", note="the last stage does not need it"),
    )
    INVALID = (
        Example(
            "FROM ⟦mailhog/mailhog:v1.0.1⟧\n",
            note="without a registry (`--offline`), what is known of images that never got arm64 counts",
        ),
        Example(
            "FROM debian:12\nCOPY --from=⟦example.com/tools/jq:1.6⟧ /jq /usr/bin/jq\n",
            fixed="FROM debian:12\nCOPY --from=example.com/tools/jq:1.7 /jq /usr/bin/jq\n",
            note="as the registry was asked; the fix is unsafe, since another version is another program",
            registry={
                "example.com/tools/jq:1.6": ImagePlatforms(
                    "example.com/tools/jq:1.6",
                    f"sha256:{'c' * 64}",
                    _AMD64_ALONE,
                    (
                        Alternative(
                            f"example.com/tools/jq:1.7@{_BOTH}",
                            _BOTH,
                            "another tag of the same repository",
                            platforms=DEFAULT_TARGETS,
                        ),
                    ),
                )
            },
        ),
    )

    def check_images(
        self, source: Source, images: tuple[UsedImage, ...], registry: Mapping[str, ImagePlatforms]
    ) -> Iterator[Finding]:
        for image in images:
            reference = image.reference
            if reference is None or image.text is None or _names_amd64(image.text):
                continue  # an image that is named for amd64 is arch-prefixed-image's
            found = registry.get(image.text)
            if found is None:
                entry = known_without_arm64(reference)
                if entry:
                    yield self._known(source, image, reference, entry)
            elif found.lacks([ARM64]) and not found.lacks([AMD64]) and not is_pinned_to_one(image, registry):
                yield self._seen(source, image, found)

    def _known(self, source: Source, image: UsedImage, reference: Reference, entry: Entry) -> Finding:
        name = reference.familiar
        instead = tuple(entry.replacements(name.partition("@")[0].removesuffix(f":{reference.tag}"), reference.tag))
        instead += (f"Debian's package {entry.package}",) if entry.package else ()
        message = f"{image.text} has no linux/arm64 as far as is known (not looked up): {entry.reason}"
        return self.finding(
            source,
            _place(image, source),
            f"{message}; instead: {', '.join(instead)}" if instead else message,
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
        )

    def _seen(self, source: Source, image: UsedImage, found: ImagePlatforms) -> Finding:
        fixes = (_replaced(source, image, other) for other in found.alternatives)
        return self.finding(
            source,
            _place(image, source),
            f"{image.text} has no linux/arm64; {_instead(found.alternatives, image.reference)}",
            fixes=tuple(fix for fix in fixes if fix)[:1],
        )


def _names_amd64(text: str) -> bool:
    return bool(amd64_tokens(text.partition("@")[0]))


def _place(image: UsedImage, source: Source) -> Span:
    """Where the whole reference is written, also if that is the default of an ARG."""
    return image.written(0, len(image.text or ""), source.path) or image.span


def _instead(alternatives: tuple[Alternative, ...], reference: Reference | None) -> str:
    """The alternatives by reason, each as it would be written: ``mysql:8.4, mysql:8.0 (another tag …)``."""
    package = debian_package(reference) if reference else ""
    if not alternatives:
        found = (
            f"Debian has it as package {package}" if package else "install a package, or build it from its Dockerfile"
        )
        return f"no other tag or image was found that has it: {found}"
    by_reason: dict[str, list[str]] = {}
    for other in alternatives:
        by_reason.setdefault(other.reason, []).append(_without_digest(other))
    return "these have: " + "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def _without_digest(other: Alternative) -> str:
    return other.reference.partition("@")[0]


def _replaced(source: Source, image: UsedImage, other: Alternative) -> Fix | None:
    """The other image in its place: only its tag where the rest is the same, so that what names the repository stays.
    Pinned to a digest where the author did so. None for an image that lacks amd64, and where the text is in pieces."""
    text, path = image.text or "", source.path
    if not all(any(have.satisfies(wanted) for have in other.platforms) for wanted in DEFAULT_TARGETS):
        return None
    new = parse_reference(other.reference)
    name, _, tag = text.partition("@")[0].rpartition(":")
    replacement = other.reference if "@" in text else _without_digest(other)
    span = image.written(0, len(text), path)
    if span is None and new.tag and "@" not in text and name and name == _without_digest(other)[: -len(new.tag) - 1]:
        span, replacement = image.written(len(text) - len(tag), len(text), path), new.tag
    if span is None:
        return None
    return Fix(
        f"Use {_without_digest(other)}: {other.reason}",
        Safety.UNSAFE,
        (Edit(path, span, replacement.encode()),),
    )
