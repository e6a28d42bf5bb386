"""The doctor's lines about Docker, and about podman and buildah: whether they can build and run Arm images."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.doctor.distribution import Distribution, install_words, own_packages
from crossdock.doctor.engine_steps import group_step, service_step
from crossdock.doctor.facts import BuilderFacts, DockerFacts, Facts
from crossdock.doctor.install import InstallPlan
from crossdock.doctor.version import version_number
from crossdock.errors import InputError
from crossdock.host.daemon_settings import (
    DAEMON_JSON,
    check_json,
    client_experimental,
    containerd_store,
    daemon_experimental,
)
from crossdock.host.package_steps import install_step
from crossdock.host.steps import Step

_BUILDX = (19, 3)
"""https://docs.docker.com/build/concepts/overview/: buildx came with the command line of Docker 19.03."""
_BUILDX_PLAIN = (20, 10)
"""From here on the client knows plugins, and the daemon --platform, without experimental features."""
_STORE = (24, 0)
"""https://docs.docker.com/engine/storage/containerd/"""
_BUILDAH = (1, 27)
"""The oldest that crossdock builds with (``--build-context``)."""
_GROUP = "docker"


def check_docker(facts: Facts, distribution: Distribution, plan: InstallPlan) -> tuple[Check, ...]:
    """Whether Docker is there and answers, is new enough, has buildx, and how it stores images; ``plan`` is how it
    would be installed."""
    docker = facts.docker
    if docker is None or docker.is_podman:
        return (_missing(facts, distribution, plan),)
    parts = [_versions(facts, docker), _settings(docker), _buildx(facts, docker, distribution)]
    if docker.server:
        parts += [_storage(docker), _store(docker), _builders(docker)]
    return tuple(check for part in parts for check in part)


def check_other_engines(facts: Facts) -> tuple[Check, ...]:
    """buildah, which builds without a daemon, and podman, as far as they are installed."""
    checks = []
    for name in ("buildah", "podman", "nerdctl"):
        program = facts.programs.get(name)
        if program:
            checks.append(_other(facts, name, program.version))
    return tuple(checks)


def _line(
    id: str, state: State, what: str, *, evidence: tuple[str, ...] = (), hint: str = "", steps: tuple[Step, ...] = ()
) -> Check:
    return Check(id, Topic.DOCKER, state, what, evidence, hint, steps)


def _missing(facts: Facts, distribution: Distribution, plan: InstallPlan) -> Check:
    """Without Docker: a note where buildah can build, else a problem. Where another engine is there, Docker is only
    installed if somebody asked for it, as its packages may push that engine out."""
    docker_is = "The command docker is podman's here" if facts.docker else "Docker is not installed"
    told = (plan.what, *plan.notes)
    if "buildah" in facts.programs:
        what = f"{docker_is}; crossdock builds with {_named(facts, 'buildah')}."
        steps = plan.steps if plan.asked else ()
        hint = plan.what if plan.asked else "`crossdock doctor --install docker` plans Docker besides."
        return Check("docker", Topic.DOCKER, State.NOTE, what, told, hint, steps, plan.notes if steps else ())
    if facts.container and not plan.asked:
        hint = "Inside a container install buildah; Docker belongs to its host."
        return _line("docker", State.PROBLEM, "Neither Docker nor buildah is installed.", hint=hint)
    if "podman" in facts.programs and not plan.asked:
        what = f"{docker_is}; {_named(facts, 'podman')} runs images, and nothing here builds them for crossdock."
        buildah = own_packages(distribution, facts.platform.architecture).buildah
        words = install_words(distribution)
        why = "It builds without a daemon, and shares its images with podman."
        steps = (install_step("install-buildah", why, buildah.split(), words),) if buildah and words else ()
        hint = "Install buildah; or `crossdock doctor --install docker` plans Docker."
        return _line("docker", State.PROBLEM, what, hint=hint, steps=steps)
    what = "Neither Docker nor buildah is installed."
    hint = plan.what if plan.steps else f"{plan.what} Install an engine by hand, or try --install static."
    return Check("docker", Topic.DOCKER, State.PROBLEM, what, told, hint, plan.steps, plan.notes)


def _steps(step: Step | None) -> tuple[Step, ...]:
    return (step,) if step else ()


def _named(facts: Facts, name: str) -> str:
    return f"{name} {facts.programs[name].version}".strip()


