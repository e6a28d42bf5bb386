"""Starting a registry: its configuration, and a program in its place that does what a test wants of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import CrossdockError, EngineError, InputError, UsageError
from crossdock.host.registry import (
    Listen,
    RegistrySettings,
    configuration,
    exposure,
    find_program,
    parse_listen,
    parse_mirror,
    serve,
)
from crossdock.process import Command, Completed, SystemRunner

# What a program called docker-registry does: `work` is put in.
PROGRAM = """#!{python} -S
import http.server, os, shutil, sys, time
if sys.argv[1:] == ["--version"]:
    sys.exit(print({version!r}))
shutil.copy(sys.argv[2], {folder!r} + "/seen.yml")
open({folder!r} + "/environment", "w").write(repr(dict(os.environ)))
def say(text):
    print(text, file=sys.stderr, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    do_GET = lambda self: self.send_error(401)
    log_message = lambda *_: None
def answer():
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    say('time="2026" level=info msg="listening on 127.0.0.1:%d" version=2.8.2' % server.server_port)
    server.serve_forever()
{work}
"""


class Program:
    """``folder`` is where the program writes what it was given; ``runner`` finds no other program."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.runner = SystemRunner()
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", str(folder / "bin"))

    def does(self, work: str, *, name: str = "docker-registry", version: str = "x github.com/distribution 3") -> None:
        program = self.folder / "bin" / name
        text = PROGRAM.format(python=sys.executable, version=version, folder=str(self.folder), work=work)
        program.write_text(text)
        program.chmod(0o755)

    def settings(self, **more: object) -> RegistrySettings:
        return RegistrySettings(self.folder / "data", **more)  # type: ignore[arg-type]

    def fails(self, **more: object) -> CrossdockError:
        with pytest.raises(CrossdockError) as caught, serve(self.settings(**more), self.runner):
            pytest.fail("it started")
        return caught.value


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(tmp_path, monkeypatch)


# ---------------------------------------------------------------- where it listens


@pytest.mark.parametrize(
    ("text", "host", "port", "name"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000, "localhost:5000"),
        (":5001", "127.0.0.1", 5001, "localhost:5001"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        ("[::1]:5000", "::1", 5000, "[::1]:5000"),
        ("0.0.0.0:443", "0.0.0.0", 443, "localhost:443"),
        ("[::]:80", "::", 80, "localhost:80"),
        ("registry.example:65535", "registry.example", 65535, "registry.example:65535"),
    ],
)
def test_where_to_listen(text: str, host: str, port: int, name: str) -> None:
    listen = parse_listen(text)
    assert (listen.host, listen.port, listen.name) == (host, port, name)
    assert parse_listen(str(listen)) == listen


@pytest.mark.parametrize(
    "text", ["", "5000", "localhost", "::1:5000", "[::1]", "[127.0.0.1]:1", "[x]:1", "a:65536", "http://a:1", "a:-1"]
)
def test_what_is_no_place_to_listen(text: str) -> None:
    with pytest.raises(UsageError, match=r"no ADDRESS:PORT"):
        parse_listen(text)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 <= parse_listen(text).port <= 65535


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://registry.example/", "https://registry.example"),
        ("http://localhost:5001", "http://localhost:5001"),
        ("https://docker.io", "https://registry-1.docker.io"),
    ],
)
def test_what_to_mirror(text: str, address: str) -> None:
    assert parse_mirror(text) == address


@pytest.mark.parametrize("text", ["", "docker.io", "ftp://a", "https://", "https://a?b"])
def test_what_is_no_registry_to_mirror(text: str) -> None:
    with pytest.raises(UsageError, match="no address of a registry"):
        parse_mirror(text)


@pytest.mark.parametrize("text", ["https://user:s3cret@registry.example", "user:s3cret@registry.example"])
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mirror(text)
    assert "s3cret" not in str(caught.value)


# ---------------------------------------------------------------- its configuration


