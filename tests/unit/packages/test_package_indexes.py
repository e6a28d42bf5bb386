"""Package indexes, asked over HTTP from a server on this machine."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from index_server import IndexServer
from test_package_parsers import apkindex

from crossdock.findings import Skipped
from crossdock.http.client import Http
from crossdock.http.model import Patience
from crossdock.packages.answers import answer_all, offline
from crossdock.packages.indexes.apt import Mirrors
from crossdock.packages.indexes.ask import Indexes
from crossdock.packages.indexes.documents import Documents, IndexCache
from crossdock.packages.indexes.places import Places, read_places
from crossdock.packages.model import Answer, Ecosystem, PackageRequest, Repository, Status, System
from crossdock.read.values import Origin
from crossdock.source import Span

FAST = Patience(connect=2.0, read=2.0, document=5.0, attempts=1, backoff=0.01)
JAMMY = System("ubuntu", "22.04", "jammy")
ALPINE = System("alpine", "3.18")


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def request(ecosystem: Ecosystem, name: str, version: str = "", **more: Any) -> PackageRequest:
    return PackageRequest(ecosystem, name, Origin("Dockerfile", Span(0, 1)), version, **more)


def places(url: str) -> Places:
    mirrors = Mirrors(f"{url}/debian", f"{url}/ubuntu", f"{url}/ubuntu-ports")
    return Places(f"{url}/simple", f"{url}/npm", f"{url}/maven2", f"{url}/gems", f"{url}/alpine", mirrors)


def ask(server: IndexServer, asked: PackageRequest, cache: Path | None = None) -> Answer:
    with Http(patience=FAST) as http:
        indexes = Indexes(http, places(server.url), IndexCache(cache) if cache else None)
        return indexes.ask([asked])[asked]


# --- apt -------------------------------------------------------------------------------------------------------------


def packages(*names: str) -> bytes:
    return "\n\n".join(f"Package: {name}\nVersion: 1.0\nArchitecture: any" for name in names).encode()


def put_ubuntu(server: IndexServer) -> None:
    for base, architecture, extra in (("ubuntu", "amd64", ["i965-va-driver"]), ("ubuntu-ports", "arm64", [])):
        folder = f"{base}/dists/jammy"
        server.files[f"{folder}/main/binary-{architecture}/Packages.xz"] = lzma.compress(packages("curl"))
        server.files[f"{folder}/universe/binary-{architecture}/Packages.gz"] = gzip.compress(packages("jq", *extra))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("curl", Status.AVAILABLE), ("jq", Status.AVAILABLE), ("i965-va-driver", Status.MISSING), ("x", Status.UNKNOWN)],
)
def test_ubuntu_with_its_ports(server: IndexServer, name: str, expected: Status) -> None:
    put_ubuntu(server)
    assert ask(server, request(Ecosystem.APT, name, system=JAMMY)).status is expected


def test_the_large_index_is_only_loaded_where_it_is_needed(server: IndexServer) -> None:
    put_ubuntu(server)
    ask(server, request(Ecosystem.APT, "curl", system=JAMMY))
    assert [path for _, path, _ in server.seen] == ["ubuntu-ports/dists/jammy/main/binary-arm64/Packages.xz"]


def test_a_vendors_repository(server: IndexServer) -> None:
    put_ubuntu(server)
    server.files["vendor/dists/stable/main/binary-amd64/Packages.gz"] = gzip.compress(packages("tool", "both"))
    server.files["vendor/dists/stable/main/binary-arm64/Packages.gz"] = gzip.compress(packages("both"))
    vendor = (Repository(f"{server.url}/vendor/", "stable", ("main",)),)
    missing = ask(server, request(Ecosystem.APT, "tool", system=JAMMY, repositories=vendor))
    assert (missing.status, missing.certain) == (Status.MISSING, True)
    assert "127.0.0.1 has it for amd64 only" in missing.detail
    assert ask(server, request(Ecosystem.APT, "both", system=JAMMY, repositories=vendor)).status is Status.AVAILABLE


def test_a_repository_that_cannot_be_read_could_have_it(server: IndexServer) -> None:
    put_ubuntu(server)
    assert ask(server, request(Ecosystem.APT, "i965-va-driver", system=JAMMY, opaque=True)).status is Status.UNKNOWN
    strange = (Repository(f"{server.url}/x", "\N{REPLACEMENT CHARACTER}", ("main",)),)
    assert ask(server, request(Ecosystem.APT, "x", system=JAMMY, repositories=strange)).status is Status.UNKNOWN


def test_a_mirror_without_arm64_says_nothing(server: IndexServer) -> None:
    server.files["ubuntu/dists/jammy/main/binary-amd64/Packages.gz"] = gzip.compress(packages("curl"))
    answer = ask(server, request(Ecosystem.APT, "curl", system=JAMMY))
    assert (answer.status, answer.detail) == (Status.UNKNOWN, "the mirror has no jammy for arm64")


def test_an_unknown_image_is_not_looked_up(server: IndexServer) -> None:
    assert ask(server, request(Ecosystem.APT, "curl")).status is Status.UNKNOWN
    assert server.seen == []


# --- apk -------------------------------------------------------------------------------------------------------------


def test_alpine(server: IndexServer) -> None:
    for architecture, names in (
        ("aarch64", b"P:bash\nV:5\np:sh-shell\n"),
        ("x86_64", b"P:bash\nV:5\n\nP:syslinux\nV:6\n"),
    ):
        server.files[f"alpine/v3.18/main/{architecture}/APKINDEX.tar.gz"] = apkindex(names)
    statuses = [
        ask(server, request(Ecosystem.APK, name, system=ALPINE)).status
        for name in ("bash", "sh-shell", "syslinux", "x")
    ]
    assert statuses == [Status.AVAILABLE, Status.AVAILABLE, Status.MISSING, Status.UNKNOWN]
    gone = ask(server, request(Ecosystem.APK, "bash", system=System("alpine", "3.2")))
    assert (gone.status, gone.detail) == (Status.UNKNOWN, "the mirror has no Alpine v3.2")


# --- PyPI ------------------------------------------------------------------------------------------------------------

FILES = [
    "x-1.0-cp38-cp38-manylinux2014_x86_64.whl",
    "x-2.0-cp38-cp38-manylinux2014_x86_64.whl",
    "x-2.0-cp38-cp38-manylinux2014_aarch64.whl",
    "x-3.0-cp311-cp311-manylinux2014_x86_64.whl",
    "x-3.0-cp311-cp311-manylinux2014_aarch64.whl",
]


def put_pypi(server: IndexServer, *files: str) -> None:
    server.files["simple/x/"] = json.dumps({"files": [{"filename": name} for name in files]}).encode()


@pytest.mark.parametrize(
    ("version", "python", "status", "nearest"),
    [
        ("==1.0", "", Status.MISSING, "2.0"),
        ("==2.0", "3.8", Status.AVAILABLE, ""),
        ("", "", Status.AVAILABLE, ""),
        ("<2", "3.8", Status.MISSING, "2.0"),
        ("==9.9", "", Status.UNKNOWN, ""),
        ("==3.0", "3.8", Status.UNKNOWN, ""),
    ],
)
def test_wheels(server: IndexServer, version: str, python: str, status: Status, nearest: str) -> None:
    put_pypi(server, *FILES)
    answer = ask(server, request(Ecosystem.PIP, "X", version, system=System("debian", python=python)))
    assert (answer.status, answer.nearest) == (status, nearest)
    assert "simple.v1+json" in server.accepted["simple/x/"]


def test_source_is_compiled_only_where_amd64_is_not(server: IndexServer) -> None:
    put_pypi(server, "x-1.0.tar.gz", "x-1.0-cp38-cp38-manylinux2014_x86_64.whl")
    assert ask(server, request(Ecosystem.PIP, "x", "==1.0")).status is Status.SOURCE
    put_pypi(server, "x-1.0.tar.gz")
    assert ask(server, request(Ecosystem.PIP, "x", "==1.0")).status is Status.AVAILABLE


def test_without_a_version_pip_takes_an_older_one(server: IndexServer) -> None:
    put_pypi(server, "x-1.0-py3-none-any.whl", "x-2.0-py3-none-manylinux2014_x86_64.whl")
    answer = ask(server, request(Ecosystem.PIP, "x"))
    assert (answer.status, answer.nearest, answer.certain) == (Status.MISSING, "1.0", False)


def test_a_further_index_could_have_it(server: IndexServer) -> None:
    put_pypi(server, *FILES)
    further = (Repository("https://download.example.com/cu118"),)
    assert ask(server, request(Ecosystem.PIP, "x", "==1.0", repositories=further)).status is Status.UNKNOWN


# --- npm, RubyGems, Maven --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.0.0", Status.MISSING), ("^1.0.0", Status.MISSING), ("2.0.0", Status.AVAILABLE), ("", Status.AVAILABLE)],
)
def test_npm(server: IndexServer, version: str, status: Status) -> None:
    versions = {
        "1.0.0": {"cpu": ["x64"], "os": ["linux"]},
        "2.0.0": {"optionalDependencies": {"@s/linux-x64": "2", "@s/linux-arm64": "2"}},
    }
    server.files["npm/@s%2Fx"] = json.dumps({"dist-tags": {"latest": "2.0.0"}, "versions": versions}).encode()
    answer = ask(server, request(Ecosystem.NPM, "@s/x", version))
    assert (answer.status, answer.nearest) == (status, "2.0.0" if status is Status.MISSING else "")


def test_npm_parts_for_amd64_alone(server: IndexServer) -> None:
    entry = {"optionalDependencies": {"x-linux-64": "1", "x-darwin-arm64": "1", "fsevents": "1"}}
    server.files["npm/x"] = json.dumps({"dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": entry}}).encode()
    assert ask(server, request(Ecosystem.NPM, "x")).status is Status.MISSING


def test_gems(server: IndexServer) -> None:
    names = ("1.0-x86_64-linux", "1.1", "1.1-x86_64-linux", "2.0-aarch64-linux", "2.0-x86_64-linux")
    server.files["gems/info/x"] = "".join(f"{name} |checksum:0\n" for name in names).encode()
    asked = [ask(server, request(Ecosystem.GEM, "x", version)).status for version in ("=1.0", "=1.1", "=2.0", "")]
    assert asked == [Status.MISSING, Status.SOURCE, Status.AVAILABLE, Status.AVAILABLE]


def test_maven(server: IndexServer) -> None:
    folder = "maven2/com/google/protobuf/protoc"
    for version, classifiers in (("3.4.0", ["x86_64"]), ("3.5.0", ["x86_64", "aarch_64"])):
        for classifier in classifiers:
            server.files[f"{folder}/{version}/protoc-{version}-linux-{classifier}.exe"] = b"ELF"
    detected = {"classifier": "${os.detected.classifier}"}

    def protoc(version: str) -> Status:
        return ask(server, request(Ecosystem.MAVEN, "com.google.protobuf:protoc", version, **detected)).status

    assert [protoc(v) for v in ("3.4.0", "3.5.0", "9", "")] == [
        Status.MISSING, Status.AVAILABLE, Status.UNKNOWN, Status.UNKNOWN,
    ]  # fmt: skip
    server.files["maven2/io/netty/tc/1/tc-1-linux-x86_64.jar"] = b"PK"
    server.files["maven2/io/netty/tc/1/tc-1-linux-aarch_64.jar"] = b"PK"
    answer = ask(server, request(Ecosystem.MAVEN, "io.netty:tc", "1", classifier="linux-x86_64"))
    assert (answer.status, answer.certain) == (Status.MISSING, False)
    assert "linux-aarch_64 exists" in answer.detail


# --- the cache, and what goes wrong ----------------------------------------------------------------------------------


def test_an_index_is_loaded_again_only_when_it_changed(server: IndexServer, tmp_path: Path) -> None:
    put_pypi(server, *FILES)
    asked = request(Ecosystem.PIP, "x", "==1.0")

    def look(fresh: float) -> bytes | None:
        with Http(patience=FAST) as http:
            documents = Documents(http, IndexCache(tmp_path), fresh=fresh)
            return http.run(documents.get(f"{server.url}/simple/x/", bytes.upper, name="t"))

    first = look(3600)
    assert look(3600) == first
    assert [status for _, _, status in server.seen] == [200]
    assert look(0) == first
    assert [status for _, _, status in server.seen] == [200, 304]
    put_pypi(server, *FILES, "x-9-py3-none-any.whl")
    changed = look(0)
    assert changed is not None
    assert b"X-9-PY3" in changed
    assert [status for _, _, status in server.seen] == [200, 304, 200]
    assert ask(server, asked, tmp_path).status is Status.MISSING


def test_the_cache_holds_no_address_and_survives_damage(server: IndexServer, tmp_path: Path) -> None:
    put_pypi(server, *FILES)
    asked = request(Ecosystem.PIP, "x", "==1.0")
    ask(server, asked, tmp_path)
    (file,) = tmp_path.iterdir()
    assert server.url.encode() not in file.read_bytes()
    for damaged in (b"", b"{}\nx", file.read_bytes()[:-3], b"\xff\n"):
        file.write_bytes(damaged)
        assert ask(server, asked, tmp_path).status is Status.MISSING


def test_many_that_need_one_index_load_it_once(server: IndexServer) -> None:
    put_ubuntu(server)
    asked = [request(Ecosystem.APT, name, system=JAMMY) for name in ("curl", "jq", "i965-va-driver", "a", "b", "c")]
    with Http(patience=FAST) as http:
        Indexes(http, places(server.url)).ask(asked)
    assert len(server.seen) == len(set(server.seen))


@pytest.mark.parametrize("status", [403, 500])
def test_an_index_that_refuses_is_unknown(server: IndexServer, status: int) -> None:
    server.files["simple/x/"] = status
    answer = ask(server, request(Ecosystem.PIP, "x", "==1.0"))
    assert (answer.status, answer.detail) == (
        Status.UNKNOWN,
        f"not looked up: 127.0.0.1: the index answered HTTP {status}",
    )


def test_an_index_that_is_none_is_unknown(server: IndexServer) -> None:
    server.files["ubuntu-ports/dists/jammy/main/binary-arm64/Packages.xz"] = b"<html>Please log in</html>"
    answer = ask(server, request(Ecosystem.APT, "x", system=JAMMY))
    assert answer.status is Status.UNKNOWN
    assert "cannot be read" in answer.detail


def test_a_server_out_of_reach_is_asked_once_and_told() -> None:
    with IndexServer() as stopped:
        url = stopped.url
    asked = [request(Ecosystem.PIP, name) for name in ("a", "b", "c")]
    with Http(patience=FAST) as http:
        answers = Indexes(http, places(url.replace("http://", "http://user:secret@"))).ask(asked)
    for answer in answers.values():
        assert answer.status is Status.UNKNOWN
        assert "secret" not in answer.detail


# --- all together ----------------------------------------------------------------------------------------------------


def test_the_index_is_believed_more_than_the_catalogue() -> None:
    asked = request(Ecosystem.PIP, "tensorflow", "==2.3.0")
    (fact,), _ = answer_all([asked])
    assert fact.answer.status is Status.MISSING
    (fact,), _ = answer_all([asked], lambda rs: {r: Answer(Status.AVAILABLE) for r in rs})
    assert fact.answer.status is Status.AVAILABLE
    (fact,), _ = answer_all([asked], lambda rs: {r: Answer(Status.MISSING, "seen") for r in rs})
    assert (fact.answer.detail, fact.answer.instead) == (
        "seen",
        "Update, or use the wheel tensorflow-aarch64 of Linaro",
    )


def test_what_is_not_looked_up_is_said_once() -> None:
    asked = [request(Ecosystem.PIP, name) for name in ("mkl", "a", "b", "c", "d")]
    facts, skipped = answer_all(asked, offline)
    assert [fact.request.name for fact in facts] == ["mkl"]
    assert skipped == (Skipped("pip packages that the catalogue does not know", "not looked up: --offline"),)
    assert answer_all(asked)[1] == ()
    _, skipped = answer_all(asked, lambda rs: dict.fromkeys(rs, Answer(Status.UNKNOWN, "nobody has it")))
    assert skipped == (Skipped("pip packages a, b, c and 1 more in Dockerfile", "nobody has it"),)


def test_debians_own_packages_need_no_look_up() -> None:
    bookworm = System("debian", "12", "bookworm")
    own = [request(Ecosystem.APT, name, system=bookworm) for name in ("curl", "cpuid")]
    further = request(
        Ecosystem.APT, "tool", system=bookworm, repositories=(Repository("https://e.com", "x", ("main",)),)
    )
    some = [request(Ecosystem.APT, name, system=System("debian")) for name in ("git", "memtest86+")]
    seen: list[str] = []
    answer_all([*own, *some, further], lambda rs: (seen.extend(r.name for r in rs), {})[1])
    assert seen == ["tool"]


def test_addresses_come_from_the_configuration(tmp_path: Path) -> None:
    files = {
        "etc/pip.conf": "[global]\nindex-url = https://pip.example.com/simple/\n",
        "root/.npmrc": "registry=https://npm.example.com/\n//npm.example.com/:_authToken=secret\n",
        "root/.m2/settings.xml": "<mirror><mirrorOf>*</mirrorOf><url>https://m.example.com</url></mirror>",
        "etc/apk/repositories": "https://apk.example.com/alpine/v3.18/main\n",
        "etc/apt/sources.list": "# deb http://no.example.com/debian x y\ndeb http://deb.example.com/debian x main\n",
        "etc/apt/sources.list.d/u.sources": "Types: deb\nURIs: http://u.example.com/ubuntu/\n",
        "etc/apt/sources.list.d/v.list": "deb [arch=amd64] https://vendor.example.com/apt stable main\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read_places({"HOME": "/root"}, tmp_path)
    assert found == Places(
        "https://pip.example.com/simple",
        "https://npm.example.com",
        "https://m.example.com",
        "https://rubygems.org",
        "https://apk.example.com/alpine",
        Mirrors("http://deb.example.com/debian", "http://u.example.com/ubuntu"),
    )
    assert read_places({"PIP_INDEX_URL": "https://other.example.com/simple"}, tmp_path).pypi.startswith(
        "https://other."
    )
    assert read_places({}, tmp_path / "nothing") == Places()
