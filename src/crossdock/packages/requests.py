"""Which packages a Dockerfile installs on the target platform: what its commands and the files they read name. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from posixpath import dirname, normpath

from crossdock.errors import InputError
from crossdock.findings import Skipped
from crossdock.packages.commands import Install, added_repositories, install_of
from crossdock.packages.manifests import (
    MAX_SIZE,
    Listed,
    read_gemfile_lock,
    read_package_json,
    read_package_lock,
    read_pom,
    read_requirements,
)
from crossdock.packages.model import Ecosystem, PackageRequest, Repository, System
from crossdock.packages.node_locks import read_pnpm_lock, read_yarn_lock
from crossdock.packages.repo_files import repository_addresses
from crossdock.packages.systems import system_of
from crossdock.read.context import Context
from crossdock.read.pieces import HOLE
from crossdock.read.trace import Copied, Role, StageTrace, Step, Trace, context_paths
from crossdock.read.values import Origin
from crossdock.source import Source


@dataclass(frozen=True)
class Requests:
    """``requests`` in the order of the file, each once. ``sources`` are the files of the context that were read, by the
    path that origins name."""

    requests: tuple[PackageRequest, ...]
    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]


def collect_requests(trace: Trace, context: Context | None) -> Requests:
    """Every package that is installed on the target platform. What only an amd64 build reaches is left out, and so is
    what runs on the machine that builds."""
    collector = _Collector(trace, context)
    found = dict.fromkeys(request for stage in trace.stages for request in collector.stage(stage))
    return Requests(tuple(found), tuple(collector.sources.values()), tuple(dict.fromkeys(collector.skipped)))


@dataclass(frozen=True)
class _Place:
    """Where a command runs: in which image, with which files of the context, after which repositories were added."""

    system: System
    copies: tuple[Copied, ...]
    repositories: tuple[Repository, ...]
    opaque: bool
    certain: bool
    environment: frozenset[str]


class _Collector:
    def __init__(self, trace: Trace, context: Context | None) -> None:
        self.trace = trace
        self.context = context
        self.sources: dict[str, Source] = {}
        self.skipped: list[Skipped] = []
        self.added: dict[int, tuple[tuple[Repository, ...], bool]] = {}

    def stage(self, stage: StageTrace) -> Iterator[PackageRequest]:
        repositories, opaque = self.added.get(stage.parent, ((), False)) if stage.parent is not None else ((), False)
        system = self._system(stage)
        for step in stage.steps:
            if step.instruction.keyword in {"COPY", "ADD"} and step.destination:
                further, unread = self._copied_repositories(step)
                repositories, opaque = (*repositories, *further), opaque or unread
            if step.instruction.keyword != "RUN":
                continue
            commands = [*step.commands, *(c for run in step.scripts if not run.at_start for c in run.trace.commands)]
            for command in commands:
                further, unread = added_repositories(command)
                repositories, opaque = (*repositories, *further), opaque or unread
                install = install_of(command) if command.words else None
                if install and stage.role is Role.TARGET and not stage.amd64_only:
                    names = command.exported.union(made.name for made in command.assignments)
                    place = _Place(system, step.copies, repositories, opaque, command.certain, names)
                    yield from self._install(install, place)
        self.added[stage.stage.index] = repositories, opaque

    def _copied_repositories(self, step: Step) -> tuple[tuple[Repository, ...], bool]:
        """The repositories of .repo files that COPY or ADD brings, and whether it brings package sources that are not
        read here."""
        place = step.destination.text if step.destination else ""
        if "yum.repos.d" not in place and "zypp/repos.d" not in place:
            return (), "/etc/apt/" in place
        found: list[Repository] = []
        unread = step.copied_from is not None or bool(step.instruction.heredocs)
        for word in () if unread else step.words:
            if "://" in word.text:
                found.append(Repository(word.text))
                continue
            texts = self._repo_files(word.text)
            addresses = [address for text in texts for address in repository_addresses(text)]
            unread = unread or not addresses
            found += [Repository(address) for address in addresses]
        return tuple(found), unread

    def _repo_files(self, pattern: str) -> list[str]:
        """The texts of the .repo files that a source of COPY stands for."""
        if self.context is None or HOLE in pattern:
            return []
        try:
            alone = self.context.read(pattern, MAX_SIZE)
            named = [path for path in self.context.match(pattern) if path.endswith(".repo")] if alone is None else []
            texts = [alone, *(self.context.read(path, MAX_SIZE) for path in named)]
            return [text.decode("utf-8", "replace") for text in texts if text is not None]
        except InputError as error:
            self.skipped.append(Skipped(str(self.context.root / pattern), error.what))
            return []

    def _system(self, stage: StageTrace) -> System:
        while stage.parent is not None:
            stage = self.trace.stages[stage.parent]
        return system_of(stage.base.render()) if HOLE not in stage.base.render() else System()

    def _install(self, install: Install, place: _Place) -> Iterator[PackageRequest]:
        of_system = install.ecosystem in {Ecosystem.APT, Ecosystem.RPM}
        # Only a source of apt has a suite.
        added = (r for r in place.repositories if of_system and bool(r.suite) is (install.ecosystem is Ecosystem.APT))
        further = (*install.repositories, *added)
        opaque = place.opaque and of_system
        place = replace(place, repositories=further, opaque=opaque)
        for named in install.named:
            yield self._request(install, named.name, named.version, named.origin, place)
        read = False
        for path in install.files:
            if install.ecosystem is Ecosystem.NPM and read:
                break  # the lock file says more than package.json
            source = self._read(path, place)
            read = read or source is not None
            if source:
                yield from self._listed(install, source, path, place)

    def _listed(self, install: Install, source: Source, path: str, place: _Place) -> Iterator[PackageRequest]:
        match install.ecosystem:
            case Ecosystem.PIP:
                yield from self._requirements(install, source, path, place, ())
            case Ecosystem.NPM if path.endswith("package.json"):
                yield from self._all(
                    install, source, read_package_json(source.data, production=install.production), place
                )
            case Ecosystem.NPM if path.endswith("yarn.lock"):
                beside = self._read(f"{dirname(path)}/package.json", place)
                data = beside.data if beside else b""
                yield from self._all(
                    install, source, read_yarn_lock(source.data, data, production=install.production), place
                )
            case Ecosystem.NPM if path.endswith("pnpm-lock.yaml"):
                yield from self._all(install, source, read_pnpm_lock(source.data, production=install.production), place)
            case Ecosystem.NPM:
                yield from self._all(
                    install, source, read_package_lock(source.data, production=install.production), place
                )
            case Ecosystem.GEM:
                yield from self._all(install, source, read_gemfile_lock(source.data, frozen=install.frozen), place)
            case Ecosystem.MAVEN:
                yield from self._all(install, source, read_pom(source.data), place)

    def _requirements(
        self, install: Install, source: Source, path: str, place: _Place, above: tuple[str, ...]
    ) -> Iterator[PackageRequest]:
        found = read_requirements(source.data)
        further = (*place.repositories, *(Repository(url) for url in found.indexes))
        yield from self._all(install, source, found.listed, replace(place, repositories=further))
        for name in found.files:
            inner = normpath(f"{dirname(path)}/{name}")
            included = self._read(inner, place) if inner not in (*above, path) else None
            if included:
                yield from self._requirements(install, included, inner, place, (*above, path))

    def _all(
        self, install: Install, source: Source, listed: tuple[Listed, ...], place: _Place
    ) -> Iterator[PackageRequest]:
        for one in listed:
            request = self._request(install, one.name, one.version, Origin(source.path, one.span), place)
            yield replace(request, direct=one.direct, classifier=one.classifier, stated=one.stated)

    def _request(self, install: Install, name: str, version: str, origin: Origin, place: _Place) -> PackageRequest:
        return PackageRequest(
            install.ecosystem,
            name,
            origin,
            version,
            place.system,
            place.certain,
            place.repositories,
            place.opaque,
            environment=place.environment,
        )

    def _read(self, path: str, place: _Place) -> Source | None:
        """The file of the context that lies at a path of the image."""
        if self.context is None or HOLE in path or "://" in path:
            return None
        for relative in context_paths(normpath(path), place.copies):
            if "*" in relative:
                continue
            name = str(self.context.root / relative)
            if name in self.sources:
                return self.sources[name]
            try:
                data = self.context.read(relative, MAX_SIZE + 1)
            except InputError as error:
                self.skipped.append(Skipped(name, error.what))
                continue
            if data is not None and len(data) > MAX_SIZE:
                self.skipped.append(Skipped(name, f"it has more than {MAX_SIZE >> 20} MiB"))
            elif data is not None:
                return self.sources.setdefault(name, Source(name, data))
        return None
