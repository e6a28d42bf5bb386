"""Assertions in container-structure-test's format: how they are read, and what they say of made images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from made_images import ARM64, Link, MemoryImage, Parts, elf, layer

from crossdock.engines.containers import EngineFacts, Outcome, RunRequest
from crossdock.errors import EngineError, InputError
from crossdock.platforms import AMD64
from crossdock.process import Command, SystemRunner
from crossdock.source import Source
from crossdock.verify.assertions import Assertions, CommandTest, read_assertions
from crossdock.verify.commands import check_commands
from crossdock.verify.image import verify_image
from crossdock.verify.model import CheckResult, Status
from crossdock.verify.places import Place, Places

EXAMPLE = """\
schemaVersion: 2.0.0
globalEnvVars:
  - key: LANG
    value: C
commandTests:
  - name: version
    command: app
    args: ["--version"]
    setup: [["mkdir", "-p", "/tmp/a b"]]
    envVars: [{key: A, value: "1"}]
    expectedOutput: ["^app \\\\d+"]
    excludedError: ["warning"]
    exitCode: 3
fileExistenceTests:
  - {name: app, path: /usr/bin/app, permissions: "-rwxr-xr-x", isExecutableBy: any}
  - {name: no key, path: /root/.ssh/id_rsa, shouldExist: false}
fileContentTests:
  - {name: passwd, path: /etc/passwd, expectedContents: ["^app:"], excludedContents: ["toor"]}
metadataTest:
  env: [{key: PATH, value: "^/usr", isRegex: true}]
  labels: [{key: a, value: b}]
  exposedPorts: ["8080"]
  unexposedPorts: ["22"]
  volumes: [/data]
  entrypoint: [/usr/bin/app]
  cmd: []
  workdir: /srv
  user: app
