"""What a rule is, and what it gets to see."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from crossdock.findings import Confidence, Finding, Fix, Location, Safety, Severity, Skipped, locate
from crossdock.image.availability import ImagePlatforms
from crossdock.image.binary import Binary
from crossdock.packages.model import PackageFact
from crossdock.platforms import ARM64, Platform
from crossdock.read.declared import Declared, Mend
from crossdock.read.model import Dockerfile
from crossdock.read.trace import Trace
from crossdock.rules.images import UsedImage
from crossdock.rules.sinks import Sink
from crossdock.source import Source, Span

ImagesLookUp = Callable[[Sequence[str]], Mapping[str, ImagePlatforms]]
"""Asks registries for images by reference. ``image.lookup.ImageFinder`` is the real one."""


@dataclass(frozen=True)
class Example:
    """A file and what the rule says of it; a test, a part of the docs page, and the specification.

    In ``text``, what the finding must cover is marked ``⟦…⟧`` (the marks are removed before reading). ``fixed`` is the
    whole file after the first candidate fix, or None where there is no fix. ``files`` are further files of the context,
    ``registry`` what registries say of images, and ``path`` is the file's name, by which it is known what it is.
    """

    text: str
    fixed: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""
    registry: Mapping[str, ImagePlatforms] = field(default_factory=dict)
    path: str = "Dockerfile"


class Rule:
    """One thing that ties a project to amd64.

    A subclass is its own specification. Its docstring has three paragraphs: what it finds (first line: the title),
    why that breaks on arm64, and how to mend it. VALID examples yield nothing, INVALID ones exactly the marked span.
    It implements ``check``, ``check_other`` or both.
    """

    id: ClassVar[str]
    VALID: ClassVar[tuple[Example, ...]] = ()
    INVALID: ClassVar[tuple[Example, ...]] = ()

    def check(self, project: Project) -> Iterator[Finding]:  # noqa: ARG002 (others look at it)
        """What it finds in a Dockerfile and the scripts that it uses."""
        yield from ()

    def check_other(self, file: OtherFile) -> Iterator[Finding]:  # noqa: ARG002
        """What it finds in a file of another kind: compose, Kubernetes, workflows, bake."""
        yield from ()

    @classmethod
    def paragraphs(cls) -> tuple[str, str, str]:
        """Title and what, why, how: the three paragraphs of the docstring."""
        parts = [" ".join(part.split()) for part in inspect.cleandoc(cls.__doc__ or "").split("\n\n")]
        what, why, how = parts
        return what, why, how

    def finding(
        self,
        source: Source,
        span: Span,
        message: str,
        *,
        severity: Severity = Severity.ERROR,
        confidence: Confidence = Confidence.HIGH,
        fixes: tuple[Fix, ...] = (),
        part_of: Location | None = None,
    ) -> Finding:
        _, why, how = self.paragraphs()
        return Finding(self.id, severity, confidence, locate(source, span), message, why, how, fixes, part_of)


def fixes_of(mend: Mend | None) -> tuple[Fix, ...]:
    """The mend that a reader of declared files has for something, as candidates."""
    return (Fix(mend.title, Safety.SAFE if mend.safe else Safety.UNSAFE, mend.edits),) if mend else ()


@dataclass(frozen=True)
class Project:
    """Everything a rule may look at: values, never a client. Filled by ``rules.check``."""

    dockerfile: Dockerfile
    trace: Trace
    sinks: tuple[Sink, ...] = ()
    """Where amd64 text arrives, in the order of the file."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    """Headers of the context's files that are copied, by path in the context."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """The Dockerfile and the scripts that were followed, by the path that origins name."""
    packages: tuple[PackageFact, ...] = ()
    """What is known of the packages that are installed on the target platform."""
    target: Platform = ARM64
    build_args: Mapping[str, str] = field(default_factory=dict)
    images: tuple[UsedImage, ...] = ()
    """The images that a build for the target takes."""
    registry: Mapping[str, ImagePlatforms] = field(default_factory=dict)
    """What registries say of them, by reference. What is not in it was not looked up."""
    skipped: tuple[Skipped, ...] = ()
    """What could not be read or followed."""

    def source(self, path: str) -> Source:
        return self.sources.get(path, self.dockerfile.source)


@dataclass(frozen=True)
class OtherFile:
    """Everything a rule may look at in a file that is no Dockerfile. ``registry`` as in Project."""

    declared: Declared
    images: tuple[UsedImage, ...] = ()
    registry: Mapping[str, ImagePlatforms] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        return self.declared.source


class ImageRule(Rule):
    """A rule on the images that a file uses, whatever kind of file it is."""

    def check(self, project: Project) -> Iterator[Finding]:
        yield from self.check_images(project.dockerfile.source, project.images, project.registry)

    def check_other(self, file: OtherFile) -> Iterator[Finding]:
        yield from self.check_images(file.source, file.images, file.registry)

    @abstractmethod
    def check_images(
        self, source: Source, images: tuple[UsedImage, ...], registry: Mapping[str, ImagePlatforms]
    ) -> Iterator[Finding]:
        """``registry`` is what was seen of them, by their text."""