def _versions(facts: Facts, docker: DockerFacts) -> Iterator[Check]:
    if docker.server:
        yield from _answers(facts, docker)
    else:
        yield _silent(facts, docker)


def _answers(facts: Facts, docker: DockerFacts) -> Iterator[Check]:
    version = version_number(docker.server)
    named = f"Docker {docker.server}" + (" (rootless)" if docker.rootless else "")
    client = f"client {docker.client.version}"
    if version < _BUILDX:
        hint = (
            "Update Docker to 20.10 or later; `crossdock doctor --script` on a machine without Docker shows the steps."
        )
        what = f"{named} is too old: building for several platforms (buildx) came with 19.03."
        yield _line("docker", State.PROBLEM, what, evidence=(client,), hint=hint)
        return
    yield _line("docker", State.GOOD, f"{named} answers.", evidence=(client,))
    if version < _BUILDX_PLAIN and not docker.experimental:
        what = f"Docker {docker.server} takes --platform only with the daemon's experimental features, which are off."
        restart = daemon_experimental(live_restore=docker.live_restore)
        yield _line("docker-experimental", State.WARNING, what, hint="Or update to 20.10 or later.", steps=(restart,))
    if docker.socket_writable is False and not facts.user.root:
        yield _no_permission(facts)


def _silent(facts: Facts, docker: DockerFacts) -> Check:
    evidence = (docker.trouble,) if docker.trouble else ()
    if "permission denied" in docker.trouble.lower():
        return _no_permission(facts, evidence)
    what = f"Docker {docker.client.version} is installed, but its daemon does not answer."
    if facts.container:
        hint = "This is a container: use the host's Docker by its socket (-v /var/run/docker.sock:…), or buildah."
        return _line("docker", State.PROBLEM if "buildah" not in facts.programs else State.NOTE, what, hint=hint)
    if facts.init in ("systemd", "openrc"):
        hint = "If it does not start, `journalctl -u docker` tells why."
        return _line(
            "docker", State.PROBLEM, what, evidence=evidence, hint=hint, steps=_steps(service_step(facts.init))
        )
    state = State.WARNING if "buildah" in facts.programs else State.PROBLEM
    instead = ", or let crossdock build with buildah, which needs none" if "buildah" in facts.programs else ""
    hint = f"Nothing here starts services: run `dockerd` by hand{instead}."
    return _line("docker", state, what, evidence=evidence, hint=hint)


def _no_permission(facts: Facts, evidence: tuple[str, ...] = ()) -> Check:
    name = facts.user.name or "this user"
    what = f"{name} may not use Docker's socket."
    hint = "Log in again after it; until then `newgrp docker` does."
    if _GROUP in facts.user.groups:
        return _line(
            "docker-permission", State.PROBLEM, what, evidence=evidence, hint="Log in again: the group is new."
        )
    return _line(
        "docker-permission", State.PROBLEM, what, evidence=evidence, hint=hint, steps=_steps(group_step(facts.user))
    )


def _settings(docker: DockerFacts) -> Iterator[Check]:
    if docker.daemon_json is not None:
        try:
            check_json(docker.daemon_json, str(DAEMON_JSON))
        except InputError as error:
            what = f"{error.where} is not in order: {error.what}."
            yield _line("daemon-json", State.PROBLEM, what, hint=error.hint or "")
    if docker.config_json == "invalid":
        hint = "Mend it by hand; it holds your logins, so nothing here touches it."
        yield _line("docker-config", State.WARNING, "~/.docker/config.json is no valid JSON.", hint=hint)


def _buildx(facts: Facts, docker: DockerFacts, distribution: Distribution) -> Iterator[Check]:
    client = version_number(docker.client.version)
    if docker.buildx:
        yield _line("buildx", State.GOOD, f"The plugin buildx {docker.buildx} is there.")
        return
    if client and client < _BUILDX:
        return  # told by the version already
    if client and client < _BUILDX_PLAIN and not docker.client_experimental and facts.user.name:
        what = (
            f"Docker's client {docker.client.version} knows buildx only with its experimental features, which are off."
        )
        step = client_experimental(facts.user.name)
        yield _line("buildx", State.PROBLEM, what, hint="Or set DOCKER_CLI_EXPERIMENTAL=enabled.", steps=(step,))
        return
    package = "docker-buildx-plugin" if "docker-ce" in facts.packages else ""
    package = package or own_packages(distribution, facts.platform.architecture).buildx
    words = install_words(distribution)
    why = "Docker builds for several platforms by this plugin."
    check = "docker buildx version >/dev/null"
    steps = (install_step("install-buildx", why, package.split(), words, check=check),) if package and words else ()
    hint = "Put the program from https://github.com/docker/buildx/releases into ~/.docker/cli-plugins/docker-buildx."
    hint = hint if not steps else f"It is the package {package}."
    state = State.NOTE if "buildah" in facts.programs else State.PROBLEM
    yield _line("buildx", state, "Docker has no plugin buildx.", hint=hint, steps=steps)


