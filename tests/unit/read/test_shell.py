"""The shell, evaluated for arm64."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.platforms import AMD64
from crossdock.read.script import is_shell_script, script_text
from crossdock.read.shell import evaluate
from crossdock.read.shell_model import Machine, ShellTrace, plain_text
from crossdock.read.values import Origin, Value, literal
from crossdock.source import Source, Span


def run(text: str, **variables: str) -> ShellTrace:
    return evaluate(plain_text(text), "f", variables={name: literal(value) for name, value in variables.items()})


def words(text: str, **variables: str) -> list[list[str]]:
    """The words of the commands that are reached, without those that only feed a substitution."""
    hidden = {"uname", "sed", "cut", "tr", "awk", "dpkg", "apk", "arch", "rpm", "getconf", "set", "echo", "printf"}
    return [[w.text for w in c.words] for c in run(text, **variables).commands if c.words and c.name not in hidden]


def last(text: str, **variables: str) -> list[str]:
    return words(text, **variables)[-1]


@pytest.mark.parametrize(
    ("command", "arm64", "amd64"),
    [
        ("uname -m", "aarch64", "x86_64"),
        ("arch", "aarch64", "x86_64"),
        ("dpkg --print-architecture", "arm64", "amd64"),
        ("apk --print-arch", "aarch64", "x86_64"),
        ("rpm --eval '%{_arch}'", "aarch64", "x86_64"),
        ("rpm -E %_arch", "aarch64", "x86_64"),
        ("rpm --query --queryformat='%{ARCH}' rpm", "aarch64", "x86_64"),
        ("getconf LONG_BIT", "64", "64"),
        ("dpkg-architecture -qDEB_HOST_MULTIARCH", "aarch64-linux-gnu", "x86_64-linux-gnu"),
        ("dpkg-architecture -q DEB_BUILD_ARCH", "arm64", "amd64"),
        ("uname -sm", "Linux aarch64", "Linux x86_64"),
        ("xx-info arch", "arm64", "amd64"),
    ],
)
def test_programs_that_tell_the_architecture(command: str, arm64: str, amd64: str) -> None:
    assert run(f"a=$({command})").variables["a"].text == arm64
    there = evaluate(plain_text(f"a=`{command}`"), "f", machine=Machine(AMD64, AMD64))
    assert there.variables["a"].text == amd64


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("get a/v$V/t-$V-amd64.tgz", "a/v1/t-1-amd64.tgz"),
        ("get $V-$V-$V-$V/x", "1-1-1-1/x"),
        ("get 'a$V/b$V/c'", "a$V/b$V/c"),
        ("get ü$V/ü$V/ü", "ü1/ü1/ü"),
        ("u=a/$V/b_$V.c; get $u", "a/1/b_1.c"),
        ("get $(echo a/$V/b_$V.c)", "a/1/b_1.c"),
        ("get a-$(echo b)-$V/*", "a-b-1/*"),
        ("get a-`echo b`-$V/c", "a-b-1/c"),
        (r"get a_${V}\.c", "a_1.c"),
    ],
)
def test_several_variables_in_one_word(text: str, word: str) -> None:
    assert last(text, V="1") == ["get", word]


def test_braces_that_help_the_parser_move_nothing() -> None:
    text = "get a/$V/b-$V-amd64.tgz && put x"
    command, after = run(text, V="1").commands
    (value,) = (word.value for word in command.arguments)
    at = text.index("amd64")
    assert value.origin_of(value.render().index("amd64"), value.render().index(".tgz")) == (
        Origin("f", Span(at, at + 5)),
    )
    assert command.arguments[0].origin.span == Span(4, text.index(" &&"))
    assert after.origin.span == Span(text.index("put"), len(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/'", "arm64"),
        ("uname -m | sed -e 's/x86_64/amd64/' -e 's/aarch64/arm64/g'", "arm64"),
        ("uname -m | sed -E 's/^aarch(.*)$/arm\\1/'", "arm64"),
        ("echo $TARGETPLATFORM | cut -d/ -f2", "arm64"),
        ("echo $TARGETPLATFORM | cut -d / -f 1,2", "linux/arm64"),
        ("echo $TARGETPLATFORM | awk -F/ '{print $2}'", "arm64"),
        ("printf '%s' \"$TARGETPLATFORM\" | tr / -", "linux-arm64"),
        ("echo ${TARGETPLATFORM} | tr '[:lower:]' '[:upper:]'", "LINUX/ARM64"),
        ("basename $TARGETPLATFORM", "arm64"),
        ("echo -n amd64 | tr -d 0-9", "amd"),
        ("uname -m | grep -q x86_64 && echo yes || echo no", "no"),
        ("cat <<EOF\n$TARGETPLATFORM\nEOF\n", "linux/arm64"),
        ('f() { echo "$2-$1"; }; f a b', "b-a"),
        ("case $TARGETPLATFORM in */amd64) echo x ;; */arm*) echo y ;; esac", "y"),
        ("echo a; echo b", "a\nb"),
    ],
)
def test_substitutions_are_computed(text: str, value: str) -> None:
    assert run(f"a=$({text})", TARGETPLATFORM="linux/arm64").variables["a"].text == value


@pytest.mark.parametrize(
    ("expansion", "value"),
    [
        ("${x#*/}", "b/c.tar.gz"),
        ("${x##*/}", "c.tar.gz"),
        ("${x%.*}", "a/b/c.tar"),
        ("${x%%.*}", "a/b/c"),
        ("${x/b/z}", "a/z/c.tar.gz"),
        ("${x//[ab]/-}", "-/-/c.t-r.gz"),
        ("${x^^}", "A/B/C.TAR.GZ"),
        ("${x:0:3}", "a/b"),
        ("${y:-d}", "d"),
        ("${x:-d}", "a/b/c.tar.gz"),
        ("${e:-d}", "d"),
        ("${e-d}", ""),
        ("${x:+d}", "d"),
        ("${y:+d}", ""),
        ("${!n}", "a/b/c.tar.gz"),
    ],
)
def test_parameter_expansion(expansion: str, value: str) -> None:
    assert run(f'a="{expansion}"', x="a/b/c.tar.gz", e="", n="x").variables["a"].text == value


@pytest.mark.parametrize(
    "text",
    [
        'if [ "$(uname -m)" = x86_64 ]; then curl amd; else curl arm; fi',
        'if [ $(uname -m) != "x86_64" ]; then curl arm; else curl amd; fi',
        '[ "$(arch)" = aarch64 ] && curl arm || curl amd',
        'if [[ "$(uname -m)" == "aarch"* ]]; then curl arm; else curl amd; fi',
        "if [[ $(uname -m) =~ ^(x86|i.86) ]]; then curl amd; else curl arm; fi",
        'if test "$(uname -m)" = "x86_64" -o "$(uname -m)" = i686; then curl amd; else curl arm; fi',
        'if ! [ "$(uname -m)" = x86_64 ]; then curl arm; else curl amd; fi',
        'case "$(uname -m)" in x86_64|amd64) curl amd ;; aarch64) curl arm ;; *) exit 1 ;; esac',
        'set -e; [ "$(uname -m)" = x86_64 ] && curl amd; curl arm',
        'f() { if [ "$1" = x86_64 ]; then curl amd; return 0; fi; curl arm; }; f $(uname -m)',
        'case "$(unknown)" in x86_64) curl amd ;; aarch64) curl arm ;; esac',
        'if [ "$SOMETHING" = arm64 ]; then curl arm; else curl amd; fi',
        "sh -c '[ \"$(uname -m)\" = x86_64 ] && curl amd || curl arm'",
        "A=$(uname -m); declare -A m=([x86_64]=amd [aarch64]=arm); curl ${m[$A]}",
        "for a in amd arm; do case $(uname -m)-$a in x86_64-amd|aarch64-arm) curl $a ;; esac; done",
        'while [ "$(uname -m)" = x86_64 ]; do curl amd; done; curl arm',
        '{ [ "$(uname -m)" = x86_64 ] || false; } && curl amd; curl arm',
        "[ -d /usr/lib/x86_64-linux-gnu ] && curl amd; curl arm",
        'url=amd; [ "$(uname -m)" = aarch64 ] && url=arm; curl $url',
        'eval "curl a$(echo rm)"',
        "node -p \"process.arch === 'arm64' ? 'no' : process.exit(1)\" || curl amd; curl arm",
    ],
)
def test_only_the_branch_for_arm64_is_reached(text: str) -> None:
    assert words(text)[-1] == ["curl", "arm"]
    assert ["curl", "amd"] not in words(text)


def test_after_exit_nothing_is_reached() -> None:
    assert words('[ "$(uname -m)" = x86_64 ] || exit 1; curl x') == [["exit", "1"]]
    assert words('set -e; test "$(uname -m)" = x86_64; curl x') == [["test", "aarch64", "=", "x86_64"]]


def test_errexit_ends_the_shell_only_where_it_does() -> None:
    ignored = "false && true"
    for text in (f"if true; then {ignored}; fi", f"case a in a) {ignored} ;; esac", f"{{ {ignored}; }}", ignored):
        assert last(f"set -e; {text}; c after") == ["c", "after"], text
    for text in ("false", "if true; then false; fi", "(false && true)", f"f() {{ {ignored}; }}; f"):
        assert ["c", "after"] not in words(f"set -e; {text}; c after"), text


def test_what_cannot_be_decided_is_walked_both_ways() -> None:
    trace = run('if [ -f /x ]; then v=one; else v=two; fi; curl "$v"; which wget || apk add wget')
    curl = next(command for command in trace.commands if command.name == "curl")
    assert {option.text for option in curl.words[1].value.fragments[0].choices} == {"one", "two"}
    assert [command.certain for command in trace.commands if command.name in {"curl", "apk"}] == [True, False]


def test_quotes_fields_and_braces() -> None:
    assert last("a='x y'; cmd $a \"$a\" '$a' $a-z x\\ y \"a\\\"b\"") == [
        "cmd", "x", "y", "x y", "$a", "x", "y-z", "x y", 'a"b',
    ]  # fmt: skip
    assert last("curl https://e.com/{a,b}.tgz") == ["curl", "https://e.com/a.tgz", "https://e.com/b.tgz"]
    assert last('set -- a "b c"; cmd "$@"') == ["cmd", "a", "b c"]


def test_wrappers_pipes_and_redirections() -> None:
    trace = run("sudo -E env A=b curl -o x y 2>/dev/null | tar xz && cat > /etc/apt/x <<'EOF' && done2\n$A\nEOF\n")
    assert [c.name for c in trace.commands] == ["curl", "tar", "cat", "done2"]
    assert trace.commands[0].assignments[0].value.text == "b"
    assert {r.operator: r.target.text for r in trace.commands[2].redirects} == {">": "/etc/apt/x", "<<": "$A\n"}


def test_files_carry_values_from_step_to_step() -> None:
    first = run("case $(uname -m) in aarch64) echo arm64 > /arch ;; esac")
    second = evaluate(plain_text("curl $(cat /arch)"), "f", files=first.files)
    assert second.commands[-1].words[1].text == "arm64"


def test_exported_variables_and_prefixes_reach_commands() -> None:
    trace = run("export GOARCH=arm64; X=1; GOOS=linux go build")
    go = trace.commands[-1]
    assert [(v := go.variable(name)) and v.text for name in ("GOARCH", "GOOS", "X")] == ["arm64", "linux", None]


def test_assignments_on_lines_of_their_own_stay_apart_from_the_next_command() -> None:
    trace = run("A=1 B=2\ncurl $A$B\n")
    assert trace.commands[-1].words[1].text == "12"
    assert trace.commands[-1].assignments == ()


def test_every_character_knows_where_it_was_written() -> None:
    text = 'v="1.0"; curl "https://e.com/$v/t-amd64.tgz"'
    value = run(text).commands[-1].words[1].value
    at = value.render().index("amd64")
    start = text.index("amd64")
    assert value.origin_of(at, at + 5) == (Origin("f", Span(start, start + 5)),)
    assert value.origin_of(14, 17) == (Origin("f", Span(3, 6)),)


def test_sed_and_expansion_keep_origins() -> None:
    text = "a=$(uname -m | sed s/aarch64/x64/); b=${a%64}amd64; curl $b"
    value = run(text).commands[-1].words[1].value
    assert value.text == "xamd64"
    assert text[value.origin_of(0, 1)[0].span.start] == "x"


def test_loops_over_all_architectures_are_not_amd64_text() -> None:
    trace = run("for a in amd64 arm64; do curl https://e.com/$a; done")
    assert all(w.value.origin_of(14, 19) == () for c in trace.commands for w in c.words[1:])


def test_a_loop_over_a_matrix_of_systems_and_architectures_is_not_amd64_text() -> None:
    made = run("for p in linux/386 darwin/amd64 linux/arm; do GOARCH=${p##*/} go build; done").commands[1]
    assert made.assignments[0].value.text == "amd64"
    assert made.assignments[0].value.origin_of(0, 5) == ()
    kept = run("for a in amd64 i386; do wget x-$a; done").commands[0].words[1].value
    assert kept.origin_of(2, 7) != ()


def test_comments_between_words_and_missing_separators_are_read() -> None:
    text = 'install a `# "why` b \\\n `# and` c && if x; then if y; then z; fi fi && curl u'
    read = run(text)
    assert [w.text for w in read.commands[0].words] == ["install", "a", "b", "c"]
    assert read.commands[-1].words[1].text == "u"
    assert read.skipped == ()
    assert run("echo fi fi | cat > /f").files["/f"].text == "fi fi\n"


def test_unset_variables_are_told_unless_a_default_is_there() -> None:
    uses = run('curl $TARGETARCH "${OTHER:-x}"').unset
    assert [(use.name, use.defaulted) for use in uses] == [("TARGETARCH", False), ("OTHER", True)]


def test_what_does_not_parse_is_skipped_with_a_reason_and_the_rest_is_read() -> None:
    trace = run("curl a\nif then fi )(\ncurl b\n")
    assert trace.skipped
    assert "curl" in [command.name for command in trace.commands]


def test_endless_recursion_ends() -> None:
    assert run("f() { f; f; }; f").skipped
    assert run("a=x; " + "a=$a$a; " * 40).variables["a"] is not None


def test_scripts_join_continuation_lines_but_not_comments() -> None:
    source = Source("x.sh", b"#!/bin/sh\n# a comment \\\ncurl a \\\n  b\ncat <<'E'\nx \\\ny\nE\n")
    text = script_text(source)
    assert "curl a   b\n" in text.text
    assert "comment \\\ncurl" in text.text
    assert "x \\\ny\n" in text.text
    start = text.text.index("b\ncat")
    assert source.data[text.offsets[start] : text.offsets[start] + 1] == b"b"


@pytest.mark.parametrize(
    ("path", "data", "verdict"),
    [
        ("run", b"#!/bin/sh\n", True),
        ("run", b"#!/usr/bin/env bash\n", True),
        ("run", b"#!/usr/bin/env python3\n", False),
        ("run.sh", b"echo\n", True),
        ("run", b"echo\n", False),
        ("run.sh", b"\x7fELF\0", False),
    ],
)
def test_what_is_a_shell_script(path: str, data: bytes, verdict: bool) -> None:
    assert is_shell_script(path, data) is verdict


PIECES = st.sampled_from(
    "curl $x ${x:-y} ${x##*/} $(uname -m) ` ' \" ; && || | if then else fi case in esac ) ( { } do done for a b "
    "\n [ ] [[ ]] = == ! > >> < <<EOF EOF amd64 * \\ $ # é \udc80 f() export local eval sh -c set -e".split(" ")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_no_text_makes_it_fail(pieces: list[str]) -> None:
    trace = run(" ".join(pieces))
    for command in trace.commands:
        for word in command.words:
            assert isinstance(word.value, Value)
