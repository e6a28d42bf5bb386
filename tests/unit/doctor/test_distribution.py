"""Which distribution a machine really runs: golden systems, contradictions, and what nobody put into the table."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import systems
from hypothesis import given
from hypothesis import strategies as st
from systems import load_system

from crossdock.doctor.distribution import Base, Distribution, identify, install_words, own_packages
from crossdock.doctor.distribution_table import table
from crossdock.doctor.facts import Facts

DEBIAN_TEN = Base("debian", "10", "buster")
EL8 = Base("centos", "8")


class TestGoldenSystems:
    @pytest.mark.parametrize("name", systems.NAMES)
    def test_is_identified(self, name: str) -> None:
        found = identify(load_system(name))
        assert {
            "id": found.id,
            "version": found.version,
            "codename": found.codename,
            "base": str(found.base or ""),
            "compatible": str(found.compatible or ""),
            "known": found.known,
        } == {"version": "", "codename": "", "base": "", "compatible": "", "known": True} | systems.system(name)[
            "expected"
        ]
        assert found.name
        assert found.reasons
        assert bool(found.source) == found.known

    @pytest.mark.parametrize("name", systems.NAMES)
    def test_names_its_source(self, name: str) -> None:
        assert systems.system(name)["source"]

    @pytest.mark.parametrize("name", systems.NAMES)
    def test_the_package_manager_fits(self, name: str) -> None:
        """Whatever it derives from, its packages can be installed with what is there."""
        facts = load_system(name)
        words = install_words(identify(facts))
        assert bool(words) == bool(facts.package_managers)
        assert not words or words[0] in facts.package_managers

    def test_there_are_many(self) -> None:
        assert len(systems.NAMES) >= 60

    def test_each_family_of_the_field_is_there(self) -> None:
        ids = {systems.system(name)["expected"]["id"] for name in systems.NAMES}
        assert ids >= {entry.id for entry in table().entries} - {"openkylin", "arch"}


class TestKylin:
    """One os-release ID for an Ubuntu 16.04, an Ubuntu 20.04 and an openEuler."""

    def test_the_kernel_tells_where_os_release_does_not(self) -> None:
        facts = Facts(
            os_release={"ID": "kylin", "VERSION_ID": "v10"},
            proc_version="Linux version 4.4.131-20200515.kylin.desktop-generic (YHKYLIN-OS@Kylin) (gcc version 5.5.0 "
            "20171010 (Ubuntu/Linaro 5.5.0-12ubuntu1~16.04) ) #kylin SMP Fri May 15 11:29:10 CST 2020",
            package_managers=("apt-get",),
        )
        found = identify(facts)
        assert (found.id, str(found.base)) == ("kylin-desktop", "ubuntu 16.04 (xenial)")
        assert found.reasons[0].startswith("the kernel was built with the gcc of Ubuntu 16.04: “Linux version 4.4.131")

    def test_a_bare_server_is_told_by_its_kernel(self) -> None:
        facts = Facts(os_release={"ID": "kylin", "VERSION_ID": "V10"}, kernel="4.19.90-52.22.v2207.ky10.aarch64")
        assert (identify(facts).id, identify(facts).compatible) == ("kylin-server", EL8)

    def test_in_a_container_the_kernel_is_the_hosts(self) -> None:
        server = load_system("kylin-v10-server-sp1")
        image = replace(load_system("kylin-v10-desktop"), proc_version=server.proc_version, kernel=server.kernel)
        assert identify(replace(image, container="docker")).id == "kylin-desktop"
        nothing = replace(server, os_release={}, release_files={}, container="docker")
        assert identify(nothing).base is None

    def test_the_community_flavour_is_ubuntu(self) -> None:
        facts = Facts(os_release={"ID": "ubuntu", "NAME": "Ubuntu Kylin", "VERSION_ID": "22.04"})
        assert identify(facts).base == Base("ubuntu", "22.04", "jammy")


class TestReasons:
    def test_say_what_it_was_recognised_by_and_why_the_base(self) -> None:
        reasons = identify(load_system("kylin-v10-server-sp3")).reasons
        assert reasons[0] == "os-release says VERSION=V10 (Lance)"
        assert any("glibc 2.28" in reason for reason in reasons)

    def test_tell_that_a_kernel_came_from_elsewhere(self) -> None:
        """Raspberry Pi's kernels are compiled with Ubuntu's gcc."""
        found = identify(load_system("raspberry-pi-os-10-32"))
        assert found.base == Base("raspbian", "10", "buster")
        assert "the kernel comes from elsewhere" in found.reasons[-1]

    def test_are_silent_about_a_kernel_that_fits(self) -> None:
        for name in ("kylin-v10-server-sp1", "uos-desktop-arm64", "openeuler-22.03", "amazon-2", "centos-7"):
            assert not any("elsewhere" in reason for reason in identify(load_system(name)).reasons), name

    def test_have_the_kernel_first_where_it_confirms_the_base(self) -> None:
        reason = identify(load_system("kylin-v10-desktop")).reasons[0]
        assert "gcc of Ubuntu 16.04" in reason
        assert "5.5.0-12ubuntu1~16.04" in reason
        assert "Ubuntu's gcc 9" in identify(load_system("kylin-v10-desktop-sp1")).reasons[0]


class TestUnknown:
    """Clues, the most reliable first."""

    def test_nothing_is_known_of_nothing(self) -> None:
        found = identify(Facts())
        assert (found.known, found.base) == (False, None)
        assert found.reasons == (
            "neither os-release, the release files, the package manager nor the kernel tells what it is made from",
            "there is no os-release with an ID",
        )

    def test_like_and_a_number_make_a_rebuild(self) -> None:
        found = identify(Facts(os_release={"ID": "new", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"}))
        assert (found.known, found.base) == (False, Base("rhel", "9"))
        assert "rebuilds of RHEL have its numbers" in found.reasons[0]

    def test_debian_version(self) -> None:
        facts = Facts(os_release={"ID": "new", "ID_LIKE": "debian"}, release_files={"/etc/debian_version": "10.13\n"})
        assert identify(facts).base == DEBIAN_TEN

    def test_debian_version_of_ubuntu_is_none(self) -> None:
        facts = Facts(os_release={"ID": "new"}, release_files={"/etc/debian_version": "bookworm/sid\n"})
        assert identify(facts).base is None

    def test_a_family_without_a_release_has_no_number(self) -> None:
        found = identify(Facts(os_release={"ID": "new", "ID_LIKE": "debian", "VERSION_ID": "7"}))
        assert found.base == Base("debian")
        assert "nothing tells which release" in found.reasons[0]

    @pytest.mark.parametrize(
        ("kernel", "manager", "base"),
        [
            ("Linux version 5.15.0-91-generic (gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0)", "apt-get", "ubuntu 22.04"),
            ("Linux version 5.4.0-1-generic (gcc version 9.4.0 (Ubuntu 9.4.0-1)) #1 SMP", "apt-get", "ubuntu 20.04"),
            ("Linux version 4.19.0-1 (gcc version 8.3.0 (Debian 8.3.0-6)) #1 SMP Debian", "apt-get", "debian 10"),
            ("Linux version 4.18.0-80.el8.aarch64 (gcc version 8.2.1 (Red Hat) (GCC)) #1", "dnf", "centos 8"),
            ("Linux version 4.18.0-553.el8_10.aarch64 (gcc version 8.5.0 (GCC)) #1", "dnf", "centos 8"),
            ("Linux version 4.19.90-2102.2.0.0068.ctl2.aarch64 (gcc version 7.3.0 (GCC))", "yum", "openeuler 20.03"),
            ("Linux version 4.19.90-vendor.aarch64 (gcc version 7.3.0 (GCC)) #1", "yum", None),
            ("Linux version 5.10.0-136.12.0.86.oe2203sp1.aarch64 (GCC 10.3.1)", "dnf", "openeuler 22.03"),
            ("Linux version 6.8.5-301.fc40.aarch64 (gcc (GCC) 14.0.1) #1", "dnf", "fedora 40"),
        ],
    )
    def test_kernels(self, kernel: str, manager: str, base: str | None) -> None:
        found = identify(Facts(os_release={"ID": "new"}, proc_version=kernel, package_managers=(manager,)))
        assert (f"{found.base.id} {found.base.version}" if found.base else None) == base

    def test_the_package_manager_contradicts_a_kernel(self) -> None:
        """A container host's kernel, or one that was compiled elsewhere."""
        facts = Facts(
            os_release={"ID": "new"},
            proc_version="Linux version 5.15.0 (gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0)",
            package_managers=("apk",),
        )
        assert identify(facts).base is None

    def test_clues_that_disagree_are_weighed_and_all_told(self) -> None:
        facts = Facts(
            os_release={"ID": "new", "ID_LIKE": "rhel", "PLATFORM_ID": "platform:el8", "VERSION_ID": "9.1"},
            proc_version="Linux version 5.14.0-1.el9.aarch64 (gcc (GCC) 11)",
        )
        found = identify(facts)
        assert found.base == EL8
        assert [reason for reason in found.reasons if "counts more" in reason] == list(found.reasons[1:3])


