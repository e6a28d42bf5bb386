"""push, pull and index create: what they refuse before anything moves, and what they say then."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from crossdock.cli.main import main
from crossdock.cli.outputs import Destination, Output, parse_pull_output
from crossdock.cli.publishing import check_outputs
from crossdock.cli.sending import together
from crossdock.errors import ExitCode, InputError, UsageError
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import ATTESTATION_SUBJECT, ATTESTATION_TYPE, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from crossdock.platforms import AMD64, ARM64, Platform

Capture = pytest.CaptureFixture[str]
NAME = "registry.invalid/team/app:1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it, and no configuration of this machine."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def layout(folder: Path, *platforms: Platform, stale: bool = False) -> LayoutImage:
    """An image without layers; ``stale`` adds an attestation about a manifest that is not there."""
    writer = LayoutWriter(folder)
    entries = []
    for platform in platforms:
        config = writer.add_document(to_json({"architecture": platform.architecture, "os": platform.os}), OCI_CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor_json(config), "layers": []}
        entries.append(descriptor_json(writer.add_document(to_json(manifest), OCI_MANIFEST, platform)))
    if stale:
        annotations = {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_SUBJECT: f"sha256:{'0' * 64}"}
        entries.append({**entries[0], "annotations": annotations, "digest": f"sha256:{'1' * 64}"})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    writer.finish(writer.add_document(to_json(index), OCI_INDEX))
    return LayoutImage(folder)


def refused(capsys: Capture, *arguments: str, code: ExitCode = ExitCode.USAGE) -> str:
    """What is said; it has a hint, and nothing comes on standard output."""
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("crossdock: ")
    assert len(err.splitlines()) >= 2, f"no hint: {err}"
    return err


# ---------------------------------------------------------------- what goes in


@pytest.mark.parametrize(
    "verb", [["push"], ["push", "app.tar"], ["pull"], ["index"], ["index", "create"], ["index", "create", NAME]]
)
def test_something_is_missing(folder: Path, capsys: Capture, verb: list[str]) -> None:
    assert "Missing" in refused(capsys, *verb)


@pytest.mark.parametrize("source", ["app.tar", "./app", "oci:app", "docker-archive:app.tar"])
def test_a_file_that_is_not_there(folder: Path, capsys: Capture, source: str) -> None:
    assert "no such file" in refused(capsys, "push", source, NAME, code=ExitCode.CANNOT)
    assert "no such file" in refused(capsys, "index", "create", NAME, "--from", source, code=ExitCode.CANNOT)


def test_what_is_no_image(folder: Path, capsys: Capture) -> None:
    (folder / "empty").write_bytes(b"")
    (folder / "notes.tar").write_text("hello")
    for name in ("empty", "notes.tar"):
        assert f"{name}: " in refused(capsys, "push", name, NAME, code=ExitCode.CANNOT)


@pytest.mark.parametrize(
    "name", ["registry.invalid/UPPER:1", "https://registry.invalid/app:1", "app:", "host:port/app", "a@b", ""]
)
def test_a_reference_that_is_none(folder: Path, capsys: Capture, name: str) -> None:
    layout(folder / "app", AMD64)
    assert "not an image reference" in refused(capsys, "push", "app", name)
    assert "not an image reference" in refused(capsys, "index", "create", name, "--from", "app")
    assert "not an image reference" in refused(capsys, "pull", name)


def test_a_forgotten_reference_is_not_docker_hub(folder: Path, capsys: Capture) -> None:
    """``push a.tar b.tar`` must not push a.tar to docker.io/library/b.tar."""
    layout(folder / "app", AMD64)
    (folder / "image").write_bytes(b"")
    for last in ("app", "image", "other.tar"):
        assert "is a file, not the name to push to" in refused(capsys, "push", "app", last)


@pytest.mark.parametrize("tag", ["registry.invalid/team/app:2", "a b", "", "-x", "v" * 129])
def test_a_tag_that_is_none(folder: Path, capsys: Capture, tag: str) -> None:
    layout(folder / "app", AMD64)
    assert "is not a tag" in refused(capsys, "push", "app", NAME, f"--tag={tag}")
    assert "is not a tag" in refused(capsys, "index", "create", NAME, "--from", "app", f"--tag={tag}")


def test_a_platform_that_is_not_there(folder: Path, capsys: Capture) -> None:
    layout(folder / "amd64", AMD64)
    layout(folder / "arm64", ARM64)
    said = refused(capsys, "push", "amd64", "arm64", NAME, "--platform", "linux/s390x", code=ExitCode.CANNOT)
    assert "amd64 + arm64: there is no linux/s390x in it" in said
    assert "It has: linux/amd64, linux/arm64" in said


def test_two_images_of_one_platform(folder: Path, capsys: Capture) -> None:
    layout(folder / "one", AMD64)
    layout(folder / "two", AMD64, ARM64)
    said = refused(capsys, "index", "create", NAME, "--from", "one", "--from", "two", code=ExitCode.CANNOT)
    assert "two: linux/amd64 is in one as well" in said


def test_what_is_wanted_of_several_images(folder: Path) -> None:
    one, two = layout(folder / "one", AMD64), layout(folder / "two", AMD64, ARM64)
    assert together([two], []) is two
    assert together([two], [ARM64, AMD64]) is two, "taken whole, it keeps its digest"
    assert [entry.platform for entry in together([two], [ARM64]).index().images] == [ARM64]
    assert [entry.platform for entry in together([one, two], [ARM64]).index().images] == [ARM64]
    with pytest.raises(InputError):
        together([one, two], [])


def test_what_cannot_come_along_is_told(folder: Path, capsys: Capture) -> None:
    image = layout(folder / "app", AMD64, stale=True)
    together([image, layout(folder / "arm64", ARM64)], [])
    said = capsys.readouterr().err
    assert f"the attestation, whose image is not in it, is left out: sha256:{'1' * 64}" in said


# ---------------------------------------------------------------- logins


def login(*verb: str) -> list[list[str]]:
    return [[*verb, "--username", "ci"], [*verb, "--password-stdin"]]


@pytest.mark.parametrize(
    "arguments", [*login("push", "app", NAME), *login("pull", NAME), *login("index", "create", NAME, "--from", "app")]
)
def test_half_a_login(folder: Path, capsys: Capture, arguments: list[str]) -> None:
    layout(folder / "app", AMD64)
    assert "belong together" in refused(capsys, *arguments)


def test_a_login_without_a_password(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    layout(folder / "app", AMD64)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "no password" in refused(capsys, "push", "app", NAME, "--username", "ci", "--password-stdin")


# ---------------------------------------------------------------- where a pull goes


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("oci-archive", Output(Destination.ARCHIVE, Path("app-1.tar"))),
        ("oci-archive:", Output(Destination.ARCHIVE, Path("app-1.tar"))),
        ("oci-archive:out/x.tar", Output(Destination.ARCHIVE, Path("out/x.tar"))),
        ("x.tar", Output(Destination.ARCHIVE, Path("x.tar"))),
        ("./x", Output(Destination.ARCHIVE, Path("x"))),
        ("oci:out", Output(Destination.LAYOUT, Path("out"))),
        ("out/", Output(Destination.LAYOUT, Path("out"))),
        ("type=oci,dest=x.tar", Output(Destination.ARCHIVE, Path("x.tar"))),
        ("type=oci,dest=out,tar=false", Output(Destination.LAYOUT, Path("out"))),
        ("type=oci,dest=x.tar,name=team/app:2", Output(Destination.ARCHIVE, Path("x.tar"), ("team/app:2",))),
    ],
)
def test_outputs_of_a_pull(text: str, output: Output) -> None:
    assert parse_pull_output(text, "app-1.tar") == output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "oci",
        "oci:",
        "oci-archive:x.tar:1",
        "oci:out:1",
        "dir:out",
        "docker",
        "docker://host/app",
        "docker-archive:x.tar",
        "docker-daemon:app:1",
        "containers-storage:app",
        "type=oci",
        "type=docker",
        "type=registry",
        "type=local,dest=out",
        "type=cacheonly",
    ],
)
def test_places_where_a_pull_cannot_go(folder: Path, capsys: Capture, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pull_output(text, "app-1.tar")
    assert "-o" in str(caught.value)
    assert caught.value.hint
    assert refused(capsys, "pull", NAME, "-o", text)
    assert list(folder.iterdir()) == []


def test_places_are_looked_at_before_anything_is_fetched(folder: Path, capsys: Capture) -> None:
    (folder / "there").mkdir()
    assert "exists already" in refused(capsys, "pull", NAME, "-o", "oci:there")
    assert "is a folder" in refused(capsys, "pull", NAME, "-o", "there")
    assert "no regular file" in refused(capsys, "pull", NAME, "-o", "/dev/null")
    assert "not an image reference" in refused(capsys, "pull", NAME, "-o", "type=oci,dest=x.tar,name=NO NAME")
    assert "cannot write there" in refused(capsys, "pull", NAME, "-o", "no/x.tar", code=ExitCode.CANNOT)
    check_outputs([Output(Destination.ARCHIVE, folder / "new.tar")], [])


# ---------------------------------------------------------------- nothing answers


@pytest.mark.parametrize(
    "arguments", [["push", "app"], ["pull"], ["index", "create", "--from", "app"]], ids=lambda found: found[0]
)
def test_a_registry_that_is_not_there(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    from crossdock.http.model import Patience

    monkeypatch.setattr("crossdock.http.client.Patience", lambda: Patience(attempts=1, connect=1))
    layout(folder / "app", AMD64)
    said = refused(capsys, *arguments, "localhost:1/team/app:1", "--format", "json", code=ExitCode.CANNOT)
    assert "localhost:1/team/app:1: localhost:1: the connection was refused" in said
    assert sorted(path.name for path in folder.iterdir()) == ["app"]


def test_each_verb_has_a_schema_of_its_own() -> None:
    for verb in ("push", "pull", "index"):
        schema = json.loads((Path(__file__).parents[3] / f"docs/schemas/{verb}.json").read_text())
        assert schema["$defs"]["SentReport"]["properties"]["schema"]["enum"] == [f"crossdock.{verb}/v1"]
