"""The formats of package indexes and manifests: what they say, and that nothing makes reading them fail."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from crossdock.packages.commands import npm_name, requirement
from crossdock.packages.indexes.alpine import read_apkindex, reduce_apkindex
from crossdock.packages.indexes.apt import reduce_packages
from crossdock.packages.indexes.control import read_packages
from crossdock.packages.indexes.npm import reduce_metadata
from crossdock.packages.indexes.pypi import read_wheel, reduce_simple, sdist_version
from crossdock.packages.indexes.rubygems import read_info
from crossdock.packages.manifests import (
    read_gemfile_lock,
    read_package_json,
    read_package_lock,
    read_pom,
    read_requirements,
)
from crossdock.packages.model import System
from crossdock.packages.versions import fits, is_prerelease, key

NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{0,12}", fullmatch=True)
NUMBERS = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
GARBAGE = st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))

# --- Debian ----------------------------------------------------------------------------------------------------------

PACKAGES = b"""Package: curl
Architecture: arm64
Version: 7.88.1-10
Depends: libc6, libcurl4 (= 7.88.1-10)
Provides: fetcher, ftp-client (= 1.0), helper:any
Description: command line tool
 Package: not-a-package

Package: curl
Version: 7.88.1-10+deb12u5
Architecture: arm64
"""


def test_a_packages_file() -> None:
    index = read_packages(PACKAGES)
    assert index.versions == {"curl": {"7.88.1-10", "7.88.1-10+deb12u5"}}
    assert index.provided == {"fetcher", "ftp-client", "helper"}
    assert index.has("fetcher")
    assert not index.has("not-a-package")


@given(st.dictionaries(NAMES, st.sets(NUMBERS, min_size=1, max_size=3), max_size=8), st.sets(NAMES, max_size=4))
def test_what_is_reduced_says_the_same(versions: dict[str, set[str]], provided: set[str]) -> None:
    text = "\n".join(
        f"Package: {name}\nVersion: {version}\nArchitecture: arm64\n"
        for name, all_ in versions.items()
        for version in all_
    )
    text += f"\nPackage: last\nVersion: 1\nProvides: {', '.join(sorted(provided))}\n"
    whole = read_packages(text.encode())
    reduced = read_packages(reduce_packages(bytes)(text.encode()))
    assert reduced == whole
    assert whole.versions.keys() == versions.keys() | {"last"}
    assert whole.provided == provided


@given(GARBAGE)
def test_no_packages_file_makes_it_fail(data: bytes) -> None:
    read_packages(data)


def test_what_is_no_packages_file_is_told() -> None:
    with pytest.raises(ValueError, match="no Packages file"):
        reduce_packages(gzip.decompress)(b"<html>")


# --- Alpine ----------------------------------------------------------------------------------------------------------


def apkindex(text: bytes) -> bytes:
    """As Alpine makes it: a signature and the index, each a gzip member of its own, and no end of a tar between."""
    out = b""
    for name, content in ((".SIGN.RSA.key", b"signature"), ("APKINDEX", text)):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        blocks = 512 + (len(content) + 511) // 512 * 512
        out += gzip.compress(file.getvalue()[:blocks] if name != "APKINDEX" else file.getvalue())
    return out


def test_an_apkindex() -> None:
    text = (
        b"C:Q1=\nP:musl\nV:1.2.4-r2\nA:aarch64\np:so:libc.musl-aarch64.so.1=1 libc\n\nP:bash\nV:5.2-r0\nT:a P:shell\n"
    )
    index = read_apkindex(reduce_apkindex(apkindex(text)))
    assert index.versions == {"musl": {"1.2.4-r2"}, "bash": {"5.2-r0"}}
    assert index.has("libc")
    assert index.has("so:libc.musl-aarch64.so.1")


@given(GARBAGE)
def test_what_is_no_apkindex_is_told(data: bytes) -> None:
    read_apkindex(data)
    with pytest.raises(ValueError, match=r"APKINDEX\.tar\.gz"):
        reduce_apkindex(data)


# --- PyPI ------------------------------------------------------------------------------------------------------------

TAGS = st.tuples(
    st.sampled_from(["cp38", "cp311", "py3", "py2.py3", "cp39.cp310"]),
    st.sampled_from(["cp38", "cp311", "abi3", "none"]),
    st.sampled_from(["any", "manylinux2014_aarch64", "manylinux_2_17_x86_64.manylinux2014_x86_64", "win_amd64"]),
)


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,4}(_[a-z0-9]{1,4})?", fullmatch=True),
    NUMBERS,
    TAGS,
    st.sampled_from(["", "-1", "-2local"]),
)
def test_wheels_have_the_tags_that_packaging_reads(
    name: str, version: str, tags: tuple[str, str, str], build: str
) -> None:
    filename = f"{name}-{version}{build}-{'-'.join(tags)}.whl"
    wheel = read_wheel(filename)
    assert wheel
    _, read_version, _, expected = parse_wheel_filename(filename)
    assert Version(wheel.version) == read_version
    made = {Tag(p, a, f) for p in wheel.pythons for a in wheel.abis for f in wheel.platforms}
    assert made == set(expected)


@pytest.mark.parametrize(
    ("wheel", "system", "runs"),
    [
        ("x-1-py3-none-any.whl", System(), True),
        ("x-1-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", System(), True),
        ("x-1-cp311-cp311-manylinux2014_x86_64.whl", System(), False),
        ("x-1-cp311-cp311-manylinux2014_aarch64.whl", System("debian", python="3.11"), True),
        ("x-1-cp311-cp311-manylinux2014_aarch64.whl", System("debian", python="3.8"), False),
        ("x-1-cp37-abi3-manylinux2014_aarch64.whl", System("debian", python="3.12"), True),
        ("x-1-cp312-abi3-manylinux2014_aarch64.whl", System("debian", python="3.11"), False),
        ("x-1-cp311-cp311-manylinux2014_aarch64.whl", System("alpine", python="3.11"), False),
        ("x-1-cp311-cp311-musllinux_1_1_aarch64.whl", System("alpine", python="3.11"), True),
        ("x-1-cp311-cp311-musllinux_1_1_aarch64.whl", System("debian"), False),
        ("x-1-py2-none-any.whl", System("debian", python="3.11"), False),
        ("x-1-cp311-cp311-macosx_11_0_arm64.whl", System(), False),
        ("x-1-cp311-cp311-win_arm64.whl", System(), False),
    ],
)
def test_where_a_wheel_runs(wheel: str, system: System, runs: bool) -> None:
    read = read_wheel(wheel)
    assert read
    assert read.runs_on("aarch64", system) is runs


def test_source_archives() -> None:
    assert sdist_version("ruamel.yaml-0.17.1.tar.gz", "ruamel-yaml") == "0.17.1"
    assert sdist_version("scikit-learn-1.0.zip", "scikit_learn") == "1.0"
    assert sdist_version("x-1.0.tar.gz", "y") is None
    assert sdist_version("x-1.0-py3-none-any.whl", "x") is None


def test_both_forms_of_the_simple_api() -> None:
    page = {"files": [{"filename": "x-1.tar.gz"}, {"filename": "x-2.tar.gz", "yanked": "broken"}]}
    assert reduce_simple(json.dumps(page).encode()) == b"x-1.tar.gz"
    html = (
        b'<!DOCTYPE html><html><a href="../files/x-1%2Blocal-py3-none-any.whl#sha256=00">x</a>'
        b"<a data-yanked='' href='x-2.tar.gz'>y</a><A HREF=\"https://e.com/x-3.tar.gz?a&amp;b\">z</A></html>"
    )
    assert reduce_simple(html) == b"x-1+local-py3-none-any.whl\nx-3.tar.gz"


@pytest.mark.parametrize("data", [b"{}", b"[]", b"not found", b'{"files": 3}'])
def test_what_is_no_simple_page_is_told(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        reduce_simple(data)


# --- versions --------------------------------------------------------------------------------------------------------


@given(NUMBERS, st.lists(st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NUMBERS), max_size=3))
def test_constraints_hold_as_packaging_says(version: str, clauses: list[tuple[str, str]]) -> None:
    constraint = ",".join(map("".join, clauses))
    assert fits(version, constraint) is SpecifierSet(constraint).contains(version)


@given(NUMBERS, st.lists(st.integers(0, 9), min_size=2, max_size=4))
def test_compatible_releases_are_those_of_packaging(version: str, numbers: list[int]) -> None:
    text = ".".join(map(str, numbers))
    assert fits(version, f"~={text}") is SpecifierSet(f"~={text}").contains(version)


@given(NUMBERS, NUMBERS)
def test_the_order_is_that_of_packaging(one: str, other: str) -> None:
    assert (key(one) < key(other)) is (Version(one) < Version(other))


@pytest.mark.parametrize(
    ("version", "constraint", "expected"),
    [
        ("1.9.0", "^1.2.3", True), ("2.0.0", "^1.2.3", False), ("0.2.9", "^0.2.3", True),
        ("0.3.0", "^0.2.3", False),
        ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False), ("1.9", "1.x", True), ("2.0", "1.x", False),
        ("3.1", ">=1 <2 || >=3", True), ("2.5", ">=1 <2 || >=3", False),
        ("1.5", "~> 1.2", True),
        ("2.0", "~> 1.2", False),
        ("1.2.3", "*", True), ("1.2.3", "", True), ("1.2.3", "latest", False), ("v1.2.3", "=1.2.3", True),
        ("1.0", "==1.0.*", True), ("1.0", "!=1.0.*", False), ("2.0.0rc1", "==2.0.0", False),
        ("1.0.post1", ">=1.0", True),
    ],
)  # fmt: skip
def test_constraints_of_other_ecosystems(version: str, constraint: str, expected: bool) -> None:
    assert fits(version, constraint) is expected


def test_prereleases() -> None:
    told = [is_prerelease(v) for v in ("1.0", "1.0rc1", "2.0.0-beta.1", "1.0.dev3", "1.0+cpu", "1.0.post1", "3.11.abc")]
    assert told == [False, True, True, True, False, False, False]


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_version_makes_it_fail(version: str, constraint: str) -> None:
    key(version)
    fits(version, constraint)


# --- manifests -------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True), NUMBERS, st.sampled_from(["", " # why", "\r"])
        ),
        max_size=6,
    )
)
def test_each_requirement_points_at_its_text(lines: list[tuple[str, str, str]]) -> None:
    data = "\n".join(f"  {name}=={version}{end}" for name, version, end in lines).encode()
    found = read_requirements(data).listed
    assert [data[one.span.start : one.span.end].decode() for one in found] == [f"{n}=={v}" for n, v, _ in lines]


@given(GARBAGE)
def test_no_manifest_makes_it_fail(data: bytes) -> None:
    for one in (
        *read_requirements(data).listed,
        *read_package_json(data),
        *read_package_lock(data),
        *read_gemfile_lock(data, frozen=True),
        *read_pom(data),
    ):
        assert 0 <= one.span.start <= one.span.end <= len(data)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
KEYS = "packages dependencies node_modules/x cpu os optionalDependencies version versions dist-tags x".split()
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["", *KEYS]), inner, max_size=4),
)


@given(DOCUMENTS)
def test_no_json_makes_it_fail(document: object) -> None:
    data = json.dumps(document).encode()
    read_package_json(data)
    read_package_lock(data)
    with contextlib.suppress(ValueError):
        reduce_metadata(data)


@given(st.text(max_size=60))
def test_no_word_makes_it_fail(text: str) -> None:
    requirement(text)
    npm_name(text)
    read_info(text.encode("utf-8", "replace"))


def test_the_compact_index_of_rubygems() -> None:
    lines = (
        b"---",
        b"1.15.4 racc:~> 1.4|c:0",
        b"1.15.4-x86_64-linux racc:~> 1.4|c:0",
        b"1.16.0.rc1-aarch64-linux |c:0",
    )
    assert read_info(b"\n".join(lines)) == {"1.15.4": {"ruby", "x86_64-linux"}, "1.16.0.rc1": {"aarch64-linux"}}
