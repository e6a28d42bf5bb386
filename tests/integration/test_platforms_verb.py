"""``crossdock platforms`` as people run it, with Debian's docker-registry: plain, with a password, with TLS."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from registry import Registry

from crossdock.errors import ExitCode

pytestmark = pytest.mark.integration

SCHEMA = Path(__file__).parents[2] / "docs/schemas/platforms.json"
PASSWORD = "geheim-4711/$&"
SECRETS = (PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode())


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str
    arguments: str
    """The command lines of the program and all that it started, as anybody on the machine could read them."""

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object that was printed, after it was held against its published schema."""
        document: dict[str, Any] = json.loads(self.out)
        jsonschema.validate(document, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
        return document

    @property
    def platforms(self) -> list[list[str]]:
        return [image["platforms"] for image in self.document["images"]]

    @property
    def kinds(self) -> list[str | None]:
        return [image["error"] and image["error"]["kind"] for image in self.document["images"]]


@dataclass(frozen=True)
class CommandLine:
    """Runs ``crossdock platforms`` with a home of its own, and looks at whatever could show a password."""

    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        unwanted = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        return {**kept, "HOME": str(self.home), "COLUMNS": "200", "NO_COLOR": "1", **more}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "crossdock", "platforms", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(**environment),
            start_new_session=True,
        )

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        process = self.start(*arguments, **environment)
        seen: set[str] = set()
        watching = threading.Thread(target=self._watch, args=(process, seen))
        watching.start()
        try:
            out, err = process.communicate(stdin.encode(), 60)
        finally:
            process.kill()
            watching.join()
        done = Done(process.returncode, out.decode(), err.decode(), "\n".join(sorted(seen)))
        for text in (done.out, done.err, done.arguments, self._cached()):
            assert not [secret for secret in SECRETS if secret in text]
        assert "Traceback" not in done.err
        return done

    def _cached(self) -> str:
        files = (self.home / ".cache").rglob("*")
        return "\n".join(path.read_bytes().decode("latin-1") for path in files if path.is_file())

    def _watch(self, process: subprocess.Popen[bytes], seen: set[str]) -> None:
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, ValueError):
                    if os.getsid(int(path.name)) == process.pid:
                        seen.add((path / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " "))
            time.sleep(0.02)


@pytest.fixture
def platforms(tmp_path: Path) -> CommandLine:
    (tmp_path / "home").mkdir()
    return CommandLine(tmp_path / "home")


def copy(layout: Path, name: str, *options: str, source: str = "latest", one: str = "") -> None:
    """skopeo puts an image into a registry: the whole index, or ``one`` architecture of it."""
    which = ["--override-arch", one] if one else []
    what = [] if one else ["--all"]
    command = ["skopeo", *which, "copy", "--quiet", *what, "--dest-tls-verify=false", *options]
    subprocess.run([*command, f"oci:{layout}:{source}", f"docker://{name}"], check=True)


@pytest.fixture(scope="module")
def host(image_registry: Registry, base_layout: Path) -> str:
    """A registry with team/app: 1.0 for amd64 only, 1.1 and 2.0 for both, and other/single: 1 for arm64 only."""
    registry = image_registry.host
    for tag in ("1.1", "2.0"):
        copy(base_layout, f"{registry}/team/app:{tag}")
    copy(base_layout, f"{registry}/team/app:1.0", one="amd64")
    copy(base_layout, f"{registry}/other/single:1", one="arm64")
    return registry


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, base_layout: Path) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("guarded"), username="user", password=PASSWORD) as registry:
        file = registry.folder / "auth.json"
        login = ["skopeo", "login", "--tls-verify=false", f"--authfile={file}", "-u=user", "--password-stdin"]
        subprocess.run([*login, registry.host], input=PASSWORD.encode(), check=True, capture_output=True)
        copy(base_layout, f"{registry.host}/team/app:1", f"--dest-authfile={file}")
        yield registry


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, base_layout: Path) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("secure"), tls=True) as registry:
        copy(base_layout, f"{registry.host}/team/app:1")
        yield registry


