"""Shapes of amd64 text met in Dockerfiles nobody here wrote: the marked text is found, and nothing else is."""

from __future__ import annotations

import re

import pytest

from crossdock.findings import Finding, Severity
from crossdock.rules.check import check_dockerfile
from crossdock.source import Source

FOUND = [
    # Names of amd64, and of 32-bit x86, which runs on it.
    "RUN curl -LO https://example.com/bin.linux26⟦x86_64⟧/tool",
    "RUN curl -LO https://example.com/tool_⟦x64⟧Linux.tar.gz",
    "RUN curl -LO https://example.com/tool-linux_x86⟦x64⟧.tar.gz",
    "RUN curl -LO https://example.com/tool2016⟦linux64⟧.tgz",
    "RUN curl -LO https://example.com/tool_⟦linux_server.64⟧.zip",
    "RUN curl -LO https://example.com/tool_⟦i386⟧.tar.gz",
    "RUN curl -LO https://example.com/tool-static_⟦x86⟧-1.2.tar.bz2",
    "RUN curl -LO https://example.com/keybox_⟦amd64⟧.deb",
    "ENV GOARCH=⟦386⟧\nRUN go build .",
    # Downloads that name no architecture.
    "RUN curl -LO https://example.com/v2/⟦plugin.so⟧",
    "RUN curl -Lo /usr/bin/tool https://example.com/v2/tool-⟦linux⟧",
    "ADD https://example.com/⟦Tool.AppImage⟧ /opt/",
    "RUN curl -LO https://github.com/sgerrand/alpine-pkg-glibc/releases/download/2.29-r0/⟦glibc-⟧2.29-r0.apk",
    "RUN curl -LO https://example.com/gcc-arm-none-eabi-5_4-⟦linux⟧.tar.bz2",
    "RUN flatpak install -y flathub org.example.Platform/⟦x86_64⟧/6.8",
    # What a server lists is searched for the amd64 file.
    "RUN curl -s https://example.com/list | awk '{print $2}' | grep ⟦amd64⟧ | xargs curl -O",
    "RUN curl -s https://example.com/list | cut -d: -f2 | grep s6-⟦amd64⟧.tgz | xargs curl -O",
    "RUN curl -s https://example.com/list | sed -n 's/.*id=\"\\(.*\\)\".*el7\\.⟦x86_64⟧\\.rpm.*/\\1/p' > id",
    'RUN R=$(curl -s https://example.com/list) && echo "$R" | grep tool-⟦amd64⟧ | xargs curl -O',
    "RUN curl -so r.json https://e.com/r && wget $(jq -r '.[] | select(.name | test(\"⟦x86_64⟧\")) | .url' r.json)",
    "RUN gh release download -R a/b -p '*linux_⟦amd64⟧*'",
    "RUN lynx -dump https://example.com/list | grep ⟦x86_64⟧.rpm | xargs curl -O",
    # Package sources and packages.
    "RUN echo 'baseurl=https://example.com/el8-⟦x86_64⟧' >> /etc/yum.repos.d/example.repo",
    "RUN dnf install -y ⟦zlib.x86_64⟧",
    'RUN ["yum", "install", "⟦zlib.x86_64⟧", "-y"]',
    "RUN install_packages ⟦linux-image-amd64⟧",
    "RUN apt-get install -y ⟦g++-4.8-multilib⟧",
    "RUN pacman -S --noconfirm ⟦lib32-zlib⟧",
    "RUN echo 'deb https://example.com/apt/ dists/stable/main/binary-⟦amd64⟧/' > /etc/apt/sources.list.d/e.list",
    "RUN { echo '[e]'; echo 'baseurl=https://example.com/el7/⟦x86_64⟧/'; } > /etc/yum.repos.d/e.repo",
    "RUN apt-get install -y ⟦zlib1g:i386=1.2.11⟧",
    # Variables.
    'ENV ARCH=⟦amd64⟧\nCMD ["/init.sh"]',
    "RUN export DIST=https://example.com/go-⟦amd64⟧.tgz && ./bootstrap",
    'SHELL ["scl", "enable", "devtoolset-7"]\nRUN curl -LO https://example.com/tool-⟦amd64⟧',
    'ENV V=1.2\nRUN bash -c "curl -LO https://example.com/⟦x86_64⟧/tool-${V}.tgz"',
    'ENV B=https://example.com\nRUN bash -c "curl -LO $B/tool-⟦amd64⟧.tgz"',
    "RUN bash -o pipefail -c 'curl -L https://example.com/go-⟦amd64⟧.tgz | tar xz'",
    "RUN meteor build --architecture os.linux.⟦x86_64⟧",
    # Paths.
    'CMD ["tool-⟦linux64⟧"]',
    "RUN sed -i 's/a/b/' /usr/lib/jvm/java-8-openjdk-⟦amd64⟧/jre/lib/security/java.security",
    "RUN echo /usr/local/lib > /usr/lib/⟦x86_64-linux-gnu⟧/local.conf",
    "RUN mkdir /lib64 && ln -s /lib/libc.musl-⟦x86_64⟧.so.1 /lib64/libc.so.1",
    "RUN update-java-alternatives -s java-1.8.0-openjdk-⟦amd64⟧",
    "ENV JAVA_HOME=/usr/lib/jvm/jre-1.8.0-openjdk.⟦x86_64⟧",
    "RUN curl -L https://example.com/suite.tgz | tar xz && cp suite/bin/Linux_⟦x86_64⟧/tool /usr/bin/",
    "COPY . /src\nRUN make && mv out/lx-⟦amd64⟧/tool /usr/bin/",
    "ENV QTDIR=/opt/Qt/5.15/⟦gcc_64⟧",
    'CMD ["/srv/server.⟦x86_64⟧", "--port", "80"]',
    "COPY --from=debian /usr/lib/⟦x86_64-linux-gnu⟧/libz.so.1 \\\n    /usr/lib/⟦x86_64-linux-gnu⟧/",
    "RUN ln -s /tools/bin/Linux_⟦x86_64⟧/* /usr/local/bin",
    "RUN echo /opt/lib/⟦Linux64⟧ >> /etc/ld.so.conf",
    "RUN echo 'export PATH=$PATH:/opt/⟦x86_64⟧-unknown-linux-gnu/bin' >> /root/.bashrc",
    "RUN mkdir -p amd64 && tar -C amd64 -xjf additions-⟦amd64⟧.tar.bz2",
    "COPY . .\nRUN conda-lock install environments/production-⟦linux-64⟧.lock",
    # Defaults.
    "ARG ARCH\nADD https://example.com/tool-${ARCH:-⟦amd64⟧} /usr/bin/tool",
    "ARG ARCH\nRUN curl -LO https://example.com/tool-${ARCH:-⟦amd64⟧}",
    # Flags.
    'RUN CC="cc ⟦-mavx2⟧" pip install --force-reinstall pillow-simd',
    "RUN ./configure ⟦--enable-m64⟧-build",
    "ENV RUSTFLAGS='-C ⟦target-cpu=haswell⟧'\nRUN cargo build",
    "RUN bazel build -c opt --copt=⟦-mavx2⟧ //tool",
    "RUN ../configure --build=⟦x86_64-redhat-linux⟧ --disable-multilib",
    "RUN ./configure --extra-ldflags=-L/usr/local/cuda/targets/⟦x86_64-linux⟧/lib",
    "RUN wget https://example.com/download/deb -O editor-⟦amd64⟧.deb",
    "RUN apt-get update && \\\n    ` # the tool ` \\\n    curl -LO https://example.com/linux_⟦amd64⟧.zip",
    "RUN echo 'CFLAGS = -O2 ⟦-m32⟧' >> Makefile",
]

