"""Which names for arm64 are certain, and what becomes of those that are not."""

from __future__ import annotations

import re

import pytest

from crossdock.findings import Fix, Safety
from crossdock.rules.check import check_dockerfile
from crossdock.rules.counterparts import Known, catalogue, counterpart
from crossdock.source import Source, apply_edits


def fixes(line: str) -> tuple[Fix, ...]:
    report = check_dockerfile(Source("Dockerfile", f"FROM a\n{line}\n".encode()), context=None, build_args={})
    return tuple(fix for finding in report.findings for fix in finding.fixes[:1])


def ported(line: str) -> str:
    source = Source("Dockerfile", f"FROM a\n{line}\n".encode())
    return apply_edits(source, dict.fromkeys(edit for fix in fixes(line) for edit in fix.edits)).data.decode()


@pytest.mark.parametrize("known", catalogue(), ids=lambda known: known.text.pattern)
def test_every_entry_holds_for_its_example(known: Known) -> None:
    amd64, arm64 = known.example
    match = known.text.search(amd64)
    assert match
    program = next(iter(known.programs), "")
    found = counterpart(amd64, *match.span(1), program)
    assert found
    assert amd64[: found.start] + found.arm64 + amd64[found.end :] == arm64
    assert found.doubt == known.doubt
    assert known.text.groups == 1
    assert not known.text.search(arm64)
    assert known.source


CERTAIN = [
    ("RUN cp /usr/lib/x86_64-linux-gnu/libz.so.1 /opt/", "/usr/lib/$(uname -m)-linux-gnu/libz.so.1"),
    ("RUN ln -s /lib/libc.musl-x86_64.so.1 /usr/lib/libc.so", "/lib/libc.musl-$(uname -m).so.1"),
    ("RUN patchelf --set-interpreter /lib64/ld-linux-x86-64.so.2 a", "arm64) arch=/lib/ld-linux-aarch64.so.1 ;;"),
    ("ENV JAVA_HOME=/usr/lib/jvm/java-11-openjdk-amd64", "java-11-openjdk-${TARGETARCH}"),
    ("RUN cp a.so /usr/lib/jvm/default-java/jre/lib/amd64/", "arm64) arch=aarch64 ;;"),
    ("RUN cargo build --target x86_64-unknown-linux-gnu", "--target $(uname -m)-unknown-linux-gnu"),
    ("RUN ./configure --host=x86_64-pc-linux-gnu", "arm64) arch=aarch64-unknown-linux-gnu ;;"),
    ("RUN ./configure --build=x86_64-redhat-linux", "--build=$(uname -m)-redhat-linux"),
    (
        "RUN ln -s /lib/x86_64-linux-gnu/libpcre.so.3 /lib/x86_64-linux-gnu/libpcre.so.0",
        "ln -s /lib/$(uname -m)-linux-gnu/libpcre.so.3 /lib/$(uname -m)-linux-gnu/libpcre.so.0",
    ),
    ("RUN ./Configure linux-x86_64", "./Configure linux-$(uname -m)"),
]


@pytest.mark.parametrize(("line", "expected"), CERTAIN)
def test_a_name_that_is_known_is_safe(line: str, expected: str) -> None:
    assert [fix.safety for fix in fixes(line)] == [Safety.SAFE]
    assert expected in ported(line)


GUESSED = [
    ("RUN cp /usr/local/cuda/targets/x86_64-linux/lib/a.so /opt/", "sbsa-linux"),
    ("RUN ./configure --prefix=/depends/x86_64-pc-linux-gnu", "aarch64-unknown-linux-gnu"),
    ("RUN make CC=x86_64-pc-linux-gnu-gcc", ""),
    ("RUN cp a.so /opt/vendor/lib/amd64/", ""),
    ("ENV JAVA_HOME=/usr/lib/jvm/zulu-8-amd64", ""),
    ('ENV SERVICE_ARCH=amd64\nCMD ["/init.sh"]', ""),
    ("RUN ln -s /lib/libc.musl-x86_64.so.1 /lib64/ld-linux-x86-64.so.2", ""),
    ("RUN cp /lib64/ld-linux-x86-64.so.2 /rootfs/lib64/", ""),
]


@pytest.mark.parametrize(("line", "expected"), GUESSED)
def test_a_name_that_is_guessed_is_never_safe_and_says_why(line: str, expected: str) -> None:
    for fix in fixes(line):
        assert fix.safety is Safety.UNSAFE
        assert fix.doubt
    assert expected in ported(line)


def test_a_variable_is_certain_only_where_every_use_of_it_is() -> None:
    everywhere = "ARG T=x86_64-linux-gnu\nRUN ./configure --host=$T\nRUN ./configure --build=$T"
    assert next(fix.safety for fix in fixes(everywhere)) is Safety.SAFE
    assert {fix.safety for fix in fixes(f"{everywhere} --prefix=/depends/$T")} == {Safety.UNSAFE}


def test_one_word_with_two_counterparts_is_left_alone() -> None:
    """Debian's folder is called arm64, and the JVM's own folder in it aarch64."""
    assert fixes("RUN cp a.so /usr/lib/jvm/java-8-openjdk-amd64/jre/lib/amd64/") == ()


def test_a_loader_is_no_part_of_another_name() -> None:
    assert not re.search("aarch64.so.2", ported("RUN patchelf --set-interpreter /lib64/ld-linux-x86-64.so.2 a"))
