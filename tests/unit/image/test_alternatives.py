"""What could be used instead of an image without arm64: tags in the order a person would try them, and successors."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.image.alternatives import (
    Entry,
    architecture_tags,
    catalogue,
    compatible_tags,
    debian_package,
    is_older,
    known_without_arm64,
    successors,
)
from crossdock.image.reference import parse_reference
from crossdock.image.tags import Architecture, Kind, matching_tags, newest_first, read_tag, version_key

POSTGRES = (
    "latest 18beta1 18beta1-alpine 17 17.2 17.1 17.0 17-alpine 17.2-alpine 17.2-alpine3.20 17.1-alpine3.20 17-bookworm"
    " 17.2-bookworm 16 16.6 16.5 16-alpine 16.6-alpine3.20 16.5-alpine3.19 16-bullseye 16.6-bullseye 9.6 9.6.24 9.6.2"
    " 9.6.1 9.6-alpine 9.6.24-alpine 9.5 9.5.25 alpine alpine3.20 bookworm bullseye"
).split()
PYTHON = (
    "latest slim alpine bookworm slim-bookworm 3 3.13 3.13.1 3.13.0 3.13.0rc2 3.13-rc 3.14.0a2 3.14-rc-slim 3.12 3.12.8"
    " 3.12.8-slim-bookworm 3.12-slim-bookworm 3.12-slim-bullseye 3.11-slim-bullseye 3.11-slim-bookworm 3.11-slim"
    " 3.11.11-slim-bullseye 3.9-slim-bullseye 3.9-slim-buster 3.6-slim-stretch 2.7 2.7.18 2.7-slim-stretch 2.7-windows"
    " 3.13-windowsservercore-ltsc2022 3.13.1-windowsservercore-1809"
).split()
NODE = (
    "latest lts lts-alpine current 23 23.5 23.5.0 22 22.12 22.12.0 22-alpine 22-alpine3.20 22.12-alpine3.20 20 20.18.1"
    " 20-alpine 18 18.20.5 18-alpine3.20 16 16.20.2 10 10.24.1 10.1.0 10.0.0 8 8.17.0 jod iron-slim 18-bullseye-slim"
    " 22-bookworm-slim 20-bookworm-slim"
).split()
TEMURIN = (
    "latest 8 8-jdk 8-jre 8u432-b06-jdk 8u422-b05-jdk 8u432-b06-jre 11 11-jdk 11.0.25_9-jdk 11.0.24_8-jdk 11.0.25_9-jre"
    " 17 17-jdk 17-jre 17.0.13_11-jdk 17.0.12_7-jdk 17.0.8_7-jdk 17.0.13_11-jre 17-jdk-jammy 17-jdk-focal"
    " 17.0.8_7-jdk-focal 17.0.13_11-jdk-focal 17.0.13_11-jdk-jammy 21-jdk 21-jdk-jammy 21-jdk-noble 21.0.5_11-jdk"
    " 21.0.5_11-jdk-noble 23-jdk 24-ea-jdk"
).split()
CUDA = (
    "latest 12.6.3-base-ubuntu24.04 12.6.3-devel-ubuntu24.04 12.6.3-devel-ubuntu22.04 12.6.3-devel-ubuntu20.04"
    " 12.2.2-devel-ubuntu20.04 12.2.0-devel-ubuntu20.04 12.2.0-devel-ubuntu22.04 12.2.0-runtime-ubuntu20.04"
    " 12.2.0-cudnn8-devel-ubuntu20.04 12.4.1-cudnn-devel-ubuntu22.04 11.8.0-devel-ubuntu20.04 12.6.3-devel-ubi8"
    " 13.0.0-devel-ubuntu24.04"
).split()
MINIO = (
    "latest edge RELEASE.2024-12-18T13-15-44Z RELEASE.2024-12-13T22-19-12Z RELEASE.2023-01-25T00-19-54Z"
    " RELEASE.2023-01-25T00-19-54Z.fips RELEASE.2024-12-18T13-15-44Z.fips RELEASE.2019-10-12T01-39-57Z"
    " RELEASE.2024-12-18T13-15-44Z-cpuv1"
).split()
TRAEFIK = (
    "latest v3 v3.2 v3.2.3 v3.3.0-rc1 v2 v2.11 v2.11.16 v2.11.15 v2.10.7 v2.0 v2.0.0 v2.0.0-alpha1 v2.2.1 v1.7 v1.7.34"
    " v1.7.34-alpine v2.11.16-windowsservercore-1809 v3.2.3-nanoserver-ltsc2022 experimental-v2.0 1.7 1.7.34 montdor"
).split()
GRAFANA = (
    "latest main main-ubuntu 11.4.0 11.4.0-ubuntu 11.3.2 10.4.14 10.4.14-ubuntu 7.5.17 7.5.17-ubuntu 5.4.3 5.4.2 5.3.0"
    " 11.4.0-arm64 6.0.0-beta1 11.5.0-79142 master dev-preview-sha1234567"
).split()


@pytest.mark.parametrize(
    ("asked", "tags", "expected"),
    [
        # the same major version first, newest first, then higher ones; the same precision before another
        ("9.6.1", POSTGRES, "9.6.24 9.6.2 9.6 17.2 17.1 17.0 16.6 16.5 17 16"),
        ("9.6", POSTGRES, "9.6.24 9.6.2 9.6.1 17.2 17.1 17.0 16.6 16.5 17 16"),
        ("16", POSTGRES, "16.6 16.5 17 17.2 17.1 17.0"),
        ("10.1.0", NODE, "10.24.1 10 23.5.0 22.12.0 20.18.1 18.20.5 16.20.2 23.5 22.12 23 22 20 18 16"),
        ("v2.2.1", TRAEFIK, "v2.11.16 v2.11.15 v2.10.7 v2.11 v2 v3.2.3 v3.2 v3"),
        # the variant's words in the same places, equal numbers in it before others
        ("9.6-alpine", POSTGRES, ("9.6.24-alpine 17.2-alpine 17.2-alpine3.20 17.1-alpine3.20 16.6-alpine3.20"
         " 16.5-alpine3.19 17-alpine 16-alpine")),
        ("16.5-alpine3.19", POSTGRES, ("16.6-alpine3.20 16-alpine 17.2-alpine3.20 17.2-alpine 17.1-alpine3.20"
         " 17-alpine")),
        ("3.9-slim-bullseye", PYTHON, ("3.12-slim-bullseye 3.11-slim-bullseye 3.12-slim-bookworm 3.11-slim-bookworm"
         " 3.9-slim-buster 3.11.11-slim-bullseye 3.12.8-slim-bookworm")),
        ("17.0.8_7-jdk-focal", TEMURIN, ("17.0.13_11-jdk-focal 17.0.13_11-jdk-jammy 17-jdk-focal 17-jdk-jammy"
         " 21.0.5_11-jdk-noble 21-jdk-noble 21-jdk-jammy")),
        ("8u422-b05-jdk", TEMURIN, "8u432-b06-jdk"),
        ("11.0.24_8-jdk", TEMURIN, ("11.0.25_9-jdk 11-jdk 21.0.5_11-jdk 17.0.13_11-jdk 17.0.12_7-jdk 17.0.8_7-jdk"
         " 23-jdk 21-jdk 17-jdk")),
        ("12.2.0-devel-ubuntu20.04", CUDA, ("12.6.3-devel-ubuntu20.04 12.2.2-devel-ubuntu20.04 12.6.3-devel-ubuntu24.04"
         " 12.6.3-devel-ubuntu22.04 12.2.0-devel-ubuntu22.04 13.0.0-devel-ubuntu24.04")),
        ("5.4.2", GRAFANA, "5.4.3 11.4.0 11.3.2 10.4.14 7.5.17 11.5.0-79142"),
        ("7.5.17-ubuntu", GRAFANA, "11.4.0-ubuntu 10.4.14-ubuntu"),
        # dates have no major version
        ("RELEASE.2023-01-25T00-19-54Z", MINIO, "RELEASE.2024-12-18T13-15-44Z RELEASE.2024-12-13T22-19-12Z"),
        ("RELEASE.2023-01-25T00-19-54Z.fips", MINIO, "RELEASE.2024-12-18T13-15-44Z.fips"),
        ("20220101", ["20230101", "1.2.3", "20211231", "2023-06-01"], "2023-06-01 20230101"),
        ("2023.12.1", ["2023.12.2", "2024.1.0", "2022.9.9", "20240101"], "2023.12.2 2024.1.0"),
        ("1.2.3", ["20230101", "1.2.4", "900000"], "1.2.4"),
        # without a version: the newest there are of the variant
        ("latest", TRAEFIK, ("v3.2.3 v3.2 v3 v2.11.16 v2.11.15 v2.11 v2.10.7 v2.2.1 v2.0.0 v2.0 v2 v1.7.34"
         " 1.7.34 v1.7 1.7")),
        ("latest", MINIO, ("RELEASE.2024-12-18T13-15-44Z RELEASE.2024-12-13T22-19-12Z RELEASE.2023-01-25T00-19-54Z"
         " RELEASE.2019-10-12T01-39-57Z")),
        ("lts-alpine", NODE, "22-alpine 20-alpine 22.12-alpine3.20 22-alpine3.20 18-alpine3.20"),
        ("bullseye", POSTGRES, "16.6-bullseye 16-bullseye 17.2-bookworm 17-bookworm bookworm"),
        ("8d3f2ab", ["1.0", "1.1", "latest", "9e107d9", "sha-4f2e", "main"], "1.1 1.0 latest"),
        ("main", ["1.0", "latest", "1.1-rc1", "main-0a1b2c3"], "1.0 1.1-rc1 latest"),
        # pre-releases only for a pre-release, and then behind the releases
        ("3.13.0", PYTHON, "3.13.1 3.13 3"),
        ("3.13.0rc2", PYTHON, "3.13.1 3.13.0 3.13 3 3.14.0a2"),
        ("1.0-rc1", ["1.0-rc2", "1.0-beta1", "1.0", "1.1", "1.0-SNAPSHOT"], "1.1 1.0 1.0-rc2"),
        # nothing newer: the older ones
        ("13.0.0-devel-ubuntu24.04", CUDA, ("12.6.3-devel-ubuntu24.04 12.6.3-devel-ubuntu22.04 12.6.3-devel-ubuntu20.04"
         " 12.2.2-devel-ubuntu20.04 12.2.0-devel-ubuntu22.04 12.2.0-devel-ubuntu20.04 11.8.0-devel-ubuntu20.04")),
        ("2.0", ["1.9", "1.10", "2.0-rc1"], "1.10 1.9"),
        # architectures
        ("1.2", ["1.3-amd64", "1.3-linux-arm64", "arm64v8-1.3", "1.3", "1.2-arm64", "1.4-armv7", "1.5-s390x"], "1.3"),
        ("1.2-amd64", ["1.3", "1.2", "1.2-arm64", "1.3-amd64"], "1.2 1.3"),
        ("amd64-1.2", ["1.3", "1.2", "amd64-1.3"], "1.2 1.3"),
        ("1.2-x86_64", ["1.1", "1.2"], "1.2"),
        ("1.2-alpine-amd64", ["1.2", "1.2-alpine", "1.3-alpine"], "1.2-alpine 1.3-alpine"),
        ("amd64", ["latest", "1.0"], "latest 1.0"),
        # others
        ("1.0.0.Final", ["1.1.0.Final", "1.1.0", "1.2.0.Final"], "1.2.0.Final 1.1.0.Final 1.1.0"),
        ("4.0.0-20211213", ["4.1.0-20220217", "4.0.0", "4.1.0", "4.0.0-20211102"], "4.1.0-20220217 4.1.0 4.0.0"),
        ("pg14", ["pg15", "pg16", "2.1-pg15", "latest-pg16"], "pg16 pg15"),
        ("1.2.3", [], ""),
        ("1.2.3", ["1.2.3"], ""),
    ],
)  # fmt: skip
def test_stand_ins_in_order(asked: str, tags: list[str], expected: str) -> None:
    assert compatible_tags(asked, tags, limit=100) == tuple(expected.split())


@pytest.mark.parametrize(
    ("asked", "limit", "expected"),
    [
        ("v2.0.0", 1, "v2.11.16"),
        ("v2.0.0", 2, "v2.11.16 v3.2.3"),
        ("v2.0.0", 4, "v2.11.16 v2.10.7 v2.2.1 v3.2.3"),
        ("v2.0.0", 0, ""),
        ("v2.0.0", -1, ""),
    ],
)
def test_with_little_room_every_series_has_its_place(asked: str, limit: int, expected: str) -> None:
    """mysql:5.7.1 must not yield ten patches of 5.7 when 8.0 is what has arm64."""
    assert compatible_tags(asked, TRAEFIK, limit=limit) == tuple(expected.split())


@pytest.mark.parametrize(
    ("tag", "than", "older"),
    [
        ("1.9", "1.10", True),
        ("1.10", "1.9", False),
        ("5.7", "5.7.1", False),
        ("5.7.0", "5.7", False),
        ("1.0-rc1", "1.0", True),
        ("1.0.0", "1.0", False),
        ("20221231", "2023-01-01", True),
        ("bullseye", "bookworm", True),
        ("latest", "latest", False),
    ],
)
def test_what_is_older(tag: str, than: str, older: bool) -> None:
    assert is_older(tag, than) is older


@pytest.mark.parametrize(
    ("tag", "tags", "expected"),
    [
        ("1.2", "1.2-arm64 1.2-aarch64 arm64v8-1.2 1.2-armv7 1.3-arm64 1.2-alpine-arm64 1.2-amd64 1.2",
         "1.2-arm64 1.2-aarch64 arm64v8-1.2"),
        ("1.2-amd64", "1.2-arm64 1.2 1.2-linux-arm64", "1.2-arm64 1.2-linux-arm64"),
        ("amd64-1.2", "1.2-arm64 arm64-1.2", "arm64-1.2 1.2-arm64"),
        ("latest", "arm64 latest-arm64v8 1.0-arm64", "latest-arm64v8 arm64"),
        ("1.2-alpine", "1.2-arm64-alpine 1.2-alpine-arm64 1.2-arm64", "1.2-alpine-arm64 1.2-arm64-alpine"),
        ("1.2-arm64", "1.2-arm64 1.2-aarch64", "1.2-aarch64"),
        ("1.2", "", ""),
    ],
)  # fmt: skip
def test_tags_for_arm64_alone(tag: str, tags: str, expected: str) -> None:
    assert architecture_tags(tag, tags.split()) == tuple(expected.split())


@pytest.mark.parametrize(
    ("pattern", "tags", "expected"),
    [
        ("16*", POSTGRES, "16.6 16.6-bullseye 16.6-alpine3.20 16.5 16.5-alpine3.19 16 16-bullseye 16-alpine"),
        ("17.?", POSTGRES, "17.2 17.1 17.0"),
        ("v[23]", TRAEFIK, "v3 v2"),
        ("v[!23]*", TRAEFIK, "v1.7.34 v1.7.34-alpine v1.7"),
        ("RELEASE.2024*Z", MINIO, "RELEASE.2024-12-18T13-15-44Z RELEASE.2024-12-13T22-19-12Z"),
        ("release*", MINIO, ""),
        ("l*", NODE, "lts latest lts-alpine"),
        ("1.[", ["1.[", "1.x"], "1.["),
        ("*", ["1.0", "1.0", "2.0"], "2.0 1.0"),
    ],
)
def test_tags_by_pattern(pattern: str, tags: list[str], expected: str) -> None:
    assert matching_tags(pattern, tags) == tuple(expected.split())


def test_order_by_version() -> None:
    ascending = (
        "sha-0a1b2c3 main latest 20230101 2023-06-01 RELEASE.2024-12-18T13-15-44Z 0.9 1.0.0-SNAPSHOT 1.0.0-alpha.1"
        " 1.0.0-alpha.2 1.0.0-beta 1.0.0-rc.1 1.0.0-rc.10 1.0.0-alpine3.9 1.0.0-alpine3.18 1.0 1.0.0 1.0.1 1.9 v1.10 2"
        " 8u212 8u1000 17.0.8_7 17.0.13_11 2023.12.1"
    ).split()
    assert sorted(set(ascending), key=version_key) == ascending
    assert newest_first([*ascending, "latest"]) == tuple(reversed(ascending))


@pytest.mark.parametrize(
    ("tag", "plain", "architecture"),
    [
        ("1.2-amd64", "1.2", "amd64"),
        ("1.2-x86-64-v2", "1.2", "amd64"),
        ("linux-amd64-1.2", "1.2", "amd64"),
        ("1.2.amd64", "1.2", "amd64"),
        ("1.2-arm64v8", "1.2", "arm64"),
        ("1.2-arm64-v8", "1.2", "arm64"),
        ("v1-aarch64-slim", "v1-slim", "arm64"),
        ("1.2-arm", "1.2", "other"),
        ("1.2-arm32v7", "1.2", "other"),
        ("1.2-i386", "1.2", "other"),
        ("1.2-386", "1.2", "other"),
        ("1.0.386", "1.0.386", ""),
        ("1.2-armada", "1.2-armada", ""),
        ("charm-1.2", "charm-1.2", ""),
    ],
)
def test_architectures_in_tags(tag: str, plain: str, architecture: str) -> None:
    read = read_tag(tag)
    assert (read.plain, read.architecture) == (plain, Architecture(architecture))


@pytest.mark.parametrize(
    ("tag", "kind", "numbers"),
    [
        ("jdk-17.0.8_7-jre", Kind.VERSION, (17, 0, 8, 7)),
        ("1.1.1k", Kind.VERSION, (1, 1, 1, 11)),
        ("3.13.0b1-slim", Kind.VERSION, (3, 13, 0)),
        ("2023-01-01", Kind.DATE, (2023, 1, 1)),
        ("nightly-20230101", Kind.DATE, (2023, 1, 1)),
        ("v20230407-0a1b2c3", Kind.DATE, (2023, 4, 7)),
        ("build-1234567", Kind.DATE, (1234567,)),
        ("alpine3.18", Kind.MOVING, ()),
        ("latest-pg14", Kind.MOVING, ()),
        ("jammy", Kind.MOVING, ()),
        ("sha-abc123", Kind.COMMIT, ()),
        ("main-0a1b2c3", Kind.COMMIT, ()),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", Kind.COMMIT, ()),
        ("defaced", Kind.MOVING, ()),
        ("", Kind.MOVING, ()),
    ],
)
def test_versions_in_tags(tag: str, kind: Kind, numbers: tuple[int, ...]) -> None:
    assert (read_tag(tag).kind, read_tag(tag).numbers) == (kind, numbers)


# --- any tags --------------------------------------------------------------------------------------------------------

WORD = st.sampled_from("alpine slim rc beta1 latest main amd64 arm64 jdk v bookworm ubuntu20.04 sha 0a1b2c3d".split())
NUMBER = st.integers(0, 30).map(str) | st.sampled_from(["2023-01-01", "20230101", "8u212", "1.10"])
TAG = st.builds(
    lambda parts, separators: "".join(itertools.chain(*zip(parts, separators, strict=False))).rstrip(".-_"),
    st.lists(NUMBER | WORD, min_size=1, max_size=5),
    st.lists(st.sampled_from([".", ".", "-", "_", ""]), min_size=5, max_size=5),
)
ANY = TAG | st.text(max_size=20)


@settings(deadline=None)
@given(ANY, st.lists(ANY, max_size=30), st.integers(-1, 40))
def test_answers_are_of_the_list_and_each_once(asked: str, tags: list[str], limit: int) -> None:
    found = compatible_tags(asked, tags, limit=limit)
    assert len(found) == len(set(found)) <= max(limit, 0)
    assert set(found) <= set(tags) - {asked}
    full = compatible_tags(asked, tags, limit=1000)
    assert found == tuple(tag for tag in full if tag in found), "a limit leaves out, and changes no order"
    assert len(found) == min(max(limit, 0), len(full))
    assert full == compatible_tags(asked, tags[::-1], limit=1000), "the order does not depend on the registry's"
    assert all(read_tag(tag).architecture is Architecture.ANY for tag in found if tag != read_tag(asked).plain)


@settings(deadline=None)
@given(ANY, st.lists(ANY, max_size=30))
def test_older_tags_come_alone(asked: str, tags: list[str]) -> None:
    found = [tag for tag in compatible_tags(asked, tags, limit=100) if tag != (read_tag(asked).plain or "latest")]
    assert len({is_older(tag, asked) for tag in found}) <= 1


@settings(deadline=None)
@given(ANY, ANY, ANY)
def test_order_is_total(one: str, two: str, three: str) -> None:
    keys = [version_key(tag) for tag in (one, two, three)]
    assert (keys[0] == keys[1]) == (one == two)
    assert (keys[0] < keys[1]) + (keys[1] < keys[0]) == (one != two)
    if keys[0] <= keys[1] <= keys[2]:
        assert keys[0] <= keys[2]


@settings(deadline=None)
@given(ANY, st.lists(ANY, max_size=20))
def test_any_pattern_is_accepted(pattern: str, tags: list[str]) -> None:
    assert set(matching_tags(pattern, tags)) <= set(tags)
    assert set(architecture_tags(pattern, tags)) <= set(tags)


def test_each_tag_is_read_once() -> None:
    numbers = itertools.product(range(20), range(20), range(6), ("", "-alpine3.18", "-rc1", "-amd64"))
    tags = [f"{major}.{minor}.{patch}{variant}" for major, minor, patch, variant in numbers]
    read_tag.cache_clear()
    assert len(compatible_tags("3.1.1", tags, limit=50)) == 50
    assert read_tag.cache_info().misses <= len(tags) + 1


# --- successors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("mysql:5.7", "mysql:8.4 mysql:8.0 mariadb:10.11 arm64v8/mysql:5.7"),
        ("mysql:5.7.44-oracle", "mysql:8.4 mysql:8.0 mariadb:10.11 arm64v8/mysql:5.7.44-oracle"),
        ("mysql:8.0-debian", "mysql:8-oracle arm64v8/mysql:8.0-debian"),
        ("docker.io/library/mysql:8.4", "arm64v8/mysql:8.4"),
        ("amd64/mysql:5.7", "mysql:5.7 mysql:8.4 mysql:8.0 mariadb:10.11"),
        ("amd64/debian:12", "debian:12"),
        ("openjdk:8-jre-slim", ("eclipse-temurin:8-jre eclipse-temurin:8-jdk amazoncorretto:8"
         " arm64v8/openjdk:8-jre-slim")),
        ("openjdk", "arm64v8/openjdk:latest"),
        ("confluentinc/cp-kafka:5.5.0", "confluentinc/cp-kafka:7.2.0"),
        ("confluentinc/cp-kafka:7.6.0", ""),
        ("docker.elastic.co/elasticsearch/elasticsearch-oss:7.6.2",
         "docker.elastic.co/elasticsearch/elasticsearch-oss:7.8.0"),
        ("gcr.io/google-containers/pause:3.1", "registry.k8s.io/pause:3.1"),
        ("example.com/team/tool-amd64:1.0", "example.com/team/tool:1.0 example.com/team/tool-arm64:1.0"),
        ("example.com/team/tool:1.0", ""),
        ("example.com/mysql:5.7", ""),
        ("team/mysql:5.7", ""),
        (f"wurstmeister/kafka@sha256:{'a1' * 32}", "apache/kafka:latest confluentinc/cp-kafka:latest"),
        (f"amd64/debian@sha256:{'a1' * 32}", ""),
    ],
)  # fmt: skip
def test_what_took_its_place(image: str, expected: str) -> None:
    assert [successor.reference for successor in successors(parse_reference(image))] == expected.split()


def test_a_successor_says_why_and_where_it_is_written() -> None:
    first = successors(parse_reference("mysql:5.7"))[0]
    assert "from version 8 on" in first.reason
    assert first.source == "https://github.com/docker-library/mysql/issues/978"


def _sample(entry: Entry) -> tuple[str, str]:
    """A name and tag that the entry is about."""
    tag = "1.2.3"
    if entry.tags:
        tag = re.sub(r"\[.*?\]", "1", entry.tags).replace("*", "1.2")
    if entry.before or entry.since:
        tag = "0.1.2"
    return entry.name.replace("*", "sample"), tag


@pytest.mark.parametrize(
    "entry", catalogue(), ids=lambda entry: f"{entry.name}:{entry.tags or entry.before or entry.since}"
)
def test_every_entry_is_whole(entry: Entry) -> None:
    name, tag = _sample(entry)
    assert parse_reference(name).tag == "latest", "a name has no tag"
    assert entry.rest(name) is not None
    assert entry.means(tag)
    assert entry.name.count("*") <= 1
    assert not (entry.before and entry.since)
    assert entry.use or entry.since
    assert entry.reason
    assert not entry.reason.endswith(".")
    assert re.fullmatch(r"https://[a-z0-9.-]+/\S+", entry.source)
    assert isinstance(entry.lacks, bool)
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+|", entry.package)
    replacements = tuple(entry.replacements(name, tag))
    assert len(replacements) == len(entry.use) + bool(entry.since)
    for text in replacements:
        reference = parse_reference(text)
        assert text.partition(":")[2], f"{text}: a replacement has a tag"
        again = [successor.reference for successor in successors(reference)]
        copy = f"arm64v8/{reference.repository.removeprefix('library/')}:{reference.tag}"
        assert again in ([], [copy]), f"{text} is in the catalogue itself"


@pytest.mark.parametrize(
    ("image", "lacks"),
    [
        ("mysql:5.7", True),
        ("mysql:8.4", False),
        ("mysql:latest", False),
        ("mailhog/mailhog", True),
        ("centos:7", False),  # it has arm64; it is in the catalogue because it is at its end
        ("prom/prometheus:v2.0.0", False),  # not known to lack it
        ("openjdk:8-jdk", False),
        ("debian:12", False),
        (f"mailhog/mailhog@sha256:{'a' * 64}", False),
    ],
)
def test_what_can_be_said_without_a_registry(image: str, lacks: bool) -> None:
    assert (known_without_arm64(parse_reference(image)) is not None) is lacks


def test_debians_package_is_the_last_resort() -> None:
    assert debian_package(parse_reference("mysql:5.7")) == "mariadb-server"
    assert debian_package(parse_reference("mysql:8.4")) == ""


def test_the_catalogue_knows_many_images_each_once() -> None:
    entries = catalogue()
    assert len({entry.name for entry in entries}) >= 40
    meant = [(entry.name, entry.tags, entry.before, entry.since) for entry in entries]
    assert len(meant) == len(set(meant))


@settings(deadline=None)
@given(
    st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}(-amd64)?){0,2}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True),
)
def test_any_image_is_accepted(name: str, tag: str) -> None:
    image = f"{name}:{tag}"
    found = [successor.reference for successor in successors(parse_reference(image))]
    assert len(found) == len(set(found))
    assert image not in found
    for reference in found:
        parse_reference(reference)
