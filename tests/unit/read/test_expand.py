"""BuildKit's variable expansion, and that every character of the result knows where it was written."""

from __future__ import annotations

import pytest
from e2b_dockerfile_utils import ShellLex
from hypothesis import assume, given
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.read.dockerfile import parse
from crossdock.read.expand import ExpansionError, assignment, expand, expand_word
from crossdock.read.model import LogicalText
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, literal
from crossdock.source import Source, Span

VARIABLES = {
    "A": "amd64",
    "E": "",
    "URL": "https://x/tool-amd64.tar.gz",
    "P": "/a/foo/b/c.txt",
    "G": "xx**",
    "K": "한국",
}


def lookup(name: str) -> Value | None:
    return literal(VARIABLES[name]) if name in VARIABLES else None


def logical(text: str) -> LogicalText:
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + len(character.encode("utf-8", "surrogateescape")))
    return LogicalText(text, tuple(offsets))


def expanded(text: str, escape: str = "\\") -> str | None:
    return expand(logical(text), 0, len(text), lookup, path="D", escape=escape).text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("a'$A'b", "a$Ab"),
        ('"$A"', "amd64"),
        ('"it\'s $A"', "it's amd64"),
        ("\\$A", "$A"),
        ('"\\$A \\" \\n"', '$A " \\n'),
        ("a\\\\b", "a\\b"),
        ("$A-$A", "amd64-amd64"),
        ("$Ax", ""),
        ("${A}x", "amd64x"),
        ("$unset", ""),
        ("$.", "$."),
        ("$1x$@$$", "x"),
        ("${X:-d}${E:-d}${A:-d}", "ddamd64"),
        ("${X-d}${E-d}${A-d}", "damd64"),
        ("${X:+d}${E:+d}${A:+d}", "d"),
        ("${X+d}${E+d}${A+d}", "dd"),
        ("${A:?m}${A?m}${E?m}", "amd64amd64"),
        ("${X:-${A}}", "amd64"),
        ("${X:-${Y:-'a b'}}", "a b"),
        ("${X:-\\}}", "}"),
        ("${URL#https://}", "x/tool-amd64.tar.gz"),
        ("${URL#*/}", "/x/tool-amd64.tar.gz"),
        ("${URL##*/}", "tool-amd64.tar.gz"),
        ("${URL%.gz}", "https://x/tool-amd64.tar"),
        ("${URL%.*}", "https://x/tool-amd64.tar"),
        ("${URL%%.*}", "https://x/tool-amd64"),
        ("${URL%%nothing*}", "https://x/tool-amd64.tar.gz"),
        ("${A#?m}", "d64"),
        ("${A%[4]}", "amd64"),
        ("${G%%\\**}", "xx"),
        ("${A#}${A##}${A%}", "amd64amd64amd64"),
        ("${A/amd/arm}", "arm64"),
        ("${P//\\//-}", "-a-foo-b-c.txt"),
        ("${P//?o/}", "/a/o/b/c.txt"),
        ("${P/o*c/X}", "/a/fX.txt"),
        ("${A//*/x}", "x"),
        ("${A/$A/$P}", "/a/foo/b/c.txt"),
        ("${X/a/b}", ""),
        ("${A/zz/b}", "amd64"),
        ("${K}국${K%국}$K국", "한국국한"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert expanded(text) == value


def test_the_escape_character_of_the_file_is_used() -> None:
    assert expanded("C:\\$A`$A", "`") == "C:\\amd64$A"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("'a", "single quote"),
        ('"a', "double quote"),
        ('"a\\"', "double quote"),
        ("${}", "name was expected"),
        ("${:-x}", "name was expected"),
        ("${A", "no modifier"),
        ("${A:-x", "`}` was expected"),
        ("${A:#x}", "no modifier"),
        ("${A=x}", "no modifier"),
        ("${A/x}", "`/` was expected"),
        ("${A#\\a}", "invalid escape"),
        ("${X?}", "X: is not allowed to be unset"),
        ("${E:?give E}", "E: give E"),
        ("${X:-" * 200 + "}" * 200, "nested too deeply"),
    ],
)
def test_what_buildkit_refuses(text: str, says: str) -> None:
    with pytest.raises(ExpansionError, match=says) as caught:
        expanded(f"ab{text}")
    assert caught.value.where == "D"
    assert caught.value.span.start >= 2


def test_quotes_and_characters_of_several_bytes_do_not_shift_origins() -> None:
    source = Source("D", "FROM a\nENV U=\"https://é/$A\"'/x-amd64'\n".encode())
    (env,) = parse(source).stages[0].instructions
    name, value = assignment(env.words[0], lookup, path="D", escape="\\")
    assert value is not None
    assert (name.text, value.text) == ("U", "https://é/amd64/x-amd64")
    (origin,) = value.origin_of(18, 23)
    assert source.text(origin.span) == "amd64"
    assert origin.span.start == source.data.rindex(b"amd64")
    assert value.origin_of(10, 15) == ()


