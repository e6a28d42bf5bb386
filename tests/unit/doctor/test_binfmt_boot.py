"""What is registered at boot, by the files of systemd-binfmt, binfmt-support and others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossdock.doctor.binfmt_boot import entries_at_boot
from crossdock.host.binfmt import MACHINES

MAGIC = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
LINE = f":qemu-aarch64:M::{MAGIC}:{MASK}:/usr/libexec/qemu-binfmt/aarch64-binfmt-P:OPF\n"
IMPORT = f"""\
package qemu-user-static
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
magic {MAGIC}
offset 0
mask {MASK}
credentials no
fix_binary yes
preserve yes
"""
"""/usr/share/binfmts/qemu-aarch64 of Debian 12."""
ADMIN = f"""\
qemu-user-static
magic
0
{MAGIC}
{MASK}
/usr/libexec/qemu-binfmt/aarch64-binfmt-P

no
yes
yes
"""
"""/var/lib/binfmts/qemu-aarch64, as update-binfmts 2.2.2 wrote it from that."""


def test_a_line_of_binfmt_d() -> None:
    (one,) = entries_at_boot({"/usr/lib/binfmt.d/qemu-aarch64.conf": f"# a comment\n\n; another\n{LINE}"})
    assert one.handler.name == "qemu-aarch64"
    assert one.handler.flags == "OPF"
    assert one.handler.takes(MACHINES["arm64"].header())
    assert not one.handler.takes(MACHINES["riscv64"].header())


def test_a_character_of_its_own_separates() -> None:
    (one,) = entries_at_boot({"/etc/binfmt.d/a.conf": f",a,M,0,{MAGIC},{MASK},/usr/bin/q:emu,F"})
    assert one.handler.interpreter == "/usr/bin/q:emu"


def test_binfmt_support_in_both_of_its_forms() -> None:
    for file, text in (("/usr/share/binfmts/qemu-aarch64", IMPORT), ("/var/lib/binfmts/qemu-aarch64", ADMIN)):
        (one,) = entries_at_boot({file: text})
        assert one.handler.takes(MACHINES["arm64"].header())
        assert one.handler.interpreter.endswith("aarch64-binfmt-P")
        assert set(one.handler.flags) == {"P", "F"}


def test_a_file_in_etc_hides_the_one_of_its_name() -> None:
    files = {"/usr/lib/binfmt.d/qemu-aarch64.conf": LINE, "/etc/binfmt.d/qemu-aarch64.conf": ""}
    assert entries_at_boot(files) == ()


def test_they_come_in_the_order_in_which_they_are_registered() -> None:
    files = {
        "/etc/binfmt.d/zz-crossdock-aarch64.conf": LINE.replace(":qemu", ":crossdock"),
        "/usr/lib/binfmt.d/qemu-aarch64.conf": LINE,
    }
    assert [one.handler.name for one in entries_at_boot(files)] == ["qemu-aarch64", "crossdock-aarch64"]


def test_an_offset_without_end_is_left_out() -> None:
    """Python refuses to convert numbers of more than 4300 digits."""
    assert entries_at_boot({"/etc/binfmt.d/a.conf": LINE.replace(":M::", f":M:{'9' * 5000}:")}) == ()


ESCAPED = st.binary(max_size=24).map(lambda content: "".join(f"\\x{byte:02x}" for byte in content))
LINES = st.builds(
    ":a:M:{}:{}:{}:/i:{}\n".format, st.integers(min_value=0) | st.just(""), ESCAPED, ESCAPED, st.sampled_from(["", "F"])
)
FILES = ["/etc/binfmt.d/a.conf", "/usr/share/binfmts/a", "/var/lib/binfmts/a", "/etc/init.d/qemu-binfmt"]


@given(st.dictionaries(st.sampled_from(FILES), st.text(st.characters()) | LINES))
def test_any_text_is_read_or_left_out(files: dict[str, str]) -> None:
    for one in entries_at_boot(files):
        one.handler.takes(MACHINES["arm64"].header())
