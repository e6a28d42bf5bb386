"""package-without-arm64: a package is installed that does not exist for arm64."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossdock.findings import Confidence, Finding, Fix, Safety, Severity
from crossdock.packages.model import Answer, Ecosystem, PackageFact, PackageRequest, Status
from crossdock.read.trace import StageTrace, Step
from crossdock.rules.base import Example, Project, Rule
from crossdock.rules.edits import Choice, declared, run_beginning
from crossdock.rules.vocabulary import FOREIGN
from crossdock.source import Edit, Span


class PackageWithoutArm64(Rule):
    """A package is installed (apt, apk, dnf, zypper, pip, npm, Maven, RubyGems, the Android SDK) that does not exist
    for arm64, or not in that version.

    The package manager of the arm64 build does not find it ("Unable to locate package", "No matching distribution
    found", EBADPLATFORM), and the build fails at this step. Where only source exists for arm64, it is compiled while
    installing, which takes long and needs a compiler. Android's sdkmanager does not ask: it installs x86-64 programs on
    Arm as well, and they fail when Gradle starts them.

    Take a version that has arm64, or another package that does the same; install what only drives x86 hardware under
    `if [ "$(dpkg --print-architecture)" = amd64 ]`. For a lock file, create it anew for all platforms.
    """

    id = "package-without-arm64"

    VALID = (
        Example("FROM debian:bookworm\nRUN apt-get update && apt-get install -y curl intel-media-va-driver-\n"),
        Example(
            "FROM debian:bookworm\n"
            'RUN if [ "$(dpkg --print-architecture)" = amd64 ]; then apt-get install -y i965-va-driver; fi\n',
            note="only amd64 installs it",
        ),
        Example("FROM debian:trixie\nRUN apt-get install -y ltrace\n", note="amd64 only up to Debian 12"),
        Example("FROM python:3.11\nRUN pip install tensorflow==2.16.1 'mkl; platform_machine == \"x86_64\"'\n"),
        Example(
            "FROM --platform=$BUILDPLATFORM debian:bookworm AS build\nRUN apt-get install -y cpuid\nFROM debian\n"
            "COPY --from=build /a /a\n"
        ),
        Example("FROM debian\nRUN apt-get install -y gcc-multilib\n", note="see foreign-architecture"),
        Example(
            "FROM node:18\nENV PUPPETEER_SKIP_DOWNLOAD=true\nRUN npm install puppeteer@21.0.0\n",
            note="the browser comes from elsewhere",
        ),
    )
    INVALID = (
        Example(
            "FROM debian:bookworm\nRUN apt-get update && apt-get install -y curl ⟦i965-va-driver⟧ && true\n",
            fixed=(
                "FROM debian:bookworm\n"
                "ARG TARGETARCH\n"
                'RUN case "$TARGETARCH" in \\\n'
                "        amd64) amd64_package=i965-va-driver ;; \\\n"
                "        arm64) amd64_package= ;; \\\n"
                '        *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\\n'
                "    esac \\\n"
                "    && apt-get update && apt-get install -y curl ${amd64_package} && true\n"
            ),
        ),
        Example("FROM ubuntu:22.04\nRUN apt-get install -y ⟦grub-pc-bin⟧\n"),
        Example('FROM python:3.8\nRUN pip install "⟦tensorflow==2.3.0⟧" numpy\n'),
        Example("FROM python:3.10\nRUN pip install ⟦onnxruntime-gpu⟧\n"),
        Example("FROM node:18\nRUN npm install -g ⟦phantomjs-prebuilt⟧\n"),
        Example("FROM alpine:3.18\nRUN apk add --no-cache ⟦syslinux⟧ bash\n"),
        Example('FROM eclipse-temurin:17\nRUN yes | sdkmanager "platforms;android-34" "⟦build-tools;34.0.0⟧"\n'),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for fact in project.packages:
            if fact.answer.status in _SAID and not FOREIGN.search(fact.request.name):
                yield self._finding(project, fact)

    def _finding(self, project: Project, fact: PackageFact) -> Finding:
        request, answer = fact.request, fact.answer
        severity = Severity.ERROR if request.certain and answer.certain else Severity.WARNING
        return self.finding(
            project.source(request.origin.path),
            request.origin.span,
            _message(request, answer),
            severity=severity if answer.status is Status.MISSING else Severity.INFO,
            confidence=Confidence.HIGH if severity is Severity.ERROR else Confidence.MEDIUM,
            fixes=tuple(_on_amd64_alone(project, fact)) if answer.dispensable else (),
        )


_SAID = {Status.MISSING: "does not exist for arm64", Status.SOURCE: "exists as source only for arm64"}


def _message(request: PackageRequest, answer: Answer) -> str:
    version = f" {request.exact}" if request.exact else ""
    detail = f": {answer.detail}" if answer.detail else ""
    return f"{request.name}{version} {_SAID[answer.status]}{detail}" + (f". {answer.instead}" if answer.instead else "")


def _on_amd64_alone(project: Project, fact: PackageFact) -> Iterator[Fix]:
    """What is for x86 machines is installed on those: by a marker in a requirements file, by a variable in a RUN."""
    request = fact.request
    source, span = project.source(request.origin.path), request.origin.span
    title = f"Install {request.name} on amd64 alone"
    if source.path != project.dockerfile.source.path:
        rest = source.text(Span(span.end, len(source.data))).partition("\n")[0]
        if request.ecosystem is Ecosystem.PIP and ";" not in rest.partition("#")[0]:
            marker = b'; platform_machine == "x86_64"'
            yield Fix(title, Safety.SAFE, (Edit(source.path, Span(span.end, span.end), marker),))
        return
    for stage, step in project.trace.steps:
        if span in step.instruction.span and not step.instruction.heredocs:
            edits = _by_variable(project, stage, step)
            if edits:
                yield Fix(title, Safety.SAFE, edits)
            return


def _by_variable(project: Project, stage: StageTrace, step: Step) -> tuple[Edit, ...]:
    """The edits that put all such packages of a RUN into variables, which are empty on arm64; none where one of them
    is not a word by itself, or is needed."""
    source = project.dockerfile.source
    here = [
        fact
        for fact in project.packages
        if fact.answer.status is Status.MISSING
        and fact.request.origin.path == source.path
        and fact.request.origin.span in step.instruction.span
    ]
    if not all(fact.answer.dispensable for fact in here):
        return ()  # half of it would not build either
    places = sorted({fact.request.origin.span for fact in here})
    edits: list[Edit] = []
    choices: list[Choice] = []
    for number, span in enumerate(places, 1):
        word = source.text(span)
        alone = source.data[span.start - 1 : span.start].isspace() and not source.data[span.end :][:1].strip(
            b" \t\r\n;&|)\\"
        )
        if not alone or not re.fullmatch(r"[\w.+=:~-]+", word):
            return ()
        name = f"amd64_package{number if number > 1 else ''}"
        choices.append(Choice(name, word, ""))
        edits.append(Edit(source.path, span, f"${{{name}}}".encode()))
    beginning = run_beginning(project, step.instruction)
    if beginning is None:
        return ()
    declaration = declared(project, stage.stage, "TARGETARCH", step.instruction)
    return (*edits, *declaration, *beginning.choosing(choices))
