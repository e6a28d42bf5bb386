"""A small two-platform base image, made from Debian's busybox-static packages without any registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

APPLETS = """awk base64 cat chmod chown cp cut date dd df du echo env expr false find grep gunzip gzip head hostname id
ip kill ln ls md5sum mkdir mktemp mv nc od printf ps pwd readlink rm rmdir sed seq sh sha256sum sleep sort stat sync
tail tar tee test touch tr true uname uniq vi wc wget which whoami xargs yes""".split()


def configured_archive() -> tuple[str, str]:
    """Suite and address of the Debian archive that apt is configured with."""
    release = Path("/etc/os-release").read_text()
    suite = next(line.partition("=")[2] for line in release.splitlines() if line.startswith("VERSION_CODENAME="))
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return next((found, uri) for found, uri in (line.split() for line in listed.splitlines()) if found == suite)


def busybox(architecture: str) -> bytes:
    """The static busybox program of Debian's package for a Debian architecture."""
    command = ["mmdebstrap", "--variant=extract", "--include=busybox-static", f"--arch={architecture}", "--quiet"]
    suite, uri = configured_archive()
    done = subprocess.run([*command, "--format=tar", suite, "-", uri], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith("bin/busybox"):
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError("the package busybox-static holds no busybox")


def _layer(program: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", mode: int = 0o755, link: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.mode, entry.linkname = kind, len(data), mode, link
            archive.addfile(entry, io.BytesIO(data))

        for folder in ("bin", "etc", "root", "usr", "usr/bin", "var", "var/tmp"):
            add(folder, tarfile.DIRTYPE)
        add("tmp", tarfile.DIRTYPE, mode=0o1777)
        add("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        add("etc/group", data=b"root:x:0:\n", mode=0o644)
        add("bin/busybox", data=program)
        for applet in APPLETS:
            add(f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        add("usr/bin/env", tarfile.SYMTYPE, link="../../bin/busybox")
    return out.getvalue()


def write_base_layout(folder: Path, programs: dict[str, bytes]) -> str:
    """Write an OCI layout named ``latest`` with one image for each OCI architecture; return the index digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(content: dict[str, object], media_type: str) -> dict[str, object]:
        return put(json.dumps(content).encode(), media_type)

    oci = "application/vnd.oci.image"
    images = []
    for architecture, program in programs.items():
        layer = _layer(program)
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "busybox-static"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{oci}.manifest.v1+json",
            "config": document(config, f"{oci}.config.v1+json"),
            "layers": [put(gzip.compress(layer, 1, mtime=0), f"{oci}.layer.v1.tar+gzip")],
        }
        entry = document(manifest, f"{oci}.manifest.v1+json")
        images.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    index = {"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": images}
    root = document(index, f"{oci}.index.v1+json")
    named = {**root, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return str(root["digest"])
