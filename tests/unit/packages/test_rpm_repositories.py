"""RPM repositories: served, damaged, gone; which ones an image has, and what dnf would find in them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from index_server import IndexServer

from crossdock.http.client import Http
from crossdock.http.model import Patience
from crossdock.packages.indexes import repodata
from crossdock.packages.indexes.ask import Indexes
from crossdock.packages.indexes.documents import IndexCache
from crossdock.packages.indexes.places import Places, read_places
from crossdock.packages.indexes.repodata import RpmIndex, reduce_primary, reduce_repomd
from crossdock.packages.model import Answer, Ecosystem, PackageRequest, Repository, Status, System
from crossdock.packages.repo_files import first_mirror, repository_addresses
from crossdock.packages.rpm_distributions import RpmMirrors, brought_repositories, expand, own_repositories, rpm_system
from crossdock.read.values import Origin
from crossdock.source import Span

FAST = Patience(connect=2.0, read=2.0, document=5.0, attempts=1, backoff=0.01)
ALMA = System("almalinux", "9")
COMMON = "http://linux.duke.edu/metadata"
CATALOGUE = Path(repodata.__file__).parents[2] / "catalogue/rpm.toml"


def package(name: str, architecture: str = "x86_64", version: str = "1.0-1.el9", *more: str) -> str:
    """``more`` are capabilities, and files where they begin with a slash."""
    number, _, release = version.rpartition("-")
    epoch, _, number = number.rpartition(":")
    provides = "".join(f'<rpm:entry name="{one}"/>' for one in (name, *more) if not one.startswith("/"))
    files = "".join(f"<file>{one}</file>" for one in more if one.startswith("/"))
    return (
        f'<package type="rpm"><name>{name}</name><arch>{architecture}</arch>'
        f'<version epoch="{epoch or 0}" ver="{number}" rel="{release}"/><summary>A &amp; B</summary>'
        f"<format><rpm:license>MIT</rpm:license><rpm:provides>{provides}</rpm:provides>"
        f'<rpm:requires><rpm:entry name="needed-by-{name}"/></rpm:requires>{files}</format></package>'
    )


def primary(*packages: str) -> bytes:
    namespaces = f'xmlns="{COMMON}/common" xmlns:rpm="{COMMON}/rpm"'
    return f'<?xml version="1.0"?>\n<metadata {namespaces} packages="1">{"".join(packages)}</metadata>\n'.encode()


def repomd(path: str) -> bytes:
    location = f'<data type="primary"><location href="{path}"/></data>'
    other = '<data type="filelists"><location href="repodata/filelists.xml.gz"/></data>'
    return f'<repomd xmlns="{COMMON}/repo">{other}{location}</repomd>'.encode()


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def put(server: IndexServer, folder: str, *packages: str) -> None:
    server.files[f"{folder}/repodata/repomd.xml"] = repomd("repodata/0-primary.xml.gz")
    server.files[f"{folder}/repodata/0-primary.xml.gz"] = gzip.compress(primary(*packages))


def put_alma(server: IndexServer) -> None:
    """The machine's own mirror: bash for both, an Intel tool for x86 alone, a version that arm64 does not have."""
    common = [package("bash"), package("fonts", "noarch"), package("jq", "x86_64", "1.6-2.el9", "/usr/bin/jq")]
    extra = [package("intel-tool", "x86_64", "2.0-1.el9", "pkgconfig(intel)"), package("jq", "x86_64", "1.7-1.el9")]
    for architecture, own in (("x86_64", extra), ("aarch64", [])):
        built = [text.replace(">x86_64<", f">{architecture}<") for text in (*common, *own)]
        put(server, f"alma/9/BaseOS/{architecture}/os", *built)
        for name in ("AppStream", "CRB", "extras", "devel"):
            put(server, f"alma/9/{name}/{architecture}/os", package(f"only-{name}", architecture))


def mirrors(url: str) -> RpmMirrors:
    names = ("BaseOS", "AppStream", "CRB", "extras", "devel")
    return RpmMirrors("almalinux", tuple(f"{url}/alma/$releasever/{name}/$basearch/os/" for name in names))