class TestPlain:
    def test_json(self, platforms: CommandLine, host: str) -> None:
        done = platforms("--format", "json", f"{host}/team/app:1.1", f"{host}/other/single:1")
        assert (done.code, done.platforms) == (ExitCode.DONE, [["linux/amd64", "linux/arm64"], ["linux/arm64"]])
        digest = done.document["images"][0]["digest"]
        raw = subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{host}/team/app@{digest}"],
            check=True,
            capture_output=True,
        ).stdout
        named = {entry["digest"] for entry in json.loads(raw)["manifests"]}
        assert {entry["digest"] for entry in done.document["images"][0]["manifests"]} == named

    def test_text(self, platforms: CommandLine, host: str) -> None:
        done = platforms("--sizes", f"{host}/team/app:1.1")
        assert done.code == ExitCode.DONE
        assert re.search(r"^ +linux/arm64 +[\d.]+ [kM]B +sha256:[0-9a-f]{64}", done.out, re.MULTILINE)

    def test_an_alternative_is_named_and_can_be_used(self, platforms: CommandLine, host: str) -> None:
        done = platforms("--format", "json", f"{host}/team/app:1.0")
        (other, *_) = done.document["images"][0]["alternatives"]
        assert other["reference"].startswith(f"{host}/team/app:")
        assert "linux/arm64" in platforms("--format", "json", other["reference"]).platforms[0]

    def test_what_is_required(self, platforms: CommandLine, host: str) -> None:
        both = "linux/amd64,linux/arm64"
        assert platforms("--require", both, f"{host}/team/app:1.1").code == ExitCode.DONE
        lacking = platforms("--require", both, f"{host}/team/app:1.1", f"{host}/team/app:1.0")
        assert lacking.code == ExitCode.FINDINGS
        assert "no linux/arm64" in lacking.out
        absent = platforms("--require", both, f"{host}/team/app:1.0", f"{host}/team/app:9")
        assert absent.code == ExitCode.CANNOT
        assert platforms("--require", "linux/none", f"{host}/team/app:1.1").code == ExitCode.USAGE
        assert platforms().code == ExitCode.USAGE

    def test_what_is_not_there(self, platforms: CommandLine, host: str) -> None:
        done = platforms(
            "--format", "json", f"{host}/team/app:none", f"{host}/none/none:1", f"{host}/team/app:1.1", "A:"
        )
        assert done.code == ExitCode.CANNOT
        assert done.kinds[0] == "no-such-tag"
        assert done.kinds[1] in ("no-such-repository", "no-such-tag")
        assert done.kinds[2:] == [None, "not-a-reference"]

    def test_all_tags(self, platforms: CommandLine, host: str) -> None:
        done = platforms("--format", "json", "--tags", "1.*", f"{host}/team/app")
        named = [image["reference"].rpartition(":")[2] for image in done.document["images"]]
        assert sorted(named) == ["1.0", "1.1"]
        assert platforms("--tags", "7*", f"{host}/team/app").code == ExitCode.CANNOT
        assert platforms("--tags", "*", f"{host}/none/none").code == ExitCode.CANNOT
        assert platforms("--tags", "*", f"{host}/team/app", f"{host}/other/single").code == ExitCode.USAGE

    def test_references_from_standard_input(self, platforms: CommandLine, host: str) -> None:
        lines = f"# ours\n\n{host}/team/app:1.1\n  {host}/other/single:1\n{host}/team/app:1.1\n"
        done = platforms("--format", "json", "-", stdin=lines)
        assert done.platforms == [["linux/amd64", "linux/arm64"], ["linux/arm64"]]

    def test_files(self, platforms: CommandLine, host: str, tmp_path: Path) -> None:
        (tmp_path / "Dockerfile").write_text(f"ARG TAG=1.1\nFROM {host}/team/app:$TAG AS a\nFROM scratch\n")
        (tmp_path / "compose.yaml").write_text(f"services:\n  a:\n    image: {host}/other/single:1\n")
        pod = f"kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: a\n    image: {host}/team/app:2.0\n"
        files = ("-f", f"{tmp_path}/Dockerfile", "-f", f"{tmp_path}/compose.yaml", "-f", "-")
        done = platforms("--format", "json", *files, stdin=pod)
        named = [image["reference"] for image in done.document["images"]]
        assert named == [f"{host}/team/app:1.1", f"{host}/other/single:1", f"{host}/team/app:2.0"]
        assert done.code == ExitCode.DONE

    def test_a_second_run_asks_for_no_digest(self, platforms: CommandLine, host: str, image_registry: Registry) -> None:
        digest = platforms("--format", "json", f"{host}/team/app:1.1").document["images"][0]["digest"]
        pinned = f"{host}/team/app@{digest}"
        first = platforms("--format", "json", pinned)
        asked = image_registry.log().count(f"/manifests/{digest}")
        assert platforms("--format", "json", pinned).document == first.document
        assert image_registry.log().count(f"/manifests/{digest}") == asked


