"""What the doctor says of emulation, for machines as they are found."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crossdock.doctor.diagnosis import Check, Diagnosis, State
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.emulation import check_emulation
from crossdock.doctor.facts import BinfmtFacts, BuilderFacts, Cpu, DockerFacts, Facts, Interpreter, Program
from crossdock.host.binfmt import MACHINES, Handler, registration_match
from crossdock.host.script import script_of
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
ARM = parse_platform("linux/arm/v7")
RISCV = parse_platform("riscv64")
DEBIAN12 = Distribution("debian", "Debian 12", "12", "bookworm", Base("debian", "12", "bookworm"), known=True)
DEBIAN13 = Distribution("debian", "Debian 13", "13", "trixie", Base("debian", "13", "trixie"), known=True)
ALPINE = Distribution("alpine", "Alpine 3.20", "3.20", base=Base("alpine", "3.20"), known=True)
FEDORA = Distribution("fedora", "Fedora 41", "41", base=Base("fedora", "41"), known=True)
BINFMT_P = "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
STATIC = "/usr/bin/qemu-aarch64-static"
CONTAINERS = "/usr/bin/qemu-aarch64"


def entry(
    name: str = "qemu-aarch64",
    interpreter: str = BINFMT_P,
    flags: str = "POF",
    *,
    guest: str = "arm64",
    enabled: bool = True,
    mask: bytes | None = None,
) -> Handler:
    looks = MACHINES[guest]
    return Handler(name, enabled, interpreter, flags, 0, looks.header(), looks.mask() if mask is None else mask)


def conf(interpreter: str = BINFMT_P, flags: str = "OPF", *, guest: str = "arm64") -> str:
    return f"{registration_match('qemu', MACHINES[guest])}:{interpreter}:{flags}\n"


def qemu(path: str = BINFMT_P, version: str = "10.0.13", *, static: bool | None = True) -> Interpreter:
    return Interpreter(path, version, static)


def machine(
    *handlers: Handler,
    files: tuple[Interpreter, ...] = (),
    newest_first: tuple[str, ...] = (),
    at_boot: dict[str, str] | None = None,
    service: str = "",
    mounted: bool = True,
    enabled: bool = True,
    supported: bool = True,
    runs: dict[str, bool] | None = None,
    root: bool = True,
    kernel: str = "6.1.0-18-amd64",
    init: str = "systemd",
    container: str = "",
    wsl: int = 0,
    platform: Platform = AMD64,
) -> Facts:
    return Facts(
        platform=platform,
        kernel=kernel,
        init=init,
        container=container,
        wsl=wsl,
        binfmt=BinfmtFacts(
            supported=supported,
            mounted=mounted,
            enabled=enabled,
            handlers=tuple(sorted(handlers, key=lambda one: one.name)),
            newest_first=newest_first,
            interpreters=files,
            at_boot=at_boot or {},
            service=service,
        ),
        runs=runs or {},
        runs_in_empty_root=bool(runs) and root,
    )


def said(
    facts: Facts, *wanted: Platform, distribution: Distribution | None = DEBIAN12, **more: str
) -> dict[str, Check]:
    checks = check_emulation(facts, wanted or (ARM64,), distribution, **more)
    found = {check.id: check for check in checks}
    assert len(found) == len(checks)
    for check in checks:
        assert check.what.endswith("."), check.what
        assert check.state in (State.GOOD, State.NOTE) or check.steps or check.hint, check
    return found


def steps(check: Check) -> list[str]:
    return [step.id for step in check.steps]


AT_BOOT = {"/usr/lib/binfmt.d/qemu-aarch64.conf": conf()}
RUNS = {"arm64": True, "amd64": True}
RUNS_NOT = {"arm64": False, "amd64": True}


def test_debian_13_with_qemu_user_binfmt_is_all_right() -> None:
    facts = machine(entry(), files=(qemu(),), at_boot=AT_BOOT, service="systemd-binfmt", runs=RUNS)
    found = said(facts, AMD64, ARM64, distribution=DEBIAN13)
    check = found.pop("emulation-arm64")
    assert check.state is State.GOOD
    assert check.what == "linux/arm64 programs run here and in containers: a real program ran in an empty root."
    assert check.evidence == (
        f"qemu-aarch64: {BINFMT_P} (QEMU 10.0.13, static), flags POF",
        "An entry for them is registered at every boot by /usr/lib/binfmt.d/qemu-aarch64.conf.",
    )
    credentials = found.pop("emulation-arm64-credentials")
    assert credentials.state is State.NOTE
    assert "effective uid is not 0" in credentials.evidence[0]
    assert not found


def test_debian_12_with_qemu_user_static_by_binfmt_support() -> None:
    imported = {"/var/lib/binfmts/qemu-aarch64": BINFMT_SUPPORT}
    facts = machine(
        entry(flags="POCF"), files=(qemu(version="7.2.9"),), at_boot=imported, service="binfmt-support", runs=RUNS
    )
    found = said(facts)
    assert found["emulation-arm64"].state is State.GOOD
    assert "emulation-arm64-reboot" not in found
    assert "can become root" in found["emulation-arm64-credentials"].what
    version = found["emulation-arm64-version"]
    assert version.state is State.WARNING
    assert "QEMU 7.2.9" in version.what
    assert "1087822" in version.evidence[0]
    assert "7.2.15" in version.hint


BINFMT_SUPPORT = (
    "qemu-user-static\nmagic\n0\n"
    r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    "\n"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    f"\n{BINFMT_P}\n\nyes\nyes\nyes\n"
)


def test_what_a_container_registered_works_until_the_next_reboot() -> None:
    facts = machine(entry(interpreter=CONTAINERS, flags="POCF"), runs=RUNS)
    found = said(facts)
    assert found["emulation-arm64"].state is State.GOOD
    assert "not on this machine, the kernel holds it open" in found["emulation-arm64"].evidence[0]
    reboot = found["emulation-arm64-reboot"]
    assert reboot.state is State.WARNING
    assert "lost at the next reboot" in reboot.what
    assert any("tonistiigi/binfmt" in line for line in reboot.evidence)
    assert steps(reboot) == ["install-qemu-user", "binfmt-boot-aarch64"]
    assert "emulation-arm64-version" not in found


def test_with_an_emulator_on_disk_nothing_is_installed_for_the_boot() -> None:
    facts = machine(entry(interpreter=CONTAINERS, flags="F"), files=(qemu(STATIC),), runs=RUNS)
    reboot = said(facts)["emulation-arm64-reboot"]
    assert steps(reboot) == ["binfmt-boot-aarch64"]
    assert STATIC in reboot.steps[0].run


def test_fedora() -> None:
    facts = machine(
        entry(interpreter=STATIC, flags="F"),
        files=(qemu(STATIC, "9.1.3"),),
        at_boot={"/usr/lib/binfmt.d/qemu-aarch64-static.conf": conf(STATIC, "F")},
        runs=RUNS,
        kernel="6.13.5-200.fc41.x86_64",
    )
    found = said(facts, distribution=FEDORA)
    assert found["emulation-arm64"].state is State.GOOD
    assert found["emulation-arm64-version"].state is State.WARNING
    assert "(reported)" in found["emulation-arm64-version"].evidence[0]


def test_kylin_v10_with_a_kernel_that_has_flag_f() -> None:
    facts = machine(entry(interpreter=STATIC, flags="F"), files=(qemu(STATIC, "5.0.0"),), runs=RUNS)
    found = said(replace(facts, kernel="4.19.90-52.22.v2207.ky10.x86_64"))
    assert found["emulation-arm64"].state is State.GOOD


def test_nothing_registered_and_nothing_installed() -> None:
    found = said(machine(runs=RUNS_NOT))
    (check,) = found.values()
    assert check.state is State.PROBLEM
    assert check.what == "linux/arm64 programs do not run: nothing is registered for them, and QEMU is not installed."
    assert steps(check) == ["install-qemu-user", "binfmt-register-aarch64", "binfmt-boot-aarch64"]
    assert "apt-get install -y qemu-user-static" in check.steps[0].run
    assert "note packages $missing" in check.steps[0].run


def test_installed_and_not_registered() -> None:
    facts = machine(files=(qemu(STATIC), qemu(CONTAINERS, static=False)), runs=RUNS_NOT, mounted=False)
    (check,) = said(facts).values()
    assert "binfmt_misc is not mounted." in check.what
    assert check.evidence == (f"{STATIC} (QEMU 10.0.13) could be registered.",)
    assert steps(check) == ["binfmt-register-aarch64", "binfmt-boot-aarch64"]
    assert f"interpreter={STATIC}\n" in check.steps[0].run


def test_a_dynamically_linked_emulator_is_not_chosen() -> None:
    (check,) = said(machine(files=(qemu(CONTAINERS, static=False),), runs=RUNS_NOT)).values()
    assert "install-qemu-user" in steps(check)


def test_a_given_interpreter_is_registered_for_what_its_name_says() -> None:
    found = said(machine(runs=RUNS_NOT), ARM64, RISCV, interpreter="/opt/qemu-riscv64-new")
    assert "/opt/qemu-riscv64-new" in found["emulation-riscv64"].steps[0].run
    assert steps(found["emulation-riscv64"]) == ["binfmt-register-riscv64", "binfmt-boot-riscv64"]
    assert steps(found["emulation-arm64"])[0] == "install-qemu-user"
    (check,) = said(machine(runs=RUNS_NOT), interpreter="/opt/emulator").values()
    assert "/opt/emulator" in check.steps[0].run


def test_an_entry_without_flag_f() -> None:
    facts = machine(entry(interpreter=STATIC, flags="OC"), files=(qemu(STATIC),), runs=RUNS_NOT)
    check = said(facts)["emulation-arm64"]
    assert check.state is State.PROBLEM
    assert "qemu-aarch64, it is registered without flag F" in check.what
    assert steps(check) == ["binfmt-register-aarch64", "binfmt-boot-aarch64"]
    as_user = said(replace(facts, runs=RUNS, runs_in_empty_root=False))["emulation-arm64"]
    assert as_user.state is State.PROBLEM
    assert "run here but not in containers" in as_user.what
    assert steps(as_user) == steps(check)


def test_an_entry_without_flag_f_on_a_kernel_that_does_not_know_it() -> None:
    facts = machine(entry(interpreter=STATIC, flags="OC"), files=(qemu(STATIC),), runs=RUNS_NOT, kernel="4.4.131-2020")
    check = said(facts)["emulation-arm64"]
    assert "(flag F needs Linux 4.8, this is 4.4.131-2020)" in check.what
    assert check.steps == ()
    assert "newer kernel" in check.hint


def test_an_entry_without_flag_f_whose_interpreter_is_gone() -> None:
    check = said(machine(entry(interpreter=STATIC, flags=""), runs=RUNS_NOT))["emulation-arm64"]
    assert f"its interpreter {STATIC} is not there" in check.what
    assert "no flags" in check.evidence[0]


def test_a_dynamically_linked_interpreter_with_flag_f() -> None:
    facts = machine(entry(interpreter=CONTAINERS, flags="F"), files=(qemu(CONTAINERS, static=False),), runs=RUNS_NOT)
    check = said(facts)["emulation-arm64"]
    assert "needs libraries, which containers do not have" in check.what


def test_debians_interpreter_without_flag_p() -> None:
    check = said(machine(entry(flags="F"), files=(qemu(),), runs=RUNS_NOT))["emulation-arm64"]
    assert "expects flag P" in check.what


def test_an_entry_that_looks_right_though_no_program_ran_is_told() -> None:
    check = said(machine(entry(), files=(qemu(),), runs=RUNS_NOT))["emulation-arm64"]
    assert check.state is State.PROBLEM
    assert "looks right, and yet a real program did not run" in check.what
    assert "--version" in check.hint
    given = check_emulation(machine(entry(), files=(qemu(),), runs=RUNS_NOT), (ARM64,), interpreter="/opt/q")[0]
    assert "/opt/q" in given.steps[0].run


def test_a_program_that_ran_though_the_entry_looks_wrong_is_told() -> None:
    check = said(machine(entry(interpreter=STATIC, flags="OC"), files=(qemu(STATIC),), runs=RUNS))["emulation-arm64"]
    assert check.state is State.NOTE
    assert "should not" in check.what


def test_two_entries_of_which_the_broken_one_comes_first() -> None:
    facts = machine(
        entry("a-good", STATIC, "F"),
        entry("qemu-aarch64", STATIC, "OC"),
        files=(qemu(STATIC),),
        newest_first=("qemu-aarch64", "a-good"),
        runs=RUNS_NOT,
    )
    found = said(facts)
    assert "qemu-aarch64, it is registered without flag F" in found["emulation-arm64"].what
    several = found["emulation-arm64-several"]
    assert several.state is State.WARNING
    assert "the kernel takes qemu-aarch64." in several.what
    assert "echo -1 > /proc/sys/fs/binfmt_misc/qemu-aarch64" in several.hint


def test_two_entries_of_which_the_good_one_comes_first() -> None:
    facts = machine(
        entry("a-good", STATIC, "F"),
        entry("qemu-aarch64", STATIC, "OC"),
        files=(qemu(STATIC),),
        newest_first=("a-good", "qemu-aarch64"),
        runs=RUNS,
    )
    found = said(facts)
    assert found["emulation-arm64"].state is State.GOOD
    assert found["emulation-arm64-several"].state is State.NOTE
    assert "the kernel takes a-good." in found["emulation-arm64-several"].what


def test_two_entries_in_an_order_that_is_not_known() -> None:
    facts = machine(entry("a", STATIC, "F"), entry("b", CONTAINERS, "F"), files=(qemu(STATIC),), runs=RUNS)
    several = said(facts)["emulation-arm64-several"]
    assert several.state is State.NOTE
    assert "does not show" in several.what
    bad = machine(entry("a", STATIC, "F"), entry("b", STATIC, "OC"), files=(qemu(STATIC),))
    check = said(bad)["emulation-arm64"]
    assert check.state is State.UNKNOWN
    assert "may not run in containers: of the entry b, it is registered without flag F" in check.what


def test_binfmt_misc_switched_off_as_a_whole() -> None:
    facts = machine(entry(), files=(qemu(),), enabled=False, runs=RUNS_NOT)
    check = said(facts)["emulation-arm64"]
    assert check.what == "linux/arm64 programs do not run: binfmt_misc is switched off as a whole."
    assert steps(check) == ["binfmt-enable"]


def test_an_entry_that_is_switched_off() -> None:
    check = said(machine(entry(enabled=False), files=(qemu(),), runs=RUNS_NOT))["emulation-arm64"]
    assert "the entry qemu-aarch64 is switched off" in check.what
    assert "binfmt-register-aarch64" in steps(check)


def test_a_kernel_without_binfmt_misc() -> None:
    (check,) = said(machine(supported=False, mounted=False, runs=RUNS_NOT)).values()
    assert "has no binfmt_misc" in check.what
    assert "modprobe" in check.hint


def test_inside_a_container_programs_run_by_entries_that_are_not_visible() -> None:
    facts = machine(mounted=False, container="docker", init="", runs=RUNS)
    (check,) = said(facts).values()
    assert check.state is State.GOOD
    assert "no entry for them is visible in this docker container" in check.what


def test_inside_a_container_nothing_is_registered() -> None:
    (check,) = said(machine(mounted=False, container="docker", init="", runs=RUNS_NOT)).values()
    assert check.state is State.PROBLEM
    assert check.steps == ()
    assert "on the host" in check.hint
    (check,) = said(machine(mounted=False, container="docker", init="")).values()
    assert check.state is State.UNKNOWN


def test_an_arm_machine_that_is_to_run_amd64_programs() -> None:
    facts = machine(runs={"arm64": True, "amd64": False}, platform=ARM64)
    found = said(facts, ARM64, AMD64)
    check = found["emulation-amd64"]
    assert "linux/amd64 programs do not run" in check.what
    assert steps(check) == ["install-qemu-user", "binfmt-register-x86_64", "binfmt-boot-x86_64"]


def test_32_bit_programs_on_arm_machines() -> None:
    altra = replace(machine(platform=ARM64), cpu=Cpu(implementer=0x41, parts=(0xD0C,)))
    assert said(altra, ARM)["emulation-arm"].state is State.GOOD
    kunpeng = replace(altra, cpu=Cpu(implementer=0x48, parts=(0xD01,)))
    check = said(kunpeng, ARM)["emulation-arm"]
    assert check.state is State.PROBLEM
    assert "Kunpeng 920" in check.evidence[-1]
    assert "binfmt-register-arm" in steps(check)
    unknown = said(replace(altra, cpu=Cpu()), ARM)["emulation-arm"]
    assert unknown.state is State.UNKNOWN
    assert "lscpu" in unknown.hint


def test_a_package_that_holds_one_emulator_is_not_installed_for_another() -> None:
    (check,) = said(machine(), RISCV, distribution=FEDORA).values()
    assert check.steps == ()
    assert "qemu user emulation for riscv64" in check.hint.lower().replace("'s", "")


def test_without_a_distribution_the_next_step_is_told() -> None:
    (check,) = said(machine(runs=RUNS_NOT), distribution=None).values()
    assert check.steps == ()
    assert "--interpreter" in check.hint


def test_alpine_registers_by_openrc() -> None:
    (check,) = said(machine(init="openrc", runs=RUNS_NOT), distribution=ALPINE).values()
    assert steps(check) == ["install-qemu-user", "binfmt-boot-openrc", "binfmt-register-aarch64"]
    facts = machine(
        entry(interpreter=CONTAINERS, flags="F"),
        files=(qemu(CONTAINERS),),
        init="openrc",
        at_boot={"/etc/init.d/qemu-binfmt": 'FMTS="aarch64 arm"\n'},
        service="openrc",
        runs=RUNS,
    )
    assert "emulation-arm64-reboot" not in said(facts, distribution=ALPINE)
    off = replace(facts, binfmt=replace(facts.binfmt, service="openrc (off)"))
    assert steps(said(off, distribution=ALPINE)["emulation-arm64-reboot"]) == ["binfmt-boot-openrc"]


def test_where_nothing_registers_at_boot_it_is_said() -> None:
    reboot = said(machine(entry(), files=(qemu(),), init="sysvinit", runs=RUNS))["emulation-arm64-reboot"]
    assert reboot.steps == ()
    assert "again after a reboot" in reboot.hint


def test_wsl_2_without_systemd_loses_it_when_it_stops() -> None:
    facts = machine(entry(), files=(qemu(),), at_boot=AT_BOOT, init="", wsl=2, runs=RUNS)
    reboot = said(facts)["emulation-arm64-reboot"]
    assert "lost when WSL stops" in reboot.what
    assert "systemd=true" in reboot.hint


def test_wsl_1_cannot() -> None:
    (check,) = said(machine(supported=False, mounted=False, wsl=1, runs=RUNS_NOT)).values()
    assert check.state is State.PROBLEM
    assert "WSL 1" in check.what


def test_docker_desktop_has_a_machine_of_its_own() -> None:
    docker = DockerFacts(Program("/usr/bin/docker"), builders=(BuilderFacts("desktop-linux", "docker", "running"),))
    (check,) = said(replace(machine(runs=RUNS_NOT), docker=docker)).values()
    assert check.state is State.UNKNOWN
    assert "virtual machine of its own" in check.what


def test_a_file_for_the_boot_without_flag_f() -> None:
    facts = machine(
        entry(flags="POF"), files=(qemu(),), at_boot={"/usr/lib/binfmt.d/qemu.conf": conf(STATIC, "OC")}, runs=RUNS
    )
    reboot = said(facts)["emulation-arm64-reboot"]
    assert "/usr/lib/binfmt.d/qemu.conf has no flag F" in reboot.what
    assert steps(reboot) == ["binfmt-boot-aarch64"]


def test_systemd_binfmt_that_is_off_registers_nothing() -> None:
    facts = machine(entry(), files=(qemu(),), at_boot=AT_BOOT, service="systemd-binfmt (off)", runs=RUNS)
    assert "emulation-arm64-reboot" in said(facts)


def test_an_entry_that_takes_no_position_independent_programs() -> None:
    exact = b"\xff" * 20
    facts = machine(entry(mask=exact), files=(qemu(),), at_boot=AT_BOOT, runs=RUNS)
    check = said(facts)["emulation-arm64-match"]
    assert check.state is State.PROBLEM
    assert "position-independent" in check.what


def test_an_entry_that_takes_no_programs_marked_as_gnu_linux() -> None:
    mask = b"\xff" * 16 + b"\xfe\xff\xff\xff"
    check = said(machine(entry(mask=mask), files=(qemu(),), at_boot=AT_BOOT, runs=RUNS))["emulation-arm64-match"]
    assert "ldconfig" in check.what


def test_an_entry_that_is_too_wide() -> None:
    wide = MACHINES["arm64"].mask()[:18] + b"\0\0"
    found = said(machine(entry("wide", mask=wide), files=(qemu(),), at_boot=AT_BOOT, runs=RUNS))
    assert found["binfmt-wide"].state is State.WARNING
    assert "takes amd64 programs, this machine's own" in found["binfmt-wide"].what
    other = said(machine(entry("wide", mask=wide), platform=parse_platform("s390x"), runs=RUNS))["binfmt-wide"]
    assert "too wide: it takes programs of amd64, arm64" in other.what


def test_flag_p_with_an_interpreter_that_does_not_know_it() -> None:
    facts = machine(entry(interpreter=STATIC, flags="PF"), files=(qemu(STATIC, "5.2.0"),), at_boot=AT_BOOT, runs=RUNS)
    assert "one argument too many" in said(facts)["emulation-arm64-argument"].what
    facts = machine(entry(interpreter=STATIC, flags="PF"), files=(qemu(STATIC),), at_boot=AT_BOOT, runs=RUNS)
    assert "emulation-arm64-argument" not in said(facts)
    assert "emulation-arm64-argument" in said(replace(facts, kernel="5.10.0-28-amd64"))


def test_a_broken_entry_for_another_platform_is_told() -> None:
    facts = machine(entry(), entry("qemu-arm", "/gone", "", guest="arm"), files=(qemu(),), at_boot=AT_BOOT, runs=RUNS)
    assert "names /gone, which is not there" in said(facts)["binfmt-qemu-arm"].what


def test_a_user_cannot_try_an_empty_root() -> None:
    check = said(machine(entry(), files=(qemu(),), at_boot=AT_BOOT, runs=RUNS, root=False))["emulation-arm64"]
    assert check.state is State.GOOD
    assert "by flag F in containers too" in check.what


def test_a_platform_that_nothing_was_tried_for_is_judged_by_its_entry() -> None:
    handler = entry("qemu-riscv64", "/usr/libexec/qemu-binfmt/riscv64-binfmt-P", guest="riscv64")
    boot = {"/usr/lib/binfmt.d/qemu-riscv64.conf": conf(handler.interpreter, guest="riscv64")}
    facts = machine(handler, files=(qemu(handler.interpreter),), at_boot=boot, runs=RUNS)
    check = said(facts, RISCV)["emulation-riscv64"]
    assert check.state is State.GOOD
    assert "should run, also in containers, by what is registered; none was tried" in check.what


def test_a_platform_that_nothing_emulates() -> None:
    (check,) = said(machine(), Platform("windows", "amd64")).values()
    assert check.state is State.PROBLEM
    assert "no emulator" in check.what


def test_a_step_comes_once_though_two_checks_want_it() -> None:
    facts = machine(runs=RUNS_NOT)
    diagnosis = Diagnosis(facts, DEBIAN12, check_emulation(facts, (ARM64, RISCV), DEBIAN12))
    assert [step.id for step in diagnosis.steps].count("install-qemu-user") == 1


def test_the_scripts_are_clean(tmp_path: Path) -> None:
    for distribution, init in ((DEBIAN12, "systemd"), (FEDORA, "systemd"), (ALPINE, "openrc")):
        checks = check_emulation(machine(runs=RUNS_NOT, init=init), (ARM64,), distribution)
        file = tmp_path / f"{distribution.id}.sh"
        file.write_text(script_of(checks[0].steps, title="Emulation"))
        done = subprocess.run([SHELLCHECK, "-s", "sh", file], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


FLAGS = st.sampled_from(["", "F", "POF", "POCF", "OC", "PF"])
HANDLERS = st.builds(
    lambda name, guest, flags, enabled, interpreter: entry(name, interpreter, flags, guest=guest, enabled=enabled),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(sorted(MACHINES)),
    FLAGS,
    st.booleans(),
    st.sampled_from([BINFMT_P, STATIC, CONTAINERS]),
)


@given(
    handlers=st.lists(HANDLERS, max_size=3, unique_by=lambda one: one.name),
    files=st.lists(
        st.builds(
            qemu,
            st.sampled_from([BINFMT_P, STATIC, CONTAINERS]),
            st.sampled_from(["", "4.2.1", "7.2.22", "10.0.13"]),
            static=st.sampled_from([True, False, None]),
        ),
        max_size=3,
    ),
    at_boot=st.sampled_from([{}, AT_BOOT]),
    mounted=st.booleans(),
    enabled=st.booleans(),
    supported=st.booleans(),
    runs=st.sampled_from([None, RUNS, RUNS_NOT]),
    root=st.booleans(),
    init=st.sampled_from(["systemd", "openrc", "sysvinit", ""]),
    container=st.sampled_from(["", "docker"]),
    wsl=st.sampled_from([0, 1, 2]),
    platform=st.sampled_from([AMD64, ARM64]),
)
def test_whatever_a_machine_is_like_every_line_has_a_next_step(**facts) -> None:  # type: ignore[no-untyped-def]
    handlers = facts.pop("handlers")
    found = said(machine(*handlers, **{**facts, "files": tuple(facts["files"])}), ARM64, AMD64, ARM, RISCV)
    for check in found.values():
        assert not (facts["container"] and check.steps)