def wanted(name: str, version: str = "", **more: Any) -> PackageRequest:
    more.setdefault("system", ALMA)
    return PackageRequest(Ecosystem.RPM, name, Origin("Dockerfile", Span(0, 1)), version, **more)


def ask(server: IndexServer, request: PackageRequest, cache: Path | None = None) -> Answer:
    with Http(patience=FAST) as http:
        places = Places(rpm=mirrors(server.url))
        return Indexes(http, places, IndexCache(cache) if cache else None).ask([request])[request]


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("bash", "", Status.AVAILABLE),
        ("bash.aarch64", "", Status.AVAILABLE),
        ("fonts", "", Status.AVAILABLE),
        ("only-CRB", "", Status.AVAILABLE),
        ("/usr/bin/jq", "", Status.AVAILABLE),
        ("jq", "=1.6", Status.AVAILABLE),
        ("jq", "=1.6-2.el9", Status.AVAILABLE),
        ("only-*", "", Status.AVAILABLE),
        ("intel-tool", "", Status.MISSING),
        ("intel-*", "", Status.MISSING),
        ("pkgconfig(intel)", "", Status.MISSING),
        ("jq", "=1.7", Status.MISSING),
        ("jq", "=9.9", Status.UNKNOWN),
        ("no-such-thing", "", Status.UNKNOWN),
        ("needed-by-bash", "", Status.UNKNOWN),
        ("@development", "", Status.UNKNOWN),
    ],
)
def test_what_dnf_would_find(server: IndexServer, name: str, version: str, status: Status) -> None:
    put_alma(server)
    assert ask(server, wanted(name, version)).status is status


def test_what_is_said(server: IndexServer) -> None:
    put_alma(server)
    missing = ask(server, wanted("intel-tool"))
    assert (missing.detail, missing.certain) == ("almalinux 9 has it for x86_64 only", True)
    version = ask(server, wanted("jq", "=1.7"))
    assert (version.nearest, version.detail) == (
        "1.6-2.el9", "almalinux 9 has it for x86_64 only; for aarch64 it has 1.6-2.el9",
    )  # fmt: skip
    assert ask(server, wanted("@development")).detail == "groups and modules are not looked up"
    assert ask(server, wanted("x")).detail == "no index of its repositories has it"
    unknown = ask(server, wanted("x", system=System("fedora")))
    assert unknown.detail == "which release of which distribution the image is cannot be told from its name"
    old = ask(server, wanted("x", system=System("centos", "6")))
    assert old.detail == "where centos 6 has its packages is not known"