"""


def read(text: str) -> Assertions:
    return read_assertions([Source("tests.yaml", text.encode())])


def test_all_of_it_is_read() -> None:
    found = read(EXAMPLE)
    (command,) = found.commands
    assert command == CommandTest(
        "version",
        ("app", "--version"),
        (("mkdir", "-p", "/tmp/a b"),),
        ("LANG=C", "A=1"),
        3,
        ("^app \\d+",),
        (),
        (),
        ("warning",),
    )
    assert [(test.path, test.exists, test.permissions) for test in found.files] == [
        ("/usr/bin/app", True, "rwxr-xr-x"),
        ("/root/.ssh/id_rsa", False, ""),
    ]
    (metadata,) = found.metadata
    assert (metadata.entrypoint, metadata.command, metadata.user) == (("/usr/bin/app",), (), "app")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("schemaVersion: 1.0.0", "tests.yaml:1:16", "schemaVersion is 1.0.0"),
        ("schemaVersion: 2.0.0\ncommandTest: []", "tests.yaml:2:1", "commandTest is no key"),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {command: a, exitcode: 1}", "tests.yaml:3:16", "exitcode is no key"),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {name: a}", "tests.yaml:3:3", "command is missing"),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {command: a, exitCode: x}", "tests.yaml:3:26", "no number"),
        ("schemaVersion: 2.0.0\ncommandTests: {command: a}", "tests.yaml:2:15", "has to be a list"),
        ("schemaVersion: 2.0.0\nfileContentTests:\n- {path: a, expectedContents: ['(']}", "tests.yaml:3", "regular"),
        ("schemaVersion: 2.0.0\nfileExistenceTests:\n- {path: a, permissions: '0644'}", "tests.yaml:3", "permissions"),
        ("- a", "tests.yaml", "no tests"),
        ("", "tests.yaml", "no tests"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read(text)
    assert (caught.value.where or "").startswith(where)


class Configured(MemoryImage):
    """An image whose config has more than what crossdock itself reads."""

    def read(self, _: object) -> bytes:
        config = {
            "Env": ["PATH=/usr/bin", "X="],
            "Labels": {"a": "b"},
            "ExposedPorts": {"8080/tcp": {}},
            "Volumes": {"/data": {}},
            "Entrypoint": ["/usr/bin/app"],
            "WorkingDir": "/srv",
            "User": "app",
        }
        return json.dumps({"config": config}).encode()


def structure(text: str) -> list[CheckResult]:
    parts = Parts(
        (
            layer({"usr/bin/app": elf(), "etc/passwd": "toor:x\n", "usr/bin/a": Link("app")}),
            layer({"etc/passwd": "app:x:1\n", "data": None}, {"etc/passwd": 0o640}),
        ),
        ("/usr/bin/app",),
    )
    results = verify_image(Configured(parts), wanted=read(f"schemaVersion: 2.0.0\n{text}")).results
    return [entry for entry in results if entry.check == "structure"]


def test_what_holds() -> None:
    body = EXAMPLE.partition("fileExistenceTests")
    (found,) = structure(body[1] + body[2])
    assert (found.status, found.message) == (Status.PASSED, "4 assertions on files and config hold")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fileExistenceTests: [{name: n, path: /nope}]", "n: /nope is not there"),
        ("fileExistenceTests: [{path: /usr/bin/a, shouldExist: false}]", "/usr/bin/a: /usr/bin/a is there"),
        (
            "fileExistenceTests: [{path: /etc/passwd, permissions: '-rw-r--r--'}]",
            "/etc/passwd: /etc/passwd has the permissions rw-r-----, not rw-r--r--",
        ),
        (
            "fileExistenceTests: [{path: /etc/passwd, isExecutableBy: owner}]",
            "/etc/passwd: /etc/passwd is not executable by owner (rw-r-----)",
        ),
        (
            "fileContentTests: [{path: /etc/passwd, expectedContents: [toor]}]",
            "/etc/passwd: /etc/passwd does not have 'toor'",
        ),
        ("fileContentTests: [{path: /etc/passwd, excludedContents: ['^app']}]", "/etc/passwd: /etc/passwd has '^app'"),
        ("fileContentTests: [{path: /data}]", "/data: /data is not there"),
        ("metadataTest: {env: [{key: Y, value: a}]}", "metadata: the environment has no Y"),
        ("metadataTest: {env: [{key: PATH, value: /bin}]}", "metadata: the environment has PATH=/usr/bin, not /bin"),
        ("metadataTest: {unboundEnvVars: [{key: X}]}", "metadata: the environment has X"),
        ("metadataTest: {exposedPorts: ['22']}", "metadata: port 22 is not exposed"),
        ("metadataTest: {unexposedPorts: ['8080']}", "metadata: port 8080 is exposed"),
        ("metadataTest: {volumes: [/x]}", "metadata: /x is no volume"),
        ("metadataTest: {unmountedVolumes: [/data]}", "metadata: /data is a volume"),
        ("metadataTest: {entrypoint: [/bin/sh]}", 'metadata: Entrypoint is ["/usr/bin/app"], not ["/bin/sh"]'),
        ("metadataTest: {user: root}", "metadata: User is 'app', not 'root'"),
    ],
)
def test_what_does_not(text: str, message: str) -> None:
    (found,) = structure(text)
    assert (found.status, found.message) == (Status.FAILED, message)


def test_what_is_not_looked_at_is_told() -> None:
    text = "fileExistenceTests: [{name: n, path: /etc/passwd, uid: 0}]\nlicenseTests: [{debian: true}]"
    assert [entry.message for entry in structure(text) if entry.status is Status.SKIPPED] == [
        "not looked at: tests.yaml: licenseTests",
        "not looked at: n: uid and gid",
    ]


class Here:
    """An engine whose containers are programs of this machine."""

    name = "here"

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def probe(self) -> EngineFacts:
        return EngineFacts("here", (1,), AMD64, shares_kernel=False)

    @contextmanager
    def create(self, request: RunRequest, on_pull: object) -> Iterator[_Program]:
        self.requests.append(request)
        yield _Program(request)


class _Program:
    def __init__(self, request: RunRequest) -> None:
        self.command = Command((request.entrypoint or "", *request.command), dict(i.split("=") for i in request.env))

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        return Outcome(exit_code != 126, exit_code, trouble="permission denied" if exit_code == 126 else "")


def _places(engine: Here) -> Places:
    return Places((), Place(engine, engine.probe()), SystemRunner())  # type: ignore[arg-type]


def test_commands_that_can_be_run_nowhere() -> None:
    image = MemoryImage(Parts((layer({"app": elf()}),)))
    places = Places((), EngineError("no engine", hint="Install one."), SystemRunner())
    (found,) = check_commands(image, (CommandTest("t", ("true",)),), ARM64, places, SystemRunner(), 0.5)
    assert (found.status, found.message) == (Status.SKIPPED, "not run: no engine")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (CommandTest("t", ("sh", "-c", "echo $A; exit 3"), env=("A=5",), exit_code=3, expected_output=("^5$",)), ""),
        (CommandTest("t", ("sh", "-c", "echo bad >&2; exit 1")), "t: ended with 1, not 0: bad"),
        (CommandTest("t", ("echo", "a"), expected_output=("b",)), "t: its output does not have 'b'"),
        (CommandTest("t", ("echo", "a"), excluded_output=("a",)), "t: its output has 'a'"),
        (CommandTest("t", ("sh", "-c", "echo e >&2"), excluded_error=("e",)), "t: its standard error has 'e'"),
        (CommandTest("t", ("sh", "-c", "exit 126")), "t: permission denied"),
        (CommandTest("t", ("sleep", "5")), "t: still running after 0.5 s"),
        (CommandTest("t", ("cat", "/tmp/x y"), setup=(("sh", "-c", "echo hi"), ("true",))), "t: ended with 1, not 0"),
    ],
)
def test_commands(test: CommandTest, message: str) -> None:
    engine = Here()
    image = MemoryImage(Parts((layer({"app": elf()}),)))
    (found,) = check_commands(image, (test,), ARM64, _places(engine), SystemRunner(), 0.5)
    assert found.status is (Status.FAILED if message else Status.PASSED)
    assert found.message.startswith(message)
    assert engine.requests[0].network == "none"