def _storage(docker: DockerFacts) -> Iterator[Check]:
    driver = docker.storage_driver
    if driver == "vfs":
        hint = "It copies each layer whole. Use overlay2, on ext4 or xfs."
        yield _line("storage-driver", State.WARNING, "Docker stores images with the driver vfs.", hint=hint)
    elif driver == "devicemapper":
        hint = "It is gone from Docker 25 on. Save the images, change to overlay2, and load them."
        yield _line("storage-driver", State.WARNING, "Docker stores images with the driver devicemapper.", hint=hint)
    elif driver:
        yield _line("storage-driver", State.GOOD, f"Docker stores images with the driver {driver}.")


def _store(docker: DockerFacts) -> Iterator[Check]:
    """Whether one tag can hold several platforms here."""
    if docker.containerd_store:
        yield _line("image-store", State.GOOD, "Images of several platforms can be loaded (containerd image store).")
        return
    what = "Docker's classic image store holds one platform of an image: `--load` takes this machine's own."
    if docker.images == 0 and version_number(docker.server) >= _STORE:
        hint = "There are no images here yet that the other store would hide."
        yield _line("image-store", State.NOTE, what, hint=hint, steps=(containerd_store(),))
        return
    if version_number(docker.server) < _STORE:
        yield _line("image-store", State.NOTE, what, hint="Push, or write an archive (-o type=oci), for all platforms.")
        return
    hint = (
        "Push, or write an archive, for all platforms. The containerd image store would hold them, but while it is on "
        "Docker shows none of the images that are here: https://docs.docker.com/engine/storage/containerd/"
    )
    yield _line("image-store", State.NOTE, what, hint=hint)


def _builders(docker: DockerFacts) -> Iterator[Check]:
    for builder in docker.builders:
        if builder.status == "error" or builder.error:
            what = f"The builder {builder.name} cannot be used: {builder.error or 'buildx shows it as failed'}."
            hint = f"Remove it with `docker buildx rm {builder.name}`, or bring its node back."
            yield _line(f"builder-{builder.name}", State.WARNING, what, hint=hint)
        elif builder.nodes > 1 and not any(platform.endswith("*") for platform in builder.platforms):
            what = f"The builder {builder.name} has {builder.nodes} nodes without platforms of their own."
            hint = (
                "BuildKit then takes the first node that can emulate a platform, even beside a native one: make it "
                "anew and give each node its own (`docker buildx create --append --platform …`)."
            )
            yield _line(f"builder-{builder.name}", State.WARNING, what, hint=hint)
        elif builder.current and builder.driver and builder.driver != "docker":
            yield _line(f"builder-{builder.name}", State.GOOD, _described(builder))


def _described(builder: BuilderFacts) -> str:
    nodes = f"{builder.nodes} nodes" if builder.nodes > 1 else "1 node"
    return f"The builder in use is {builder.name} ({builder.driver}, {nodes}, {builder.status or 'not started'})."


def _other(facts: Facts, name: str, version: str) -> Check:
    named = f"{name} {version}".strip()
    if name == "buildah" and version and version_number(version) < _BUILDAH:
        what = f"{named} is older than 1.27, the oldest that crossdock builds with."
        return Check(name, Topic.OTHER_ENGINES, State.WARNING, what, hint="Update it, or build with Docker.")
    if not facts.user.root and facts.user.uid != 0 and "newuidmap" not in facts.programs and name != "nerdctl":
        what = f"{named} is there, but without newuidmap it works for root only."
        return Check(name, Topic.OTHER_ENGINES, State.WARNING, what, hint="Install uidmap (Debian) or shadow-utils.")
    words = "is there, and builds without a daemon" if name == "buildah" else "is there"
    return Check(name, Topic.OTHER_ENGINES, State.GOOD, f"{named} {words}.")
