"""Comparing two builds of one image: what differs is named, and what counts is told from what does not."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from crossdock.image.sections import read_sections
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64
from crossdock.verify.compare import compare
from crossdock.verify.differing import Nature, differing
from crossdock.verify.volatile import volatile, volatile_files


def layer(files: Mapping[str, bytes | tarfile.TarInfo], time: int = 0) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.name, entry.mtime = name, time
            data = content if isinstance(content, bytes) else b""
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def image(folder: Path, *layers: bytes, created: str = "2026-11-25T12:00:00Z", **settings: Any) -> LayoutImage:
    writer = LayoutWriter(folder)
    packed = [writer.add_document(gzip.compress(one, mtime=0), OCI_LAYER_GZIP) for one in layers]
    config = {
        "architecture": "arm64",
        "os": "linux",
        "created": created,
        "config": {"Env": ["PATH=/bin"], **settings},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]},
        "history": [{"created": created, "created_by": f"RUN step {number}"} for number in range(len(layers))],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
        "layers": [descriptor_json(one) for one in packed],
    }
    writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
    return LayoutImage(folder)


def entry(**facts: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo()
    for name, value in facts.items():
        setattr(found, name, value)
    return found


def told(tmp_path: Path, one: list[bytes], other: list[bytes]) -> list[tuple[str, str, str, str]]:
    found = compare(image(tmp_path / "one", *one), image(tmp_path / "other", *other), ARM64)
    assert found.same is not any(one.nature.counts for one in found.differences)
    return [(one.nature.value, one.path, one.what, one.created_by) for one in found.differences]


def test_the_same_but_for_times(tmp_path: Path) -> None:
    files = {"bin/app": b"content", "etc/x": b"y"}
    one = image(tmp_path / "one", layer({"base": b""}), layer(files, 1), created="2026-01-01T00:00:00Z")
    found = compare(one, image(tmp_path / "other", layer({"base": b""}), layer(files, 2)), ARM64)
    assert found.same
    assert (found.layers, found.equal_layers, found.files, found.differences) == (2, 1, 2, ())


def test_content_attributes_and_what_is_missing_are_named_with_their_layer(tmp_path: Path) -> None:
    base = layer({"base": b""})
    one = {
        "app": b"one\nsame\n", "mode": entry(mode=0o755), "owner": entry(uid=1), "gone": b"", "same": b"x",
        "link": entry(type=tarfile.SYMTYPE, linkname="a"), ".wh.old": b"",
        "xattr": entry(pax_headers={"SCHILY.xattr.user.a": "1"}), "kind": entry(type=tarfile.DIRTYPE),
    }  # fmt: skip
    other = {
        "app": b"two\nsame\n", "mode": entry(mode=0o644), "owner": entry(uid=2), "same": b"x", "./new": b"",
        "link": entry(type=tarfile.SYMTYPE, linkname="b"), "xattr": entry(pax_headers={"SCHILY.xattr.user.a": "2"}),
        "kind": b"",
    }  # fmt: skip
    step = "RUN step 1"
    assert told(tmp_path, [base, layer(one)], [base, layer(other)]) == [
        ("attributes", ".wh.old", "only in the first", step),
        ("attributes", "gone", "only in the first", step),
        ("attributes", "kind", "kind: 5 and file", step),
        ("attributes", "link", "link: a and b", step),
        ("attributes", "mode", "mode: 755 and 644", step),
        ("attributes", "new", "only in the second", step),
        ("attributes", "owner", "owner: 1:0 and 2:0", step),
        ("attributes", "xattr", "extended attributes: user.a='1' and user.a='2'", step),
        ("data", "app", "line 1: 'one' and 'two'", step),
    ]


def test_configs_are_compared_but_for_times_and_digests(tmp_path: Path) -> None:
    one = image(tmp_path / "one", layer({"a": b""}), Labels={"x": "1"}, created="2026-01-01T00:00:00Z")
    other = image(tmp_path / "other", layer({"a": b""}), layer({"b": b""}), Labels={"x": "2"}, Env=["PATH=/sbin"])
    found = compare(one, other, ARM64)
    assert [(one.nature.value, one.path, one.what) for one in found.differences] == [
        ("config", "config.Env[0]", '"PATH=/bin" and "PATH=/sbin"'),
        ("config", "config.Labels.x", '"1" and "2"'),
        ("config", "history[1].created_by", 'nothing and "RUN step 1"'),
        ("config", "manifest.layers[1].mediaType", f'nothing and "{OCI_LAYER_GZIP}"'),
        ("config", "layers", "1 layers and 2"),
    ]


def test_a_platform_that_is_not_there_and_a_damaged_layer(tmp_path: Path) -> None:
    one = image(tmp_path / "one", layer({"a": b""}))
    with pytest.raises(InputError, match="has no linux/amd64"):
        compare(one, one, AMD64)
    with pytest.raises(InputError, match="no tar archive"):
        compare(one, image(tmp_path / "other", b"not a tar" * 200), ARM64)


def elf(*sections: tuple[str, int, bytes], entry: int = 0x1000) -> bytes:
    """A 64-bit file with sections (name, flags, content) and no segments."""
    names, body, headers = b"\0", b"", [bytes(64)]
    for name, flags, content in [*sections, (".shstrtab", 0, b"")]:
        at, names = len(names), names + name.encode() + b"\0"
        content = content if name != ".shstrtab" else names
        headers.append(struct.pack("<IIQQQQIIQQ", at, 1, flags, 0, 64 + len(body), len(content), 0, 0, 1, 0))
        body += content
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    count = len(headers)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, entry, 0, 64 + len(body), 0, 64, 56, 0, 64, count, count - 1)
    return head + body + b"".join(headers)


def parts(one: bytes, other: bytes, path: str = "file") -> list[tuple[str, str]]:
    return [(part.nature.value, part.what) for part in differing(path, one, other)]


CODE = (".text", 6, b"code")


def test_elf_files_are_compared_by_section() -> None:
    one = elf(CODE, (".data", 3, b"data"), (".comment", 0, b"GCC 12-14"), (".note.gnu.build-id", 2, b"12345"))
    assert [section.name for section in read_sections(one)] == [
        ".text", ".data", ".comment", ".note.gnu.build-id", ".shstrtab",
    ]  # fmt: skip
    other = elf(CODE, (".data", 3, b"data"), (".comment", 0, b"GCC 12-14cross1"), (".note.gnu.build-id", 2, b"54321"))
    names = [("build name", "section .comment"), ("build name", "section .note.gnu.build-id")]
    assert parts(one, other) == names
    other = elf((".text", 6, b"edoc"), (".data", 3, b"atad"), (".comment", 0, b"GCC"), (".note.gnu.build-id", 2, b"1"))
    assert parts(one, other) == [("code", "section .text"), ("data", "section .data"), *names]
    assert parts(elf(CODE), elf(CODE, entry=1)) == [("data", "the headers")]
    assert parts(elf(CODE), elf(CODE, (".x", 0, b""))) == [("data", "other sections: .x")]
    padded = bytearray(elf(CODE))
    padded[15] = 1
    assert parts(elf(CODE), bytes(padded)) == [("data", "bytes outside of the sections")]
    assert parts(one, one[:-10]) == [("data", "content")]


def ar(**members: bytes) -> bytes:
    out = b"!<arch>\n" + b"/".ljust(48) + b"%-10d`\n" % 2 + b"ix"
    for name, data in members.items():
        out += (
            (name + "/").encode().ljust(16) + b"0".ljust(32) + b"%-10d`\n" % len(data) + data + b"\n" * (len(data) % 2)
        )
    return out


def zipped(time: int, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, time, 0, 0, 0)), data)
    return out.getvalue()


def test_archives_are_compared_by_member() -> None:
    one, two = (elf(CODE, (".comment", 0, text)) for text in (b"GCC", b"gcc"))
    assert parts(ar(a=one, b=b"x"), ar(a=two, b=b"x")) == [("build name", "member a: section .comment")]
    assert parts(ar(a=b"x"), ar(b=b"x")) == [("data", "members only in one: a, b")]
    assert parts(zipped(1, a=b"x"), zipped(2, a=b"x")) == [("time", "times of members")]
    assert parts(zipped(1, a=b"x"), zipped(2, a=b"y")) == [
        ("data", "member a: line 1: 'x' and 'y'"), ("time", "times of members"),
    ]  # fmt: skip
    nested = [gzip.compress(layer({"in.zip": zipped(time, a=one)}, time), mtime=time) for time in (1, 2)]
    assert parts(nested[0], nested[1]) == [
        ("time", "unpacked, member in.zip: times of members"), ("time", "unpacked, times of members"),
    ]  # fmt: skip
    assert parts(gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2)) == [("time", "the time in the header")]
    best = [lzma.compress(b"x" * 9999, check=check) for check in (lzma.CHECK_CRC32, lzma.CHECK_CRC64)]
    assert parts(best[0], best[1]) == [("data", "packed differently, with the same content")]


def test_byte_code_has_the_time_of_its_source() -> None:
    one, other = (b"\xa7\x0d\r\n" + bytes(4) + struct.pack("<II", time, 5) + b"code" for time in (1, 2))
    assert parts(one, other, "x.pyc") == [("time", "the time of the source")]
    assert parts(one, other[:-1] + b"x", "x.pyc") == [("data", "byte code")]
    hashed = [b"\xa7\x0d\r\n" + struct.pack("<I", 1) + bytes([number]) * 8 + b"code" for number in (1, 2)]
    assert parts(hashed[0], hashed[1], "x.pyc") == [("data", "content")]


def test_what_reads_like_a_time_counts_but_in_logs_that_are_known_for_it() -> None:
    one, other = (f"2026-11-25 12:00:0{second} install gcc\n".encode() for second in (1, 2))
    assert parts(one, other, "srv/built") == [("data", "only what reads like times")]
    assert parts(one, other, "var/log/dpkg.log") == [("time", "only what reads like times")]
    assert parts(one, other + b"more\n", "var/log/dpkg.log") == [("data", "line 2: '' and 'more'")]
    dates = (b"built Wed Nov 25 12:00:00 UTC 2026", b"built Thu Nov  5 09:00:00 CET 2026")
    assert parts(*dates) == [("data", "only what reads like times")]
    ((nature, _),) = parts(b"a\0", b"b\0", "var/cache/apt/pkgcache.bin")
    assert nature == Nature.RECORD


def test_the_catalogue_of_what_is_never_alike_is_argued() -> None:
    for known in volatile_files():
        assert known.how in ("times", "content")
        assert known.why
        assert known.source.startswith("https://")
        assert not any(path.startswith("/") for path in known.paths)
    assert volatile("src/app/config.log")
    assert volatile("config.log")
    assert volatile("root/.npm/_cacache/index-v5/aa/bb/cc")
    assert not volatile("var/log/apt/history.log.txt")
    assert not volatile("xvar/log/dpkg.log")


SAMPLES = [
    elf(CODE, (".comment", 0, b"GCC")),
    ar(a=elf(CODE), b=b"x"),
    zipped(1, a=b"x" * 100),
    layer({"a": b"x", "b": b"y"}),
    gzip.compress(layer({"a": b"x"}), mtime=1),
    lzma.compress(b"x" * 100),
]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1), st.data()
)
def test_damaged_files_differ_and_that_is_all(
    sample: bytes, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(sample)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    other = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    assert bool(differing("file", sample, other)) == (sample != other)
    assert bool(differing("file", other, sample)) == (sample != other)
