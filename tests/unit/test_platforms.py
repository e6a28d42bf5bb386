"""Platforms as containerd normalises them."""

import pytest

from crossdock.errors import UsageError
from crossdock.platforms import AMD64, ARM64, Platform, normalise, parse_platform, parse_platforms


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("LINUX/ARM/V6", "linux/arm/v6"),
        ("i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
    ],
)
def test_names_of_one_platform_are_equal(text: str, shown: str) -> None:
    assert str(parse_platform(text)) == shown


@pytest.mark.parametrize("text", ["", "linux/", "linux/arm64/v8/x", "linux", "linux/arm65", "plan9/amd64", "/"])
def test_what_is_no_platform_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_platform(text)


def test_a_list_keeps_its_order_and_drops_duplicates() -> None:
    assert parse_platforms("linux/arm64, amd64,linux/arm64/v8") == (ARM64, AMD64)


@pytest.mark.parametrize(
    ("image", "wanted", "does"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v3", True),
        ("linux/amd64/v3", "linux/amd64", False),
        ("linux/arm64", "linux/arm64/v9", True),
        ("darwin/arm64", "linux/arm64", False),
    ],
)
def test_variants_are_levels(image: str, wanted: str, does: bool) -> None:
    assert parse_platform(image).satisfies(parse_platform(wanted)) is does


def test_attestations_keep_their_unknown_platform() -> None:
    assert normalise("unknown", "unknown") == Platform("unknown", "unknown")
