"""What a compose file declares: images that are run, services fixed to a platform, platforms that are built for.

Source: the Compose specification (05-services.md: platform; build.md: context, dockerfile, platforms), and buildx's
extension x-bake (platforms).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import dirname, isabs, join, normpath

from crossdock.findings import Skipped
from crossdock.read.compose import image_use, services
from crossdock.read.declared import Declared, DockerfileUse, FileKind, Mend, Pin, PlatformList, is_amd64
from crossdock.read.dotenv import with_dotenv
from crossdock.read.image_uses import ImageUse
from crossdock.read.interpolate import InterpolationError, interpolate
from crossdock.read.yaml_edits import with_item, without_entry
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence, place
from crossdock.source import Source


def compose_declared(source: Source, documents: Sequence[YamlNode], environ: Mapping[str, str]) -> Declared:
    """All services of a file. Raises InputError when the ``.env`` file beside it is there and cannot be read."""
    if b"$" in source.data:
        environ = with_dotenv(Path(source.path).parent, environ)
    images: list[ImageUse] = []
    pins: list[Pin] = []
    lists: list[PlatformList] = []
    dockerfiles: list[DockerfileUse] = []
    skipped: list[Skipped] = []
    for document in documents:
        if not isinstance(document, YamlMapping):
            continue
        for name, service in services(document):
            if not isinstance(service, YamlMapping):
                continue
            build, pulled = service.get("build"), ""
            image = service.get("image")
            if build is not None and not (isinstance(build, YamlScalar) and build.null):
                found = _built(name, build, source)
                if isinstance(found, Skipped):
                    skipped.append(found)
                elif found:
                    dockerfiles.append(found)
                lists += _lists(name, build, source)
            elif image is not None and not (isinstance(image, YamlScalar) and image.null):
                use = image_use(image, source, environ)
                if isinstance(use, ImageUse):
                    images.append(use)
                    pulled = use.text
                else:
                    skipped.append(use)
            pins += _pins(name, service, source, environ, pulled)
    return Declared(
        source,
        FileKind.COMPOSE,
        tuple(dict.fromkeys(images)),
        tuple(dict.fromkeys(pins)),
        tuple(dict.fromkeys(lists)),
        dockerfiles=tuple(dict.fromkeys(dockerfiles)),
        skipped=tuple(dict.fromkeys(skipped)),
    )


def _pins(name: str, service: YamlMapping, source: Source, environ: Mapping[str, str], image: str) -> Iterator[Pin]:
    pair = service.pair("platform")
    if pair is None:
        return
    key, value = pair
    if not isinstance(value, YamlScalar):
        return
    try:
        text = interpolate(value.text, environ).strip()
    except InterpolationError:
        return  # what is in the environment decides
    if not is_amd64(text):
        return
    certain = "$" not in value.text
    edit = without_entry(source, service, key, value) if certain else None
    mend = Mend("Leave the platform to the machine", (edit,), safe=True) if edit else None
    yield Pin(f"service {name}", value.span, certain, mend, image)


def _lists(name: str, build: YamlNode, source: Source) -> Iterator[PlatformList]:
    """``build.platforms`` and ``build.x-bake.platforms``."""
    if not isinstance(build, YamlMapping):
        return
    bake = build.get("x-bake")
    for node in (build.get("platforms"), bake.get("platforms") if isinstance(bake, YamlMapping) else None):
        if not isinstance(node, YamlSequence):
            continue
        texts = [item.text for item in node.items if isinstance(item, YamlScalar)]
        if len(texts) == len(node.items) and texts and not any("$" in text for text in texts):
            edit = with_item(source, node, "linux/arm64")
            mend = Mend("Build for linux/arm64 as well", (edit,), safe=False) if edit else None
            yield PlatformList(f"service {name}", tuple(texts), node.span, mend=mend)


def _built(name: str, build: YamlNode, source: Source) -> DockerfileUse | Skipped | None:
    """The Dockerfile of a service."""
    context, dockerfile = ".", "Dockerfile"
    if isinstance(build, YamlScalar):
        context = build.text
    elif isinstance(build, YamlMapping):
        if build.get("dockerfile_inline") is not None:
            where = f"service {name} in {place(source, build)}"
            return Skipped(where, "its Dockerfile is inside the compose file; save that as a file to have it checked")
        context, dockerfile = build.text("context") or context, build.text("dockerfile") or dockerfile
    if "://" in context or context.startswith("git@") or "$" in context + dockerfile:
        return Skipped(
            f"service {name} in {place(source, build)}",
            f"built from {dockerfile if '$' in dockerfile else context}, which is not looked at",
        )
    context = _normal(join(dirname(source.path), context))
    return DockerfileUse(dockerfile if isabs(dockerfile) else _normal(join(context, dockerfile)), context)


def _normal(path: str) -> str:
    return normpath(path) if path else "."