PLAIN = """\
version: 0.1
log:
  level: info
  formatter: text
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: "/srv/images"
  delete:
    enabled: true
http:
  addr: "127.0.0.1:5000"
  draintimeout: 5s
"""


def test_the_configuration_of_a_plain_registry() -> None:
    assert configuration(RegistrySettings(Path("/srv/images"))) == PLAIN


def test_the_configuration_holds_every_option() -> None:
    settings = RegistrySettings(
        Path("/srv/images"),
        listen=Listen("::1", 0),
        certificate=Path("/etc/r.crt"),
        key=Path("/etc/r.key"),
        htpasswd=Path("/etc/users"),
        mirror="https://registry.example",
    )
    expected = PLAIN.replace("127.0.0.1:5000", "[::1]:0")
    expected += '  tls:\n    certificate: "/etc/r.crt"\n    key: "/etc/r.key"\n'
    expected += 'auth:\n  htpasswd:\n    realm: crossdock\n    path: "/etc/users"\n'
    expected += 'proxy:\n  remoteurl: "https://registry.example"\n'
    assert configuration(settings) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20))
def test_any_path_is_written_as_it_is_or_refused(name: str) -> None:
    from ruamel.yaml import YAML

    settings = RegistrySettings(Path("/srv", name), htpasswd=Path("/etc", name))
    try:
        read = YAML(typ="safe", pure=True).load(configuration(settings))
    except InputError:
        assert not name.isprintable()
        return
    assert read["storage"]["filesystem"]["rootdirectory"] == str(Path("/srv", name))
    assert read["auth"]["htpasswd"]["path"] == str(Path("/etc", name))


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f'rootdirectory: "{tmp_path}/images"' in configuration(RegistrySettings(Path("images")))


@pytest.mark.parametrize("there", ["certificate", "key"])
def test_tls_needs_both_files(there: str) -> None:
    with pytest.raises(UsageError, match="needs a certificate and its key"):
        RegistrySettings(Path("images"), **{there: Path("file")})