def test_the_next_repository_is_only_loaded_where_it_is_needed(server: IndexServer) -> None:
    put_alma(server)
    ask(server, wanted("bash"))
    folder = "alma/9/BaseOS/aarch64/os/repodata"
    assert [path for _, path, _ in server.seen] == [f"{folder}/repomd.xml", f"{folder}/0-primary.xml.gz"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_every_usual_compression(pack: Any) -> None:
    index = RpmIndex(reduce_primary(pack(primary(package("bash", "aarch64", "1:5.1-2.el9")))))
    assert index.versions("bash", "aarch64") == ("1:5.1-2.el9",)
    assert not index.has("bash", "x86_64")
    for meant in ("bash", "bash-5.1", "bash-5.1-2.el9", "bash-1:5.1-2.el9", "bash-1:5.1", "b?sh"):
        assert index.has(meant, "aarch64"), meant
    for other in ("bas", "bash-5", "bash-2.el9", "bash-", "-", ""):
        assert not index.has(other, "aarch64"), other


def test_a_line_is_found_among_many() -> None:
    names = [f"p{number}{end}" for number in range(300) for end in ("", "-libs", "-libs2", ".x", "+y")]
    index = RpmIndex(reduce_primary(primary(*(package(name, "aarch64") for name in names))))
    assert all(index.has(name, "aarch64") for name in names)
    assert not any(index.has(name[:-1] + "~", "aarch64") for name in names)
    assert not RpmIndex(b"").has("p1", "aarch64")


# --- further repositories --------------------------------------------------------------------------------------------


def test_a_vendors_repository(server: IndexServer) -> None:
    put_alma(server)
    put(server, "vendor/el9/x86_64", package("tool"), package("both"))
    put(server, "vendor/el9/aarch64", package("both", "aarch64"))
    for written in (f"{server.url}/vendor/el$releasever_major/$basearch", f"{server.url}/vendor/el9/x86_64/"):
        further = (Repository(written),)
        missing = ask(server, wanted("tool", repositories=further))
        assert (missing.status, missing.certain, missing.source) == (Status.MISSING, True, "127.0.0.1")
        assert ask(server, wanted("both", repositories=further)).status is Status.AVAILABLE


def test_a_repository_of_several_architectures(server: IndexServer) -> None:
    put_alma(server)
    put(server, "code", package("code"), package("code", "aarch64"), package("insiders"))
    further = (Repository(f"{server.url}/code"),)
    assert ask(server, wanted("code", repositories=further)).status is Status.AVAILABLE
    assert ask(server, wanted("insiders", repositories=further)).status is Status.MISSING


def test_a_repository_that_has_nothing_for_arm64(server: IndexServer) -> None:
    put_alma(server)
    put(server, "vendor/x86_64", package("tool"))
    further = (Repository(f"{server.url}/vendor/$basearch"),)
    assert ask(server, wanted("tool", repositories=further)).status is Status.MISSING


def test_a_repo_file_and_lists_of_mirrors(server: IndexServer) -> None:
    put_alma(server)
    for architecture in ("x86_64", "aarch64"):
        put(server, f"near/{architecture}", package(f"near-{architecture}", architecture))
        put(server, f"far/{architecture}", package(f"far-{architecture}", architecture))
        link = f'<metalink xmlns="http://www.metalinker.org/"><url>{server.url}/far/{architecture}/repodata/repomd.xml'
        server.files[f"metalink-{architecture}"] = f"{link}</url></metalink>".encode()
        server.files[f"{architecture}/mirror.list"] = f"{server.url}/near/{architecture}/\nhttp://b.example\n".encode()
    server.files["tools.repo"] = (
        f"[near]\nmirrorlist={server.url}/$basearch/mirror.list\n[far]\nmetalink={server.url}/metalink-$basearch\n"
        f"[debug]\nbaseurl={server.url}/debug\n"
    ).encode()
    further = (Repository(f"{server.url}/tools.repo"),)
    expected = {"near-aarch64": Status.AVAILABLE, "near-x86_64": Status.MISSING, "far-aarch64": Status.AVAILABLE}
    found = {name: ask(server, wanted(name, repositories=further)).status for name in (*expected, "far-x86_64")}
    assert found == {**expected, "far-x86_64": Status.MISSING}
    assert not any("debug" in path for _, path, _ in server.seen)


@pytest.mark.parametrize(
    "further",
    [
        Repository("unheard-of-release"),
        Repository("https://example.com/\N{REPLACEMENT CHARACTER}/x86_64"),
        Repository("https://example.com/$unheard/x86_64"),
        None,
    ],
)
def test_a_repository_that_cannot_be_read_could_have_it(server: IndexServer, further: Repository | None) -> None:
    put_alma(server)
    request = wanted("intel-tool", repositories=(further,) if further else (), opaque=further is None)
    answer = ask(server, request)
    assert (answer.status, answer.detail) == (
        Status.UNKNOWN, "it may come from a repository that could not be read",
    )  # fmt: skip


def test_one_of_several_repositories_cannot_be_had(server: IndexServer) -> None:
    put_alma(server)
    server.files["vendor/repodata/repomd.xml"] = 503
    further = (Repository(f"{server.url}/vendor"),)
    assert ask(server, wanted("bash", repositories=further)).status is Status.AVAILABLE
    lost = ask(server, wanted("intel-tool", repositories=further))
    assert (lost.status, lost.detail) == (Status.UNKNOWN, "not looked up: 127.0.0.1: the index answered HTTP 503")


# --- what goes wrong -------------------------------------------------------------------------------------------------

LAUGHS = b'<!DOCTYPE m [<!ENTITY a "%s"><!ENTITY b "%s">]><metadata><package><name>&b;</name></package></metadata>' % (
    b"ha" * 1000, b"&a;" * 1000,
)  # fmt: skip
EXTERNAL = (
    b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><metadata><package><name>&x;</name></package></metadata>'
)
GOOD = gzip.compress(primary(package("bash")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Please log in</html>",
        b"<html>Please log in",
        b"\x00\x01",
        GOOD[:-20],
        GOOD[:30] + b"\xff\xff" + GOOD[32:],
        gzip.compress(primary(package("bash"))[:-30]),
        primary("<package><name>bash</package>"),
        LAUGHS,
        EXTERNAL,
    ],
)
def test_what_is_no_primary_xml_is_refused(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=r"\w"):
        reduce_primary(data)
    assert time.process_time() - began < 1.0


def test_what_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repodata, "LARGEST_UNPACKED", 4 << 20)
    with pytest.raises(ValueError, match="more than 4 MiB"):
        reduce_primary(gzip.compress(primary(" " * (5 << 20))))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html/>", repomd(""), repomd("../../etc/passwd"), repomd("/etc/passwd"), repomd("http://evil.example/x"),
        b'<repomd><data type="other"><location href="x"/></data></repomd>', LAUGHS, EXTERNAL,
    ],
)  # fmt: skip
def test_what_is_no_repomd_xml_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reduce_repomd(data)