def test_a_part_of_a_word_over_a_line_continuation_has_two_origins() -> None:
    source = Source("D", b"FROM a\nENV U=linux-am\\\nd64/x\n")
    (env,) = parse(source).stages[0].instructions
    _, value = assignment(env.words[0], lookup, path="D", escape="\\")
    assert value is not None
    assert value.text == "linux-amd64/x"
    at = value.render().index("amd64")
    origins = value.origin_of(at, at + 5)
    assert [source.text(origin.span) for origin in origins] == ["am", "d64"]


def test_origins_follow_values_through_variables_and_modifiers() -> None:
    source = Source("D", b'ARG F="tool-amd64.tar.gz"\nFROM a\nWORKDIR /x/${F%.tar.gz}/y\n')
    found = parse(source)
    _, file = assignment(found.preamble[0].words[0], lookup, path="D", escape="\\")
    word = found.stages[0].instructions[0].words[0]
    value = expand_word(word, lambda name: file if name == "F" else None, path="D", escape="\\")
    assert value.text == "/x/tool-amd64/y"
    at = value.render().index("amd64")
    (origin,) = value.origin_of(at, at + 5)
    assert origin.span == Span(source.data.index(b"amd64"), source.data.index(b"amd64") + 5)
    assert [fragment.variable for fragment in value] == ["", "F", ""]


def test_a_replacement_has_its_own_origin() -> None:
    text = "${A/amd/arm}"
    value = expand(logical(text), 0, len(text), lambda _: literal("amd64", Origin("E", Span(10, 15))), path="D")
    assert [(f.text, f.origin) for f in value] == [
        ("arm", Origin("D", Span(8, 11))),
        ("64", Origin("E", Span(13, 15))),
    ]


def test_an_unknown_value_stays_unknown_with_its_name() -> None:
    def unknown(name: str) -> Value | None:
        return {"U": UNKNOWN, "M": UNKNOWN + literal("x")}.get(name)

    def result(text: str) -> Value:
        return expand(logical(text), 0, len(text), unknown, path="D")

    assert result("a-$U").fragments[1] == Fragment(None, variable="U")
    for text in ("${U:+d}", "${U%x}", "${U/a/b}", "${U:?m}"):
        assert result(text).fragments == (Fragment(None, variable="U"),)
    (either,) = result("${U:-d}")
    assert [choice.render("?") for choice in either.choices] == ["d", "?"]
    assert result("${U+d}").text == "d"
    assert result("${M:+d}").text == "d"
    assert result("${M:-d}").render("?") == "?x"


def test_variables_that_double_each_other_are_stopped() -> None:
    big = literal("x" * (1 << 19))
    text = "$A$A$A"
    with pytest.raises(ExpansionError, match="more than"):
        expand(logical(text), 0, len(text), lambda _: big, path="D")


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    value = literal("a" * 3000)
    text = "${A#" + "*a" * 30 + "b}${A%" + "a*" * 30 + "b}"
    assert expand(logical(text), 0, len(text), lambda _: value, path="D").text == "a" * 6000


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("ENV a=b c=\"d=e\" f='g h'", [("a", "b"), ("c", "d=e"), ("f", "g h")]),
        ("ENV name  some $A value", [("name", "some amd64 value")]),
        ("ENV name a=b", [("name", "a=b")]),
        ("LABEL a= b=", [("a", ""), ("b", "")]),
        ("ARG a b=$A c", [("a", None), ("b", "amd64"), ("c", None)]),
        ("ENV a=\\\n b=c", [("a", ""), ("b", "c")]),
    ],
)
def test_assignments(line: str, pairs: list[tuple[str, str | None]]) -> None:
    (found,) = parse(Source("D", f"FROM a\n{line}\n".encode())).stages[0].instructions
    split = [assignment(word, lookup, path="D", escape="\\") for word in found.words]
    assert [(name.text, value and value.text if value is None or value.text else "") for name, value in split] == pairs


PIECES = st.lists(
    st.sampled_from(
        ["$A", "${A}", "${X:-", "${E:+", "${A%", "${URL##", "${P/", "${P//", "/", "}", "'", '"', "\\", "*", "?", "a",
         "o", "é", " ", "<<", "$", "{", ":", "#", "4", "x", "\\}", "\\*", "m", "X", "1", "-", "+"]
    ),
    max_size=10,
).map("".join)  # fmt: skip


@given(PIECES, st.sampled_from(["\\", "`"]))
def test_the_same_as_buildkits_lexer(text: str, escape: str) -> None:
    assume("*" not in text or "//" not in text)  # the oracle replaces an empty match after a match, Go does not
    theirs: str | None
    try:
        theirs = ShellLex(escape, env=VARIABLES, skip_unset_env=False).process_word(text)
    except ValueError:
        theirs = None
    ours: str | None
    try:
        ours = expanded(text, escape)
    except InputError:
        ours = None
    assert ours == theirs


@given(PIECES)
def test_every_literal_character_is_where_its_origin_says(text: str) -> None:
    try:
        value = expand(logical(text), 0, len(text), lookup, path="D")
    except InputError:
        return
    data = text.encode()
    for fragment in value:
        if fragment.origin:
            assert data[fragment.origin.span.start : fragment.origin.span.end].decode() == fragment.text
