"""The verbs on real files: what they print, what they write, how they end."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest

from crossdock.cli.main import main
from crossdock.errors import CrossdockError, ExitCode
from crossdock.source import write_atomically

SCHEMAS = Path(__file__).parents[3] / "docs/schemas"
PINNED = "# a service\nFROM --platform=linux/amd64 scratch\nCOPY service /\n"
"""What is safe to mend without looking anything up: there is no base image."""
CLEAN = "FROM debian:12-slim\nRUN true\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def upstream() -> Iterator[str]:
    """A server of releases: it has every file but those with `missing` in the name."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = "missing" not in self.path
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", "4" if found else "0")
            self.end_headers()
            if found and self.command == "GET":
                self.wfile.write(b"\x7fELF")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def valid(text: str, verb: str) -> dict[str, object]:
    """The JSON document, after it was held against its schema."""
    document: dict[str, object] = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{verb}.json").read_text()))
    return document


Capture = pytest.CaptureFixture[str]


# ---------------------------------------------------------------- check


def test_check_points_at_the_place_and_ends_with_1(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(PINNED)
    assert main(["check", "--offline"]) == ExitCode.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Dockerfile:2:")
    assert "pinned-platform" in lines[0]
    source = next(i for i, line in enumerate(lines) if "FROM --platform=linux/amd64" in line)
    start = lines[source].index("linux/amd64")
    assert "^" in lines[source + 1][start : start + len("linux/amd64")]
    assert any(line.startswith("  why") for line in lines)
    assert any(line.startswith("  do") for line in lines)


def test_check_of_a_clean_project_ends_with_0(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(CLEAN)
    assert main(["check", "--offline", "."]) == ExitCode.DONE
    assert "nothing found" in capsys.readouterr().out


def test_check_searches_folders_and_honours_gitignore(project: Path, capsys: Capture) -> None:
    for name in ("a/Dockerfile", "b/Containerfile", "c/prod.Dockerfile", "ignored/Dockerfile"):
        (project / name).parent.mkdir()
        (project / name).write_text(PINNED)
    (project / ".gitignore").write_text("ignored/\n")
    assert main(["check", "--offline", "--format", "json", "."]) == ExitCode.FINDINGS
    document = valid(capsys.readouterr().out, "check")
    assert [finding["path"] for finding in document["findings"]] == [
        "a/Dockerfile",
        "b/Containerfile",
        "c/prod.Dockerfile",
    ]


def test_check_takes_a_file_and_its_context(project: Path, capsys: Capture) -> None:
    (project / "docker").mkdir()
    (project / "docker/Dockerfile.prod").write_text(PINNED)
    assert main(["check", "--offline", "-f", "docker/Dockerfile.prod", "."]) == ExitCode.FINDINGS
    assert capsys.readouterr().out.startswith("docker/Dockerfile.prod:2:")
    assert main(["check", "-f", "docker/Dockerfile.prod", ".", "docker"]) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x7fELF\x00\x01\x02", ""),
        (b"FORM debian\n", "FROM"),
        (b"FROM debian\nRUN <<EOF\necho\n", "EOF"),
    ],
)
def test_a_wrong_file_is_told_without_a_traceback(project: Path, capsys: Capture, content: bytes, said: str) -> None:
    (project / "Dockerfile").write_bytes(content)
    assert main(["check", "--offline", "Dockerfile"]) == ExitCode.CANNOT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("crossdock: Dockerfile")
    assert said in err
    assert "internal error" not in err
    assert len(err.splitlines()) >= 2, "a hint is missing"


def test_one_wrong_file_does_not_hide_the_others(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(PINNED)
    (project / "Dockerfile.broken").write_text("FORM x\n")
    assert main(["check", "--offline", "--format", "json"]) == ExitCode.CANNOT
    out, err = capsys.readouterr()
    document = valid(out, "check")
    assert [finding["path"] for finding in document["findings"]] == ["Dockerfile"]
    assert "Dockerfile.broken" in [item["what"] for item in document["skipped"]]
    assert "Dockerfile.broken:1" in err


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["-f", "nowhere"]])
def test_nothing_to_check_is_told(project: Path, capsys: Capture, arguments: list[str]) -> None:
    assert main(["check", *arguments]) == ExitCode.CANNOT
    assert "crossdock: " in capsys.readouterr().err


