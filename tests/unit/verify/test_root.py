"""Root file systems that are no images: folders and tars."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from made_images import AMD64, ARM64, Link, elf, layer

from crossdock.errors import InputError
from crossdock.verify.model import CheckResult, Status
from crossdock.verify.root import verify_root

FILES = {"bin/app": elf(), "bin/wrong": elf("amd64"), "lib/libsmall.so": elf(page_size=4096), "etc/motd": "hello"}


def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o755)
    (tmp_path / "root/bin/again").hardlink_to(tmp_path / "root/bin/wrong")
    (tmp_path / "root/bin/link").symlink_to("wrong")
    return tmp_path / "root"


def tar(tmp_path: Path, packed: bool) -> Path:
    data = layer({**FILES, "bin/again": Link("bin/wrong", hard=True), "bin/link": Link("wrong")})
    path = tmp_path / "root.tar"
    path.write_bytes(data if packed else gzip.decompress(data))
    return path


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz"])
def test_what_is_for_another_machine_is_found(kind: str, tmp_path: Path) -> None:
    path = folder(tmp_path) if kind == "folder" else tar(tmp_path, kind == "tar.gz")
    result = verify_root(path, ARM64)
    (failed,) = [entry for entry in result.results if entry.status is Status.FAILED]
    assert failed.path in ("/bin/wrong", "/bin/again")
    (warning,) = [entry for entry in result.results if entry.status is Status.WARNING]
    assert warning.path == "/lib/libsmall.so"
    assert (result.reference, result.digest, result.platforms) == (f"rootfs:{path}", "", (ARM64,))
    assert {entry.path for entry in verify_root(path, AMD64).results if entry.status is Status.FAILED} == {
        "/bin/app",
        "/lib/libsmall.so",
    }


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path)

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    told: list[CheckResult] = [e for e in verify_root(root, ARM64).results if e.status is Status.SKIPPED]
    assert any("/bin/app: cannot be read: Permission denied" in entry.message for entry in told)


def test_neither_a_folder_nor_a_tar(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        verify_root(tmp_path / "none", ARM64)
