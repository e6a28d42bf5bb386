"""The catalogue of packages without arm64: that it is well formed, and what it says of a request."""

from __future__ import annotations

import re
import tomllib

import pytest

from crossdock.packages.catalogue import _FOLDER, debian_names, entries, known
from crossdock.packages.model import Answer, Ecosystem, PackageRequest, Repository, Status, System
from crossdock.read.values import Origin
from crossdock.source import Span

BOOKWORM = System("debian", "12", "bookworm")
TRIXIE = System("debian", "13", "trixie")
JAMMY = System("ubuntu", "22.04", "jammy")
FIELDS = {
    "ecosystem",
    "names",
    "since",
    "before",
    "distributions",
    "compiles",
    "unless",
    "certain",
    "dispensable",
    "instead",
    "source",
}


def ask(ecosystem: str, name: str, version: str = "", **more: object) -> Answer | None:
    origin = Origin("Dockerfile", Span(0, 1))
    return known(PackageRequest(Ecosystem(ecosystem), name, origin, version, **more))  # type: ignore[arg-type]


def says(answer: Answer | None) -> tuple[Status, bool] | None:
    return (answer.status, answer.certain) if answer else None


def test_every_entry_is_whole() -> None:
    raw = tomllib.loads((_FOLDER / "packages.toml").read_text())["package"]
    assert sum(len(entry["names"]) for entry in raw) >= 80
    for entry in raw:
        assert entry.keys() <= FIELDS, entry
        assert entry["source"], entry
        assert entry["instead"], entry
        assert not entry["instead"].endswith("."), entry
        assert not ("since" in entry and "before" in entry), entry
        assert all(re.fullmatch(r"[a-z0-9@][\w@/:.+*-]*", name) for name in entry["names"]), entry
        assert all("*" not in name[:-1] for name in entry["names"]), entry
        if entry["ecosystem"] == "pip":
            assert all(name == name.lower().replace("_", "-") for name in entry["names"]), entry
    keys = [(e.ecosystem, name) for e in entries() for name in e.names]
    assert len(keys) == len(set(keys)), "a name stands in two entries"


def test_what_the_catalogue_calls_debians_is_debians() -> None:
    """An entry whose source is debian.toml is about packages that it has."""
    everywhere = frozenset().union(*debian_names().releases.values())
    for entry in entries():
        if "debian.toml" in entry.source:
            assert set(entry.names) & everywhere, entry.names


def test_debians_names() -> None:
    names = debian_names()
    assert set(names.releases) == {"bullseye", "bookworm", "trixie"}
    for release, packages in names.releases.items():
        assert 500 < len(packages) < 2000, release
        assert {"i965-va-driver-shaders", "memtest86+", "syslinux", "grub-pc-bin"} <= packages
        assert not {"curl", "isolinux", "libc6", "qemu-system-x86", "crossbuild-essential-amd64"} & packages
    assert "libopenblas-dev" not in names.main


@pytest.mark.parametrize(
    ("system", "name", "expected"),
    [
        (BOOKWORM, "i965-va-driver", (Status.MISSING, True)),
        (BOOKWORM, "curl", None),
        (BOOKWORM, "ltrace", (Status.MISSING, True)),
        (TRIXIE, "ltrace", (Status.AVAILABLE, True)),
        (System("debian"), "ltrace", None),
        (System("debian"), "memtest86+", (Status.MISSING, True)),
        (System("debian", "10", "buster"), "open-vm-tools", None),
        (JAMMY, "i965-va-driver", (Status.MISSING, True)),
        (JAMMY, "ltrace", None),
        (JAMMY, "spades", (Status.MISSING, True)),
        (JAMMY, "stellarium", None),
        (System(), "grub-pc", (Status.MISSING, True)),
        (System(), "curl", None),
    ],
)
def test_apt(system: System, name: str, expected: tuple[Status, bool] | None) -> None:
    assert says(ask("apt", name, system=system)) == expected


def test_a_further_repository_could_have_it() -> None:
    further = (Repository("https://example.com", "stable", ("main",)),)
    assert says(ask("apt", "cpuid", system=BOOKWORM, repositories=further)) == (Status.MISSING, False)
    assert says(ask("apt", "cpuid", system=BOOKWORM, opaque=True)) == (Status.MISSING, False)


def test_only_in_the_distributions_that_an_entry_names() -> None:
    assert says(ask("apt", "dotnet-sdk-8.0", system=BOOKWORM)) == (Status.MISSING, True)
    assert ask("apt", "dotnet-sdk-8.0", system=JAMMY) is None
    assert ask("apt", "dotnet-sdk-10.0", system=BOOKWORM) is None


@pytest.mark.parametrize(
    ("ecosystem", "name", "version", "expected"),
    [
        ("pip", "tensorflow", "==2.3.0", (Status.MISSING, True)),
        ("pip", "tensorflow", "==2.10.0", None),
        ("pip", "tensorflow", "", None),
        ("pip", "tensorflow", ">=2.3", None),
        ("pip", "MKL", "", (Status.MISSING, True)),
        ("pip", "mkl_service", "", (Status.MISSING, True)),
        ("pip", "psycopg2-binary", "==2.8.6", (Status.SOURCE, True)),
        ("npm", "phantomjs-prebuilt", "^2.1.16", (Status.MISSING, True)),
        ("npm", "puppeteer", "19.0.0", (Status.MISSING, True)),
        ("npm", "puppeteer", "", None),
        ("npm", "MKL", "", None),
        ("RubyGems", "wkhtmltopdf-binary", "=0.12.6.5", (Status.MISSING, True)),
        ("Maven", "com.google.protobuf:protoc", "3.4.0", (Status.MISSING, True)),
    ],
)
def test_other_ecosystems(ecosystem: str, name: str, version: str, expected: tuple[Status, bool] | None) -> None:
    assert says(ask(ecosystem, name, version)) == expected


def test_the_nearest_version_and_what_to_do_instead_are_told() -> None:
    answer = ask("pip", "tensorflow", "==2.3.0")
    assert answer
    assert answer.nearest == "2.10.0"
    assert "2.10.0" in answer.detail
    assert answer.instead


def test_a_variable_can_say_that_nothing_is_fetched() -> None:
    assert ask("npm", "puppeteer", "19.0.0", environment=frozenset({"PUPPETEER_SKIP_DOWNLOAD"})) is None
    assert ask("npm", "puppeteer", "19.0.0", environment=frozenset({"PATH"})) is not None


def test_the_lock_files_own_word_comes_first() -> None:
    own = Answer(Status.MISSING, "the lock file says so")
    assert ask("npm", "anything", stated=own) is own
