"""What Kubernetes manifests and Helm values declare: images, and pods that may only run on amd64 nodes.

Source: Kubernetes, "Assigning Pods to Nodes" (nodeSelector, nodeAffinity) and "Well-Known Labels, Annotations and
Taints" (kubernetes.io/arch and its old name beta.kubernetes.io/arch); Helm, "Values Files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from crossdock.findings import locate
from crossdock.read.declared import Declared, FileKind, Mend, Pin, is_amd64
from crossdock.read.image_uses import ImageUse
from crossdock.read.kubernetes import ELSEWHERE, NOT_OF_A_POD, kubernetes_images
from crossdock.read.yaml_edits import with_item, without_entry
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence, is_template
from crossdock.source import Source

ARCHITECTURE_LABELS = ("kubernetes.io/arch", "beta.kubernetes.io/arch")
_SYSTEM_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
_PLACEHOLDER = re.compile(r"[${}<>%\s]")


def kubernetes_declared(source: Source, documents: Sequence[YamlNode]) -> Declared:
    """The images of pods, and what keeps pods on amd64 nodes."""
    found = kubernetes_images(source, documents)
    return Declared(
        source,
        FileKind.KUBERNETES,
        found.images,
        tuple(_pins(documents, source)),
        skipped=tuple(entry for entry in found.skipped if entry.why not in (NOT_OF_A_POD, ELSEWHERE)),
    )


def helm_declared(source: Source, documents: Sequence[YamlNode], app_version: str | None) -> Declared:
    """A chart's values. ``app_version`` is the chart's, which templates take for a tag that is not set."""
    images: list[ImageUse] = []
    for mapping in _mappings(documents):
        use = _helm_image(mapping, source, app_version)
        if use:
            images.append(use)
    return Declared(
        source,
        FileKind.HELM,
        tuple(dict.fromkeys(images)),
        tuple(_pins(documents, source)),
    )


def _helm_image(mapping: YamlMapping, source: Source, app_version: str | None) -> ImageUse | None:
    """``repository`` with ``tag``, ``registry`` and ``digest`` where they are: the shape that charts give images."""
    repository, node = mapping.text("repository"), mapping.get("repository")
    if not repository or node is None or mapping.get("tag") is None or "://" in repository:
        return None
    tag, digest, registry = mapping.text("tag") or app_version, mapping.text("digest"), mapping.text("registry")
    if not tag:
        return None
    text = (f"{registry}/" if registry else "") + f"{repository}:{tag}" + (f"@{digest}" if digest else "")
    return None if _PLACEHOLDER.search(text) else ImageUse(text, locate(source, node.span))


def _mappings(documents: Sequence[YamlNode]) -> Iterator[YamlMapping]:
    """All mappings, each once however many aliases lead to it."""
    seen: set[int] = set()
    todo: list[YamlNode] = [*reversed(documents)]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, YamlMapping):
            yield node
            todo += (value for _, value in reversed(node.pairs))
        elif isinstance(node, YamlSequence):
            todo += reversed(node.items)


def _pins(documents: Sequence[YamlNode], source: Source) -> Iterator[Pin]:
    for mapping in _mappings(documents):
        selector = mapping.pair("nodeSelector")
        if selector and isinstance(selector[1], YamlMapping):
            yield from _selected(mapping, selector[0], selector[1], source)
        expressions = mapping.get("matchExpressions")
        if isinstance(expressions, YamlSequence):
            for expression in expressions.items:
                if isinstance(expression, YamlMapping):
                    yield from _expressed(expression, source)


def _selected(pod: YamlMapping, key: YamlNode, selector: YamlMapping, source: Source) -> Iterator[Pin]:
    """``nodeSelector: {kubernetes.io/arch: amd64}``."""
    if any(selector.text(label) == "windows" for label in _SYSTEM_LABELS):
        return
    for label in ARCHITECTURE_LABELS:
        pair = selector.pair(label)
        if pair is None or not isinstance(pair[1], YamlScalar) or not is_amd64(pair[1].text):
            continue
        whole = len(selector.pairs) == 1
        edit = without_entry(source, pod, key, selector) if whole else without_entry(source, selector, *pair)
        mend = Mend("Let the pods run on nodes of any architecture", (edit,), safe=False) if edit else None
        yield Pin("the pod", pair[1].span, False, mend)


def _expressed(expression: YamlMapping, source: Source) -> Iterator[Pin]:
    """``{key: kubernetes.io/arch, operator: In, values: [amd64]}``."""
    values = expression.get("values")
    if expression.text("key") not in ARCHITECTURE_LABELS or not isinstance(values, YamlSequence):
        return
    texts = [item.text for item in values.items if isinstance(item, YamlScalar)]
    if any(is_template(source, item) for item in values.items):
        return
    if expression.text("operator") == "In" and any(map(is_amd64, texts)) and "arm64" not in texts:
        edit = with_item(source, values, "arm64")
        mend = Mend("Let the pods run on arm64 nodes as well", (edit,), safe=False) if edit else None
        yield Pin("the pod", values.items[0].span if len(texts) == 1 else values.span, False, mend)
