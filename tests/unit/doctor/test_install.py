"""Where Docker comes from on each golden system, by which steps, and what is said of a machine without it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import systems
from syrupy.assertion import SnapshotAssertion
from systems import load_system

from crossdock.doctor.diagnosis import Check, State
from crossdock.doctor.distribution import Base, identify
from crossdock.doctor.docker import check_docker
from crossdock.doctor.docker_table import offer, offers, static
from crossdock.doctor.facts import DockerFacts, Facts, Program, User
from crossdock.doctor.install import InstallPlan, Source, install_plan
from crossdock.doctor.mirrors import Mirror, named
from crossdock.doctor.repository_steps import APT_SOURCE, RPM_SOURCE
from crossdock.host.script import script_of
from crossdock.platforms import ARM64, parse_platform

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
CORP = named("https://mirror.corp/docker-ce")
USER = User("li", 1000)


def plan(facts: Facts, source: Source = Source.AUTO, mirror: Mirror = CORP) -> InstallPlan:
    return install_plan(facts, identify(facts), mirror=mirror, source=source)


def run_of(the_plan: InstallPlan, id: str) -> str:
    return next(step.run for step in the_plan.steps if step.id == id)


class TestGoldenSystems:
    def test_where_docker_comes_from(self, snapshot: SnapshotAssertion) -> None:
        """One block for each: the plan's sentence, what is written into the source, and what is installed."""
        assert "\n".join(_told(name) for name in systems.NAMES) == snapshot

    def test_every_step_is_what_shellcheck_likes(self, tmp_path: Path) -> None:
        """In one script, as most of them are the same on many systems."""
        old = {"docker.io": "1", "docker": "1", "runc": "1", "podman": "4"}
        machines = [replace(load_system(name), user=USER, packages=old) for name in systems.NAMES]
        steps = {
            step.done + step.run: step for source in Source for facts in machines for step in plan(facts, source).steps
        }
        script = tmp_path / "all.sh"
        script.write_text(script_of(tuple(steps.values()), title="All steps of all systems"))
        done = subprocess.run(
            [SHELLCHECK, "-s", "sh", "-S", "style", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[:3000]
        assert len(steps) > 50

    @pytest.mark.parametrize("source", Source)
    def test_no_step_pipes_what_it_fetched_into_a_shell_or_asks(self, source: Source) -> None:
        for name in systems.NAMES:
            for step in plan(load_system(name), source).steps:
                assert not re.search(r"\| *(ba)?sh\b|apt-key", step.run)
                assert step.run.count("curl -") == step.run.count('-o "$folder/')
                for words in ("apt-get install ", "dnf install ", "yum install "):
                    assert step.run.count(words) == step.run.count(f"{words}-y")

    def test_a_plan_without_steps_says_why(self) -> None:
        nixos = plan(load_system("nixos"))
        assert (nixos.source, nixos.steps) == (Source.AUTO, ())
        assert nixos.what.startswith("Neither Docker nor the distribution is known to have packages for NixOS")


def _told(name: str) -> str:
    found = plan(load_system(name))
    lines = [f"{name}: {found.what}"]
    for step in found.steps:
        for line in step.run.splitlines():
            if line.startswith(("deb [", "baseurl=", "apk add", "pacman -S")) or " install " in line:
                lines.append(f"    {line}")
    return "\n".join(lines)


class TestDerivatives:
    def test_kylin_desktop_gets_ubuntus_packages_with_its_codename(self) -> None:
        found = plan(load_system("kylin-v10-desktop-sp1"))
        assert run_of(found, "docker-source").splitlines()[-2] == (
            "deb [arch=arm64 signed-by=/etc/apt/keyrings/docker.gpg] "
            "https://mirror.corp/docker-ce/linux/ubuntu focal stable"
        )
        assert "Docker 28.1.1 is the last for Ubuntu 20.04 (focal); it gets no updates any more." in found.notes

    def test_kylin_server_gets_centos_8_with_its_release_written_out(self) -> None:
        run = run_of(plan(load_system("kylin-v10-server-sp3-2403")), "docker-source")
        assert "baseurl=https://mirror.corp/docker-ce/linux/centos/8/aarch64/stable\n" in run
        assert "module_hotfixes=1" in run
        assert "gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-docker-ce\n" in run
        assert "$releasever" not in run

    def test_what_conflicts_is_removed_only_where_it_is_installed(self) -> None:
        facts = load_system("kylin-v10-server-sp3-2403")
        assert plan(facts).steps[0].id == "docker-prerequisites"
        first = plan(replace(facts, packages={"podman": "1", "runc": "1", "bash": "5"})).steps[0]
        assert (first.id, first.title) == ("remove-old-docker", "Remove podman runc")
        assert first.restarts

    def test_a_32_bit_userland_gets_32_bit_packages(self) -> None:
        run = run_of(plan(load_system("raspberry-pi-os-10-32")), "docker-source")
        assert "[arch=armhf " in run
        assert "/linux/raspbian buster" in run

    def test_amazons_own_docker_comes_before_another_distributions_packages(self) -> None:
        facts = load_system("amazon-2")
        assert plan(facts).source is Source.DISTRIBUTION
        assert "/linux/centos/7/" in run_of(plan(facts, Source.DOCKER), "docker-source")

    def test_curl_minimal_is_curl_enough(self) -> None:
        """EL 9 and Amazon Linux 2023 have it, and it conflicts with the package curl."""
        run = run_of(plan(load_system("centos-stream-9")), "docker-prerequisites")
        assert "if ! command -v curl >/dev/null; then\n  dnf install -y curl\n" in run

    def test_a_release_is_not_said_to_be_made_from_itself(self) -> None:
        found = plan(load_system("centos-stream-9"))
        assert found.what.endswith("with the packages for CentOS 9 on linux/arm64.")
        assert not found.notes

    def test_apt_too_old_for_https_is_helped(self) -> None:
        assert "apt-transport-https" in run_of(plan(load_system("ubuntu-16.04")), "docker-prerequisites")
        assert "apt-transport-https" not in run_of(plan(load_system("ubuntu-24.04")), "docker-prerequisites")


class TestSources:
    def test_the_distributions_own(self) -> None:
        found = plan(load_system("debian-13"), Source.DISTRIBUTION)
        assert found.what == "Docker comes from the packages of Debian 13."
        assert "apt-get install -y docker.io docker-cli docker-buildx" in run_of(found, "install-docker")

    def test_podman_where_the_distribution_has_no_docker(self) -> None:
        found = plan(load_system("rhel-8"), Source.DISTRIBUTION)
        assert [step.id for step in found.steps] == ["install-podman"]
        assert found.what.startswith("podman and buildah come")

    def test_static_programs_are_never_installed_without_a_checksum(self) -> None:
        found = plan(load_system("kylin-v10-desktop"), Source.STATIC)
        run = run_of(found, "install-docker-static")
        assert "https://mirror.corp/docker-ce/linux/static/stable/aarch64/docker-" in run
        assert run.index('[ "$sum" = "$DOCKER_SHA256" ] || fail') < run.index("tar -x") < run.index("put ")

    def test_nothing_for_an_architecture_that_docker_does_not_build_for(self) -> None:
        found = plan(load_system("anolis-23"), Source.DOCKER)
        assert (found.steps, found.source) == ((), Source.DOCKER)
        assert found.what == "Docker's repository has no packages for Anolis OS 23 on linux/loongarch64."

    def test_in_a_container_nothing_is_installed(self) -> None:
        found = plan(replace(load_system("debian-12"), container="docker"))
        assert (found.steps, found.what) == ((), "This is inside a container (docker): Docker belongs on its host.")

    def test_where_nothing_starts_services_no_step_does(self) -> None:
        found = plan(replace(load_system("debian-12"), init=""))
        assert "docker-service" not in [step.id for step in found.steps]
        assert "Nothing here starts services, so start dockerd by hand." in found.notes

    def test_who_asked_gets_into_the_group(self) -> None:
        facts = replace(load_system("debian-12"), user=User("o'li", 1000))
        assert """usermod -aG docker "o'li";""" in run_of(plan(facts), "docker-group-user")
        for user in (User("root", 0), User(), User("li", 1000, ("li", "docker"))):
            assert "docker-group-user" not in [step.id for step in plan(replace(facts, user=user)).steps]


class TestWithoutDocker:
    def line(self, facts: Facts, source: Source = Source.AUTO) -> Check:
        (found,) = check_docker(facts, identify(facts), plan(facts, source))
        assert found.id == "docker"
        return found

    def with_programs(self, **versions: str) -> Facts:
        programs = {name: Program(f"/usr/bin/{name}", version) for name, version in versions.items()}
        return replace(load_system("debian-12"), programs=programs)

    def test_nothing_at_all_is_a_problem_with_steps(self) -> None:
        found = self.line(load_system("debian-12"))
        assert (found.state, found.what) == (State.PROBLEM, "Neither Docker nor buildah is installed.")
        assert found.steps[-1].id == "docker-service"
        assert found.hint.startswith("Docker comes from the mirror https://mirror.corp/docker-ce")

    def test_buildah_is_not_disturbed_unless_docker_was_asked_for(self) -> None:
        facts = self.with_programs(buildah="1.28.2", podman="4.3.1")
        found = self.line(facts)
        assert (found.state, found.steps) == (State.NOTE, ())
        assert found.what == "Docker is not installed; crossdock builds with buildah 1.28.2."
        assert self.line(facts, Source.DOCKER).steps

    @pytest.mark.parametrize("imitation", [False, True])
    def test_podman_alone_builds_nothing_for_crossdock(self, imitation: bool) -> None:
        docker = DockerFacts(Program("/usr/bin/docker", "4.3.1"), is_podman=True) if imitation else None
        found = self.line(replace(self.with_programs(podman="4.3.1"), docker=docker))
        assert (found.state, [step.id for step in found.steps]) == (State.PROBLEM, ["install-buildah"])
        assert "podman 4.3.1 runs images" in found.what
        assert found.what.startswith("The command docker is podman's here" if imitation else "Docker is not installed")

    def test_in_a_container_docker_belongs_to_its_host(self) -> None:
        found = self.line(replace(load_system("debian-12"), container="docker"))
        assert (found.state, found.steps) == (State.PROBLEM, ())
        assert "Docker belongs to its host" in found.hint

    def test_no_way_is_said(self) -> None:
        found = self.line(load_system("nixos"))
        assert (found.state, found.steps) == (State.PROBLEM, ())
        assert "packages for NixOS" in found.hint
        assert "by hand" in found.hint


class TestCatalogue:
    def test_each_entry_has_a_source(self) -> None:
        for one in offers():
            assert one.source
            assert one.key.source
            assert len(one.key.fingerprint) == 40
            assert one.documentation.startswith("https://docs.docker.com/engine/install/")
            assert bool(one.base.codename) == (one.kind == "deb")

    def test_each_is_there_once(self) -> None:
        bases = [(one.base.id, one.base.version) for one in offers()]
        assert len(bases) == len(set(bases))

    def test_arm64_since_when(self) -> None:
        assert {(one.base.id, one.base.version) for one in offers() if "arm64" not in one.architectures} == {
            ("raspbian", version) for version in ("10", "11", "12", "13")
        }

    def test_old_releases_have_no_plugins(self) -> None:
        xenial = offer(Base("ubuntu", "16.04", "xenial"), ARM64)
        assert xenial
        assert (xenial.packages, xenial.last) == (("docker-ce", "docker-ce-cli", "containerd.io"), "20.10.7")

    def test_raspbian_trixie_is_in_debians_folder(self) -> None:
        found = offer(Base("raspbian", "13", "trixie"), parse_platform("linux/arm/v7"))
        assert found
        assert found.metadata(parse_platform("linux/arm/v7")) == "linux/debian/dists/trixie/InRelease"

    def test_of_the_static_programs_it_is_said_that_nothing_vouches_for_them(self) -> None:
        found = static(ARM64)
        assert found
        assert found.path == f"linux/static/stable/aarch64/docker-{found.version}.tgz"
        assert "Docker publishes no checksums" in found.source

    def test_armv6_gets_nothing_of_debians_armhf(self) -> None:
        armv6 = parse_platform("linux/arm/v6")
        assert offer(Base("debian", "13", "trixie"), armv6) is None
        assert static(armv6) is None


def test_both_places_are_those_of_dockers_documentation() -> None:
    assert (APT_SOURCE, RPM_SOURCE) == ("/etc/apt/sources.list.d/docker.list", "/etc/yum.repos.d/docker-ce.repo")
