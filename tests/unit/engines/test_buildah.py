"""The engine buildah: exact commands, its own store, and what it says when it cannot."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from scripted import ScriptedRunner

from crossdock.engines.buildah import Buildah, BuildahFacts, ask_buildah, build_commands, choose_isolation
from crossdock.engines.buildah_store import PrivateStore, StoreFacts, file_system_of, limits, mounts_below
from crossdock.engines.layouts import one_image
from crossdock.engines.model import BuildRequest, SmokeVerdict
from crossdock.errors import EngineError, InputError, UsageError
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_MANIFEST
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS
from crossdock.process import Command, LineHandler

STORE = StoreFacts("overlay", "/var/lib/containers/storage", "")
FACTS = BuildahFacts((1, 28, 2), STORE, "chroot", AMD64)
WORK = Path("/work-folder")
REQUEST = BuildRequest(Path("/context"), b"FROM scratch\n", b"", DEFAULT_TARGETS)
INFO = json.dumps({"store": {"GraphDriverName": "overlay", "GraphRoot": "/g", "GraphOptions": None}})
WORKS = {"buildah from --quiet scratch": (0, "working-container", ""), "buildah rm": (0, "", "")}


def test_each_platform_is_built_and_pushed_into_one_layout() -> None:
    commands = build_commands(FACTS, REQUEST, WORK, {})
    assert [command.argv for command in commands[:2]] == [
        (
            "buildah",
            "build",
            "--platform=linux/amd64",
            "--format=docker",
            "--layers",
            "--identity-label=false",
            "--isolation=chroot",
            "--file=/work-folder/Dockerfile.linux-amd64",
            "--ignorefile=/work-folder/Dockerfile.dockerignore",
            "--build-context=crossdock-heredocs=/work-folder/heredocs.linux-amd64",
            "--tag=localhost/crossdock-build:linux-amd64",
            "/context",
        ),
        (
            "buildah",
            "push",
            "--quiet",
            "--format=oci",
            "localhost/crossdock-build:linux-amd64",
            "oci:/work-folder/layout:linux-amd64",
        ),
    ]
    assert len(commands) == 4
    assert {tuple(command.env.items()) for command in commands} == {
        (
            ("CONTAINERS_STORAGE_CONF", "/work-folder/storage/storage.conf"),
            ("CONTAINERS_CONF_OVERRIDE", "/work-folder/storage/containers.conf"),
            ("TMPDIR", "/work-folder/storage/tmp"),
        )
    }


def test_every_flag_is_said_as_buildah_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("the secret\n")
    request = replace(
        REQUEST,
        platforms=(ARM64,),
        build_args=("A=1", "B", "UNSET"),
        target="final",
        secrets=("id=x,src=token", "id=y,env=B"),
        ssh=("default",),
        labels=("k=v",),
        no_cache=True,
        pull=True,
        network="host",
        cache_from=("type=registry,ref=r/c", "r/d"),
        cache_to=("type=registry,ref=r/c,mode=max",),
        build_contexts=("one=folder", "two=docker-image://i", "three=https://e/x.tar", "four=oci-layout://l:v1"),
    )
    (command, _) = build_commands(replace(FACTS, isolation=None), request, WORK, {"B": "from outside"})
    assert command.argv[8:-3] == (
        "--target=final",
        "--build-arg=A=1",
        "--build-arg=B=from outside",
        f"--secret=id=x,src={tmp_path / 'token'}",
        "--secret=id=y,env=B",
        "--ssh=default",
        "--label=k=v",
        "--no-cache",
        "--pull-always",
        "--network=host",
        "--cache-from=r/c",
        "--cache-from=r/d",
        "--cache-to=r/c",
        f"--build-context=one={tmp_path / 'folder'}",
        "--build-context=two=docker-image://i",
        "--build-context=three=https://e/x.tar",
        "--build-context=four=container-image://oci:contexts/3:base",
    )
    assert command.secrets == ("from outside", "the secret")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"network": "none"}, "network"),
        ({"cache_from": ("type=gha",)}, "no cache of the kind --cache-from"),
        ({"cache_to": ("type=inline",)}, "no cache of the kind --cache-to"),
        ({"cache_to": ("type=registry",)}, "no cache of the kind"),
    ],
)
def test_what_buildah_cannot_do_is_said_before_the_build(fields: dict[str, object], match: str) -> None:
    with pytest.raises(EngineError, match=match) as caught:
        build_commands(FACTS, replace(REQUEST, **fields), WORK, {})  # type: ignore[arg-type]
    assert "buildx" in (caught.value.hint or "")


@pytest.mark.parametrize("fields", [{"network": "bridge"}, {"build_contexts": ("x",)}, {"build_contexts": ("=y",)}])
def test_what_has_no_meaning_is_a_usage_error(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build_commands(FACTS, replace(REQUEST, **fields), WORK, {})  # type: ignore[arg-type]


def test_a_layout_is_handed_over_as_one_tagged_image(tmp_path: Path) -> None:
    """By tag, by digest, or as the only one; buildah itself finds images by tag only."""
    source = tmp_path / "source"
    writer = LayoutWriter(source)
    roots = [writer.add_document(f'{{"number": {number}}}'.encode(), OCI_MANIFEST) for number in (1, 2)]
    entries = [
        {"mediaType": root.media_type, "digest": root.digest, "size": root.size,
         "annotations": {"org.opencontainers.image.ref.name": f"v{number}"}}
        for number, root in enumerate(roots)
    ]  # fmt: skip
    (source / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    (source / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for number, name in enumerate((roots[1].digest, "v1")):
        one_image(source, name, tmp_path / str(number), "base")
        assert LayoutImage(tmp_path / str(number), "base").root().digest == roots[1].digest
    with pytest.raises(InputError, match="several images"):
        one_image(source, None, tmp_path / "none", "base")
    with pytest.raises(InputError, match="there is no image"):
        one_image(source, f"sha256:{'0' * 64}", tmp_path / "none", "base")


@pytest.mark.parametrize(
    ("environment", "root", "container", "systemd", "isolation"),
    [
        ({}, True, False, True, None),
        ({}, True, False, False, "chroot"),
        ({}, True, True, True, "chroot"),
        ({}, False, False, False, None),
        ({}, False, True, False, "chroot"),
        ({"BUILDAH_ISOLATION": "oci"}, True, True, False, "oci"),
    ],
)
def test_isolation(
    environment: dict[str, str], root: bool, container: bool, systemd: bool, isolation: str | None
) -> None:
    assert choose_isolation(environment, root=root, container=container, systemd=systemd) == isolation


def test_facts_are_read_from_buildah() -> None:
    version = (0, "buildah version 1.39.3 (image-spec 1.1.0)\n", "")
    answers = {"buildah --version": version, "buildah info": (0, INFO, ""), **WORKS}
    facts = ask_buildah(ScriptedRunner(("buildah",), answers))
    assert (facts.version, facts.store) == ((1, 39, 3), StoreFacts("overlay", "/g", ""))


@pytest.mark.parametrize(
    ("installed", "answers", "match", "hint"),
    [
        (("dnf",), {}, "not installed", "sudo dnf install buildah"),
        ((), {}, "not installed", "package buildah"),
        (("buildah",), {"buildah --version": (0, "buildah version 1.19.6 (x)", "")}, r"1\.19\.6 is too old", r"1.27"),
        (("buildah",), {"buildah --version": (0, "?", "")}, "did not say its version", "buildah"),
        (
            ("buildah",),
            {"buildah --version": (0, "buildah version 1.28.2 (x)", ""), "buildah info": (1, "", "no newuidmap")},
            "cannot open its store",
            "buildah info",
        ),
        (
            ("buildah",),
            {"buildah --version": (0, "buildah version 1.28.2 (x)", ""), "buildah info": (0, "[]", "")},
            "did not describe its store",
            "buildx",
        ),
        (
            ("buildah", "apt-get"),
            {
                "buildah --version": (0, "buildah version 1.39.3 (x)", ""),
                "buildah info": (0, INFO, ""),
                "buildah from": (125, "", 'Error: could not find "netavark" in one of [/usr/lib/podman].'),
            },
            "lacks its helper program netavark",
            "sudo apt-get install netavark",
        ),
        (
            ("buildah",),
            {
                "buildah --version": (0, "buildah version 1.39.3 (x)", ""),
                "buildah info": (0, INFO, ""),
                "buildah from": (125, "", "Error: mount overlay: operation not permitted"),
            },
            "cannot make a container",
            "buildah from scratch",
        ),
    ],
)
def test_a_buildah_that_will_not_do_is_explained(
    installed: tuple[str, ...], answers: dict[str, tuple[int, str, str]], match: str, hint: str
) -> None:
    with pytest.raises(EngineError, match=match) as caught:
        ask_buildah(ScriptedRunner(installed, answers))
    assert hint in (caught.value.hint or "")


def test_the_store_is_configured_like_the_users_and_reads_its_images() -> None:
    store = PrivateStore(Path("/w/s"), StoreFacts("overlay", "/g", "/usr/bin/fuse-overlayfs"))
    assert store.configuration("ext4", base_images=True) == (
        '[storage]\ndriver = "overlay"\ngraphroot = "/w/s/root"\nrunroot = "/w/s/run"\n'
        '[storage.options]\nadditionalimagestores = ["/g"]\n'
        '[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n'
    )


def test_an_overlay_is_not_laid_on_an_overlay() -> None:
    text = PrivateStore(Path("/w/s"), STORE).configuration("overlay", base_images=True)
    assert 'driver = "vfs"' in text
    assert "additional" not in text


def test_run_is_kept_within_the_limits_of_a_sandbox() -> None:
    assert limits({"nofile": 20000, "nproc": -1}) == '[containers]\ndefault_ulimits = ["nofile=20000:20000"]\n'
    assert limits({"nofile": 1048576, "nproc": 2000000}) == ""


def test_the_mount_program_of_the_users_store_is_read() -> None:
    options = {"overlay.mount_program": {"Executable": "/usr/bin/fuse-overlayfs", "Version": "1"}}
    info = {"store": {"GraphDriverName": "overlay", "GraphRoot": "/g", "GraphOptions": options}}
    assert StoreFacts.parse(json.dumps(info).encode()).mount_program == "/usr/bin/fuse-overlayfs"


MOUNTS = """\
overlay / overlay rw 0 0
/dev/vda /tmp ext4 rw 0 0
overlay /tmp/w/s/root/overlay/1/merged overlay rw 0 0
proc /tmp/w/s/root/overlay/1/merged/proc proc rw 0 0
tmpfs /tmp/w/s2 tmpfs rw 0 0
tmpfs /tmp/with\\040blank tmpfs rw 0 0
"""


def test_the_file_system_of_a_folder() -> None:
    assert file_system_of(Path("/var/x"), MOUNTS) == "overlay"
    assert file_system_of(Path("/tmp/w/s"), MOUNTS) == "ext4"
    assert file_system_of(Path("/tmp/with blank/x"), MOUNTS) == "tmpfs"


def test_mounts_in_a_folder_innermost_first() -> None:
    assert mounts_below(Path("/tmp/w/s"), MOUNTS) == (
        "/tmp/w/s/root/overlay/1/merged/proc",
        "/tmp/w/s/root/overlay/1/merged",
    )


BUSY = "Close_Fd sealing memfd copy: Device or resource busy\n"


@dataclass
class BusyAtFirst(ScriptedRunner):
    """The kernel refuses ``buildah build`` and ``buildah run`` so many times."""

    refusals: int = 1

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        if self.refusals and command.argv[1] in ("build", "run"):
            self.refusals -= 1
            for line in ("STEP 1/1: RUN make", BUSY.strip(), "Error: building at STEP: exit status 1"):
                on_line(line)
            return 1
        return super().stream(command, on_line, timeout=timeout)


@pytest.mark.parametrize(("refusals", "tries", "code"), [(1, 2, 7), (2, 3, 7), (9, 3, 1)])
def test_a_build_is_tried_again_when_buildah_could_not_start_itself(
    tmp_path: Path, refusals: int, tries: int, code: int
) -> None:
    answers = {
        "buildah --version": (0, "buildah version 1.28.2 (x)", ""),
        "buildah info": (0, INFO, ""),
        **WORKS,
        "buildah build": (7, "STEP 1/1: FROM scratch\n", ""),
    }
    runner = BusyAtFirst(("buildah",), answers, refusals=refusals)
    said: list[str] = []
    with pytest.raises(EngineError) as raised:
        Buildah(runner).build(REQUEST, tmp_path, lambda event: said.append(event.text))
    assert ("exit code 7" in str(raised.value)) is (code == 7)
    assert refusals - runner.refusals + (code == 7) == tries
    assert "buildah could not start a copy of itself; trying again" in said


def test_a_smoke_run_is_tried_again_when_buildah_could_not_start_itself(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    config = {"os": "linux", "architecture": "arm64", "config": {"Cmd": ["/run"]}, "rootfs": {"type": "layers"}}
    added = writer.add_document(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    named = {"mediaType": added.media_type, "digest": added.digest, "size": added.size}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named, "layers": []}
    writer.finish(writer.add_document(json.dumps(manifest).encode(), OCI_MANIFEST))
    answers = {
        "buildah --version": (0, "buildah version 1.28.2 (x)", ""),
        "buildah info": (0, INFO, ""),
        **WORKS,
        "buildah from": (0, "", ""),
        "buildah run": (0, "hello\n", ""),
    }
    result = Buildah(BusyAtFirst(("buildah",), answers)).smoke(tmp_path / "layout", ARM64, ("/run",), 10)
    assert (result.verdict, result.output) == (SmokeVerdict.RAN, ("hello",))


def test_a_buildah_that_dies_leaves_no_files(tmp_path: Path) -> None:
    answers = {
        "buildah --version": (0, "buildah version 1.28.2 (x)", ""),
        "buildah info": (0, INFO, ""),
        **WORKS,
        "buildah build": (-9, "STEP 1/1: FROM scratch\n", ""),
    }
    with pytest.raises(EngineError, match="exit code -9 on linux/amd64"):
        Buildah(ScriptedRunner(("buildah",), answers)).build(REQUEST, tmp_path, lambda event: None)
    assert list(tmp_path.iterdir()) == []
