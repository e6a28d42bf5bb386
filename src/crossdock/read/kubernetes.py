"""The images of Kubernetes manifests: those of every pod specification, wherever it stands.

Source: Kubernetes API reference, v1 PodSpec (containers, initContainers, ephemeralContainers, volumes[].image) and
Kustomization (images). Kinds are not listed: custom resources hold pods in the same shape.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from crossdock.findings import Skipped, locate
from crossdock.read.image_uses import ImagesFound, ImageUse, in_order
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence, describe, is_template
from crossdock.source import Source

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_KUSTOMIZE = ("Kustomization", "Component")
_DOCUMENT = re.compile(rb"^---(?=\s|\Z)", re.MULTILINE)
_HEAD = re.compile(rb"^(?:apiVersion|kind):[ \t]*+[\"']?([\w./-]*).*", re.MULTILINE)
_PLACEHOLDER = re.compile(r"[${}<>%]")
_RENDER = "`kubectl kustomize . | crossdock platforms -f -`"
NOT_OF_A_POD = "not the image of a pod's container; ask for it by its name if it is an image"
ELSEWHERE = f"they stand in other files; render them: {_RENDER}"
"""Reasons for what is passed over, which say nothing to whoever looks at all files."""


def without_podless(source: Source) -> Source:
    """The source with blanks in the place of documents that hold no pod: those without an image, and schemas (custom
    resource definitions). Charts have megabytes of them, and YAML takes long to read. Their apiVersion and kind stay,
    and so does every offset."""
    starts = [0, *(match.start() for match in _DOCUMENT.finditer(source.data)), len(source.data)]
    documents = (source.data[start:end] for start, end in itertools.pairwise(starts))
    return Source(source.path, b"".join(map(_without_podless, documents)))


def _without_podless(document: bytes) -> bytes:
    heads = {match.start(): match for match in _HEAD.finditer(document)}
    schema = any(head[1] == b"CustomResourceDefinition" for head in heads.values())
    if len(heads) != 2 or (not schema and (b"image" in document or b"{{" in document)):
        return document
    first, second = (head.span() for head in heads.values())
    gaps = (document[: first[0]], document[first[1] : second[0]], document[second[1] :])
    before, between, after = (re.sub(rb"[^\r\n]", b" ", gap) for gap in gaps)
    # The marker of its beginning stays as well.
    before = document[:3] + before[3:] if _DOCUMENT.match(document) else before
    return before + document[slice(*first)] + between + document[slice(*second)] + after


def is_kubernetes(document: YamlNode) -> bool:
    """Whether a document is a manifest, or a list that begins with one."""
    if isinstance(document, YamlSequence) and document.items:
        document = document.items[0]
    if not isinstance(document, YamlMapping) or document.get("services") is not None:
        return False
    return _is_kustomization(document) or None not in (document.text("kind"), document.text("apiVersion"))


def _is_kustomization(document: YamlNode) -> bool:
    """A kustomization needs no kind; its lists of other files tell it then."""
    if not isinstance(document, YamlMapping):
        return False
    kind = document.text("kind")
    return kind in _KUSTOMIZE or (kind is None and isinstance(document.get("resources"), YamlSequence))


def kubernetes_images(source: Source, documents: Sequence[YamlNode]) -> ImagesFound:
    """The images of all documents; what does not look like a manifest is searched as well."""
    images: list[ImageUse] = []
    skipped: list[Skipped] = []
    for document in documents:
        find = _kustomize if _is_kustomization(document) else _pods
        for entry in find(document, source):
            if isinstance(entry, ImageUse):
                images.append(entry)
            else:
                skipped.append(entry)
    return in_order(images, skipped)


def _pods(document: YamlNode, source: Source) -> Iterator[ImageUse | Skipped]:
    """Goes through all nodes, each once however many aliases lead to it."""
    seen: set[int] = set()
    taken: set[int] = set()
    others: list[YamlScalar] = []
    todo = [document]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, YamlSequence):
            todo += reversed(node.items)
        elif isinstance(node, YamlMapping):
            for image in _of_pod(node):
                if id(image) not in taken:
                    taken.add(id(image))
                    yield _image(image, source)
            for key, value in reversed(node.pairs):
                name = key.text if isinstance(key, YamlScalar) else ""
                if name == "image" and isinstance(value, YamlScalar) and not value.null:
                    others.append(value)
                elif name not in ("metadata", "status"):  # labels of any name; what runs, said once more
                    todo.append(value)
    for image in others:
        if id(image) not in taken:
            yield Skipped(describe(source, image), NOT_OF_A_POD)


def _of_pod(node: YamlMapping) -> Iterator[YamlNode]:
    """The images of a pod specification, if the mapping looks like one."""
    for key in _CONTAINERS:
        containers = node.get(key)
        for container in containers.items if isinstance(containers, YamlSequence) else ():
            image = container.get("image") if isinstance(container, YamlMapping) else None
            if image is not None and not (isinstance(image, YamlScalar) and image.null):
                yield image
    volumes = node.get("volumes")
    for volume in volumes.items if isinstance(volumes, YamlSequence) else ():
        image = volume.get("image") if isinstance(volume, YamlMapping) else None
        reference = image.get("reference") if isinstance(image, YamlMapping) else None
        if reference is not None:
            yield reference


def _image(node: YamlNode, source: Source) -> ImageUse | Skipped:
    if is_template(source, node):
        why = "a template; render it first: for Helm `helm template . | crossdock platforms -f -`"
        return Skipped(describe(source, node), why)
    if not isinstance(node, YamlScalar):
        return Skipped(describe(source, node), "an image is a text, and this is none")
    text = node.text.strip()
    if not text:
        return Skipped(describe(source, node), "it is empty")
    if "://" in text:
        return Skipped(describe(source, node), "an address, not an image; what builds or fetches it replaces it")
    if _PLACEHOLDER.search(text):
        return Skipped(describe(source, node), "a placeholder; replace it first, and pipe the result to `-f -`")
    return ImageUse(text, locate(source, node.span))


def _kustomize(document: YamlNode, source: Source) -> Iterator[ImageUse | Skipped]:
    """What ``images:`` of a kustomization puts in the place of the manifests' images."""
    images = document.get("images") if isinstance(document, YamlMapping) else None
    for entry in images.items if isinstance(images, YamlSequence) else ():
        if not isinstance(entry, YamlMapping):
            continue
        node = entry.get("newName") or entry.get("name")
        name = entry.text("newName") or entry.text("name")
        tag, digest = entry.text("newTag"), entry.text("digest")
        if node is None or name is None:
            continue
        if tag is None and digest is None:
            yield Skipped(describe(source, node), f"its tag stands in the manifests; render them: {_RENDER}")
        else:
            text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
            yield ImageUse(text, locate(source, node.span))
    yield Skipped(f"the resources of {source.path}", ELSEWHERE)