CLEAN = [
    "RUN dnf install -y https://example.com/9/x86_64/example-release-9.noarch.rpm",
    "RUN rpm --import https://example.com/x86_64/RPM-GPG-KEY-example",
    "RUN dnf remove -y zlib.x86_64",
    "RUN apt-get purge -y gcc-multilib libc6:i386",
    "RUN apk add qemu-system-x86_64",
    "RUN curl -LO https://dl.google.com/android/repository/sdk-tools-linux-4333796.zip",
    "RUN curl -LO https://example.com/src-linux-64.0.tar.gz",
    "RUN GOAMD64=v3 go build .",
    "RUN sed -i '/x86_64-linux-gnu/d' /etc/ld.so.conf",
    "LABEL architecture=x86_64",
    "ENV PATH=/opt/cross/x86_64-elf/bin:$PATH",
    'CMD ["/sbin/tini", "--", "server"]',
    'CMD ["memcached", "-m64"]',
    "RUN dpkg --add-architecture armhf",
    "ARG LLVM=x86_64-linux-gnu-18 LLVM_ARM64=aarch64-linux-gnu-18\nRUN ./install.sh",
    (
        "FROM golang AS build-linux-amd64\nENV GOARCH=amd64\nRUN go build .\n"
        "FROM golang AS build-linux-arm64\nENV GOARCH=arm64\nRUN go build .\nFROM scratch\n"
        "COPY --from=build-linux-amd64 /t /t-amd64\nCOPY --from=build-linux-arm64 /t /t-arm64"
    ),
    "RUN GOOS=darwin GOARCH=amd64 go build -o t-darwin . && GOOS=freebsd GOARCH=386 go build -o t-freebsd .",
    "RUN GOARCH=386 go build -o t-386 . && GOARCH=arm64 go build -o t-arm64 .",
    "RUN go build -o out/t-linux-x86_64 . && mv out/t-linux-x86_64 /bin/t",
    "RUN CC=/x86_64-linux-musl-cross/bin/cc ./build && CC=/aarch64-linux-musl-cross/bin/cc ./build",
    "RUN V=$(curl https://example.com/LATEST_RELEASE_90_LINUX) && echo $V",
    "RUN echo '0a1b2c  coin-0.15-x86_64-linux-gnu.tar.gz' > SHA256SUMS",
    "ENV CROSS_SYSTEM_PROCESSOR=amd64",
    "RUN curl -o sdk-linux.zip https://example.com/sdk && echo 'echo building for linux/amd64...' > build.sh",
    "RUN curl -LO https://example.com/fmt_3.1_linux.tar.gz && tar xf fmt_3.1_linux.tar.gz && cd fmt && make install",
    "RUN curl -so SHA256SUMS https://example.com/sums && grep tool-linux-amd64 SHA256SUMS > wanted",
    'RUN true\nCMD ["linux64", "bash"]',
    "RUN TARGET=i586-linux-musl /build-toolchain.sh\nENV SYSROOT=/usr/local/i586-linux-musl",
]


