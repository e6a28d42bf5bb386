"""A project's settings: where they are found, what they mean, and how wrong ones are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossdock.config import RULE_IDS, Allowed, Config, Configs, Limits, parse_size
from crossdock.errors import CrossdockError, ExitCode, UsageError
from crossdock.findings import Confidence, Finding, Severity, locate
from crossdock.platforms import ARM64
from crossdock.rules import RULES as ALL_RULES
from crossdock.source import Source, Span

RULES = frozenset({"pinned-platform", "amd64-download"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    return tmp_path


def config(path: Path) -> Config:
    return Configs(RULES).of(path)


def finding(path: Path, rule: str = "pinned-platform") -> Finding:
    place = locate(Source(str(path), b"x"), Span(0, 1))
    return Finding(rule, Severity.ERROR, Confidence.HIGH, place, "m", "why", "help")


def test_none_is_needed(root: Path) -> None:
    assert config(root / "a/Dockerfile") == Config()


def test_the_nearest_folder_counts_up_to_the_top_of_the_repository(root: Path) -> None:
    (root / "crossdock.toml").write_text('platforms = ["linux/arm64"]\n')
    (root / "a/pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert config(root / "a/b/Dockerfile").platforms == (ARM64,)
    (root / "a/b/crossdock.toml").write_text("")
    assert config(root / "a/b").platforms == ()
    (root / "a/.git").mkdir()
    assert config(root / "a/Dockerfile").platforms == ()


def test_pyproject_has_the_same_in_a_table(root: Path) -> None:
    text = '[tool.crossdock]\nplatforms = ["arm64"]\n[[tool.crossdock.ignore]]\nrule = "amd64-download"\nreason = "r"\n'
    (root / "pyproject.toml").write_text(text)
    found = config(root)
    assert found.platforms == (ARM64,)
    assert found.reason_to_ignore(finding(root / "Dockerfile", "amd64-download")) == "r"
    (root / "crossdock.toml").write_text("")
    assert config(root) == Config(root / "crossdock.toml")


def test_exclude_is_as_gitignore(root: Path) -> None:
    (root / "crossdock.toml").write_text('exclude = ["vendor/", "/Dockerfile", "!vendor/keep/"]\n')
    found = config(root)
    assert found.excludes(root / "vendor/x/Dockerfile")
    assert found.excludes(root / "Dockerfile")
    assert not found.excludes(root / "a/Dockerfile")
    assert not found.excludes(root.parent / "vendor/Dockerfile")


def test_a_rule_is_ignored_in_some_paths_or_everywhere(root: Path) -> None:
    (root / "crossdock.toml").write_text(
        '[[ignore]]\nrule = "pinned-platform"\npaths = ["a/"]\nreason = " because "\n'
        '[[ignore]]\nrule = "amd64-download"\nreason = "all"\n'
    )
    configs = Configs(RULES)
    assert configs.reason_to_ignore(finding(root / "a/Dockerfile")) == "because"
    assert configs.reason_to_ignore(finding(root / "Dockerfile")) is None
    assert configs.reason_to_ignore(finding(root / "Dockerfile", "amd64-download")) == "all"


def test_what_verify_is_to_allow(root: Path) -> None:
    (root / "pyproject.toml").write_text(
        '[tool.crossdock.verify]\nallow = [{path = "opt/vendor/**", reason = " sold for amd64 only "}]\n'
    )
    (allowed,) = config(root).allow
    assert allowed == Allowed("opt/vendor/**", "sold for amd64 only")
    assert allowed.match("opt/vendor/bin/tool")
    assert not allowed.match("srv/opt/vendor/tool")
    assert Allowed("/opt/*.so", "r").match("opt/a.so")


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("\n# ingore\ningore = []\n", 3, "there is no setting 'ingore'", "Did you mean 'ignore'?"),
        ('[[ignore]]\nrule = "pinned"\nreason = "x"\n', 2, "there is no rule 'pinned'", "Did you mean"),
        ('[[ignore]]\nreason = "x"\n', 1, "there is no rule None", "There are"),
        ('[[ignore]]\nrule = "amd64-download"\n', 2, "needs a reason", "why this is meant"),
        ('[[ignore]]\nrule = "amd64-download"\nreason = "x"\npath = "a"\n', 4, "no setting 'path'", "'paths'"),
        ('exclude = "vendor"\n', 1, "exclude is a list of texts", "Write exclude"),
        ('ignore = ["amd64-download"]\n', 1, "ignore is a table", "docs/configuration.md"),
        ('ignore = "x"\n', 1, "ignore is a list of tables", "docs/configuration.md"),
        ("[verify]\nalow = []\n", 2, "there is no setting 'alow'", "Did you mean 'allow'?"),
        ('[verify]\nallow = "opt"\n', 2, "allow is a list of tables", "Write allow"),
        ('[verify]\nallow = [\n  {path = "opt/a"},\n]\n', 3, "what is allowed needs a reason", "Write reason"),
        ('[verify]\nallow = [{reason = "x"}]\n', 2, "what is allowed needs a path", "Write path"),
        ('[verify]\nallow = [{path = "a", reason = "x", why = "y"}]\n', 2, "no setting 'why'", "There are"),
        ('platforms = [\n  "linux/arm46",\n]\n', 2, "'linux/arm46' is not a platform", "Common ones"),
    ],
)
def test_what_has_no_meaning_is_told_with_its_line(root: Path, text: str, line: int, what: str, hint: str) -> None:
    (root / "crossdock.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        config(root)
    assert caught.value.exit_code is ExitCode.USAGE
    assert what in caught.value.what
    assert caught.value.where == f"{root / 'crossdock.toml'}:{line}"
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("data", [b"x = \n", b"\xff\xfe", b'tool = "crossdock"\n'])
def test_what_cannot_be_read_is_told(root: Path, data: bytes) -> None:
    (root / "crossdock.toml").write_bytes(data)
    with pytest.raises(CrossdockError) as caught:
        config(root)
    assert "crossdock.toml" in (caught.value.where or "")


@pytest.mark.parametrize("text", ['tool = "crossdock"\n', '[tool.poetry]\nname = "crossdock"\n', "crossdock = 1\n"])
def test_a_pyproject_that_only_names_crossdock_says_nothing(root: Path, text: str) -> None:
    (root / "pyproject.toml").write_text(text)
    assert config(root) == Config()


def test_a_table_that_is_none_is_told(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool]\ncrossdock = 1\n")
    with pytest.raises(UsageError, match=r"tool\.crossdock is a table"):
        config(root)


def test_the_settings_know_all_rules() -> None:
    assert sorted(RULE_IDS) == sorted(rule.id for rule in ALL_RULES)


def test_limits_of_images(root: Path) -> None:
    write = (root / "crossdock.toml").write_text
    write('[verify]\nmax-size = "1.5 GiB"\nmax-size-difference = 12.5\nmax-layers = 9\n')
    assert config(root).limits == Limits(3 << 29, 12.5, 9)
    for line in (
        'max-size = "big"',
        "max-size = true",
        'max-layers = "9"',
        "max-layers = 1.5",
        "max-size-difference = -1",
    ):
        write(f"[verify]\n{line}\n")
        with pytest.raises(UsageError) as raised:
            config(root)
        assert (raised.value.where or "").endswith("crossdock.toml:2")


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("1.5 gb", 1_500_000_000), ("2KiB", 2048), ("7", 7), ("7B", 7), ("3k", 3000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
