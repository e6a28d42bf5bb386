"""References: as Docker reads them, and any text either parses or is refused clearly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import UsageError
from crossdock.image.reference import Reference, parse_reference

SHA = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpine", Reference("docker.io", "library/alpine", "latest")),
        ("alpine:3.20", Reference("docker.io", "library/alpine", "3.20")),
        ("docker.io/alpine", Reference("docker.io", "library/alpine", "latest")),
        ("index.docker.io/library/alpine", Reference("docker.io", "library/alpine", "latest")),
        ("team/app:V1", Reference("docker.io", "team/app", "V1")),
        ("a/b/c", Reference("docker.io", "a/b/c", "latest")),
        ("localhost/app", Reference("localhost", "app", "latest")),
        ("localhost:5000/app:1", Reference("localhost:5000", "app", "1")),
        ("localhost:5000/a/b/c:1", Reference("localhost:5000", "a/b/c", "1")),
        ("quay.io/team/app", Reference("quay.io", "team/app", "latest")),
        ("127.0.0.1/app", Reference("127.0.0.1", "app", "latest")),
        ("[::1]:5000/app:1", Reference("[::1]:5000", "app", "1")),
        ("[2001:db8::1]/team/app", Reference("[2001:db8::1]", "team/app", "latest")),
        ("UPPER/app", Reference("UPPER", "app", "latest")),
        ("app:5000", Reference("docker.io", "library/app", "5000")),
        (f"alpine@{SHA}", Reference("docker.io", "library/alpine", None, SHA)),
        (f"host:1/app:tag@{SHA}", Reference("host:1", "app", "tag", SHA)),
        ("quay.io", Reference("docker.io", "library/quay.io", "latest")),
        ("a-b/c--d/e__f/g.h_i:_t", Reference("docker.io", "a-b/c--d/e__f/g.h_i", "_t")),
    ],
)
def test_as_docker_reads_them(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Alpine",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:b:c",
        "alpine:-tag",
        "alpine:" + "t" * 129,
        "a_-b",
        "a..b",
        "-a",
        "a@sha256:12",
        "a@",
        f"a@{SHA}@{SHA}",
        "https://quay.io/team/app",
        "host:port/app",
        "[::1/app",
        "team/App",
        "app name",
        "app\n",
        "app:1\n",
        "b7" * 32,
        "a/" * 150 + "a",
        "\N{SNOWMAN}.io/app",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "familiar", "full"),
    [
        ("alpine", "alpine:latest", "docker.io/library/alpine:latest"),
        ("team/app:1", "team/app:1", "docker.io/team/app:1"),
        (f"docker.io/library/alpine:3@{SHA}", f"alpine:3@{SHA}", f"docker.io/library/alpine:3@{SHA}"),
        ("quay.io/a/b:1", "quay.io/a/b:1", "quay.io/a/b:1"),
        ("docker.io/a.b/c:1", "docker.io/a.b/c:1", "docker.io/a.b/c:1"),
    ],
)
def test_short_and_full(text: str, familiar: str, full: str) -> None:
    reference = parse_reference(text)
    assert (reference.familiar, str(reference)) == (familiar, full)


def test_a_digest_decides() -> None:
    assert parse_reference(f"alpine:3@{SHA}").identifier == SHA
    assert parse_reference("alpine:3").identifier == "3"


COMPONENT = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
HOST = st.sampled_from(["docker.io", "localhost", "localhost:5000", "quay.io", "[::1]:443", "10.1.2.3:80", "r.a-b.cn"])
REFERENCES = st.builds(
    Reference,
    host=HOST,
    repository=st.lists(COMPONENT, min_size=2, max_size=4).map("/".join),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.none() | st.just(SHA),
)


@settings(deadline=None)
@given(REFERENCES)
def test_both_forms_are_read_back(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab./:@-_[]A0", max_size=40))
def test_any_text_is_a_reference_or_a_clear_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference
