"""A real RPM repository, made with rpmbuild and createrepo_c, which a Dockerfile adds and installs from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
COMPRESSIONS = {"x86_64": "xz", "aarch64": "gz"}
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: For a test
License: MIT
Provides: pkgconfig({name}) = {version}
%description
%install
mkdir -p %{{buildroot}}/usr/bin
echo true > %{{buildroot}}/usr/bin/{name}-program
%files
/usr/bin/{name}-program
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a repository: ``both`` for each machine, its 2.0 and ``intel`` for x86-64 alone; ``text``."""
    folder = tmp_path_factory.mktemp("rpm")
    targets = {
        ("both", "1.0"): ("x86_64", "aarch64"),
        ("both", "2.0"): ("x86_64",),
        ("intel", "1.0"): ("x86_64",),
        ("text", "1.0"): ("noarch",),
    }
    for (name, version), architectures in targets.items():
        spec = folder / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, version=version))
        for architecture in architectures:
            defined = ("--define", f"_topdir {folder}/build", "--define", "__os_install_post %{nil}")
            command = ("rpmbuild", "-bb", "--quiet", "--target", f"{architecture}-linux", *defined, str(spec))
            subprocess.run(command, check=True, capture_output=True)
    for architecture, compression in COMPRESSIONS.items():
        place = folder / "www" / architecture
        place.mkdir(parents=True)
        for package in (*(folder / f"build/RPMS/{architecture}").glob("*"), *(folder / "build/RPMS/noarch").glob("*")):
            (place / package.name).hardlink_to(package)
        command = ("createrepo_c", "--quiet", "--general-compress-type", compression, str(place))
        subprocess.run(command, check=True, capture_output=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder / "www")) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_a_real_repository_has(repository: str, tmp_path: Path) -> None:
    (tmp_path / "team.repo").write_text(f"[team]\nname=Team\nbaseurl={repository}/$basearch/\nenabled=1\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY team.repo /etc/yum.repos.d/\n"
        "RUN dnf install -y both text intel both-2.0 both-1.0-1 /usr/bin/intel-program \\\n"
        "    'pkgconfig(both)' 'pkgconfig(intel)' 'int*' unheard-of @tools\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = (sys.executable, "-m", "crossdock", "check", "--format", "json", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    said = json.loads(done.stdout)
    found = [one["message"] for one in said["findings"] if one["rule"] == "package-without-arm64"]
    why = " does not exist for arm64: 127.0.0.1 has it for x86_64 only"
    assert found == [
        f"intel{why}",
        f"both 2.0{why}; for aarch64 it has 1.0-1",
        f"/usr/bin/intel-program{why}",
        f"pkgconfig(intel){why}",
        f"int*{why}",
    ]
    unknown = {one["what"]: one["why"] for one in said["skipped"] if "rpm packages" in one["what"]}
    assert [(what.split()[2], why) for what, why in unknown.items()] == [
        ("unheard-of", "it may come from a repository that could not be read"),
        ("@tools", "groups and modules are not looked up"),
    ]
