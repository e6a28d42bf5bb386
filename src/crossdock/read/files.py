"""What a file other than a Dockerfile is, by its name and its content, and what it declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from crossdock.errors import CrossdockError, InputError
from crossdock.read.declared import Declared
from crossdock.source import Source

LARGEST = 2 << 20
"""Bytes of a file that was found by searching; a larger one was generated."""
_NAMED = (
    "compose.yaml compose.yml compose.*.yaml compose.*.yml docker-compose*.yaml docker-compose*.yml "
    ".gitlab-ci.yaml .gitlab-ci.yml *.gitlab-ci.yaml *.gitlab-ci.yml "
    "docker-bake.hcl docker-bake.json docker-bake.override.hcl docker-bake.override.json *.docker-bake.hcl"
).split()
_YAML = ("*.yaml", "*.yml")
_MANIFEST = re.compile(rb"^apiVersion:", re.MULTILINE)
_PLATFORMS = re.compile(rb"\bimage\b|kubernetes\.io/arch")


def is_other_file(path: Path) -> bool:
    """Whether a file that was found by searching is to be read, by its name; a Kubernetes manifest may have any, so
    that its content decides (``looks_like_manifest``)."""
    name = path.name
    if any(fnmatchcase(name, pattern) for pattern in _NAMED):
        return True
    is_yaml = any(fnmatchcase(name, pattern) for pattern in _YAML)
    return is_yaml and (_in_workflows(path) or is_values(path))


def _in_workflows(path: Path) -> bool:
    return path.parent.parts[-2:] == (".github", "workflows")


def may_be_manifest(path: Path) -> bool:
    """Whether a file may be a Kubernetes manifest, by its name."""
    return any(fnmatchcase(path.name, pattern) for pattern in _YAML)


def looks_like_manifest(data: bytes) -> bool:
    """Whether a YAML file is a manifest that names an image or an architecture, and no template of one."""
    return bool(_MANIFEST.search(data) and _PLATFORMS.search(data)) and b"{{" not in data


def is_values(path: Path) -> bool:
    """Whether a file holds the values of a Helm chart: the chart's description stands beside it."""
    return fnmatchcase(path.name, "values*.y*ml") and (path.parent / "Chart.yaml").is_file()


def is_dockerfile_name(name: str) -> bool:
    """Whether an explicitly named file is read as a Dockerfile: everything that is not YAML, JSON or HCL."""
    return PurePath(name).suffix.lower() not in {".yaml", ".yml", ".json", ".hcl"}


def read_declared(source: Source, environ: Mapping[str, str]) -> Declared:
    """What a file declares. ``environ`` replaces the variables of a compose file. Raises InputError for what cannot be
    read, and for a file that is none of those that are known."""
    path = Path(source.path)
    if path.suffix.lower() == ".hcl":
        from crossdock.read.bake import bake_hcl

        return bake_hcl(source)
    from crossdock.read.bake import bake_json, is_bake
    from crossdock.read.compose import is_compose
    from crossdock.read.compose_declared import compose_declared
    from crossdock.read.kubernetes import is_kubernetes, without_podless
    from crossdock.read.kubernetes_declared import helm_declared, kubernetes_declared
    from crossdock.read.workflow import is_pipeline, is_workflow, pipeline_declared, workflow_declared
    from crossdock.read.yaml_tree import read_yaml

    pipeline = fnmatchcase(path.name, "*.gitlab-ci.y*ml")
    documents = read_yaml(source if pipeline else without_podless(source))
    if pipeline or (not any(map(is_compose, documents)) and any(map(is_pipeline, documents))):
        return pipeline_declared(source, documents)
    if _in_workflows(path) or any(map(is_workflow, documents)):
        return workflow_declared(source, documents)
    if any(map(is_kubernetes, documents)):
        return kubernetes_declared(source, documents)
    if is_values(path):
        return helm_declared(source, documents, _app_version(path.parent / "Chart.yaml"))
    if fnmatchcase(path.name, "*docker-bake*.json") or any(map(is_bake, documents)):
        return bake_json(source, documents)
    if any(map(is_compose, documents)) or (not documents and is_other_file(path)):  # nothing, or comments alone
        return compose_declared(source, documents, environ)
    raise InputError(
        "this is no compose file, Kubernetes manifest, workflow, pipeline or bake file",
        where=source.path,
        hint="A compose file has `services:`, a manifest `apiVersion:` and `kind:`, a workflow `on:` and `jobs:`.",
    )


def _app_version(chart: Path) -> str | None:
    """The version of what a chart installs; None where its description cannot be read."""
    from crossdock.read.yaml_model import YamlMapping
    from crossdock.read.yaml_tree import read_yaml

    try:
        documents = read_yaml(Source(str(chart), chart.read_bytes()))
    except (OSError, CrossdockError):
        return None
    return documents[0].text("appVersion") if documents and isinstance(documents[0], YamlMapping) else None
