"""What engines say when they fail, in the words of people."""

from __future__ import annotations

import pytest

from crossdock.engines.trouble import diagnose, ssh_trouble

ENDED = (
    'error during connect: Get "http://docker.example.com/v1.50/info": command [ssh -o ConnectTimeout=30 -T -l me '
    "-p 22 -- arm-1 docker system dial-stdio] has exited with exit status 255, make sure the URL is valid, and Docker "
    "18.09 or later is installed on the remote host: stderr="
)
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key for arm-1 has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("said", "what", "hint"),
    [
        ("me@arm-1: Permission denied (publickey).", "me@arm-1: Permission denied (publickey).", "`ssh-copy-id`"),
        ("Host key verification failed.", "Host key verification failed.", "Run it once by hand"),
        (CHANGED, "Host key for arm-1 has changed and", "before you remove the old one"),
        ("bash: line 1: docker: command not found", "bash: line 1: docker: command not found", "Install Docker there"),
        ("ssh: connect to host arm-1 port 22: Connection refused", "connect to host arm-1 port 22", "the machine runs"),
        ("", "ssh has ended", "Check the address"),
    ],
)
def test_another_machine_is_not_reached(said: str, what: str, hint: str) -> None:
    """Docker's own words for it are the whole command, and that Docker 18.09 or later is needed."""
    found = diagnose((ENDED + said).splitlines())
    assert found
    assert found.what.startswith(f"ssh does not reach a Docker there: {what}")
    assert "`ssh -l me -p 22 arm-1 docker version` has to work" in found.hint
    assert hint in found.hint


def test_the_machine_is_reached_and_its_docker_does_not_run() -> None:
    lines = ["Cannot connect to the Docker daemon at http://docker.example.com. Is the docker daemon running?"]
    assert ssh_trouble(lines) is None
    found = diagnose(lines)
    assert found
    assert "systemctl start docker" in found.hint


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("/bin/sh: 1: ./configure: not found", "a program that RUN starts is not there"),
        ("0.254 /bin/sh: make: not found", "a program that RUN starts is not there"),
        ("/bin/bash: line 1: gcc: command not found", "a program that RUN starts is not there"),
        ("ERROR: docker.io/library/debian:none: not found", "something that the Dockerfile names was not found"),
        ("Error: initializing source docker://localhost/none: manifest unknown", "something that the Dockerfile names"),
    ],
)
def test_a_program_that_is_missing_is_no_image_that_is_missing(line: str, what: str) -> None:
    found = diagnose([line])
    assert found
    assert found.what.startswith(what)