def test_check_looks_up_what_fixes_rely_on(project: Path, capsys: Capture, upstream: str) -> None:
    (project / "Dockerfile").write_text(
        f"FROM debian:12\nRUN curl -fsSLo /usr/bin/tool {upstream}/v1/tool-linux-amd64\n"
    )
    assert main(["check", "--format", "json"]) == ExitCode.FINDINGS
    (finding,) = valid(capsys.readouterr().out, "check")["findings"]
    assert finding["fix"]["safety"] == "safe"
    assert main(["check", "--offline", "--format", "json"]) == ExitCode.FINDINGS
    (finding,) = valid(capsys.readouterr().out, "check")["findings"]
    assert finding["fix"]["safety"] == "unsafe"


def test_narrow_and_without_unicode(project: Path) -> None:
    (project / "Dockerfile").write_text(PINNED)
    env = {**os.environ, "COLUMNS": "40", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "crossdock", "check", "--offline"]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    assert done.returncode == ExitCode.FINDINGS
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert done.stderr == b""


# ---------------------------------------------------------------- port


def test_port_shows_a_diff_that_git_applies(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "Dockerfile").write_text(PINNED)
    assert main(["port", "--offline"]) == ExitCode.DONE
    out, err = capfd.readouterr()
    assert out.startswith("--- a/Dockerfile\n+++ b/Dockerfile\n")
    assert "not written" in err
    assert (project / "Dockerfile").read_text() == PINNED
    git = shutil.which("git")
    assert git
    subprocess.run([git, "apply"], input=out, text=True, check=True, cwd=project)
    assert "linux/amd64" not in (project / "Dockerfile").read_text()


