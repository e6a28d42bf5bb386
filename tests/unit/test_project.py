"""The project's own rules: who imports whom, who may print and start programs, locked dependencies, true documents."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from crossdock import __version__
from crossdock.cli.main import VERBS, main

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/crossdock"

ORDER = (
    "errors platforms source findings process http config read image packages rules fixes plan engines host assist "
    "doctor builders verify report cli"
).split()
"""Each imports only from itself and from those before it (docs/architecture.md)."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    """``read`` for src/crossdock/read/model.py, ``errors`` for src/crossdock/errors.py."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "cli" if name == "__main__" else name


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere in a file, with its line."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            if module == "crossdock":
                yield from ((node.lineno, f"crossdock.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def _relative(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_imports_only_from_the_left(path: Path) -> None:
    own = _name(path)
    if own == "__init__":
        assert not list(_imports(path)), "the package itself imports nothing, so that --version is quick"
        return
    assert own in ORDER, f"{own} has no place in the order of packages"
    for line, module in _imports(path):
        parts = module.split(".")
        if parts[0] != "crossdock" or parts[1:2] == ["__version__"]:
            continue
        assert parts[1] in ORDER, f"{path}:{line}: {module} has no place in the order of packages"
        assert ORDER.index(parts[1]) <= ORDER.index(own), f"{path}:{line}: {own} imports {parts[1]} from its right"


@pytest.mark.parametrize("path", [path for path in MODULES if _name(path) != "cli"], ids=_relative)
def test_only_the_command_line_prints(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        called = node.func if isinstance(node, ast.Call) else None
        assert not (isinstance(called, ast.Name) and called.id in {"print", "input"}), f"{path}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            assert node.attr not in {"stdout", "stderr", "exit", "argv"}, f"{path}:{node.lineno}: sys.{node.attr}"


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_programs_start_and_requests_go_out_in_one_place(path: Path) -> None:
    for line, module in _imports(path):
        top = module.split(".")[0]
        assert top != "subprocess" or _name(path) == "process", f"{path}:{line}: programs start in crossdock.process"
        assert top not in {"pycurl", "httpx", "urllib3", "http", "requests"} or _name(path) == "http", (
            f"{path}:{line}: requests go out through crossdock.http"
        )
        assert module != "urllib.request", f"{path}:{line}: requests go out through crossdock.http"


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_every_module_says_first_what_it_does(path: Path) -> None:
    docstring = ast.get_docstring(_tree(path))
    assert docstring, f"{path} has no docstring"
    assert len(docstring.splitlines()[0]) <= 120


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from crossdock.cli.main import main; main(['--help']);"
        "heavy = {'click', 'rich', 'pycurl', 'msgspec', 'tree_sitter', 'isal', 'zstandard', 'asyncio', 'pathspec'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"--help imports {done.stderr}"


# --- what is locked --------------------------------------------------------------------------------------------------


def _pins(name: str) -> dict[str, str]:
    """Project → version, of a requirements file."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return dict(re.match(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines if re.match(r"\w", line))  # type: ignore[union-attr]


def _plain(requirement: object) -> str:
    return re.split(r"[^\w.-]", str(requirement), maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def test_lock_holds_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = {_plain(entry) for entry in [*project["project"]["dependencies"], *groups["build"]]}
    assert wanted <= _pins("lock.txt").keys(), "run tools/lock"
    assert {_plain(entry) for entry in groups["dev"] if isinstance(entry, str)} <= _pins("dev.txt").keys()


def test_what_is_tested_is_what_runs() -> None:
    run, dev = _pins("lock.txt"), _pins("dev.txt")
    assert {name: dev.get(name) for name in run} == run, "run tools/lock"


@pytest.mark.parametrize("name", ["lock.txt", "dev.txt"])
def test_lock_names_hashes_and_no_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|--index|--extra-index|--find-links", text)
    for block in re.split(r"\n(?=\w)", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


# --- documents -------------------------------------------------------------------------------------------------------

DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    if path.name != "CHANGELOG.md"
)


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchors(path: Path) -> set[str]:
    """The anchors that forges give a document's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _prose(path), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def _prose(path: Path) -> str:
    """A document without its code blocks."""
    return re.sub(r"^(```|~~~~).*?^\1", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_id)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{_id(path)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{_id(path)} links to {target}"


def _commands() -> Iterator[tuple[str, str]]:
    """Every crossdock command line in a document's code blocks, with the document."""
    for path in DOCUMENTS:
        text = path.read_text()
        for block in re.findall(r"^```(?:sh|console|shell|bash)\n(.*?)^```|((?:^    .*\n)+)", text, re.M | re.S):
            for line in re.sub(r"\\\n\s*", "", "".join(block)).splitlines():
                found = re.match(r"\s*(?:\$ )?((?:docker )?crossdock( .*)?)$", line)
                if found:
                    yield _id(path), found[1].removeprefix("docker ")


@pytest.mark.parametrize(("document", "line"), list(dict.fromkeys(_commands())))
def test_commands_in_documents_are_understood(document: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line, comments=True)[1:]
    words = list(itertools.takewhile(lambda word: word not in {"|", ">", "&&"}, words))
    if not words or words[0].startswith("-"):
        assert main(words) in {0, 2}
        return
    if words[0] in {"VERB", "help"}:
        return
    assert words[0] in VERBS, f"{document}: {line}"
    command: click.Command = importlib.import_module(VERBS[words[0]][0]).command
    while isinstance(command, click.Group) and words[1:2] and words[1] in command.commands:
        command, words = command.commands[words[1]], words[1:]
    assert not isinstance(command, click.Group) or words[1:] == ["--help"], f"{document}: {line}"
    try:
        command.make_context(words[0], words[1:])
    except click.exceptions.Exit:
        capsys.readouterr()  # --help
    except click.ClickException as error:
        pytest.fail(f"{document}: {line}\n{error.format_message()}")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_a_page(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert "Usage: crossdock" in capsys.readouterr().out
    assert (ROOT / f"docs/cli/{verb}.md").is_file()


def test_changelog_follows_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    for release in releases[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", release), release
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds
    if len(releases) > 1:
        assert releases[1].startswith(f"[{__version__}]")


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports them by their file name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
