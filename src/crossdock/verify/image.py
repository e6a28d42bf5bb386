"""Verifying an image without running anything: its platforms, configs, layers, binaries and entrypoints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from crossdock.config import Allowed
from crossdock.errors import InputError
from crossdock.image.model import Descriptor, Image, ImageConfig, Index, Manifest
from crossdock.platforms import Platform
from crossdock.read.model import Dockerfile
from crossdock.verify.assertions import Assertions
from crossdock.verify.base import tell_base_apart
from crossdock.verify.binaries import check_binaries, instruction
from crossdock.verify.contents import LayerContents, read_layer
from crossdock.verify.entrypoint import check_entrypoint
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.instructions import tell_instructions, with_true_makers
from crossdock.verify.machines import Machine, check_machine
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.parity import Inventory, check_parity, take_inventory
from crossdock.verify.structure import check_structure


def verify_image(
    image: Image,
    *,
    require: tuple[Platform, ...] = (),
    machine: Machine | None = None,
    wanted: Assertions | None = None,
    allow: tuple[Allowed, ...] = (),
    base: Image | None = None,
    dockerfile: Dockerfile | None = None,
) -> VerifyResult:
    """Check every platform in ``require``, or all that the image has when it is empty; whether its arm64 programs start
    on ``machine`` too; and what ``wanted`` says of files and config. What ``allow`` names may be of another
    architecture. Of a file from a layer of ``base``, the image's base image, that is told, and of one from a layer that
    an instruction of ``dockerfile`` made, its line.

    Layers are streamed once each, also those that platforms share. An image that is wrong is a failed result; raises
    InputError only when the index itself cannot be read, and RegistryError when the registry cannot be reached.
    """
    root = image.root()
    index = image.index()
    chosen, results = _choose(index, require)
    documents = [_read_documents(image, platform, entry) for platform, entry in chosen]
    layers = _Layers(image, [found.manifest for found in documents if found.manifest])
    inventories: list[Inventory] = []
    for (platform, _), found in zip(chosen, documents, strict=True):
        results.append(found.result)
        if found.manifest is None or found.config is None:
            continue
        config = with_true_makers(found.config)
        if base:
            config, told = tell_base_apart(base, found.manifest, config, platform)
            results.append(told)
        if dockerfile:
            config, told = tell_instructions(dockerfile, found.manifest, config, platform)
            results.append(told)
        checked, system = _contents(layers, found.manifest, config, platform, machine, allow)
        results += checked
        if system is None:
            continue
        if wanted:
            results += check_structure(image, found.manifest, system, wanted, platform)
        size = sum(layer.size for layer in found.manifest.layers)
        inventories.append(take_inventory(system, platform, found.config, size))
    results += check_parity(inventories)
    return VerifyResult(image.name, root.digest, tuple(platform for platform, _ in chosen), tuple(results))


def _choose(index: Index, require: tuple[Platform, ...]) -> tuple[list[tuple[Platform, Descriptor]], list[CheckResult]]:
    """The image for each wanted platform, and the results of the check ``platforms``."""
    offered = [(entry.platform, entry) for entry in index.images if entry.platform is not None]
    names = ", ".join(sorted({str(platform) for platform, _ in offered})) or "none"
    results: list[CheckResult] = []
    chosen: list[tuple[Platform, Descriptor]] = []
    for wanted in require or tuple(dict.fromkeys(platform for platform, _ in offered)):
        matches = [(platform, entry) for platform, entry in offered if platform.satisfies(wanted)]
        if not matches:
            text = f"{wanted} is not in the image; it has {names}"
            hint = f"Build it with --platform {wanted} as well."
            results.append(CheckResult("platforms", Status.FAILED, text, wanted, hint=hint))
            continue
        platform, entry = next((match for match in matches if match[0] == wanted), max(matches, key=lambda m: m[0]))
        if (platform, entry) not in chosen:
            chosen.append((platform, entry))
        results.append(CheckResult("platforms", Status.PASSED, f"{platform} is in the image", platform))
    for entry in index.images:
        if entry.platform is None:
            text = f"{entry.digest} names no platform and was not looked at"
            results.append(CheckResult("platforms", Status.SKIPPED, text))
    if not require and not chosen:
        hint = "Give an image; this may be an artifact (a chart, a signature) or an empty index."
        results.append(CheckResult("platforms", Status.FAILED, "there is no platform in the image", hint=hint))
    if require:
        rest = sorted({str(platform) for platform, entry in offered if all(entry is not one for _, one in chosen)})
        if rest:
            text = f"{', '.join(rest)} in the image as well, not asked for and not looked at"
            results.append(CheckResult("platforms", Status.SKIPPED, text))
    return chosen, results


@dataclass(frozen=True)
class _Documents:
    """One platform's manifest and config, and the result of the check ``config``."""

    result: CheckResult
    manifest: Manifest | None = None
    config: ImageConfig | None = None


