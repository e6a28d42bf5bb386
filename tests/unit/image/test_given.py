"""What a build is given in place of an image is looked up where it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from samples import write_image, write_index

from crossdock.image.availability import ImagePlatforms, PlatformImage
from crossdock.image.given import with_given
from crossdock.platforms import AMD64, ARM64


def looked_up(asked: Sequence[str]) -> Mapping[str, ImagePlatforms]:
    """A registry where everything is for amd64 alone."""
    return {text: ImagePlatforms(text, "sha256:0", (PlatformImage(AMD64, "sha256:1"),)) for text in asked}


def platforms(text: str, *contexts: str) -> list[str]:
    look = with_given(contexts, looked_up)
    assert look is not None
    found = look([text, "other:1"])
    assert list(found) == [text, "other:1"]
    assert found[text].asked == text
    assert [str(have.platform) for have in found["other:1"].platforms] == ["linux/amd64"]
    return [str(have.platform) for have in found[text].platforms]


def test_a_layout(tmp_path: Path) -> None:
    write_index(tmp_path)
    write_image(tmp_path / "one", ARM64)
    both = f"base=oci-layout://{tmp_path}/both"
    assert platforms("base", both) == ["linux/amd64", "linux/arm64"]
    assert platforms("docker.io/library/base:latest", both) == ["linux/amd64", "linux/arm64"]
    assert platforms("base:2", both) == ["linux/amd64"]
    assert platforms("debian:12", f"debian:12=oci-layout://{tmp_path}/one") == ["linux/arm64"]


def test_another_image() -> None:
    asked: list[str] = []

    def look_up(references: Sequence[str]) -> Mapping[str, ImagePlatforms]:
        asked.extend(references)
        return looked_up(references)

    look = with_given(("debian:12=docker-image://mirror.example/debian:12", "src=/srv/src"), look_up)
    assert look is not None
    assert list(look(["debian:12", "src"])) == ["debian:12", "src"]
    assert asked == ["mirror.example/debian:12", "src"]


def test_what_is_no_layout_is_an_image_that_is_not_known(tmp_path: Path) -> None:
    look = with_given((f"base=oci-layout://{tmp_path}",), looked_up)
    assert look is not None
    (found,) = look(["base"]).values()
    assert found.error is not None
    assert found.lacks([ARM64]) == ()


def test_nothing_given_nothing_changed() -> None:
    assert with_given((), looked_up) is looked_up
    assert with_given(("base=oci-layout:///x",), None) is None
