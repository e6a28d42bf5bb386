"""Which packages a Dockerfile installs, and where each is named."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from crossdock.packages.model import Ecosystem, PackageRequest, Repository, Status
from crossdock.packages.requests import Requests, collect_requests
from crossdock.packages.systems import system_of
from crossdock.read.context import Context
from crossdock.read.dockerfile import parse
from crossdock.read.trace import trace
from crossdock.source import Source


def requests_of(
    text: str, files: dict[str, bytes] | None = None, root: Path = Path("/nonexistent")
) -> tuple[Requests, dict[str, Source]]:
    source = Source("Dockerfile", text.encode())
    context = Context(root, b"").with_files(files) if files else None
    traced = trace(parse(source), context=context)
    found = collect_requests(traced, context)
    scripts = [run.source for _, step in traced.steps for run in step.scripts]
    return found, {read.path: read for read in (source, *scripts, *found.sources)}


def named(text: str, files: dict[str, bytes] | None = None) -> list[tuple[str, str]]:
    return [(request.name, request.version) for request in requests_of(text, files)[0].requests]


def words(text: str, files: dict[str, bytes] | None = None) -> list[str]:
    """What stands at the place that each request points at."""
    found, sources = requests_of(text, files)
    return [sources[r.origin.path].text(r.origin.span) for r in found.requests]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("apt-get update && apt-get install -y --no-install-recommends curl git", [("curl", ""), ("git", "")]),
        ("apt-get -qq -o Dpkg::Use-Pty=0 install -t bookworm-backports curl", [("curl", "")]),
        ("apt install curl=7.88.1-10+deb12u5 git/bookworm", [("curl", "=7.88.1-10+deb12u5"), ("git", "")]),
        ("apt-get install -y libstdc++6 g++ nano- ./local.deb /tmp/other.deb", [("libstdc++6", ""), ("g++", "")]),
        ("apt-get remove -y curl", []),
        ("apt-get install -y libc6:i386", []),
        ("sudo DEBIAN_FRONTEND=noninteractive apt-get install -y curl", [("curl", "")]),
        ("apt-get install -y $PACKAGES_FROM_OUTSIDE", []),
        ("apk add --no-cache --virtual .build gcc=12.2.1-r0 'musl-dev>1' bash@edge !openssl tool_amd64.apk",
         [("gcc", "=12.2.1-r0"), ("musl-dev", ">1"), ("bash", "")]),
        ("yum install -y git-2.39.1 java-11-openjdk @development epel-release x-1.0-1.x86_64.rpm",
         [("git", "=2.39.1"), ("java-11-openjdk", ""), ("@development", ""), ("epel-release", "")]),
        ("dnf install -y 'php-*' 'perl(JSON::XS)' /usr/bin/jq 7zip glibc.i686 openssl-devel.x86_64 bash.aarch64",
         [("php-*", ""), ("perl(JSON::XS)", ""), ("/usr/bin/jq", ""), ("7zip", ""), ("bash.aarch64", "")]),
        ("dnf -y groupinstall 'Development Tools' && dnf module enable -y nodejs:18 && dnf module install -y php:8.2",
         [("@Development Tools", ""), ("@php:8.2", "")]),
        ("microdnf install -y --nodocs --setopt=install_weak_deps=0 git && tdnf install -y tar && yum -y update",
         [("git", ""), ("tar", "")]),
        ("zypper --non-interactive in --no-recommends -y curl=8.0.1 git && zypper -n in -t pattern devel_basis",
         [("curl", "=8.0.1"), ("git", ""), ("@devel_basis", "")]),
        ("yum -d 0 -e 0 --enablerepo crb -y install git", [("git", "")]),
        ("zypper refresh && zypper -n install -y -- gcc", [("gcc", "")]),
        ("pip install --no-cache-dir -U pip 'requests[socks]>=2,<3' numpy==1.19.5",
         [("pip", ""), ("requests", ">=2,<3"), ("numpy", "==1.19.5")]),
        ("python3.11 -m pip install torch", [("torch", "")]),
        ("uv pip install --system ruff", [("ruff", "")]),
        ("pip3 install . ./wheel-1.0-py3-none-any.whl git+https://example.com/x.git https://example.com/y.tar.gz", []),
        ("pip install 'mkl; platform_machine == \"x86_64\"'", []),
        ("pip install --platform manylinux2014_x86_64 numpy", []),
        ("npm install -g @angular/cli@15 yarn puppeteer@^19.0.0",
         [("@angular/cli", "15"), ("yarn", ""), ("puppeteer", "^19.0.0")]),
        ("npm install -g typescript@latest ./local https://example.com/x.tgz", [("typescript", "")]),
        ("yarn global add phantomjs-prebuilt", [("phantomjs-prebuilt", "")]),
        ("npm run build && yarn --version && yarn build", []),
        ("gem install bundler -v 2.4.1 --no-document", [("bundler", "=2.4.1")]),
        ("gem install nokogiri:1.15.0 rake", [("nokogiri", "=1.15.0"), ("rake", "")]),
        ("yes | tools/bin/sdkmanager --sdk_root=/sdk 'platforms;android-30' 'build-tools;33.0.2' \"cmake;$UNKNOWN\"",
         [("platforms", "=android-30"), ("build-tools", "=33.0.2"), ("cmake", "")]),
        ("yes | sdkmanager --licenses; sdkmanager --uninstall emulator", []),
        ("echo y | android update sdk -u -a -t platform-tools,build-tools-23.0.3,android-23,build-tools-24.0.0",
         [("platform-tools", ""), ("build-tools", "=23.0.3"), ("android", "=23")]),
        ("android update sdk --no-ui --filter build-tools-$UNKNOWN", [("build-tools", "")]),
        ("android update sdk --no-ui", [("platform-tools", "")]),
        ("android create project --name x", []),
    ],
)  # fmt: skip
def test_packages_that_a_command_names(command: str, expected: list[tuple[str, str]]) -> None:
    assert named(f"FROM debian:bookworm\nRUN {command}\n") == expected


def test_a_request_points_at_the_word_that_names_it() -> None:
    text = (
        'FROM debian:bookworm\nARG TOOLS="cpuid msr-tools"\nRUN apt-get install -y "curl" \\\n  # why\n  git $TOOLS\n'
    )
    assert words(text) == ["curl", "git", "cpuid", "msr-tools"]


def test_what_only_amd64_installs_is_no_request() -> None:
    assert named('FROM debian\nRUN if [ "$(uname -m)" = x86_64 ]; then apt-get install -y cpuid; fi\n') == []
    assert named("FROM --platform=$BUILDPLATFORM debian\nRUN apt-get install -y cpuid\n") == []
    assert named(
        "FROM debian AS image-amd64\nRUN apt-get install -y cpuid\nFROM debian AS image-arm64\n"
        "ARG TARGETARCH\nFROM image-$TARGETARCH\nRUN true\n"
    ) == []  # fmt: skip


def test_a_command_that_may_not_be_reached_is_not_certain() -> None:
    found, _ = requests_of('FROM debian\nARG GPU\nRUN if [ -n "$GPU" ]; then apt-get install -y cpuid; fi\n')
    assert [request.certain for request in found.requests] == [False]


def test_requirements_files_are_read_where_they_are_copied() -> None:
    files = {
        "requirements.txt": b"# comment\nflask==2.0 # web\n  mkl>=2020 \\\n    --hash=sha256:00\n-r more/dev.txt\n"
        b"-e .\nx @ https://example.com/x.whl\nwin; sys_platform == 'win32'\n",
        "more/dev.txt": b"-r ../requirements.txt\npytest\n",
    }
    text = "FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\n"
    assert named(text, files) == [("flask", "==2.0"), ("mkl", ">=2020"), ("pytest", "")]
    assert words(text, files) == ["flask==2.0", "mkl>=2020", "pytest"]


def test_files_are_found_through_patterns_stages_and_mounts() -> None:
    files = {"requirements-prod.txt": b"mkl\n"}
    copied = "FROM python:3.11\nCOPY requirements*.txt /tmp/\nRUN pip install -r /tmp/requirements-prod.txt\n"
    assert named(copied, files) == [("mkl", "")]
    through = (
        "FROM scratch AS files\nCOPY requirements-prod.txt /\n"
        "FROM python:3.11\nCOPY --from=files /requirements-prod.txt /r.txt\nRUN pip install -r /r.txt\n"
    )
    assert named(through, files) == [("mkl", "")]
    mounted = (
        "FROM python:3.11\nRUN --mount=type=bind,source=requirements-prod.txt,target=/r.txt pip install -r /r.txt\n"
    )
    assert named(mounted, files) == [("mkl", "")]


def test_a_script_that_is_run_installs_too() -> None:
    files = {"setup.sh": b"#!/bin/sh\napt-get install -y cpuid\n"}
    assert words("FROM debian\nCOPY setup.sh /\nRUN sh /setup.sh\n", files) == ["cpuid"]


# --- npm -------------------------------------------------------------------------------------------------------------


def lock(packages: dict[str, object]) -> dict[str, bytes]:
    root = {"dependencies": {"app": "1"}}
    return {
        "package.json": b'{"dependencies": {"app": "^1.0.0"}}',
        "package-lock.json": json.dumps({"lockfileVersion": 3, "packages": {"": root} | packages}, indent=2).encode(),
    }


NPM = "FROM node:18\nWORKDIR /app\nCOPY package*.json ./\nRUN npm ci\n"


def stated(files: dict[str, bytes], text: str = NPM) -> list[tuple[str, str]]:
    found, _ = requests_of(text, files)
    return [(r.name, r.stated.detail) for r in found.requests if r.stated and r.stated.status is Status.MISSING]


def test_a_lock_file_says_that_a_package_is_not_for_arm64() -> None:
    packages: dict[str, object] = {"node_modules/native-x64": {"version": "1.0.0", "os": ["linux"], "cpu": ["x64"]}}
    files = lock(packages)
    assert stated(files) == [
        ("native-x64", "the lock file has it for x64 only, so npm ends with EBADPLATFORM"),
    ]
    assert words(NPM, files) == ["native-x64"]


@pytest.mark.parametrize(
    "entry",
    [
        {"version": "1", "cpu": ["x64"], "optional": True},
        {"version": "1", "cpu": ["x64", "arm64"]},
        {"version": "1", "cpu": ["!ia32"]},
        {"version": "1", "os": ["darwin"], "cpu": ["x64"], "optional": True},
        {"version": "1"},
    ],
)
def test_a_lock_file_that_admits_arm64_says_nothing(entry: object) -> None:
    assert stated(lock({"node_modules/native": entry})) == []


def test_a_lock_file_without_the_optional_part_for_arm64() -> None:
    parts = {"optionalDependencies": {"@x/linux-x64": "1", "@x/linux-arm64": "1", "@x/darwin-arm64": "1"}}
    x64 = {"version": "1", "cpu": ["x64"], "optional": True}
    packages: dict[str, object] = {"node_modules/x": {"version": "1", **parts}, "node_modules/@x/linux-x64": x64}
    assert stated(lock(packages)) == [("x", "it needs @x/linux-arm64 on arm64, which the lock file does not hold")]
    assert stated(lock(packages | {"node_modules/@x/linux-arm64": {"version": "1", "optional": True}})) == []


def test_a_large_lock_file_is_read_in_time() -> None:
    packages: dict[str, object] = {
        f"node_modules/p{n}": {
            "version": "1.0.0",
            "resolved": "x" * 1500,
            "optionalDependencies": {"q-linux-arm64": "1"},
        }
        for n in range(4000)
    }
    files = lock(packages | {"node_modules/native": {"version": "1", "cpu": ["x64"]}})
    began = time.process_time()
    assert [name for name, _ in stated(files)] == ["native"]
    assert time.process_time() - began < 3.0


def test_without_a_lock_file_package_json_counts() -> None:
    files = {"package.json": b'{"dependencies": {"a": "^1.2.3", "b": "file:../b"}, "devDependencies": {"c": "2.0.0"}}'}
    assert named(NPM, files) == [("a", "^1.2.3"), ("c", "2.0.0")]
    assert named(NPM.replace("npm ci", "npm ci --omit=dev"), files) == [("a", "^1.2.3")]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"packages": 1}', b'{"packages": {"node_modules/x": 1}}', b"\xff"]
)
def test_a_lock_file_that_is_none_says_nothing(data: bytes) -> None:
    assert named(NPM, {"package-lock.json": data}) == []


# --- RubyGems and Maven ----------------------------------------------------------------------------------------------

GEMFILE_LOCK = b"""GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.15.4-x86_64-linux)

