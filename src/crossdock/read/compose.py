"""The images of a compose file: what its services run.

Source: the Compose specification (05-services.md, 10-fragments.md, 11-extension.md), and Compose's first format, in
which services stand at the top of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import dirname, join, normpath

from crossdock.findings import Skipped, locate
from crossdock.read.dotenv import with_dotenv
from crossdock.read.image_uses import ImagesFound, ImageUse, in_order
from crossdock.read.interpolate import InterpolationError, interpolate
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence, describe, is_template, place
from crossdock.source import Source

_TOP = frozenset("version name services networks volumes secrets configs include models".split())


def is_compose(document: YamlNode) -> bool:
    """Whether a document is a compose file: it has services, or only what else such a file has."""
    if not isinstance(document, YamlMapping):
        return False
    services = document.get("services")
    if services is not None:
        return isinstance(services, YamlMapping) or (isinstance(services, YamlScalar) and services.null)
    values = list(_first_format(document).values())
    if not values:
        return any(document.entries())
    return all(isinstance(value, YamlMapping) for value in values) and any(
        isinstance(value, YamlMapping) and (value.text("image") or value.get("build")) for value in values
    )


def _first_format(document: YamlMapping) -> dict[str, YamlNode]:
    """The services of a file without ``services``; none if it has only keys of the later formats."""
    found = {key: value for key, value in document.entries() if not key.startswith("x-")}
    return {} if _TOP.issuperset(found) else {key: value for key, value in found.items() if key != "version"}


def compose_images(source: Source, documents: Sequence[YamlNode], environ: Mapping[str, str]) -> ImagesFound:
    """The images of all services. Raises InputError when the ``.env`` file beside it is there and cannot be read."""
    if b"$" in source.data:
        environ = with_dotenv(Path(source.path).parent, environ)
    images: list[ImageUse] = []
    skipped: list[Skipped] = []
    for document in documents:
        if not isinstance(document, YamlMapping):
            continue
        include = document.get("include")
        if include is not None:
            skipped.append(Skipped(f"include in {place(source, include)}", "other compose files; name them too"))
        for name, service in services(document):
            found = _service(name, service, source, environ)
            for entry in found:
                if isinstance(entry, ImageUse):
                    images.append(entry)
                else:
                    skipped.append(entry)
    return in_order(images, skipped)


def services(document: YamlMapping) -> Iterator[tuple[str, YamlNode]]:
    """The services of a compose file by name."""
    found = document.get("services")
    if isinstance(found, YamlMapping):
        yield from found.entries()
    elif found is None:
        yield from _first_format(document).items()


def _service(name: str, service: YamlNode, source: Source, environ: Mapping[str, str]) -> Iterator[ImageUse | Skipped]:
    what = f"service {name} in {place(source, service)}"
    if not isinstance(service, YamlMapping):
        yield Skipped(what, "it is empty; another compose file may complete it")
        return
    image, build = service.get("image"), service.get("build")
    if build is not None and not (isinstance(build, YamlScalar) and build.null):
        yield Skipped(what, _built_from(build, dirname(source.path)))
    elif image is None or (isinstance(image, YamlScalar) and image.null):
        why = _without_image(service)
        if why:
            yield Skipped(what, why)
    else:
        yield image_use(image, source, environ)
    volumes = service.get("volumes")
    for volume in volumes.items if isinstance(volumes, YamlSequence) else ():
        if isinstance(volume, YamlMapping) and volume.text("type") == "image":
            mounted = volume.get("source")
            if mounted is not None:
                yield image_use(mounted, source, environ)


def image_use(node: YamlNode, source: Source, environ: Mapping[str, str]) -> ImageUse | Skipped:
    """The image that a node names, its variables replaced, or why it cannot be told."""
    what = describe(source, node)
    if is_template(source, node):
        return Skipped(what, "a template; render it first")
    if not isinstance(node, YamlScalar):
        return Skipped(what, "an image is a text, and this is none")
    try:
        text = interpolate(node.text, environ).strip()
    except InterpolationError as error:
        return Skipped(what, error.what)
    return ImageUse(text, locate(source, node.span)) if text else Skipped(what, "it is empty")


def _built_from(build: YamlNode, folder: str) -> str:
    """Where the Dockerfile of a service is, as whoever names ``folder``'s compose file would name it."""
    context, dockerfile = ".", "Dockerfile"
    if isinstance(build, YamlScalar):
        context = build.text
    elif isinstance(build, YamlMapping):
        if build.get("dockerfile_inline") is not None:
            return "built here from a Dockerfile inside the compose file; save that as a file and name it"
        context, dockerfile = build.text("context") or context, build.text("dockerfile") or dockerfile
    if "://" in context or context.startswith("git@"):
        return f"built from {context}; name a copy of its Dockerfile"
    return f"built here from {normpath(join(folder, context, dockerfile))}; name its Dockerfile"


def _without_image(service: YamlMapping) -> str:
    """Why a service has neither image nor build; nothing if its image is that of another service of the file."""
    extends = service.get("extends")
    if isinstance(extends, YamlScalar) and not extends.null:
        return ""
    if isinstance(extends, YamlMapping):
        file = extends.text("file")
        return f"it extends a service of {file}; name that file" if file else ""
    return "it has neither `image` nor `build`; another compose file may complete it"