def test_odd_packages_are_passed_over() -> None:
    odd = package("a b"), package("", "aarch64"), package("x", "src"), package("y", "i686"), "<package/>", "<other/>"
    text = reduce_primary(primary(*odd, package("bash", "aarch64", "1-1", "lib.so.1()(64bit)", "config(bash)", "sh")))
    assert text == b"bash\ta1-1\nsh\ta\n"


def test_damage_on_the_way_is_told_and_nothing_is_concluded(server: IndexServer) -> None:
    put_alma(server)
    path = "alma/9/AppStream/aarch64/os/repodata/0-primary.xml.gz"
    whole = server.files[path]
    assert isinstance(whole, bytes)
    server.files[path] = whole[:-9]
    answer = ask(server, wanted("intel-tool"))
    assert answer.status is Status.UNKNOWN
    assert answer.detail.startswith("not looked up: 127.0.0.1: the index cannot be read")
    server.files[path] = 404
    assert "primary.xml that is not there" in ask(server, wanted("intel-tool")).detail


def test_a_distribution_without_arm64_says_nothing(server: IndexServer) -> None:
    put_alma(server)
    server.files = {path: data for path, data in server.files.items() if "aarch64" not in path}
    answer = ask(server, wanted("bash"))
    assert (answer.status, answer.detail) == (Status.UNKNOWN, "the mirror has no almalinux 9 for aarch64")


def test_an_index_is_kept_and_asked_for_again_by_its_etag(server: IndexServer, tmp_path: Path) -> None:
    put_alma(server)
    assert ask(server, wanted("bash"), tmp_path).status is Status.AVAILABLE
    server.seen.clear()
    assert ask(server, wanted("bash"), tmp_path).status is Status.AVAILABLE
    assert server.seen == []
    for file in tmp_path.iterdir():
        file.write_bytes(re.sub(rb'"checked": [\d.]+', b'"checked": 0.0', file.read_bytes()))
    assert ask(server, wanted("bash"), tmp_path).status is Status.AVAILABLE
    assert [status for _, _, status in server.seen] == [304, 304]