class TestPackages:
    def test_names_differ_by_release(self) -> None:
        assert self.of("debian-12").engine == "docker.io"
        assert self.of("debian-12").buildx == ""
        assert self.of("debian-13").buildx == "docker-buildx"
        assert self.of("debian-13").emulation == "qemu-user-binfmt"

    def test_emulation_is_that_of_the_other_architecture(self) -> None:
        assert self.of("alpine-3.20", "amd64").emulation.split()[0] == "qemu-aarch64"
        assert self.of("alpine-3.20", "arm64").emulation.split()[0] == "qemu-x86_64"
        assert self.of("fedora-41", "arm64").emulation == "qemu-user-static-x86"

    def test_a_derivative_has_its_bases(self) -> None:
        found = self.of("kylin-v10-server-sp1")
        assert found.engine == "docker-engine"
        assert "openEuler 20.03" in found.source

    def test_what_is_not_known_is_empty(self) -> None:
        assert own_packages(Distribution("new", "New"), "arm64").engine == ""
        assert self.of("amazon-2023").emulation == ""

    def test_rebuilds_have_podman_but_no_docker(self) -> None:
        assert (self.of("rocky-9").engine, self.of("rocky-9").podman) == ("", "podman")

    def of(self, name: str, architecture: str = "arm64") -> object:
        return own_packages(identify(load_system(name)), architecture)