@pytest.mark.parametrize("marked", FOUND)
def test_is_found_once_and_where_it_is_written(marked: str) -> None:
    marked = f"FROM debian\n{marked}\n"
    text = re.sub("[⟦⟧]", "", marked).encode()
    report = check_dockerfile(Source("Dockerfile", text), context=None, build_args={})
    spans = [(finding.location.span.start, finding.location.span.end) for finding in report.findings]
    assert [text[start:end].decode() for start, end in spans] == re.findall("⟦(.*?)⟧", marked)


@pytest.mark.parametrize("text", CLEAN)
def test_is_no_finding(text: str) -> None:
    report = check_dockerfile(Source("Dockerfile", f"FROM debian\n{text}\n".encode()), context=None, build_args={})
    assert report.findings == ()


def test_paths_follow_from_the_download_that_brought_them() -> None:
    text = (
        "FROM debian\nENV PATH=/opt/node-v8-linux-x64/bin:$PATH\n"
        "RUN curl -L https://example.com/node-v8-linux-x64.tar.gz | tar xz -C /opt \\\n"
        "    && mv /opt/node-v8-linux-x64/LICENSE /\n"
    )
    report = check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args={})
    assert [finding.rule for finding in report.findings] == ["amd64-download"]


def findings_of(text: str) -> list[Finding]:
    return list(check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args={}).findings)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("ENV APP_ARCH=amd64", Severity.INFO),
        ('ENV APP_ARCH=amd64\nCMD ["bash"]', Severity.INFO),
        ('ENV APP_ARCH=amd64\nCMD ["/entrypoint.sh"]', Severity.ERROR),
        ("ENV ARCH=amd64", Severity.ERROR),
        ("RUN curl -O https://example.com/x86_64/cacerts.jks", Severity.INFO),
        ("RUN curl -O https://example.com/x86_64/tool.tgz", Severity.ERROR),
        ("RUN curl -O https://example.com/x86_64/sha256sums.txt", Severity.ERROR),
        ("RUN V=$(curl -s https://example.com/x86_64/ | grep -o '[0-9.]*' | tail -1) && echo $V", Severity.INFO),
        ("RUN V=$(wget -qO- https://example.com/x86_64/ | sort | tail -1) && echo $V", Severity.INFO),
        ("RUN wget -r https://example.com/x86_64/", Severity.ERROR),
    ],
)
def test_what_need_not_break_anything_is_a_note(text: str, severity: Severity) -> None:
    assert [finding.severity for finding in findings_of(f"FROM debian\n{text}\n")] == [severity]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ARG V\nRUN wget https://example.com/tool-$V-amd64.tgz", "amd64 selects the amd64 file tool-${V}-amd64.tgz"),
        ("RUN wget https://example.com/$(cat v)-amd64.tgz", "amd64 selects the amd64 file …-amd64.tgz"),
        ("RUN wget https://example.com/tool_x86.tgz", "x86 selects the x86 file tool_x86.tgz"),
        (
            "ENV LD_LIBRARY_PATH=/usr/local/lib:/usr/lib/x86_64-linux-gnu:$LD_LIBRARY_PATH",
            "/usr/lib/x86_64-linux-gnu exists only on amd64",
        ),
        (
            "RUN ./configure --prefix=/depends/x86_64-pc-linux-gnu",
            "--prefix=/depends/x86_64-pc-linux-gnu is a path that is named for amd64",
        ),
    ],
)
def test_messages_name_what_is_meant(text: str, message: str) -> None:
    assert [finding.message for finding in findings_of(f"FROM debian\n{text}\n")] == [message]


@pytest.mark.parametrize(
    "rest",
    [
        "git checkout 6656ddce919367f4c4090b0f89a45854d26da020",
        "echo 8933bad161af4178b1185d1a37fbf41ea5269c55 > licenses",
    ],
)
def test_other_digits_are_no_checksum(rest: str) -> None:
    found = findings_of(f"FROM debian\nRUN curl -LO https://example.com/t-amd64.tgz && {rest}\n")
    assert [finding.rule for finding in found] == ["amd64-download"]