def test_a_new_index_takes_the_place_of_the_old_one(server: IndexServer, tmp_path: Path) -> None:
    put_alma(server)
    ask(server, wanted("bash"), tmp_path)
    files = len(list(tmp_path.iterdir()))
    folder = "alma/9/BaseOS/aarch64/os/repodata"
    server.files[f"{folder}/repomd.xml"] = repomd("repodata/1-primary.xml.zst")
    server.files[f"{folder}/1-primary.xml.zst"] = zstandard.compress(primary(package("new", "aarch64")))
    for file in tmp_path.iterdir():
        file.write_bytes(re.sub(rb'"checked": [\d.]+', b'"checked": 0.0', file.read_bytes()))
    assert ask(server, wanted("new"), tmp_path).status is Status.AVAILABLE
    assert len(list(tmp_path.iterdir())) == files


# --- which repositories an image has ---------------------------------------------------------------------------------

NONE = RpmMirrors()


@pytest.mark.parametrize(
    ("system", "first"),
    [
        (System("fedora", "40"), "https://dl.fedoraproject.org/pub/fedora/linux/releases/40/Everything/aarch64/os"),
        (System("centos", "7"), "https://vault.centos.org/altarch/7.9.2009/os/aarch64"),
        (System("centos", "9"), "https://mirror.stream.centos.org/9-stream/BaseOS/aarch64/os"),
        (System("rhel", "9"), "https://cdn-ubi.redhat.com/content/public/ubi/dist/ubi9/9/aarch64/baseos/os"),
        (System("amzn", "2023"), "https://cdn.amazonlinux.com/al2023/core/mirrors/latest/aarch64/mirror.list"),
        (System("openeuler", "22.03-LTS-SP3"), "https://repo.openeuler.org/openEuler-22.03-LTS-SP3/OS/aarch64"),
        (System("opensuse", "tumbleweed"), "https://download.opensuse.org/ports/aarch64/tumbleweed/repo/oss"),
        (System("opensuse", "15.6"), "https://download.opensuse.org/distribution/leap/15.6/repo/oss"),
        (System("sles", "15.5"), "https://updates.suse.com/SUSE/Products/SLE-BCI/15-SP5/aarch64/product"),
        (System("kylin", "SP3-2403"), "https://update.cs2c.com.cn/NS/V10/V10SP3-2403/os/adv/lic/base/aarch64"),
    ],
)
def test_where_a_distribution_has_its_packages(system: System, first: str) -> None:
    assert own_repositories(system, "aarch64", NONE)[0][0] == first


def test_old_releases_are_in_an_archive() -> None:
    assert own_repositories(System("fedora", "30"), "x86_64", NONE)[1] == (
        "https://dl.fedoraproject.org/pub/fedora/linux/updates/30/Everything/x86_64",
        "https://archives.fedoraproject.org/pub/archive/fedora/linux/updates/30/Everything/x86_64",
    )


def test_unknown_systems_have_none() -> None:
    for system in (System(), System("fedora"), System("debian", "12"), System("centos", "6")):
        assert own_repositories(system, "aarch64", NONE) == []


def test_a_package_that_brings_a_repository() -> None:
    epel = "https://dl.fedoraproject.org/pub/epel/9/Everything/aarch64"
    assert brought_repositories("epel-release", ALMA, "aarch64") == [(epel,)]
    assert brought_repositories("epel-release", System("fedora", "40"), "aarch64") == []
    assert brought_repositories("remi-release", ALMA, "aarch64") == []


def test_variables_are_filled_in_as_the_distribution_does() -> None:
    def filled(system: System) -> str:
        return expand("$releasever/$releasever_major-SP${releasever_minor}/$basearch/$infra", system, "aarch64")

    assert filled(System("sles", "15.5")) == "15.5/15-SP5/aarch64/$infra"
    assert filled(System("kylin", "SP3")).startswith("10/")
    assert filled(System("amzn", "2023")).startswith("$releasever/2023-")
    assert filled(System()) == "$releasever/$releasever_major-SP${releasever_minor}/aarch64/$infra"
    assert expand("$stream", System("centos", "9"), "aarch64") == "9-stream"


