"""Debian's real indexes: apt fetches them from the archive that this machine is configured with, and a server on
loopback offers them as a mirror does."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crossdock.http.client import Http
from crossdock.packages.catalogue import debian_names
from crossdock.packages.indexes.apt import Mirrors
from crossdock.packages.indexes.ask import Indexes
from crossdock.packages.indexes.documents import IndexCache
from crossdock.packages.indexes.places import Places
from crossdock.packages.model import Ecosystem, PackageRequest, Status, System
from crossdock.packages.systems import system_of
from crossdock.read.values import Origin
from crossdock.source import Span

pytestmark = pytest.mark.integration
ARCHITECTURES = ("amd64", "arm64")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def release() -> System:
    """This machine's own."""
    text = Path("/etc/os-release").read_text()
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert fields["ID"] == "debian", "the tests run on Debian (tests/provision)"
    return system_of(f"debian:{fields['VERSION_CODENAME']}")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, release: System) -> Iterator[str]:
    """The address of a mirror with the component main of both architectures."""
    folder = tmp_path_factory.mktemp("mirror")
    fetch(folder / "apt", release.codename)
    for architecture in ARCHITECTURES:
        (listed,) = (folder / "apt/lists").glob(f"*_{release.codename}_main_binary-{architecture}_Packages*")
        place = folder / f"www/dists/{release.codename}/main/binary-{architecture}"
        place.mkdir(parents=True)
        with (place / "Packages").open("wb") as file:
            subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", listed], stdout=file, check=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder / "www")) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(folder: Path, codename: str) -> None:
    """apt's indexes of main in a folder of its own; what this machine's apt knows stays as it is."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    archive = next(line.split()[0] for line in lines if line.endswith(f"/ {codename} main"))
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb {archive} {codename} main\n")
    options = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": "amd64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", *flags, "update", "-q"], check=True, timeout=300)


def ask(mirror: str, cache: Path, release: System, *names: str) -> dict[str, Status]:
    requests = [PackageRequest(Ecosystem.APT, name, Origin("Dockerfile", Span(0, 1)), system=release) for name in names]
    with Http() as http:
        answers = Indexes(http, Places(mirrors=Mirrors(debian=mirror)), IndexCache(cache)).ask(requests)
    return {request.name: answer.status for request, answer in answers.items()}


def test_what_everybody_installs_is_there(mirror: str, tmp_path: Path, release: System) -> None:
    names = "curl git ca-certificates build-essential python3 libssl-dev gnupg mesa-va-drivers awk".split()
    assert ask(mirror, tmp_path, release, *names) == dict.fromkeys(names, Status.AVAILABLE)


def test_the_catalogue_says_what_debians_indexes_say(mirror: str, tmp_path: Path, release: System) -> None:
    names = debian_names()
    listed = sorted(names.releases[release.codename] & names.main)
    assert len(listed) > 500
    found = ask(mirror, tmp_path, release, *listed)
    different = {name: status for name, status in found.items() if status is not Status.MISSING}
    assert len(different) < len(listed) / 50, f"run tools/amd64_only.py: {different}"


def test_a_name_that_nobody_has_is_unknown(mirror: str, tmp_path: Path, release: System) -> None:
    assert ask(mirror, tmp_path, release, "no-such-package") == {"no-such-package": Status.UNKNOWN}
