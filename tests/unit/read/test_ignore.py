""".dockerignore as Docker reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.read.ignore import load_ignore, parse_ignore


def ignored(text: str, path: str) -> bool:
    return parse_ignore(text.encode()).ignores(path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**", "dir/file", True),
        ("**/", "file", True),
        ("dir", "dir/a/b", True),
        ("dir/", "dir/a", True),
        ("/dir", "dir/a", True),
        ("./dir//x/../y", "dir/y", True),
        ("dir", "other/dir", False),
        ("**/dir", "other/dir/x", True),
        ("**/dir", "dir", True),
        ("**file", "a/b/afile", True),
        ("dir/**", "dir", False),
        ("dir/**", "dir/a/b", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/**/*.txt", "file.txt", True),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("*", "a", True),
        ("*", "a/b", True),
        ("*.log", "a/b.log", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[b-d]e", "ace", True),
        ("a[^b-d]e", "ace", False),
        ("a[!b]e", "a!e", True),
        ("a.c", "abc", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("#a", "#a", False),
        (" #a", "#a", True),
        ("  a  ", "a", True),
        ("☃*", "☃☃", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert ignored(pattern, path) is matches


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        ("*\n!keep", "keep", False),
        ("*\n!keep", "keep/a", False),
        ("*\n!a/keep", "a/keep", False),
        ("*\n!a/keep", "a/other", True),
        ("!keep\n*", "keep", True),
        ("*\n!a\na/b", "a/b", True),
        ("**\n!**/*.py", "a/b/c.py", False),
        ("a\n! a/b", "a/b", False),
        ("\ufeffa\r\n!/b\r\n", "a", True),
        ("", "a", False),
    ],
)
def test_the_last_pattern_that_matches_decides(text: str, path: str, matches: bool) -> None:
    assert ignored(text, path) is matches


@pytest.mark.parametrize("pattern", ["!", "a[", "a[]", "a[b-", "a[-b]", "a\\", "! "])
def test_a_bad_pattern_is_told_with_its_line(pattern: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_ignore(f"# first\n{pattern}\n".encode(), ".dockerignore")
    assert caught.value.where == ".dockerignore:2:1"
    assert caught.value.hint


def test_pruning_keeps_folders_that_an_exception_may_reach() -> None:
    rules = parse_ignore(b"*\n!a/b/keep\n!c*/x\n")
    assert [rules.prunes(folder) for folder in ("a", "a/b", "a/z", "b", "cc", "a/b/keep/d")] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert not parse_ignore(b"*\n!**/x").prunes("any")


def test_the_dockerfiles_own_ignore_file_comes_first(tmp_path: Path) -> None:
    dockerfile = tmp_path / "deploy" / "app.Dockerfile"
    dockerfile.parent.mkdir()
    assert load_ignore(tmp_path, dockerfile).data == b""
    (tmp_path / ".dockerignore").write_bytes(b"a")
    assert load_ignore(tmp_path, dockerfile).data == b"a"
    (dockerfile.parent / "app.Dockerfile.dockerignore").write_bytes(b"")
    assert load_ignore(tmp_path, dockerfile).data == b""
    (dockerfile.parent / "app.Dockerfile.dockerignore").unlink()
    (tmp_path / ".dockerignore").unlink()
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(InputError, match="ignore file"):
        load_ignore(tmp_path, dockerfile)


PATTERNS = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "c", "*", "**", "?", "/", "[ab]", "[^a]", ".", "\\*"]), min_size=1, max_size=6
    ).map("".join),
    min_size=1,
    max_size=4,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "ab", "a.c", "*"]), min_size=1, max_size=4).map("/".join)


@given(PATTERNS, st.lists(st.booleans(), min_size=4, max_size=4), PATHS)
def test_the_same_as_docker_and_pruning_loses_nothing(patterns: list[str], except_: list[bool], path: str) -> None:
    lines = [("!" if no else "") + text for text, no in zip(patterns, except_, strict=False)]
    rules = parse_ignore("\n".join(lines).encode())
    cleaned = [("!" if pattern.exception else "") + pattern.text for pattern in rules.patterns]
    assert rules.ignores(path) == PatternMatcher(cleaned).matches(path)
    names = path.split("/")
    for depth in range(1, len(names)):
        folder = "/".join(names[:depth])
        if rules.ignores(folder) and rules.prunes(folder):
            assert rules.ignores(path)
