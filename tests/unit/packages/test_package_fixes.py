"""Porting packages that are for x86 machines: they are installed on amd64 as before, and not on arm64."""

from __future__ import annotations

from pathlib import Path

from crossdock.fixes.port import PortResult, port
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.read.context import Context
from crossdock.read.dockerfile import parse
from crossdock.read.trace import trace
from crossdock.source import Source


def ported(text: str, context: Context | None = None) -> PortResult:
    return port(Source("Dockerfile", text.encode()), context=context, build_args={}, prober=None)


def installs(text: str, platform: Platform) -> list[list[str]]:
    traced = trace(parse(Source("Dockerfile", text.encode())), target=platform)
    commands = (command for _, step in traced.steps for command in step.commands)
    return [[word.text for word in c.words if word.text] for c in commands if c.name in {"apt-get", "apk", "pip"}]


def test_several_packages_of_one_command() -> None:
    text = (
        "FROM debian:bookworm-slim\nRUN apt-get update \\\n && apt-get install -y \\\n    curl \\\n    cpuid \\\n"
        "    # hardware\n    i965-va-driver=2.4.1+dfsg1-1 \\\n && rm -rf /var/lib/apt/lists/*\n"
    )
    result = ported(text)
    assert not result.left
    after = result.dockerfile.data.decode()
    assert installs(after, AMD64) == installs(text, AMD64)
    assert installs(after, ARM64) == [["apt-get", "update"], ["apt-get", "install", "-y", "curl"]]
    assert after.count("case ") == 1


def test_two_commands_in_two_stages() -> None:
    text = (
        "FROM debian:bookworm AS a\nRUN apt-get install -y cpuid\nFROM alpine:3.18\nRUN apk add intel-ucode bash\n"
        "RUN apk add intel-media-driver\n"
    )
    result = ported(text)
    assert not result.left
    after = result.dockerfile.data.decode()
    assert installs(after, AMD64) == installs(text, AMD64)
    assert installs(after, ARM64) == [["apt-get", "install", "-y"], ["apk", "add", "bash"], ["apk", "add"]]


def test_what_is_quoted_or_comes_from_a_variable_is_left_to_people() -> None:
    for command in (
        'apt-get install -y "cpuid"',
        "P=cpuid && apt-get install -y $P",
        "bash -c 'apt-get install -y cpuid'",
    ):
        result = ported(f"FROM debian:bookworm\nRUN {command}\n")
        assert len(result.left) == 1, command
        assert not result.changes, command


def test_a_requirements_file_gets_a_marker(tmp_path: Path) -> None:
    text = "FROM python:3.10\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n"
    files = {"requirements.txt": b"flask==3.0.0\nmkl==2024.0.0 # fast\nintel-openmp \\\n    --hash=sha256:00\n"}
    result = ported(text, Context(tmp_path, b"").with_files(files))
    assert not result.left
    (change,) = result.changes
    assert change.after.data == (
        b"flask==3.0.0\nmkl==2024.0.0; platform_machine == \"x86_64\" # fast\n"
        b"intel-openmp; platform_machine == \"x86_64\" \\\n    --hash=sha256:00\n"
    )  # fmt: skip


def test_what_has_no_counterpart_is_left() -> None:
    result = ported("FROM debian:bookworm\nRUN apt-get install -y rar\n")
    assert [decision.finding.rule for decision in result.left] == ["package-without-arm64"]


def test_a_command_that_would_not_work_all_the_same_is_left() -> None:
    result = ported("FROM debian:bookworm\nRUN apt-get install -y cpuid rar\n")
    assert len(result.left) == 2
    assert not result.changes
