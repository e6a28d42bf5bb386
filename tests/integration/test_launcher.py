"""The launcher on a real kernel: what it starts natively, and that everything else is QEMU as if it were not there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import launcher_scenes
import pytest
from busybox import busybox

from crossdock.assist.compile import PREFIXES, SOURCES, compile_launcher, compile_machine, compile_registrar
from crossdock.assist.emulator import launcher
from crossdock.assist.packs import MAKERS
from crossdock.process import SystemRunner

pytestmark = pytest.mark.integration

REGISTRARS = {architecture: SOURCES / f"{architecture}.registrar" for architecture in PREFIXES}
NATIVE, EMULATED = "x86_64", "aarch64"


@pytest.fixture(scope="module", params=["OPF", "POCF"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each scene printed, with the flags of Debian's entries and with those of Docker's."""
    folder = tmp_path_factory.mktemp("launcher")
    folder.chmod(0o755)
    for architecture in ("amd64", "arm64"):
        (folder / architecture).write_bytes(busybox(architecture))
        (folder / architecture).chmod(0o755)
    program = [sys.executable, launcher_scenes.__file__]
    argv = [*program, folder, folder / "arm64", folder / "amd64", request.param]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "flags": request.param}


def test_programs_of_the_map_run_natively(seen: dict[str, Any]) -> None:
    natively = ("mapped", "by a link", "by a relative path", "another user", "whole paths only", "before setuid")
    assert {name: seen[name] for name in natively} == dict.fromkeys(natively, NATIVE)


def test_everything_else_is_emulated(seen: dict[str, Any]) -> None:
    emulated = ("not mapped", "preload", "pack not mounted", "map of another version", "map too long", "unknown word")
    assert {name: seen[name] for name in emulated} == dict.fromkeys(emulated, EMULATED)


def test_a_native_program_that_is_missing_is_emulated(seen: dict[str, Any]) -> None:
    assert seen["native program missing"] == EMULATED
    assert seen["native program missing, open files"] == seen["open files of the emulated"]


def test_rights_are_never_gained_by_a_pack(seen: dict[str, Any]) -> None:
    # Only with flag C does the kernel heed setuid at all.
    assert seen["setuid"] == (EMULATED if "C" in seen["flags"] else NATIVE)


def test_a_chroot_without_the_pack_or_without_proc_is_emulated(seen: dict[str, Any]) -> None:
    assert seen["chroot without a pack"] == seen["chroot without /proc"] == EMULATED
    assert seen["a program without a libc"] == ""


def test_programs_get_what_they_were_given(seen: dict[str, Any]) -> None:
    assert seen["argv[0] without a path"] == "a b c"
    assert seen["environment"].splitlines() == ["PATH=/bin", "NAME=value"]
    assert seen["exit code"].startswith("7:")
    assert seen["open files"].split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_what_an_old_emulator_is_told_its_programs_do_not_see(seen: dict[str, Any]) -> None:
    assert sorted(seen["environment of the emulated"].splitlines()) == ["NAME=value", "PATH=/bin"]
    assert sorted(seen["environment with a processor"].splitlines()) == ["PATH=/bin", "QEMU_CPU=cortex-a53"]
    assert seen["arguments of the emulated"] == "a b c  d"


def test_scripts_with_and_without_an_interpreter(seen: dict[str, Any]) -> None:
    assert seen["script without #!"].splitlines() == ["script /bin/script one", NATIVE]
    assert seen["script with #!"].splitlines() == ["/bin/hashbang", NATIVE]


def test_conditions_of_the_map(seen: dict[str, Any]) -> None:
    assert seen["unless-env unset"] == seen["if-arg"] == NATIVE
    assert seen["unless-env"] == EMULATED
    assert seen["unless-env of another value"] == seen["if-file"] == NATIVE
    assert seen["unless-env of a value"] == EMULATED
    assert seen["if-file of another text"] == seen["if-file without the file"] == EMULATED
    assert (seen["unless-arg within"], seen["unless-arg not within"]) == (EMULATED, NATIVE)
    assert seen["unless-arg"] == f"Linux {EMULATED}"
    assert seen["if-arg missing"] == f"Linux {'unknown'}"
    assert seen["if-args"] == f"Linux {NATIVE}"
    assert (seen["if-args elsewhere"], seen["if-args too few"]) == (f"Linux {EMULATED} unknown", EMULATED)
    assert seen["add-arg"] == "first last words"
    assert seen["first-arg"] == "one two three last"
    assert seen["set-env"].splitlines() == ["PATH=/bin", "NAME=", "NEW=1=2", "NAM=x"]
    assert seen["second line"] == NATIVE
    assert {name: seen[f"same-file {name}"] for name in ("missing", "same", "other", "longer", "empty")} == {
        "missing": EMULATED, "same": NATIVE, "other": EMULATED, "longer": EMULATED, "empty": EMULATED,
    }  # fmt: skip


def test_it_costs_next_to_nothing(seen: dict[str, Any]) -> None:
    assert seen["cost"]["native"] < seen["cost"]["emulated"]


@pytest.mark.parametrize("architecture", PREFIXES)
def test_the_carried_programs_are_what_their_source_gives(architecture: str) -> None:
    """With the compiler of Debian 12; another one gives other code, which has to do the same."""
    version = subprocess.run(
        [f"{PREFIXES[architecture]}gcc", "-dumpversion"], capture_output=True, text=True, check=True
    )
    made = compile_launcher(architecture, SystemRunner())
    assert len(made) < 4096
    assert b"crossdock-launch" in made
    made_registrar = compile_registrar(architecture, SystemRunner())
    assert len(made_registrar) < 4096
    made_machine = compile_machine(architecture, SystemRunner())
    if version.stdout.strip() == "12":
        assert made == launcher(architecture)
        assert made_machine == (MAKERS / f"machine-{architecture}.so").read_bytes()
        assert made_registrar == REGISTRARS[architecture].read_bytes()
