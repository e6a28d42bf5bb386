"""What GitHub Actions workflows and GitLab CI pipelines declare: for which platforms they build images, and with what.

On which machine they run is no matter: a workflow on amd64 runners is as it should be.

Source: GitHub, "Workflow syntax for GitHub Actions"; the README files of docker/build-push-action, docker/bake-action,
docker/setup-qemu-action and docker/setup-buildx-action; GitLab, "CI/CD YAML syntax reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from crossdock.read.declared import Declared, FileKind, Mend, Missing, PlatformList
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence
from crossdock.read.yaml_shell import commands, image_build, scripts
from crossdock.source import Edit, Source, Span

_EXPRESSION = re.compile(r"\$\{\{\s*(env|matrix)\.([\w-]+)\s*\}\}")
_BUILD_ACTION = re.compile(r"docker/(?:build-push|bake)-action@", re.IGNORECASE)
_PLAIN_ACTION = re.compile(
    r"actions/|docker/(?:build-push|bake|login|metadata|setup-buildx|setup-compose|scout)-action@", re.IGNORECASE
)
_SETS_UP = re.compile(r"qemu|binfmt|buildx|buildkit|builder|docker|depot|nscloud|namespace", re.IGNORECASE)
"""In the name of another action, or of one of the repository's own: it may do what is looked for."""
_AMD64_RUNNER = re.compile(r"ubuntu-(?:latest|\d\d\.\d\d)")
_PUSH = re.compile(r"\b(?:docker|podman|nerdctl|buildah|image|manifest|skopeo)\s+(?:push|copy)\b")
_QEMU, _BUILDX = "docker/setup-qemu-action", "docker/setup-buildx-action"


def is_workflow(document: YamlNode) -> bool:
    """Whether a document is a workflow: it has jobs, and says when they run."""
    return (
        isinstance(document, YamlMapping)
        and isinstance(document.get("jobs"), YamlMapping)
        and document.get("on") is not None
    )


def is_pipeline(document: YamlNode) -> bool:
    """Whether a document is a GitLab pipeline: a top-level entry with a script."""
    return isinstance(document, YamlMapping) and any(
        isinstance(job, YamlMapping) and job.get("script") is not None for _, job in document.entries()
    )


def workflow_declared(source: Source, documents: Sequence[YamlNode]) -> Declared:
    """What the steps of every job build."""
    lists: list[PlatformList] = []
    missing: list[Missing] = []
    for document in documents:
        jobs = document.get("jobs") if isinstance(document, YamlMapping) else None
        for name, job in jobs.entries() if isinstance(jobs, YamlMapping) else ():
            if isinstance(document, YamlMapping) and isinstance(job, YamlMapping):
                found = _Job(source, name, job, _strings(document.get("env")))
                lists += found.lists()
                missing += found.missing()
    return Declared(source, FileKind.WORKFLOW, lists=tuple(lists), missing=tuple(missing))


def pipeline_declared(source: Source, documents: Sequence[YamlNode]) -> Declared:
    """What the scripts of every job build."""
    lists: list[PlatformList] = []
    for document in documents:
        if not isinstance(document, YamlMapping):
            continue
        environment = _strings(document.get("variables"))
        for name, job in document.entries():
            if isinstance(job, YamlMapping):
                known = environment | _strings(job.get("variables"))
                nodes = [node for key in ("before_script", "script", "after_script") for node in scripts(job.get(key))]
                lists += _shell_lists(source, nodes, f"job {name}", known)
    return Declared(source, FileKind.PIPELINE, lists=tuple(dict.fromkeys(lists)))


