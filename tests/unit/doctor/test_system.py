"""What the doctor says of the distribution."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import systems
from systems import load_system

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.doctor.distribution import identify
from crossdock.doctor.distribution_table import table
from crossdock.doctor.facts import Facts
from crossdock.doctor.system import check_system

TODAY = date(2026, 9, 1)


def checks(facts: Facts, today: date = TODAY) -> dict[str, Check]:
    return {check.id: check for check in check_system(facts, identify(facts), today)}


def test_a_derived_one_is_told_with_its_base_and_why() -> None:
    check = checks(load_system("kylin-v10-desktop"))["distribution"]
    assert check.state is State.GOOD
    assert check.topic is Topic.SYSTEM
    assert check.what == "This is Kylin V10 desktop, which is made from Ubuntu 16.04 (xenial)."
    assert check.evidence[0].startswith("the kernel was built with the gcc of Ubuntu 16.04")
    assert check.evidence[-1].startswith("known from https://github.com/tailscale/tailscale/issues/8359")


def test_what_runs_there_too_is_told() -> None:
    what = checks(load_system("kylin-v10-server-sp1"))["distribution"].what
    assert what == (
        "This is Kylin V10 server SP1, which is made from openEuler 20.03; packages for CentOS 8 should run here too."
    )


def test_one_that_is_its_own_base() -> None:
    found = checks(load_system("debian-13"))
    assert found["distribution"].what == "This is Debian 13."
    assert "end-of-life" not in found


def test_a_concluded_base_is_a_warning_to_check() -> None:
    check = checks(load_system("sparkylinux-7"))["distribution"]
    assert check.state is State.WARNING
    assert "not in the catalogue; it is taken to be made from Debian 12 (bookworm)" in check.what
    assert check.hint


def test_nothing_known_is_said() -> None:
    check = checks(Facts())["distribution"]
    assert check.state is State.UNKNOWN
    assert "an unknown Linux" in check.what


def test_known_without_a_base_is_no_trouble() -> None:
    check = checks(load_system("nixos"))["distribution"]
    assert (check.state, check.hint) == (State.NOTE, "")


def test_in_a_container_the_kernel_was_not_asked() -> None:
    check = checks(replace(load_system("debian-13"), container="docker"))["distribution"]
    assert any("inside a container (docker)" in line for line in check.evidence)


class TestEnd:
    def test_debian_ten_is_in_the_archive(self) -> None:
        check = checks(load_system("debian-10"))["end-of-life"]
        assert check.state is State.WARNING
        assert check.what == (
            "Debian 10 (buster) has had no free security updates since 2024-06-30, and its packages have moved to "
            "archive.debian.org."
        )
        assert check.hint == "Upgrade to a release that is maintained, or name archive.debian.org in /etc/apt."

    def test_centos_is_in_the_vault(self) -> None:
        assert "vault.centos.org in /etc/yum.repos.d" in checks(load_system("centos-7"))["end-of-life"].hint

    def test_of_a_derived_one_only_the_base_ended(self) -> None:
        check = checks(load_system("uos-desktop-arm64"))["end-of-life"]
        assert check.state is State.NOTE
        assert check.what.startswith("Debian 10 (buster), its base, has had no free security updates since 2024-06-30")
        assert check.hint == (
            "UOS desktop 20 itself may still be maintained by its vendor; sources of its base have to name "
            "archive.debian.org."
        )

    def test_an_archive_that_stayed(self) -> None:
        check = checks(load_system("ubuntu-16.04"))["end-of-life"]
        assert "moved" not in check.what
        assert check.state is State.WARNING

    def test_the_last_day_counts(self) -> None:
        system = load_system("debian-12")
        assert "end-of-life" not in checks(system, date(2028, 6, 30))
        assert "end-of-life" in checks(system, date(2028, 7, 1))

    def test_stream_is_centos_itself(self) -> None:
        assert checks(load_system("centos-stream-9"), date(2030, 1, 1))["end-of-life"].state is State.WARNING

    def test_today_is_the_default(self) -> None:
        facts = load_system("centos-8")
        assert len(check_system(facts, identify(facts))) == 2

    def test_where_packages_moved_is_in_the_hint(self) -> None:
        moved = [release for release in table().releases if release.moved]
        assert len(moved) > 5
        for release in moved:
            facts = Facts(os_release={"ID": release.id, "VERSION_ID": release.version})
            assert release.moved in checks(facts, date(2030, 1, 1))["end-of-life"].hint


@pytest.mark.parametrize("name", systems.NAMES)
def test_sentences_are_whole(name: str) -> None:
    for check in checks(load_system(name), date(2035, 1, 1)).values():
        assert check.what[0].isupper() or check.what.startswith(("openEuler", "openSUSE"))
        assert check.what.endswith(".")
        assert not check.what.endswith("..")
        assert "  " not in check.what
        assert not check.hint or check.hint.endswith(".")
        assert check.evidence