def _read_documents(image: Image, platform: Platform, entry: Descriptor) -> _Documents:
    try:
        manifest = image.manifest(entry)
        config = image.config(manifest)
    except InputError as error:
        return _Documents(_unreadable("config", error, platform))
    said = config.platform
    if (said.os, said.architecture) == (platform.os, platform.architecture):
        return _Documents(CheckResult("config", Status.PASSED, f"the config says {said}", platform), manifest, config)
    text = f"the index says {platform}, but the image's config says {said}"
    hint = "One of the two was written by hand or by a faulty tool. Build this platform again."
    return _Documents(CheckResult("config", Status.FAILED, text, platform, hint=hint), manifest, config)


class _Layers:
    """Reads each layer once. The contents of one that several platforms share are kept until the last has them."""

    def __init__(self, image: Image, manifests: list[Manifest]) -> None:
        self._image = image
        self._uses = Counter(layer.digest for manifest in manifests for layer in manifest.layers)
        self._kept: dict[str, LayerContents] = {}

    def read(self, descriptor: Descriptor) -> LayerContents:
        self._uses[descriptor.digest] -= 1
        contents = self._kept.pop(descriptor.digest, None)
        if contents is None:
            with self._image.open(descriptor) as stream:
                contents = read_layer(stream, descriptor)
        if self._uses[descriptor.digest] > 0:
            self._kept[descriptor.digest] = contents
        return contents


def _contents(
    layers: _Layers,
    manifest: Manifest,
    config: ImageConfig,
    platform: Platform,
    machine: Machine | None,
    allow: tuple[Allowed, ...],
) -> tuple[list[CheckResult], FileSystem | None]:
    """The checks ``layers``, ``binaries``, ``entrypoint`` and ``machine`` for one platform, and its file system; None
    when a layer cannot be read."""
    created_by = config.created_by if len(config.created_by) == len(manifest.layers) else ()
    system = FileSystem()
    results: list[CheckResult] = []
    for number, descriptor in enumerate(manifest.layers):
        brought = instruction(created_by, number)
        try:
            contents = layers.read(descriptor)
        except InputError as error:
            results.append(_unreadable("layers", error, platform, brought))
            for check in ("binaries", "entrypoint"):
                text = "not looked at, because a layer cannot be read"
                results.append(CheckResult(check, Status.SKIPPED, text, platform))
            return results, None
        for name in contents.escaping[:3]:
            text = f"layer {descriptor.digest} has a file that leads outside of the image: {name}"
            hint = "Do not use this image before you know who put that there."
            results.append(CheckResult("layers", Status.FAILED, text, platform, name, brought, hint))
        system.add(contents)
    if not results:
        count, size = len(manifest.layers), sum(layer.size for layer in manifest.layers)
        text = f"{count} layer{'' if count == 1 else 's'}, {size / 1e6:,.1f} MB packed, read to the end"
        results.append(CheckResult("layers", Status.PASSED, text, platform))
    results += check_binaries(system, platform, created_by, allow)
    results += check_entrypoint(system, config, platform)
    results += check_machine(system, platform, created_by, machine)
    return results, system


def _unreadable(check: str, error: InputError, platform: Platform, brought: str = "") -> CheckResult:
    text = f"{error.where}: {error.what}" if error.where else error.what
    return CheckResult(check, Status.FAILED, text, platform, created_by=brought, hint=error.hint or "")
