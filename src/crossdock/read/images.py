"""The images that a Dockerfile, a compose file or a Kubernetes manifest uses: one entry point for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePath

from crossdock.errors import InputError
from crossdock.read.dockerfile import KEYWORDS
from crossdock.read.image_uses import ImagesFound
from crossdock.source import Source

STANDARD_INPUT = "-"
"""The path of a source that came through a pipe, which has no name to judge it by."""

_DOCKERFILE_NAMES = "dockerfile dockerfile.* *.dockerfile containerfile containerfile.* *.containerfile".split()
_YAML_NAMES = "*.yaml *.yml *.json".split()
_INSTRUCTION_FIRST = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[ \t]*+(?:#[^\n]*+)?\r?\n)*+[ \t]*+(?:%s)[ \t]++(?!:)" % "|".join(KEYWORDS).encode(),
    re.IGNORECASE,
)
_YAML_LINE = re.compile(rb"^(?:\xef\xbb\xbf)?(?:- )*(?:[\"']?[\w-]+[\"']?[ \t]*:(?:\s|$)|[{\[])", re.MULTILINE)


def find_images(source: Source, *, build_args: Mapping[str, str], environ: Mapping[str, str]) -> ImagesFound:
    """The images that a file uses. Its name decides what it is, or else its content; ``-`` has no name.

    ``build_args`` are a Dockerfile's ``--build-arg`` values. ``environ`` replaces the variables of a compose file, and
    what it does not set is taken from the ``.env`` file beside it. Raises InputError for a file that is none of the
    three or that cannot be read as such.
    """
    name = "" if source.path == STANDARD_INPUT else PurePath(source.path).name.lower()
    if _named(name, _DOCKERFILE_NAMES) or (not _named(name, _YAML_NAMES) and _INSTRUCTION_FIRST.match(source.data)):
        from crossdock.read.dockerfile_images import dockerfile_images

        return dockerfile_images(source, build_args)
    if not _named(name, _YAML_NAMES) and not _YAML_LINE.search(source.data):
        raise _none_of_them(source)
    return _yaml_images(source, environ)


def _yaml_images(source: Source, environ: Mapping[str, str]) -> ImagesFound:
    # Not at the top of the module: importing ruamel.yaml takes longer than reading a Dockerfile.
    from crossdock.read.compose import compose_images, is_compose
    from crossdock.read.kubernetes import is_kubernetes, kubernetes_images, without_podless
    from crossdock.read.yaml_model import is_template, template_error
    from crossdock.read.yaml_tree import read_yaml

    documents = read_yaml(without_podless(source))
    if any(is_kubernetes(document) for document in documents):
        return kubernetes_images(source, documents)
    if any(is_compose(document) for document in documents):
        return compose_images(source, documents, environ)
    if any(is_template(source, document) for document in documents):
        raise template_error(source.path)
    raise _none_of_them(source)


def _named(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _none_of_them(source: Source) -> InputError:
    empty = not source.data.strip()
    return InputError(
        "this file is empty" if empty else "this is no Dockerfile, no compose file and no Kubernetes manifest",
        where=source.path,
        hint="A Dockerfile begins with FROM or ARG, a compose file has `services:`, a manifest `apiVersion:`.",
    )