PLATFORMS
  x86_64-darwin-21
  x86_64-linux

DEPENDENCIES
  nokogiri
"""


def test_a_frozen_gemfile_lock_needs_the_platform() -> None:
    text = "FROM ruby:3.2\nENV BUNDLE_DEPLOYMENT=1\nCOPY Gemfile Gemfile.lock ./\nRUN bundle install\n"
    assert stated({"Gemfile.lock": GEMFILE_LOCK}, text) == [
        (
            "x86_64-linux",
            "the lock file is for this platform only, and Bundler refuses to change it in a frozen install",
        )
    ]
    assert "x86_64-linux" in words(text, {"Gemfile.lock": GEMFILE_LOCK})
    assert stated({"Gemfile.lock": GEMFILE_LOCK}, text.replace("ENV BUNDLE_DEPLOYMENT=1\n", "")) == []
    for platform in (b"ruby", b"aarch64-linux", b"aarch64-linux-gnu"):
        assert stated({"Gemfile.lock": GEMFILE_LOCK.replace(b"x86_64-darwin-21", platform)}, text) == []


POM = b"""<project>
  <!-- <dependency><groupId>g</groupId><artifactId>a</artifactId><classifier>linux-x86_64</classifier></dependency> -->
  <dependencies>
    <dependency>
      <groupId>io.netty</groupId><artifactId>netty-tcnative</artifactId><version>2.0.1</version>
      <classifier>linux-x86_64</classifier>
    </dependency>
  </dependencies>