class TestPassword:
    def stored(self, platforms: CommandLine, host: str, password: str) -> None:
        (platforms.home / ".docker").mkdir()
        auth = base64.b64encode(f"user:{password}".encode()).decode()
        config = {"auths": {host: {"auth": auth}}}
        (platforms.home / ".docker" / "config.json").write_text(json.dumps(config))

    def test_none(self, platforms: CommandLine, guarded: Registry, host: str) -> None:
        done = platforms("--format", "json", f"{guarded.host}/team/app:1", f"{host}/team/app:1.1")
        assert (done.code, done.kinds) == (ExitCode.CANNOT, ["unauthorized", None])
        assert "docker login" in done.document["images"][0]["error"]["hint"]

    def test_the_right_one_of_a_file(self, platforms: CommandLine, guarded: Registry) -> None:
        self.stored(platforms, guarded.host, PASSWORD)
        done = platforms("--format", "json", f"{guarded.host}/team/app:1")
        assert done.platforms == [["linux/amd64", "linux/arm64"]]
        assert done.code == ExitCode.DONE

    def test_the_wrong_one_of_a_file(self, platforms: CommandLine, guarded: Registry) -> None:
        self.stored(platforms, guarded.host, "falsch-0815")
        done = platforms(f"{guarded.host}/team/app:1")
        assert done.code == ExitCode.CANNOT
        assert "stored login was refused" in done.out
        assert "falsch-0815" not in done.out + done.err

    def test_by_standard_input(self, platforms: CommandLine, guarded: Registry) -> None:
        login = ("--username", "user", "--password-stdin")
        done = platforms("--format", "json", *login, f"{guarded.host}/team/app:1", stdin=f"{PASSWORD}\n")
        assert done.platforms == [["linux/amd64", "linux/arm64"]]
        assert "--password-stdin" in done.arguments  # so it was looked at
        wrong = platforms(*login, f"{guarded.host}/team/app:1", stdin="falsch-0815")
        assert wrong.code == ExitCode.CANNOT
        assert "falsch-0815" not in wrong.out + wrong.err + wrong.arguments
        assert platforms(*login, f"{guarded.host}/team/app:1").code == ExitCode.USAGE
        assert platforms("--username", "user", f"{guarded.host}/team/app:1").code == ExitCode.USAGE

    @pytest.mark.parametrize("rest", ["echo rubbish; echo $0 >&2", "exit 7", "exec sleep 60"])
    def test_a_helper_that_hangs_or_prints_rubbish(
        self, platforms: CommandLine, guarded: Registry, host: str, rest: str
    ) -> None:
        """A helper that hangs is waited for; Ctrl-C ends it and everything else at once."""
        program = platforms.home / "bin" / "docker-credential-crossdock-test"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n: '{PASSWORD}'\n{rest}\n")
        program.chmod(0o755)
        (platforms.home / ".docker").mkdir()
        (platforms.home / ".docker" / "config.json").write_text('{"credsStore": "crossdock-test"}')
        path = f"{program.parent}:{os.environ['PATH']}"
        asked = (f"{guarded.host}/team/app:1", f"{host}/team/app:1.1")
        if "sleep" not in rest:
            done = platforms("--format", "json", *asked, PATH=path)
            assert (done.code, done.kinds) == (ExitCode.CANNOT, ["unauthorized", None])
            assert "docker-credential-crossdock-test" in done.document["images"][0]["error"]["hint"]
            return
        process = platforms.start(*asked, PATH=path)
        time.sleep(2)
        assert interrupted(process) < 2


def interrupted(process: subprocess.Popen[bytes]) -> float:
    """The seconds until a program ends after Ctrl-C, which it must do without a traceback."""
    assert process.poll() is None, process.communicate()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert (out, err.strip()) == (b"", b"crossdock: interrupted")
    return time.monotonic() - began


class TestTls:
    def test_a_certificate_that_is_trusted(self, platforms: CommandLine, secure: Registry) -> None:
        done = platforms("--format", "json", f"{secure.host}/team/app:1", SSL_CERT_FILE=str(secure.certificate))
        assert done.platforms == [["linux/amd64", "linux/arm64"]]

    def test_one_that_is_not(self, platforms: CommandLine, secure: Registry, host: str) -> None:
        done = platforms("--format", "json", f"{secure.host}/team/app:1", f"{host}/team/app:1.1")
        assert (done.code, done.kinds) == (ExitCode.CANNOT, ["tls", None])
        assert "SSL_CERT_FILE" in done.document["images"][0]["error"]["hint"]

    def test_one_for_another_name(self, platforms: CommandLine, secure: Registry, host: str) -> None:
        other = secure.host.replace("localhost", "127.0.0.1")
        trusted = {"SSL_CERT_FILE": str(secure.certificate)}
        done = platforms("--format", "json", f"{other}/team/app:1", f"{host}/team/app:1.1", **trusted)
        assert (done.code, done.kinds) == (ExitCode.CANNOT, ["tls", None])


class TestEnds:
    @pytest.mark.parametrize("options", [(), ("--plain-http",)])
    def test_an_interrupt_while_a_server_is_silent(self, platforms: CommandLine, options: tuple[str, ...]) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
            host = f"127.0.0.1:{silent.getsockname()[1]}"
            process = platforms.start(*options, *(f"{host}/team/app:{number}" for number in range(20)))
            time.sleep(1.5)
            assert interrupted(process) < 2

    def test_nobody_reads_the_output(self, platforms: CommandLine, host: str) -> None:
        process = platforms.start(f"{host}/team/app:1.1")
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (ExitCode.CANNOT, b"")

    def test_a_full_disk(self, platforms: CommandLine, host: str) -> None:
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            command = [sys.executable, "-m", "crossdock", "platforms", f"{host}/team/app:1.1"]
            done = subprocess.run(
                command, env=platforms.environment(), stdout=full, stderr=subprocess.PIPE, timeout=30, check=False
            )
        assert done.returncode == ExitCode.CANNOT
        assert b"No space left" in done.stderr
        assert b"Traceback" not in done.stderr

    def test_a_cache_that_cannot_be_written(self, platforms: CommandLine, host: str) -> None:
        (platforms.home / ".cache").write_bytes(b"")
        assert platforms(f"{host}/team/app:1.1").code == ExitCode.DONE
        (platforms.home / ".cache").unlink()