class _Job:
    """One job of a workflow."""

    def __init__(self, source: Source, name: str, job: YamlMapping, environment: Mapping[str, str]) -> None:
        self._source = source
        self._name = name
        self._job = job
        self._environment = {**environment, **_strings(job.get("env"))}
        steps = job.get("steps")
        self._steps = [
            step for step in (steps.items if isinstance(steps, YamlSequence) else ()) if isinstance(step, YamlMapping)
        ]

    def lists(self) -> Iterator[PlatformList]:
        if re.match(r"windows|macos", self._job.text("runs-on") or "", re.IGNORECASE):
            return  # images of other systems
        known = self._environment
        runs: list[YamlScalar] = []
        for step in self._steps:
            uses, run = step.get("uses"), step.get("run")
            if isinstance(uses, YamlScalar) and _BUILD_ACTION.match(uses.text):
                found = self._action(uses, step.get("with"))
                if found:
                    yield found
            elif isinstance(run, YamlScalar):
                known = {**known, **_strings(step.get("env"))}
                runs.append(run)
        yield from _shell_lists(self._source, runs, f"job {self._name}", known)

    def _action(self, uses: YamlScalar, inputs: YamlNode | None) -> PlatformList | None:
        """What docker/build-push-action builds. Bake's platforms are in its own file."""
        inputs = inputs if isinstance(inputs, YamlMapping) else None
        node = inputs.get("platforms") if inputs else None
        what = f"job {self._name}"
        pushes = inputs is not None and (
            inputs.text("push") not in (None, "false") or "push=true" in (inputs.text("outputs") or "")
        )
        if not isinstance(node, YamlScalar):
            return PlatformList(what, (), uses.span, pushes) if "build-push" in uses.text.lower() else None
        texts = self._resolved(node.text)
        if texts is None:
            return None
        platforms = tuple(part.strip() for text in texts for part in re.split(r"[,\n]", text) if part.strip())
        mend = None
        if "${{" not in node.text and "\n" not in node.text and platforms:
            at = Span(node.span.end, node.span.end)
            comma = ", " if ", " in node.text else ","
            edit = Edit(self._source.path, at, f"{comma}linux/arm64".encode())
            mend = Mend("Build for linux/arm64 as well", (edit,), safe=False)
        return PlatformList(what, platforms, node.span, pushes, mend) if platforms else None

    def _resolved(self, text: str) -> list[str] | None:
        """The values that a text can have; None where an expression cannot be told."""
        match = _EXPRESSION.fullmatch(text.strip())
        if match is None:
            return None if "${{" in text else [text]
        if match[1] == "env":
            value = self._environment.get(match[2])
            return None if value is None or "${{" in value else [value]
        return self._matrix(match[2])

    def _matrix(self, name: str) -> list[str] | None:
        strategy = self._job.get("strategy")
        matrix = strategy.get("matrix") if isinstance(strategy, YamlMapping) else None
        if not isinstance(matrix, YamlMapping):
            return None
        found: list[str] = []
        values, include = matrix.get(name), matrix.get("include")
        for item in values.items if isinstance(values, YamlSequence) else ():
            if not isinstance(item, YamlScalar) or "${{" in item.text:
                return None
            found.append(item.text)
        for entry in include.items if isinstance(include, YamlSequence) else ():
            text = entry.text(name) if isinstance(entry, YamlMapping) else None
            if text is not None:
                found.append(text)
        return found or None

    def missing(self) -> Iterator[Missing]:
        """A builder for several platforms, or emulation, where a job on GitHub's own amd64 runner has none. A builder
        that docker/setup-buildx-action makes needs no emulation beside it: BuildKit's image has emulators in it."""
        runner = self._job.get("runs-on")
        if not isinstance(runner, YamlScalar) or not _AMD64_RUNNER.fullmatch(runner.text):
            return
        for step in self._steps:
            uses = step.get("uses")
            if not isinstance(uses, YamlScalar) or not re.match(r"docker/build-push-action@", uses.text, re.I):
                continue
            found = self._action(uses, step.get("with"))
            if found is None or not found.names_arm64 or self._has(_BUILDX) or self._may_set_up():
                return
            lacking = {_QEMU: "emulation"} if not self._has(_QEMU) else {}
            if len(found.platforms) > 1 and "matrix." not in self._source.text(found.span):
                lacking[_BUILDX] = "a builder for several platforms"
            if lacking:
                what = " and ".join(lacking.values())
                what = f"job {self._name} builds for {', '.join(found.platforms)} without {what}"
                yield Missing(what, uses.span, self._added(tuple(lacking), step))
            return

    def _has(self, action: str) -> bool:
        return any((step.text("uses") or "").lower().startswith(f"{action}@") for step in self._steps)

    def _may_set_up(self) -> bool:
        """Whether something else in the job may bring emulation or native nodes."""
        for step in self._steps:
            uses, run = step.text("uses") or "", step.text("run") or ""
            if uses.startswith("./") or re.search(r"qemu|binfmt|buildx create|docker context", run):
                return True
            if uses and not _PLAIN_ACTION.match(uses) and not uses.startswith(_QEMU) and _SETS_UP.search(uses):
                return True
        return False

    def _added(self, actions: tuple[str, ...], step: YamlMapping) -> Mend | None:
        """The actions as steps before another one."""
        line = self._source.line_span(self._source.position(step.span.start).line)
        before = self._source.data[line.start : step.span.start]
        if not re.fullmatch(rb"[ \t]*-[ \t]+", before):
            return None
        text = b"".join(before + f"uses: {action}@v3".encode() + self._source.newline for action in actions)
        edit = Edit(self._source.path, Span(line.start, line.start), text)
        return Mend(f"Add {' and '.join(actions)} before it", (edit,), safe=False)


def _shell_lists(
    source: Source, nodes: Sequence[YamlScalar], what: str, environment: Mapping[str, str]
) -> Iterator[PlatformList]:
    """The builds among the commands of a job."""
    pushed = any(_PUSH.search(node.text) for node in nodes)
    for node in nodes:
        if not re.search(r"build|executor|bud", node.text):
            continue  # walking a shell takes longer than looking
        for command in commands(source, node, environment):
            build = image_build(command)
            if build and build.platforms is not None:
                mend = _added(source, build.platforms, build.span)
                yield PlatformList(what, build.platforms, build.span, build.publishes or pushed, mend)


def _added(source: Source, platforms: tuple[str, ...], span: Span) -> Mend | None:
    """Add arm64 to a list that is written as it is, without a variable."""
    written = source.text(span)
    if not platforms or written.removeprefix("--platform=").strip("\"'") != ",".join(platforms):
        return None
    at = span.end - (written[-1] in "\"'")
    return Mend("Build for linux/arm64 as well", (Edit(source.path, Span(at, at), b",linux/arm64"),), safe=False)


def _strings(node: YamlNode | None) -> dict[str, str]:
    """The entries of a mapping that are scalars."""
    if not isinstance(node, YamlMapping):
        return {}
    return {key: value.text for key, value in node.entries() if isinstance(value, YamlScalar)}