</project>
"""


def test_a_classifier_in_a_pom() -> None:
    text = "FROM maven:3\nCOPY pom.xml .\nRUN mvn -B package\n"
    found, _ = requests_of(text, {"pom.xml": POM})
    (request,) = found.requests
    assert (request.name, request.exact, request.classifier) == ("io.netty:netty-tcnative", "2.0.1", "linux-x86_64")
    assert words(text, {"pom.xml": POM}) == ["linux-x86_64"]
    dependency = POM[POM.index(b"    <dependency>") : POM.index(b"  </dependencies>")]
    both = POM.replace(dependency, dependency + dependency.replace(b"linux-x86_64", b"linux-aarch_64"))
    assert words(text, {"pom.xml": both}) == []


PROTOC = b"""<project><properties><protobuf.version>3.4.0</protobuf.version></properties><build><plugins><plugin>
<artifactId>protobuf-maven-plugin</artifactId><configuration>
<protocArtifact>com.google.protobuf:protoc:${protobuf.version}:exe:${os.detected.classifier}</protocArtifact>
<pluginArtifact>io.grpc:protoc-gen-grpc-java:1.20.0:exe:linux-x86_64</pluginArtifact>
</configuration></plugin></plugins></build></project>
"""


def test_programs_that_a_pom_fetches() -> None:
    text = "FROM maven:3\nCOPY pom.xml .\nRUN mvn -B package\n"
    found, _ = requests_of(text, {"pom.xml": PROTOC})
    assert [(r.name, r.version, r.classifier) for r in found.requests] == [
        ("com.google.protobuf:protoc", "3.4.0", "${os.detected.classifier}"),
        ("io.grpc:protoc-gen-grpc-java", "1.20.0", "linux-x86_64"),
    ]
    assert words(text, {"pom.xml": PROTOC})[0].startswith("com.google.protobuf:protoc:")


def test_the_gems_of_a_lock_file() -> None:
    text = "FROM ruby:3.2\nCOPY . .\nRUN bundle install\n"
    plain = GEMFILE_LOCK.replace(b"(1.15.4-x86_64-linux)", b"(1.15.4)\n      racc (~> 1.4)\n    racc (1.7.1)")
    found, _ = requests_of(text, {"Gemfile.lock": plain})
    assert [(r.name, r.version, r.direct) for r in found.requests] == [
        ("nokogiri", "=1.15.4", True),
        ("racc", "=1.7.1", False),
    ]


# --- where from ------------------------------------------------------------------------------------------------------


def only(text: str) -> PackageRequest:
    (request,) = requests_of(text)[0].requests
    return request


def test_the_distribution_comes_through_stages_and_arguments() -> None:
    request = only("ARG V=bookworm\nFROM debian:$V AS base\nFROM base\nRUN apt-get install cpuid\n")
    assert (request.system.distribution, request.system.release, request.system.codename) == (
        "debian", "12", "bookworm",
    )  # fmt: skip


def test_repositories_that_were_added_before() -> None:
    added = (
        'RUN echo "deb [signed-by=/k.gpg] https://example.com/apt stable main extra" > /etc/apt/sources.list.d/x.list'
    )
    request = only(f"FROM debian:bookworm AS base\n{added}\nFROM base\nRUN apt-get install tool\n")
    assert request.repositories == (Repository("https://example.com/apt", "stable", ("main", "extra")),)
    assert not request.opaque
    after = only(f"FROM debian:bookworm\nRUN apt-get install tool\n{added}\n")
    assert after.repositories == ()


@pytest.mark.parametrize(
    "line",
    [
        "RUN curl -o /etc/apt/sources.list.d/x.list https://example.com/x.list",
        "RUN curl https://example.com/x.list > /etc/apt/sources.list.d/x.list",
        "RUN add-apt-repository -y ppa:someone/tools",
        "COPY vendor.list /etc/apt/sources.list.d/",
        "RUN dpkg -i packages-microsoft-prod.deb",
        "RUN curl -fsSL https://deb.example.com/setup | bash -",
    ],
)
def test_repositories_that_cannot_be_read(line: str) -> None:
    assert only(f"FROM debian:bookworm\n{line}\nRUN apt-get install tool\n").opaque


def test_a_further_index_of_pip() -> None:
    request = only("FROM python:3.11\nRUN pip install --extra-index-url https://download.example.com/cu118 torch\n")
    assert request.repositories == (Repository("https://download.example.com/cu118"),)
    assert only("FROM python:3.11\nENV PIP_INDEX_URL=https://example.com/simple\nRUN pip install x\n").repositories


@pytest.mark.parametrize(
    ("image", "distribution", "release", "codename", "python"),
    [
        ("debian:bookworm-slim", "debian", "12", "bookworm", ""),
        ("debian:12.5", "debian", "12", "bookworm", ""),
        ("debian", "debian", "", "", ""),
        ("ubuntu:22.04", "ubuntu", "22.04", "jammy", ""),
        ("ubuntu@sha256:00", "ubuntu", "", "", ""),
        ("python:3.11-slim-bullseye", "debian", "11", "bullseye", "3.11"),
        ("python:3.8", "debian", "", "", "3.8"),
        ("python:3.9.17-alpine3.18", "alpine", "3.18", "", "3.9"),
        ("node:18-alpine", "alpine", "", "", ""),
        ("alpine:3.18.4", "alpine", "3.18", "", ""),
        ("nvidia/cuda:12.1.0-devel-ubuntu22.04", "ubuntu", "22.04", "jammy", ""),
        ("registry.access.redhat.com/ubi8/ubi-minimal:8.6", "rhel", "8", "", ""),
        ("mcr.microsoft.com/dotnet/sdk:6.0-focal", "ubuntu", "20.04", "focal", ""),
        ("quay.io/centos/centos:stream9", "centos", "9", "", ""),
        ("centos:7.9.2009", "centos", "7", "", ""),
        ("fedora:40", "fedora", "40", "", ""),
        ("registry.fedoraproject.org/fedora-minimal:rawhide", "fedora", "rawhide", "", ""),
        ("almalinux:9.3-20231124", "almalinux", "9", "", ""),
        ("almalinux/8-minimal:8", "almalinux", "8", "", ""),
        ("rockylinux:9.3.20231119", "rocky", "9", "", ""),
        ("rockylinux/rockylinux:8.10-minimal", "rocky", "8", "", ""),
        ("oraclelinux:8-slim", "ol", "8", "", ""),
        ("public.ecr.aws/amazonlinux/amazonlinux:2023.3.20240219.0", "amzn", "2023", "", ""),
        ("amazonlinux:2.0.20230418.0", "amzn", "2", "", ""),
        ("redhat/ubi9-minimal", "rhel", "9", "", ""),
        ("registry.access.redhat.com/ubi9/python-311:1-20", "rhel", "9", "", ""),
        ("openeuler/openeuler:22.03-lts-sp3", "openeuler", "22.03-LTS-SP3", "", ""),
        ("hub.oepkgs.net/openeuler/openeuler:22.03", "openeuler", "22.03", "", ""),
        ("openanolis/anolisos:8.6-x86_64", "anolis", "8.6", "", ""),
        ("opencloudos/opencloudos9-minimal:latest", "opencloudos", "9", "", ""),
        ("macrosan/kylin:v10-sp3-2403", "kylin", "SP3-2403", "", ""),
        ("cr.kylinos.cn/kylin/kylin-server-minimal:v10sp1", "kylin", "SP1", "", ""),
        ("registry.opensuse.org/opensuse/leap:15.6", "opensuse", "15.6", "", ""),
        ("opensuse/tumbleweed:latest", "opensuse", "tumbleweed", "", ""),
        ("registry.suse.com/bci/bci-base:15.5", "sles", "15.5", "", ""),
        ("mcr.microsoft.com/azurelinux/base/core:3.0", "azurelinux", "3.0", "", ""),
        ("fedora:latest", "fedora", "", "", ""),
        ("eclipse-temurin:17-ubi9-minimal", "rhel", "9", "", ""),
        ("localhost:5000/team/app", "", "", "", ""),
        ("ghcr.io/team/app:1.2", "", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_the_distribution_of_an_image(image: str, distribution: str, release: str, codename: str, python: str) -> None:
    system = system_of(image)
    assert (system.distribution, system.release, system.codename, system.python) == (
        distribution, release, codename, python,
    )  # fmt: skip


def test_the_exact_version() -> None:
    def exact(version: str) -> str:
        return only(f"FROM python:3.11\nRUN pip install 'x{version}'\n").exact

    assert [exact(v) for v in ("==1.2", "===1.2", "", ">=1.2", "==1.*", "==1.2,<2")] == ["1.2", "1.2", "", "", "", ""]
    assert only("FROM python:3.11\nRUN pip install x==1\n").ecosystem is Ecosystem.PIP


# --- repositories of RPMs --------------------------------------------------------------------------------------------


def rpm_repositories(
    lines: str, files: dict[str, bytes] | None = None, root: Path = Path("/nonexistent")
) -> tuple[list[str], bool]:
    """The repositories of ``dnf install tool`` after ``lines``, and whether there are some that could not be read."""
    found, _ = requests_of(f"FROM almalinux:9\n{lines}\nRUN dnf install -y tool\n", files, root)
    request = found.requests[-1]
    return [repository.url for repository in request.repositories], request.opaque


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RUN dnf config-manager --add-repo https://x.example/x.repo", ["https://x.example/x.repo"]),
        ("RUN dnf config-manager addrepo --from-repofile=https://x.example/x.repo", ["https://x.example/x.repo"]),
        ("RUN yum-config-manager --add-repo=https://x.example/el/x86_64/", ["https://x.example/el/x86_64"]),
        ("RUN zypper -n addrepo --refresh https://x.example/leap x && zypper -n ref", ["https://x.example/leap"]),
        ("RUN zypper ar -fG 'https://x.example/$releasever' x", ["https://x.example/$releasever"]),
        ("RUN curl -fsSL https://x.example/rhel.repo -o /etc/yum.repos.d/x.repo", ["https://x.example/rhel.repo"]),
        ("RUN curl https://x.example/x.repo > /etc/yum.repos.d/x.repo", ["https://x.example/x.repo"]),
        ("RUN wget -P /etc/yum.repos.d/ https://x.example/x.repo", ["https://x.example/x.repo"]),
        ("ADD https://x.example/x.repo /etc/yum.repos.d/", ["https://x.example/x.repo"]),
        ("RUN echo -e '[x]\\nname=x\\nbaseurl=https://x.example/$basearch\\nenabled=1' > /etc/yum.repos.d/x.repo",
         ["https://x.example/$basearch"]),
        ("RUN printf '[x]\\nbaseurl=https://x.example/$basearch\\n' | tee /etc/yum.repos.d/x.repo",
         ["https://x.example/$basearch"]),
        ("RUN cat > /etc/yum.repos.d/x.repo <<'EOF'\n[x]\nbaseurl=https://x.example/$releasever/$basearch/\nEOF",
         ["https://x.example/$releasever/$basearch"]),
        ("RUN <<END\ncat <<EOF > /etc/yum.repos.d/x.repo\n[x]\nbaseurl=https://x.example/\\$basearch\nEOF\nEND",
         ["https://x.example/$basearch"]),
        ("RUN dnf install -y epel-release", ["epel-release"]),
        ("RUN dnf install -y https://dl.example/pub/epel/epel-release-latest-9.noarch.rpm", ["epel-release"]),
        ("RUN rpm -Uvh https://dl.example/pub/epel/epel-release-latest-$(rpm -E %rhel).noarch.rpm", ["epel-release"]),
        ("RUN yum install -y centos-release-scl", ["centos-release-scl"]),
        ("RUN dnf install -y https://x.example/pgdg-redhat-repo-latest.noarch.rpm", ["pgdg-redhat-repo"]),
        ("RUN dnf config-manager --set-enabled crb && dnf -y update", []),
        ("RUN mv /etc/yum.repos.d/a.repo /etc/yum.repos.d/a.repo.backup", []),
        ("RUN zypper rr old-repo && zypper mr -e other-repo && dnf repolist some-repo", []),
        ("RUN rpm --import https://x.example/RPM-GPG-KEY && dnf module enable -y nodejs:18", []),
    ],
)  # fmt: skip
def test_repositories_of_rpms_that_were_added_before(lines: str, expected: list[str]) -> None:
    assert rpm_repositories(lines) == (expected, False)


def test_a_repo_file_of_the_context(tmp_path: Path) -> None:
    files = {"etc/x.repo": b"[x]\nbaseurl=https://x.example/$basearch\n", "etc/KEY": b"key"}
    for line in (
        "COPY etc/x.repo /etc/yum.repos.d/",
        "COPY etc/ /etc/yum.repos.d/",
        "ADD etc/*.repo /etc/zypp/repos.d/",
    ):
        assert rpm_repositories(line, files, tmp_path) == (["https://x.example/$basearch"], False)


@pytest.mark.parametrize(
    "lines",
    [
        "COPY x.repo /etc/yum.repos.d/",
        "COPY --from=registry.example.com/repos /x.repo /etc/yum.repos.d/",
        "RUN curl -fsSL https://rpm.example.com/setup_18.x | bash -",
        "RUN curl https://x.example/x.repo | sed s/a/b/ | tee /etc/yum.repos.d/x.repo",
        "RUN curl https://x.example/repository > /etc/yum.repos.d/x.repo",
        "RUN dnf config-manager --add-repo $REPOSITORY",
        "RUN dnf install -y https://packages.example.com/config/prod.rpm",
        "RUN dnf copr enable -y someone/tools",
        "RUN amazon-linux-extras install -y epel",
        "RUN subscription-manager repos --enable=rhel-9-tools",
        "COPY <<EOF /etc/yum.repos.d/x.repo\n[x]\nbaseurl=https://x.example\nEOF",
    ],
)
def test_repositories_of_rpms_that_cannot_be_read(lines: str) -> None:
    assert rpm_repositories(lines) == ([], True)


def test_sources_of_apt_and_of_rpms_are_kept_apart() -> None:
    text = "RUN echo 'deb https://example.com/apt stable main' > /etc/apt/sources.list.d/x.list"
    assert rpm_repositories(text) == ([], False)
