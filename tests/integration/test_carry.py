"""push, pull and index create with real registries, engines and skopeo: images get where they should, unchanged."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import Daemon
from registry import Registry
from relay import Break, Relay
from test_registry import write_image

from conftest import BuildahStore
from crossdock.image.model import ATTESTATION_SUBJECT, DOCKER_LIST
from crossdock.image.stream import digest_of
from crossdock.platforms import ARM64

pytestmark = pytest.mark.integration

BOTH = ["linux/amd64", "linux/arm64"]
PASSWORD = "geheim-4711/$&"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str


def run(*arguments: str, stdin: str = "", folder: Path | None = None) -> Ended:
    argv = [sys.executable, "-m", "crossdock", *arguments]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, cwd=folder)
    return Ended(done.returncode, done.stdout, done.stderr)


def crossdock(*arguments: str, stdin: str = "", folder: Path | None = None) -> dict[str, object]:
    """What a verb that ends well reports."""
    ended = run(*arguments, "--format", "json", stdin=stdin, folder=folder)
    assert ended.code == 0, ended.errors
    report = json.loads(ended.output)
    assert isinstance(report, dict)
    return report


def skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def raw(reference: str) -> bytes:
    """The index or manifest, byte for byte, as skopeo gets it."""
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}")


def entries(reference: str) -> list[dict[str, object]]:
    found = json.loads(raw(reference))["manifests"]
    assert isinstance(found, list)
    return found


def platforms(reference: str) -> list[str]:
    """What ``crossdock platforms`` sees."""
    ended = run("platforms", "--format", "json", reference)
    assert ended.code == 0, ended.errors
    return json.loads(ended.output)["images"][0]["platforms"]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The registry of a network without any other."""
    with Registry(tmp_path_factory.mktemp("closed")) as registry:
        yield registry


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with a layer of 40 MB that does not compress."""
    return write_image(tmp_path_factory.mktemp("large"), ARM64, 40 << 20).folder


# ---------------------------------------------------------------- into a closed network


def test_an_archive_carries_an_image_with_its_digest(base_image: str, closed: Registry, tmp_path: Path) -> None:
    original = digest_of(raw(base_image))
    pulled = crossdock("pull", base_image, folder=tmp_path)
    assert pulled == {
        "schema": "crossdock.pull/v1",
        "source": [base_image],
        "destination": "base-latest.tar",
        "digest": original,
        "platforms": BOTH,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["base-latest.tar"]
    target = f"{closed.host}/carried/base:1"
    pushed = crossdock("push", str(tmp_path / "base-latest.tar"), target, "-t", "latest")
    assert (pushed["digest"], pushed["platforms"]) == (original, BOTH)
    assert digest_of(raw(target)) == digest_of(raw(f"{closed.host}/carried/base:latest")) == original
    assert platforms(target) == BOTH


def test_skopeo_reads_what_is_pulled(base_image: str, closed: Registry, tmp_path: Path) -> None:
    crossdock("pull", base_image, "-o", str(tmp_path / "app.tar"))
    crossdock("pull", base_image, "-o", f"oci:{tmp_path / 'layout'}")
    for number, source in enumerate((f"oci-archive:{tmp_path / 'app.tar'}", f"oci:{tmp_path / 'layout'}:latest")):
        target = f"{closed.host}/by-skopeo/base:{number}"
        skopeo("copy", "--all", "--dest-tls-verify=false", source, f"docker://{target}")
        assert raw(target) == raw(base_image)
    pushed = crossdock("push", str(tmp_path / "layout"), f"{closed.host}/by-layout/base:1")
    assert pushed["digest"] == digest_of(raw(base_image))


def test_docker_loads_what_is_pulled(base_image: str, docker: Daemon, tmp_path: Path) -> None:
    crossdock("pull", base_image, "-o", f"oci-archive:{tmp_path / 'app.tar'}")
    said = docker.docker("load", "--input", str(tmp_path / "app.tar"))
    assert base_image in said
    assert docker.docker("image", "inspect", "--format", "{{.Architecture}}", base_image) == "amd64"


def test_an_old_docker_loads_what_is_pulled(base_image: str, classic_docker: Daemon, tmp_path: Path) -> None:
    crossdock("pull", base_image, "-o", str(tmp_path / "app.tar"), "--platform", "linux/amd64")
    said = classic_docker.docker("load", "--input", str(tmp_path / "app.tar"))
    assert base_image in said


def test_some_platforms_are_an_index_of_their_own(base_image: str, closed: Registry, tmp_path: Path) -> None:
    archive = tmp_path / "arm64.tar"
    pulled = crossdock("pull", base_image, "-o", f"type=oci,dest={archive}", "--platform", "linux/arm64")
    assert pulled["platforms"] == ["linux/arm64"]
    target = f"{closed.host}/some/base:1"
    assert crossdock("push", str(archive), target)["digest"] == pulled["digest"] == digest_of(raw(target))
    (only,) = entries(target)
    assert only in entries(base_image)
    everything = crossdock("pull", base_image, "-o", str(archive), "--platform", ",".join(BOTH))
    assert everything["digest"] == digest_of(raw(base_image)), "all there is keeps its digest"


def test_dockers_own_types_are_carried_as_they_are(base_image: str, closed: Registry, tmp_path: Path) -> None:
    source, target = f"{closed.host}/docker-types/base:1", f"{closed.host}/docker-types/carried:1"
    options = ["--all", "--format=v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"]
    skopeo("copy", *options, f"docker://{base_image}", f"docker://{source}")
    crossdock("pull", source, "-o", str(tmp_path / "app.tar"))
    crossdock("push", str(tmp_path / "app.tar"), target)
    assert raw(target) == raw(source)
    crossdock("index", "create", target, "--from", source, "--platform", "linux/arm64")
    assert json.loads(raw(target))["mediaType"] == DOCKER_LIST


# ---------------------------------------------------------------- built separately


def test_what_an_old_docker_saved_becomes_one_image(
    base_image: str, closed: Registry, classic_docker: Daemon, tmp_path: Path
) -> None:
    for platform in BOTH:
        architecture = platform.partition("/")[2]
        classic_docker.docker("pull", "--platform", platform, base_image)
        classic_docker.docker("tag", base_image, f"team/app:{architecture}")
        classic_docker.docker("save", "--output", str(tmp_path / f"{architecture}.tar"), f"team/app:{architecture}")
    target = f"{closed.host}/joined/app:1"
    pushed = crossdock("push", str(tmp_path / "amd64.tar"), str(tmp_path / "arm64.tar"), target)
    assert pushed["platforms"] == platforms(target) == BOTH
    seen = classic_docker.docker("buildx", "imagetools", "inspect", target)
    assert re.findall(r"Platform: +(\S+)", seen) == BOTH
    classic_docker.docker("pull", target)
    assert classic_docker.docker("run", "--rm", "--network=none", target, "uname", "-s") == "Linux"


def test_docker_archives_of_skopeo_become_one_image(base_image: str, closed: Registry, tmp_path: Path) -> None:
    for architecture in ("amd64", "arm64"):
        archive = f"docker-archive:{tmp_path / architecture}.tar:team/app:{architecture}"
        skopeo(f"--override-arch={architecture}", "copy", "--src-tls-verify=false", f"docker://{base_image}", archive)
    target = f"{closed.host}/joined/skopeo:1"
    crossdock("index", "create", target, "--from", f"{tmp_path}/amd64.tar", "--from", f"{tmp_path}/arm64.tar")
    assert platforms(target) == BOTH
    wrong = run("push", f"{tmp_path}/amd64.tar", f"{tmp_path}/amd64.tar", target)
    assert wrong.code == 3
    assert "linux/amd64 is in" in wrong.errors


@pytest.fixture
def built(base_image: str, docker: Daemon, tmp_path: Path) -> Mapping[str, Path]:
    """Two archives that BuildKit built on two sites, each with its provenance."""
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nCOPY Dockerfile /about\n")
    archives = {}
    for platform in BOTH:
        archive = archives[platform] = tmp_path / f"{platform.partition('/')[2]}.tar"
        options = ["--provenance=true", f"--platform={platform}", f"--output=type=oci,dest={archive}"]
        docker.docker("buildx", "build", "--quiet", *options, str(tmp_path))
    return archives


def attested(reference: str) -> dict[str, str]:
    """Digest of each manifest that an attestation is about → digest of the attestation; all of them in the index."""
    found = entries(reference)
    about = {
        entry["annotations"][ATTESTATION_SUBJECT]: entry["digest"]
        for entry in found
        if ATTESTATION_SUBJECT in entry.get("annotations", {})
    }
    assert about.keys() <= {entry["digest"] for entry in found}
    return about


def test_attestations_of_buildkit_stay_with_their_images(
    built: Mapping[str, Path], closed: Registry, docker: Daemon, tmp_path: Path
) -> None:
    target = f"{closed.host}/attested/app:1"
    pushed = crossdock("push", *map(str, built.values()), target)
    assert pushed["platforms"] == platforms(target) == BOTH
    together = attested(target)
    assert len(together) == 2
    seen = json.loads(docker.docker("buildx", "imagetools", "inspect", target, "--format", "{{json .Provenance}}"))
    assert sorted(seen) == BOTH

    carried = f"{closed.host}/attested/carried:1"
    crossdock("pull", target, "-o", str(tmp_path / "carried.tar"))
    crossdock("push", str(tmp_path / "carried.tar"), carried)
    assert raw(carried) == raw(target)

    arm = f"{closed.host}/attested/arm:1"
    crossdock("index", "create", arm, "--from", target, "--platform", "linux/arm64")
    ((subject, about),) = attested(arm).items()
    assert together[subject] == about
    seen = json.loads(docker.docker("buildx", "imagetools", "inspect", arm, "--format", "{{json .Provenance}}"))
    assert "SLSA" in seen
    again = f"{closed.host}/attested/again:1"
    amd = ["--from", str(built["linux/amd64"])]
    crossdock("index", "create", again, *amd, "--from", arm)
    assert attested(again) == together


@pytest.mark.usefixtures("buildah_store")
def test_images_of_two_builders_become_one(
    built: Mapping[str, Path], base_image: str, closed: Registry, tmp_path: Path
) -> None:
    build = ["buildah", "build", "--quiet", "--isolation=chroot", "--platform=linux/arm64", "--tag=from-buildah"]
    subprocess.run([*build, str(tmp_path)], check=True, capture_output=True)
    archive = tmp_path / "buildah.tar"
    push = ["buildah", "push", "--quiet", "from-buildah", f"oci-archive:{archive}:1"]
    subprocess.run(push, check=True, capture_output=True)
    target = f"{closed.host}/builders/app:1"
    crossdock("push", str(built["linux/amd64"]), str(archive), target)
    assert platforms(target) == BOTH
    assert len(attested(target)) == 1


# ---------------------------------------------------------------- nothing is sent twice


def requests(registry: Registry, repository: str) -> list[tuple[str, str, int]]:
    """Method, address and status of each request for a repository, from the registry's log."""
    found = re.findall(rf'"(\S+) (/v2/{repository}/\S*) HTTP/1.1" (\d+)', registry.log())
    return [(method, address, int(status)) for method, address, status in found]