def test_the_mirror_of_the_machines_own_distribution(tmp_path: Path) -> None:
    (tmp_path / "etc/yum.repos.d").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9.3"\n')
    (tmp_path / "etc/yum.repos.d/rocky.repo").write_text(
        "[baseos]\n#mirrorlist=https://mirrors.rockylinux.org/mirrorlist?repo=x\n"
        "baseurl=https://mirror.corp/rocky/$releasever/BaseOS/$basearch/os/\n"
        "[appstream]\nbaseurl=https://mirror.corp/rocky/9/AppStream/$basearch/os/\n"
        "[vendor]\nmetalink=https://vendor.example/metalink\n"
    )
    found = read_places({}, tmp_path).rpm
    near = own_repositories(System("rocky", "8"), "aarch64", found)
    assert near[0] == ("https://mirror.corp/rocky/8/BaseOS/aarch64/os",)
    assert "mirror.corp" not in "".join(near[1])
    assert "mirror.corp" in own_repositories(System("rocky", "9"), "aarch64", found)[1][0]
    assert "mirror.corp" not in str(own_repositories(ALMA, "aarch64", found))


# --- .repo files and lists -------------------------------------------------------------------------------------------


def test_repo_files() -> None:
    text = (
        "[a]\nname=A\nbaseurl = https://a.example/$basearch/ https://b.example/\nmirrorlist=https://m.example/a\n"
        "[b]\nmirrorlist=https://m.example/b\n[c]\n#baseurl=https://c.example/\n[d]\nbaseurl=file:///mnt\n"
        "[e-debuginfo]\nbaseurl=https://e.example/debug/\n[f-source]\nbaseurl=https://f.example/SRPMS/\n"
    )
    assert repository_addresses(text) == ("https://a.example/$basearch", "https://m.example/b")
    assert repository_addresses("[x]\\nname=X\\nbaseurl=https://x.example/\\$basearch\\nenabled=1") == (
        "https://x.example/$basearch",
    )
    assert repository_addresses("") == repository_addresses("nothing of the kind") == ()


def test_lists_of_mirrors() -> None:
    assert first_mirror("# mirrors\nhttps://a.example/x/\nhttps://b.example/\n") == "https://a.example/x"
    assert first_mirror("<html><a href='https://login.example/'>log in</a></html>") == first_mirror("") == ""


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_the_catalogue_is_whole() -> None:
    document = tomllib.loads(CATALOGUE.read_text("utf-8"))
    fields = {
        "distribution": {"id", "image", "tag", "source"},
        "repositories": {"id", "releases", "releasever", "bases", "arm64_bases", "paths", "source"},
        "addition": {"packages", "id", "releases", "bases", "arm64_bases", "paths", "source"},
    }
    assert document.keys() == fields.keys()
    for table, allowed in fields.items():
        for entry in document[table]:
            assert entry.keys() <= allowed
            assert entry["source"], entry
            assert not any(address.endswith("/") for address in entry.get("bases", ()))
    for entry in document["distribution"]:
        parts = [pattern for pattern in (entry["image"], entry.get("tag", "")) if "(?P<release>" in pattern]
        assert len(parts) == 1, entry
        assert any(have["id"] == entry["id"] for have in document["repositories"]), entry
    for entry in (*document["repositories"], *document["addition"]):
        addresses = [f"{base}/{path}" for base in entry["bases"] for path in entry["paths"]]
        one_for_all = {"opensuse"}
        assert entry["id"] in one_for_all or all("{arch}" in address for address in addresses), entry
        filled = " ".join((*addresses, *entry.get("arm64_bases", ())))
        assert set(re.findall(r"\{(\w+)\}", filled)) <= {"arch", "release", "major", "minor"}
        assert re.compile(entry["releases"])
        assert all(base.startswith(("https://", "http://")) for base in entry["bases"])


def test_other_images_are_none_of_them() -> None:
    for name, tag in (("debian", "12"), ("team/centos-builder", "7"), ("node", "18"), ("myfedora", "40")):
        assert rpm_system(name, tag) is None