def test_port_writes_on_request_only_and_keeps_every_other_byte(
    project: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = b"# caf\xe9\r\nFROM --platform=linux/amd64 scratch\r\nCOPY service /\r\n"
    (project / "Dockerfile").write_bytes(before)
    assert main(["port", "--offline", "--write"]) == ExitCode.DONE
    assert (project / "Dockerfile").read_bytes() == before.replace(b"--platform=linux/amd64 ", b"")
    diff = capfdbinary.readouterr().out
    assert b" # caf\xe9\r\n" in diff
    assert main(["port", "--offline", "--write"]) == ExitCode.DONE
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert b"nothing to do" in err


def test_port_writes_all_files_or_none(
    project: Path, capsys: Capture, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file cannot be written (permissions do not stop root, so this is said for it): the first one is put
    back."""
    (project / "scripts").mkdir()
    script = project / "scripts/install.sh"
    script.write_text(f"#!/bin/sh\nset -e\ncurl -fsSLo /usr/bin/tool {upstream}/v1/tool-linux-amd64\n")
    dockerfile = project / "Dockerfile"
    dockerfile.write_text(
        "FROM debian:12\nARG TARGETARCH=amd64\nCOPY scripts/install.sh /opt/\nRUN sh /opt/install.sh\n"
    )
    before = dockerfile.read_bytes(), script.read_bytes()
    assert main(["port"]) == ExitCode.DONE
    assert "scripts/install.sh" in capsys.readouterr().out, "the script must be a part of the change"

    def write(path: Path, data: bytes) -> None:
        if path.name == "install.sh":
            raise CrossdockError("cannot write: file is read-only", where=str(path))
        write_atomically(path, data)

    monkeypatch.setattr("crossdock.fixes.port.write_atomically", write)
    assert main(["port", "--write"]) == ExitCode.CANNOT
    assert (dockerfile.read_bytes(), script.read_bytes()) == before
    assert "install.sh" in capsys.readouterr().err
    assert sorted(path.name for path in project.rglob("*")) == ["Dockerfile", "install.sh", "scripts"]


def test_port_says_what_is_left_and_why(project: Path, capsys: Capture, upstream: str) -> None:
    (project / "Dockerfile").write_text(
        f"FROM debian:12\nARG TARGETARCH=amd64\nRUN curl -fsSLo /t {upstream}/missing/tool-linux-amd64\n"
    )
    assert main(["port"]) == ExitCode.FINDINGS
    _, err = capsys.readouterr()
    assert "Not fixed" in err
    assert "amd64-download" in err
    assert "1 fixed in 1 file, 1 left" in err


def test_port_limited_to_a_rule(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(PINNED)
    assert main(["port", "--offline", "--rule", "amd64-download"]) == ExitCode.FINDINGS
    assert capsys.readouterr().out == ""
    assert main(["port", "--rule", "pinned-platforms"]) == ExitCode.USAGE
    assert "pinned-platform" in capsys.readouterr().err


def test_port_as_json(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(PINNED)
    assert main(["port", "--offline", "--format", "json"]) == ExitCode.DONE
    document = valid(capsys.readouterr().out, "port")
    assert document["written"] is False
    assert document["changes"][0]["path"] == "Dockerfile"
    assert main(["port", "--offline", "--format", "json", "--write"]) == ExitCode.DONE
    assert valid(capsys.readouterr().out, "port")["written"] is True


# ---------------------------------------------------------------- plan and arch


def test_plan(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text("FROM debian:12 AS build\nRUN make\nFROM scratch\nCOPY --from=build /x /x\n")
    assert main(["plan"]) == ExitCode.DONE
    assert "linux/arm64" in capsys.readouterr().out
    assert main(["plan", "--format", "json", "--platform", "linux/arm64"]) == ExitCode.DONE
    document = valid(capsys.readouterr().out, "plan")
    assert document["targets"] == ["linux/arm64"]
    assert [stage["stage"] for stage in document["stages"]] == ["build", "1"]
    assert main(["plan", "--target", "nowhere"]) == ExitCode.USAGE


def test_arch_tells_and_goes_on_after_a_failure(project: Path, capsys: Capture) -> None:
    (project / "text").write_text("no binary\n")
    (project / "arm").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44))
    assert main(["arch", "text", "arm"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("text: ")
    assert "arm64" in lines[1]
    assert main(["arch", "missing", "arm", "--format", "json"]) == ExitCode.CANNOT
    out, err = capsys.readouterr()
    (only,) = valid(out, "arch")["files"]
    assert only["binary"]["architectures"] == ["arm64"]
    assert "missing" in err
    assert main(["arch"]) == ExitCode.USAGE


# ---------------------------------------------------------------- other files

COMPOSE = "services:\n  app:\n    build: {context: ., dockerfile: docker/app.txt}\n    platform: linux/amd64\n"


def test_check_reads_what_is_around_dockerfiles(project: Path, capsys: Capture) -> None:
    (project / "compose.yaml").write_text(COMPOSE)
    (project / "docker").mkdir()
    (project / "docker/app.txt").write_text("FROM debian\nCOPY get.sh /\nRUN /get.sh\n")
    (project / "get.sh").write_text("#!/bin/sh\ncurl -LO https://example.com/tool-amd64\n")
    assert main(["check", "--offline", "--format", "json"]) == ExitCode.FINDINGS
    found = valid(capsys.readouterr().out, "check")["findings"]
    assert [(finding["path"], finding["rule"]) for finding in found] == [
        ("get.sh", "amd64-download"),  # its context is the folder that the compose file names
        ("compose.yaml", "pinned-platform"),
    ]


def test_check_of_one_named_file(project: Path, capsys: Capture) -> None:
    (project / "stack.yml").write_text("services:\n  app:\n    image: amd64/nginx:1\n")
    assert main(["check", "--offline", "stack.yml"]) == ExitCode.FINDINGS
    assert "stack.yml:3:12  error  arch-prefixed-image" in capsys.readouterr().out


def test_check_of_a_named_file_that_cannot_be_read_fails(project: Path, capsys: Capture) -> None:
    (project / "compose.yaml").write_text("services: [\n")
    assert main(["check", "--offline", "compose.yaml"]) == ExitCode.CANNOT
    assert "not valid YAML" in capsys.readouterr().err
    (project / "Dockerfile").write_text(CLEAN)
    assert main(["check", "--offline"]) == ExitCode.DONE  # found by searching: told, and no more
    assert "compose.yaml: this is not valid YAML" in capsys.readouterr().out


def test_a_comment_ignores_a_rule_in_other_files(project: Path, capsys: Capture) -> None:
    text = COMPOSE.replace("    platform", "    # crossdock: ignore=pinned-platform it needs AVX\n    platform")
    (project / "compose.yaml").write_text(text)
    assert main(["check", "--offline"]) == ExitCode.DONE
    assert "it needs AVX" in capsys.readouterr().out


def test_the_next_step_names_the_file_that_port_would_not_find(project: Path, capsys: Capture) -> None:
    (project / "compose.yaml").write_text(COMPOSE)
    main(["check", "--offline"])
    assert "Next: crossdock port compose.yaml shows" in capsys.readouterr().out
    (project / "compose.yaml").unlink()
    (project / "Dockerfile").write_text(PINNED)
    main(["check", "--offline"])
    assert "Next: crossdock port shows" in capsys.readouterr().out


def test_port_of_a_compose_file(project: Path, capsys: Capture) -> None:
    (project / "compose.yaml").write_text(COMPOSE)
    assert main(["port", "--offline", "--write", "compose.yaml"]) == ExitCode.DONE
    assert "-    platform: linux/amd64" in capsys.readouterr().out
    assert (project / "compose.yaml").read_text() == COMPOSE.replace("    platform: linux/amd64\n", "")


# ---------------------------------------------------------------- settings


def test_settings_exclude_files_and_ignore_rules(project: Path, capsys: Capture) -> None:
    for name in ("Dockerfile", "old/Dockerfile"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(PINNED)
    text = 'exclude = ["old/"]\n[[ignore]]\nrule = "pinned-platform"\nreason = "the farm is amd64"\n'
    (project / "crossdock.toml").write_text(text)
    assert main(["check", "--offline"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "the farm is amd64" in out
    assert "old/Dockerfile: excluded by" in " ".join(out.split())
    assert main(["port", "--offline"]) == ExitCode.DONE
    assert capsys.readouterr().out == ""
    assert main(["check", "--offline", "--format", "json", "old/Dockerfile"]) == ExitCode.DONE
    assert "the farm is amd64" in capsys.readouterr().out


def test_settings_name_the_platforms_to_plan_for(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(CLEAN)
    (project / "crossdock.toml").write_text('platforms = ["linux/s390x"]\n')
    assert main(["plan", "--format", "json"]) == ExitCode.DONE
    assert valid(capsys.readouterr().out, "plan")["targets"] == ["linux/s390x"]
    assert main(["plan", "--format", "json", "--platform", "linux/arm64"]) == ExitCode.DONE
    assert valid(capsys.readouterr().out, "plan")["targets"] == ["linux/arm64"]


def test_a_wrong_setting_is_a_usage_error_with_its_line(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(CLEAN)
    (project / "crossdock.toml").write_text("\nexcluded = []\n")
    assert main(["check", "--offline"]) == ExitCode.USAGE
    assert "crossdock.toml:2: there is no setting 'excluded'" in capsys.readouterr().err


# ---------------------------------------------------------------- explain


def test_explain_prints_the_page_of_the_documentation(capsys: Capture) -> None:
    assert main(["explain", "pinned-platform"]) == ExitCode.DONE
    page = (SCHEMAS.parent / "rules/pinned-platform.md").read_text()
    assert page.endswith(capsys.readouterr().out)


def test_explain_lists_all_rules(capsys: Capture) -> None:
    assert main(["explain"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "pinned-platform" in out
    assert "A stage, a compose service" in out


def test_explain_as_json(capsys: Capture) -> None:
    assert main(["explain", "--format", "json", "pinned-platform"]) == ExitCode.DONE
    (rule,) = valid(capsys.readouterr().out, "explain")["rules"]
    assert rule["finds"].startswith("A stage, a compose service")
    assert rule["page"].startswith("# pinned-platform")


def test_explain_names_the_nearest_rule(capsys: Capture) -> None:
    assert main(["explain", "pined-platforms"]) == ExitCode.USAGE
    assert "Did you mean 'pinned-platform'?" in capsys.readouterr().err


def test_findings_say_where_their_rule_is_explained(project: Path, capsys: Capture) -> None:
    (project / "Dockerfile").write_text(PINNED)
    main(["check", "--offline"])
    assert "crossdock explain pinned-platform" in capsys.readouterr().out
    main(["check", "--offline", "--format", "json"])
    (finding,) = valid(capsys.readouterr().out, "check")["findings"]
    assert finding["explain"] == "crossdock explain pinned-platform"
