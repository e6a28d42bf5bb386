"""Binaries inside packages and archives, and what inspect_file says of files on disk."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.image import bundles
from crossdock.image.bundles import is_bundle, look_into
from crossdock.image.inspect import inspect_file

ARM64 = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\xb7\0" + bytes(44)
AMD64 = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0" + bytes(44)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def tarred(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def debian(data_name: str, data: bytes) -> bytes:
    out = b"!<arch>\n"
    for name, body in (("debian-binary", b"2.0\n"), ("control.tar.gz", b"odd"), (data_name, data)):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) & 1)
    return out


def look(name: str, data: bytes) -> list[tuple[str, str]]:
    assert is_bundle(name, data[:32])
    found = look_into(name, io.BytesIO(data))
    assert found.notes == ()
    return [(member.path, member.binary.architectures[0]) for member in found.members]


NATIVE = {
    "linux/x64/a.so": AMD64,
    "linux/arm64/a.so": ARM64,
    "A.class": b"\xca\xfe\xba\xbe\0\0\0\x34",
    "b.txt": b"x" * 9,
}
FOUND = [("linux/x64/a.so", "amd64"), ("linux/arm64/a.so", "arm64")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jar", zipped(**NATIVE)),
        ("a.bin", zipped(**NATIVE)),
        ("a.tar", tarred(**NATIVE)),
        ("a.tar.gz", gzip.compress(tarred(**NATIVE))),
        ("a.TGZ", gzip.compress(tarred(**NATIVE))),
        ("a.apk", gzip.compress(b"") + gzip.compress(tarred(**NATIVE))),
        ("a.tar.xz", lzma.compress(tarred(**NATIVE))),
        ("a.tar.zst", zstandard.compress(tarred(**NATIVE))),
        ("a.deb", debian("data.tar.xz", lzma.compress(tarred(**NATIVE)))),
        ("a.deb", debian("data.tar.zst", zstandard.compress(tarred(**NATIVE)))),
        ("a.deb", debian("data.tar", tarred(**NATIVE))),
    ],
)
def test_kinds(name: str, data: bytes) -> None:
    assert look(name, data) == FOUND


def test_self_starting_jar() -> None:
    assert look("a.jar", b"#!/bin/sh\nexec java -jar $0\n" + zipped(**NATIVE)) == FOUND


def test_bundles_in_bundles() -> None:
    war = zipped(**{"WEB-INF/lib/a.jar": zipped(**NATIVE), "x": AMD64})
    assert look("a.war", war) == [
        ("WEB-INF/lib/a.jar!/linux/x64/a.so", "amd64"),
        ("WEB-INF/lib/a.jar!/linux/arm64/a.so", "arm64"),
        ("x", "amd64"),
    ]
    deeper = look_into("a.zip", io.BytesIO(zipped(**{"a.war": war})))
    assert [member.path for member in deeper.members] == ["a.war!/x"]
    assert deeper.notes == ("a.war!/WEB-INF/lib/a.jar: not looked into, bundles are followed 2 levels deep",)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_INNER_BYTES", 10)
    found = look_into("a.war", io.BytesIO(zipped(**{"a.jar": zipped(**NATIVE)})))
    assert "too many inside another bundle" in found.notes[0]
    monkeypatch.setattr(bundles, "MAX_MEMBERS", 1)
    found = look_into("a.jar", io.BytesIO(zipped(**NATIVE)))
    assert [member.path for member in found.members] == ["linux/x64/a.so"]
    assert found.notes == ("a.jar: has more than 1 members; the rest was not looked at",)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jar", zipped(**NATIVE)[:-30]),
        ("a.tar.gz", gzip.compress(tarred(**NATIVE))[:-20]),
        ("a.tar", b"no tar at all" * 100),
        ("a.deb", debian("other", b"")),
        ("a.deb", debian("data.tar.xz", b"no xz")),
    ],
)
def test_damaged(name: str, data: bytes) -> None:
    found = look_into(name, io.BytesIO(data))
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"{name}: ")


def test_no_bundle() -> None:
    assert not is_bundle("ls.1.gz", gzip.compress(b"manual"))
    assert not is_bundle("libc.a", b"!<arch>\n/               ")
    assert not is_bundle("a.so", ARM64)


SAMPLES = [("a.jar", zipped(**NATIVE)), ("a.deb", debian("data.tar", tarred(**NATIVE)))]


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=200, deadline=None)
def test_any_damage(sample: tuple[str, bytes], data: st.DataObject) -> None:
    whole = bytearray(sample[1][: data.draw(st.integers(1, len(sample[1])))])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=5)):
        whole[at] = value
    look_into(sample[0], io.BytesIO(bytes(whole)))


def test_inspect(tmp_path: Path) -> None:
    def inspect(name: str, data: bytes) -> tuple[str, ...]:
        path = tmp_path / name
        path.write_bytes(data)
        found = inspect_file(path)
        return found.architectures or (found.note,)

    assert inspect("a.so", ARM64) == ("arm64",)
    assert inspect("a.jar", zipped(**NATIVE)) == ("amd64", "arm64")
    assert inspect("b.jar", zipped(x=b"nothing here")) == ("a package or archive without binaries",)
    assert inspect("x.sh", b"#!/bin/sh -e\nexit") == ("a script for /bin/sh -e",)
    assert inspect("A.class", NATIVE["A.class"]) == ("a Java class, for any architecture",)
    assert inspect("x.txt", b"hello") == ("text",)
    assert inspect("x.dat", b"\0hello") == ("no binary",)
    assert inspect("empty", b"") == ("empty",)
    assert inspect("cut.so", ARM64[:10]) == ("a damaged ELF file: its header is cut off",)
    assert inspect_file(tmp_path).note == "a folder"
    with pytest.raises(InputError, match="No such file"):
        inspect_file(tmp_path / "missing")