class TestInstallWords:
    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("kylin-v10-desktop", ("apt-get", "install", "-y")),
            ("kylin-v10-server-sp1", ("dnf", "install", "-y")),
            ("neokylin-v7u6", ("yum", "install", "-y")),
            ("sles-15.7", ("zypper", "--non-interactive", "install")),
            ("alpine-3.20", ("apk", "add")),
            ("archarm", ("pacman", "-S", "--noconfirm", "--needed")),
        ],
    )
    def test_words(self, name: str, words: tuple[str, ...]) -> None:
        assert install_words(identify(load_system(name))) == words


class TestTable:
    def test_every_entry_has_a_source_and_says_why(self) -> None:
        for entry in table().entries:
            assert entry.source, entry.name
            assert entry.base or entry.why, entry.name
        for release in table().releases:
            assert release.source, release
        for names in table().names:
            assert names.source, names.of

    def test_releases_are_each_there_once(self) -> None:
        keys = [(release.id, release.version) for release in table().releases]
        assert len(keys) == len(set(keys))

    def test_package_names_are_names(self) -> None:
        for names in table().names:
            assert set(names.names) <= {"engine", "podman", "buildah", "emulation", "buildx"}, names.of
            for what in names.names:
                for architecture in ("amd64", "arm64"):
                    assert re.fullmatch(r"([a-z0-9][a-z0-9._+-]*( |$))*", names.name(what, architecture)), names.of

    def test_a_why_tells_of_each_that_is_not_its_own_base(self) -> None:
        for entry in table().entries:
            base = entry.base.partition(" ")[0]
            if base and entry.id.partition("-")[0] != base:
                assert entry.why, entry.name


_TEXT = st.text(max_size=60)
_VARIABLES = st.sampled_from(
    "ID ID_LIKE NAME VERSION VERSION_ID VERSION_CODENAME UBUNTU_CODENAME DEBIAN_CODENAME PLATFORM_ID".split()
)
_VALUES = st.one_of(_TEXT, st.sampled_from("kylin uos debian rhel ubuntu arch 10 9.4 V10 platform:el8 euleros".split()))
_PATHS = st.sampled_from(
    "/etc/debian_version /etc/redhat-release /etc/.kyinfo /etc/euleros-release /etc/os-version /etc/x".split()
)


@given(
    st.dictionaries(_VARIABLES | _TEXT, _VALUES),
    st.dictionaries(_PATHS, _TEXT),
    _TEXT | st.sampled_from([load_system(name).proc_version for name in systems.NAMES]),
    st.sampled_from([(), ("apt-get",), ("dnf", "yum"), ("apk",)]),
)
def test_never_raises_and_always_gives_reasons(
    os_release: dict[str, str], files: dict[str, str], kernel: str, managers: tuple[str, ...]
) -> None:
    facts = Facts(os_release=os_release, release_files=files, proc_version=kernel, package_managers=managers)
    found = identify(facts)
    assert found.name
    assert found.reasons
    assert all(reason.strip() for reason in found.reasons)
    assert found.known == bool(found.source)
    own_packages(found, "arm64")
    install_words(found)