def test_what_to_know_before_other_machines_get_in() -> None:
    def notes(host: str, *, tls: bool = False, password: bool = False) -> str:
        file = Path("x")
        settings = RegistrySettings(
            Path("images"),
            listen=Listen(host),
            certificate=file if tls else None,
            key=file if tls else None,
            htpasswd=file if password else None,
        )
        return "\n".join(exposure(settings))

    assert [notes(host) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")] == [""] * 4
    for host in ("0.0.0.0", "::", "10.0.0.1", "registry.example"):
        assert "insecure-registries" in notes(host)
        assert "anyone who reaches" in notes(host)
    assert "insecure-registries" not in notes("0.0.0.0", tls=True)
    assert "unencrypted" in notes("0.0.0.0", password=True)
    assert notes("0.0.0.0", tls=True, password=True) == ""


# ---------------------------------------------------------------- running it


def test_it_answers_while_it_is_needed_and_leaves_nothing(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = program.folder / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/home/me/auth.json")
    program.does("answer()")
    said: list[str] = []
    with serve(program.settings(listen=Listen(port=0)), program.runner, said.append) as registry:
        port = int(registry.place.address.removeprefix("localhost:"))
        assert port > 0
        assert registry.place.url == f"http://localhost:{port}"
        assert registry.place.data == program.folder / "data"
        assert registry.place.data.is_dir()
        assert list(scratch.iterdir()) == []
        assert (program.folder / "seen.yml").read_text() == configuration(program.settings(listen=Listen(port=0)))
        assert "REGISTRY_" not in (program.folder / "environment").read_text()
        assert any("listening on" in line for line in said)
    with pytest.raises(ProcessLookupError):
        os.kill(registry.program.pid, 0)
    assert list(registry.place.data.iterdir()) == []


def test_one_that_dies_is_noticed(program: Program) -> None:
    program.does("say('last words instance.id=0 version=1'); answer()")
    with serve(program.settings(), program.runner) as registry:
        os.kill(registry.program.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="was killed by SIGKILL") as caught:
            registry.watch()
    assert caught.value.where == registry.place.address
    assert "last words" in caught.value.log


def test_a_missing_program_says_what_to_install(program: Program) -> None:
    error = program.fails()
    assert "no registry is installed" in error.what
    assert "github.com/distribution/distribution" in str(error)
    assert not (program.folder / "data").exists()
    (program.folder / "bin" / "apt-get").symlink_to("/bin/true")
    assert "`sudo apt-get install docker-registry`" in str(program.fails())


class Finds(SystemRunner):
    """Finds the programs it is told of, with what they answer to --version."""

    def __init__(self, **versions: str) -> None:
        self.versions = {name.replace("_", "-"): version for name, version in versions.items()}

    def which(self, program: str) -> str | None:
        return f"/bin/{program}" if program in self.versions else None

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        return Completed(command, 0, self.versions[Path(command.argv[0]).name].encode(), b"", 0)


def test_which_program_is_the_registry() -> None:
    debian, upstream = "docker-registry github.com/docker/distribution 2.8.2", "registry github.com/distribution/3"
    assert find_program(Finds(docker_registry=debian, registry=upstream)) == "/bin/docker-registry"
    assert find_program(Finds(registry=upstream)) == "/bin/registry"
    with pytest.raises(EngineError, match="no registry is installed"):
        find_program(Finds(registry="npm registry manager 1.0"))


def fatal(text: str) -> str:
    return f'say(\'time="2026" level=info msg="hello"\'); say(\'time="2026" level=fatal msg="{text}"\'); sys.exit(1)'


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (fatal("listen tcp 127.0.0.1:5000: bind: address already in use"), "port 5000 is in use"),
        (fatal("listen tcp 127.0.0.1:5000: bind: permission denied"), "only root may listen on port 5000"),
        (fatal("listen tcp 127.0.0.1:5000: bind: cannot assign requested address"), "no address of this machine"),
        (fatal("tls: private key does not match public key"), "private key does not match"),
        ("say('configuration error: unsupported version'); sys.exit(1)", "unsupported version"),
        ("say('what is this'); sys.exit(9)", "ended with exit code 9"),
    ],
)
def test_why_it_did_not_start(program: Program, work: str, said: str) -> None:
    program.does(work)
    error = program.fails()
    assert isinstance(error, EngineError)
    assert said in error.what
    assert error.hint


def test_a_mirror_whose_registry_is_away(program: Program) -> None:
    program.does("""say('panic: Get "https://registry.example/v2/": no route'); sys.exit(2)""")
    error = program.fails(mirror="https://registry.example")
    assert "the registry to mirror does not answer" in error.what
    assert error.where == "https://registry.example"


def test_one_that_never_answers_is_stopped(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.host.registry.START_SECONDS", 0.5)
    program.does("time.sleep(60)")
    began = time.monotonic()
    assert "does not answer" in program.fails().what
    assert time.monotonic() - began < 10


def test_a_folder_that_cannot_be_used(program: Program) -> None:
    program.does("answer()")
    (program.folder / "data").write_text("a file")
    error = program.fails()
    assert isinstance(error, InputError)
    assert error.where == str(program.folder / "data")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not even root's")
def test_a_folder_that_takes_no_files(program: Program) -> None:
    program.does("answer()")
    with pytest.raises(InputError, match="cannot keep its images here") as caught:
        serve(RegistrySettings(Path("/proc/self")), program.runner).__enter__()
    assert "may write to" in str(caught.value)


def test_files_that_are_not_what_they_should_be(program: Program) -> None:
    program.does("answer()")
    text = program.folder / "text"
    text.write_text("alice:$apr1$md5\n")
    assert "bcrypt" in program.fails(htpasswd=text).what
    assert "htpasswd -cB" in str(program.fails(htpasswd=program.folder / "none"))
    assert "no certificate" in program.fails(certificate=text, key=text).what
    assert not (program.folder / "data").exists()