def test_another_repository_lends_its_blobs(base_image: str, closed: Registry, tmp_path: Path) -> None:
    source, target = f"{closed.host}/lender/base:1", f"{closed.host}/borrower/app:1"
    crossdock("index", "create", source, "--from", base_image)
    crossdock("index", "create", target, "--from", source)
    assert raw(target) == raw(source) == raw(base_image)
    uploads = [request for request in requests(closed, "borrower/app") if "/blobs/uploads/" in request[1]]
    assert len(uploads) >= 3
    for method, address, status in uploads:
        assert (method, status) == ("POST", 201)
        assert "mount=sha256" in address
        assert "from=lender%2Fbase" in address
    before = len(requests(closed, "borrower/app"))
    crossdock("push", base_image, f"{closed.host}/borrower/app:2")
    assert not [request for request in requests(closed, "borrower/app")[before:] if "uploads" in request[1]]


# ---------------------------------------------------------------- a login for one command


def test_a_password_on_standard_input(base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    archive, login = str(tmp_path / "app.tar"), ["--username", "ci", "--password-stdin"]
    crossdock("pull", base_image, "-o", archive)
    with Registry(tmp_path / "guarded", username="ci", password=PASSWORD) as guarded:
        target = f"{guarded.host}/team/app:1"
        crossdock("push", *login, archive, target, stdin=f"{PASSWORD}\n")
        copy = tmp_path / "copy.tar"
        pulled = crossdock("pull", *login, target, "-o", str(copy), stdin=PASSWORD)
        assert pulled["digest"] == digest_of(raw(base_image))
        crossdock("index", "create", *login, f"{guarded.host}/team/app:2", "--from", target, stdin=PASSWORD)
        for wrong in (run("push", *login, archive, target, stdin="falsch-0815"), run("push", archive, target)):
            assert wrong.code == 3
            assert "refused" in wrong.errors
            assert "falsch-0815" not in wrong.errors
        half = run("push", "--username", "ci", archive, target)
        assert half.code == 2
        assert PASSWORD not in guarded.log()
    kept = [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [data for data in kept if PASSWORD.encode() in data], "nothing is stored"


# ---------------------------------------------------------------- bad networks


def test_a_push_gets_through_although_its_connection_breaks(large: Path, tmp_path: Path) -> None:
    """The Docker registry forgets an upload that broke off within a request; it begins anew, in pieces."""
    breaks = [Break("PUT", after=25 << 20), Break("PATCH", after=1 << 20)]
    with Registry(tmp_path / "registry") as registry, Relay(registry.host, breaks=breaks) as relay:
        crossdock("push", str(large), f"{relay.host}/team/app:1")
        assert relay.broken == breaks
        assert digest_of(raw(f"{registry.host}/team/app:1")) == root_of(large)


def test_a_push_in_chunks_goes_on_from_the_one_that_broke(large: Path, tmp_path: Path) -> None:
    """Before the registry is a proxy that takes 10 MB a request, and breaks off where the third chunk begins."""
    breaks = [Break("PATCH", after=0, start=16 << 20)]
    with Registry(tmp_path / "registry") as registry:
        with Relay(registry.host, breaks=breaks, largest=10 << 20) as relay:
            crossdock("push", str(large), f"{relay.host}/team/app:1")
        assert relay.broken == breaks
        assert digest_of(raw(f"{registry.host}/team/app:1")) == root_of(large)
        uploads = [request for request in requests(registry, "team/app") if "/blobs/uploads/" in request[1]]
        kept = next(address for method, address, _ in uploads if method == "PATCH").partition("?")[0]
        of_blob = [(method, status) for method, address, status in uploads if address.startswith(kept)]
        whole, rest = divmod(next(path.stat().st_size for path in blobs(large)), 8 << 20)
        assert rest
        assert of_blob == [
            *[("PATCH", 202)] * 2,
            ("GET", 204),  # where it was after the break
            # What is left goes in chunks again.
            *[("PATCH", 202)] * (whole - 1),
            ("PUT", 201),
        ]


def blobs(layout: Path) -> list[Path]:
    """The blobs of a layout, the largest first."""
    return sorted((layout / "blobs" / "sha256").iterdir(), key=lambda path: -path.stat().st_size)


def root_of(layout: Path) -> str:
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    assert isinstance(digest, str)
    return digest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_push_leaves_no_tag(large: Path, tmp_path: Path, number: signal.Signals) -> None:
    with Registry(tmp_path / "registry") as registry, Relay(registry.host, rate=4e6) as relay:
        argv = [sys.executable, "-m", "crossdock", "push", str(large), f"{relay.host}/team/app:1"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 20
            while '"POST /v2/team/app/blobs/uploads/' not in registry.log() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(20) == 130
            assert time.monotonic() - began < 3
            assert process.stderr
            assert process.stderr.read().strip() == "crossdock: interrupted"
        time.sleep(0.5)  # what is still in the relay arrives
        assert not [request for request in requests(registry, "team/app") if "manifests" in request[1]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_pull_leaves_nothing(
    large: Path, closed: Registry, tmp_path: Path, number: signal.Signals
) -> None:
    crossdock("push", str(large), f"{closed.host}/slow/app:1")
    argv = [sys.executable, "-m", "crossdock", "pull", f"{closed.host}/slow/app:1", "-o", "app.tar"]
    # Stopped as soon as there is something in the folder.
    with subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not os.listdir(tmp_path) and time.monotonic() < deadline:  # noqa: PTH208 (as quickly as can be)
            time.sleep(0.002)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 130
        assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []


def test_store_is_not_touched(buildah_store: BuildahStore, base_image: str, tmp_path: Path) -> None:
    """No engine takes part in carrying images."""
    crossdock("pull", base_image, "-o", str(tmp_path / "app.tar"))
    assert buildah_store.holds() == ("", "")
