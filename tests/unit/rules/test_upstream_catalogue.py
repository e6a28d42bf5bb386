"""The catalogue of upstream projects: each file says what docs/catalogue.md allows, and its examples are true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from crossdock.rules.upstream import FOLDER, Files, published_checksums, read_project, upstream_file

PATHS = sorted(FOLDER.glob("*.toml"))
PROJECT_KEYS = {"name", "source", "files"}
FILES_KEYS = {
    "url",
    "arch",
    "arm64_url",
    "since",
    "until",
    "arm64_since",
    "arm64_after",
    "checksum",
    "instead",
    "instead_url",
    "source",
    "example",
}
EXAMPLES = [
    pytest.param(path, number, id=f"{path.stem}-{number}")
    for path in PATHS
    for number in range(len(tomllib.loads(path.read_text("utf-8"))["files"]))
]


def test_there_are_enough_entries_to_be_useful() -> None:
    assert len(PATHS) >= 150


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_project_is_written_as_the_documentation_says(path: Path) -> None:
    data = tomllib.loads(path.read_text("utf-8"))
    assert set(data) == PROJECT_KEYS
    assert data["name"].strip() == data["name"] != ""
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", path.stem)
    for entry in data["files"]:
        assert set(entry) <= FILES_KEYS
        assert {"url", "arch", "example"} <= set(entry)
        for source in (data["source"], entry.get("source", data["source"])):
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]+/\S*", source)
        assert re.match(r"https://|\*\*/", entry["url"])
        assert entry["url"].count("{arch}") >= 1
        assert all(isinstance(word, str) or word is False for word in entry["arch"].values())
        assert len({word is False for word in entry["arch"].values()}) == 1, "either all words have arm64 or none"
        for key in set(entry) - {"arch", "example"}:
            assert isinstance(entry[key], str)
            assert entry[key] == entry[key].strip() != ""


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_lines_from_which_the_index_is_made_are_all_urls(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r'^url = "([^"]+)"', text, re.MULTILINE) == [e["url"] for e in tomllib.loads(text)["files"]]


@pytest.mark.parametrize(("path", "number"), EXAMPLES)
def test_an_entry_makes_sense(path: Path, number: int) -> None:
    files = read_project(path)[number]
    assert files.pattern.placeholders == files.arm64.placeholders
    assert len(files.pattern.pieces) == len(files.arm64.pieces)
    assert not (files.arm64_since and files.arm64_after)
    assert len(files.examples) == (1 if files.never or files.neutral else 2)
    for bound in (files.since, files.until, files.arm64_since, files.arm64_after):
        assert bound == "" or re.search(r"\d", bound)
    if files.never:
        assert files.arm64_since == files.arm64_after == files.checksum == ""
        assert files.until or files.instead, "where there is nothing for arm64, the entry says what to use"
    assert not files.instead.endswith(".")
    assert files.instead_url == "" or re.match(r"https://\S+$", files.instead_url)
    assert set(re.findall(r"\{(\w+)\}", files.checksum)) <= {"file", "version"}
    assert not files.checksum.endswith((".sig", ".minisig", "{file}.asc")), "a signature has no checksum in it"
    if files.checksum:
        assert published_checksums(files.examples[1])


@pytest.mark.parametrize(("path", "number"), EXAMPLES)
def test_the_examples_are_what_the_entry_says(path: Path, number: int) -> None:
    files = read_project(path)[number]
    known = upstream_file(files.examples[0])
    assert known is not None
    assert known.files is files, "another entry claims the same URL"
    assert bool(known.tokens) is not files.neutral
    for token in known.tokens:
        assert files.examples[0][token.start : token.end] == token.text != ""
    if files.never:
        assert known.arm64_url is None
        assert known.missing
    elif files.neutral:
        assert known.arm64_url == files.examples[0]
    else:
        assert known.missing == ""
        assert known.arm64_url == files.examples[1]
        assert upstream_file(files.examples[1]) is None, "the file for arm64 is taken for an amd64 one"


@pytest.mark.parametrize(("path", "number"), EXAMPLES)
def test_no_other_project_claims_the_url(path: Path, number: int) -> None:
    url = read_project(path)[number].examples[0]
    claiming = {other.stem for other in PATHS for files in read_project(other) if fits(files, url)}
    assert claiming == {path.stem}


def fits(files: Files, url: str) -> bool:
    return files.pattern.match(url) is not None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_stands_for_arm64_says_so(path: Path) -> None:
    for files in read_project(path):
        for amd64, arm64 in () if files.neutral else files.words:
            assert re.search("arm|aarch|sbsa", arm64, re.IGNORECASE), (path.stem, amd64)
            assert not re.search("arm|aarch|sbsa", amd64, re.IGNORECASE), (path.stem, amd64)
