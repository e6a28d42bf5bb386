"""The doctor's steps for emulation, for real: on this machine for an architecture that nobody else uses, and for arm64
in a binfmt_misc that belongs to the test alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from private_binfmt import entries, facts_here, play, runs, take, take_back

from crossdock.doctor.diagnosis import State
from crossdock.doctor.emulation import check_emulation
from crossdock.host.binfmt_steps import register_step
from crossdock.platforms import parse_platform

pytestmark = pytest.mark.integration

S390X = parse_platform("linux/s390x")
"""Nobody else on this machine builds for it, so what is registered for it is this test's alone."""


def test_a_step_registers_an_emulator_on_this_machine_and_undo_leaves_no_trace(tmp_path: Path) -> None:
    before = entries()
    if any("s390x" in name for name in before):
        pytest.fail("something is registered for s390x on this machine; this test needs it free")
    assert not runs("s390x")
    step = register_step(S390X)
    try:
        ((_, ending, what, *_),) = take(tmp_path, step)
        assert (ending, what) == ("changed", "")
        assert runs("s390x")
        assert [name for name in entries() if name not in before] == ["crossdock-s390x"]
        verdict = check_emulation(facts_here("s390x"), (S390X,))[0]
        assert verdict.state is State.GOOD
        assert "a real program ran in an empty root" in verdict.what
        ((_, ending, *_),) = take(tmp_path, step)
        assert ending == "nothing to do"
    finally:
        undone = take_back(tmp_path)
    assert undone == [True]
    assert list(entries().items()) == list(before.items())
    assert not runs("s390x")


def test_from_nothing_to_arm64_programs_and_back(tmp_path: Path) -> None:
    saw = play("from_nothing", tmp_path)
    state, what = saw["before"]["emulation-arm64"]
    assert (state, what) == ("problem", "linux/arm64 programs do not run: binfmt_misc is not mounted.")
    assert [(id, ending) for id, ending, *_ in saw["first"]] == [
        ("binfmt-register-aarch64", "changed"),
        ("binfmt-boot-aarch64", "changed"),
    ]
    assert saw["after"]["emulation-arm64"][0] == "good"
    assert "emulation-arm64-reboot" not in saw["after"]
    assert list(saw["registered"]) == ["crossdock-aarch64"]
    assert {ending for _, ending, *_ in saw["again"]} == {"nothing to do"}
    assert saw["undone"] == [True, True]
    assert (saw["left"], saw["files"], saw["runs"]) == ({}, [], False)


def test_a_good_entry_comes_before_one_without_flag_f_and_undo_brings_that_back(tmp_path: Path) -> None:
    saw = play("in_front", tmp_path)
    assert saw["alone"], "what is registered last is asked first, so the good entry alone works"
    before = saw["before"]
    assert before["emulation-arm64"][0] == "problem"
    assert "qemu-aarch64, it is registered without flag F" in before["emulation-arm64"][1]
    assert before["emulation-arm64-several"][0] == "warning"
    assert "the kernel takes qemu-aarch64." in before["emulation-arm64-several"][1]
    assert {ending for _, ending, *_ in saw["taken"]} == {"changed"}
    assert (saw["added"], saw["newest"]) == (["crossdock-aarch64"], "crossdock-aarch64")
    assert saw["after"]["emulation-arm64"][0] == "good"
    assert "the kernel takes crossdock-aarch64." in saw["after"]["emulation-arm64-several"][1]
    assert all(saw["undone"])
    assert saw["same"]
    assert not saw["runs"]


def test_all_of_binfmt_misc_is_switched_on_again(tmp_path: Path) -> None:
    saw = play("switched_off", tmp_path)
    assert "switched off as a whole" in saw["before"]["emulation-arm64"][1]
    assert [(id, ending) for id, ending, *_ in saw["taken"]] == [("binfmt-enable", "changed")]
    assert saw["after"]["emulation-arm64"][0] == "good"


def test_an_interpreter_by_which_no_program_runs_is_not_left_registered(tmp_path: Path) -> None:
    saw = play("dynamic", tmp_path)
    ((id, ending, _, *log),) = saw["taken"]
    assert (id, ending) == ("binfmt-register-aarch64", "failed")
    assert "/usr/bin/env runs no linux/arm64 program in an empty root" in log[-1]
    assert (saw["undone"], saw["left"]) == ([], {})
