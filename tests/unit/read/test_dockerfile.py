"""The Dockerfile reader: what it takes, what it refuses, and that every span says where the text stands."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.read.dockerfile import parse
from crossdock.read.model import Dockerfile, Instruction, Word
from crossdock.source import Source, apply_edits


def read(text: str | bytes) -> Dockerfile:
    return parse(Source("Dockerfile", text.encode() if isinstance(text, str) else text))


def only(text: str) -> Instruction:
    """The instruction after ``FROM a``."""
    (found,) = read(f"FROM a\n{text}").stages[0].instructions
    return found


def texts(words: tuple[Word, ...] | None) -> list[str]:
    return [word.text for word in words or ()]


def test_stages_by_name_and_number() -> None:
    found = read(
        "ARG V=1\nFROM --platform=$BUILDPLATFORM go:${V} AS Build\nRUN a\nFROM scratch\nCOPY --from=build /a /\n"
    )
    assert [entry.keyword for entry in found.preamble] == ["ARG"]
    first, second = found.stages
    assert (first.name, first.label, first.base.text, first.platform and first.platform.value) == (
        "Build",
        "Build",
        "go:${V}",
        "$BUILDPLATFORM",
    )
    assert (second.name, second.label, second.platform) == (None, "1", None)
    assert found.stage("BUILD") is first
    assert found.stage("1") is second
    assert found.stage("2") is None
    assert found.stage("build", before=0) is None
    assert [entry.keyword for entry in found.instructions] == ["ARG", "FROM", "RUN", "FROM", "COPY"]


def test_the_last_of_two_stages_with_one_name_counts() -> None:
    found = read("FROM a AS x\nFROM b AS x\nFROM x\n")
    assert found.stage("x") is found.stages[1]


def test_continuation_with_comments_and_blank_lines_between() -> None:
    text = "FROM a\nRUN one \\\n# no\n\n   # no\n  two \\  \n\tthree\nUSER x\n"
    found = read(text)
    run, user = found.stages[0].instructions
    assert run.arguments.text == "one   two \tthree"
    assert found.source.text(run.span) == text[7:-8]
    assert found.source.text(run.arguments.span(6, 9)) == "two"
    assert user.keyword == "USER"


def test_crlf_and_byte_order_mark() -> None:
    found = read(b"\xef\xbb\xbfFROM a\r\nRUN x \\\r\n  y\r\nRUN <<E\r\nbody\r\nE\r\n")
    run, heredoc = found.stages[0].instructions
    assert run.arguments.text == "x   y"
    assert found.source.text(run.span) == "RUN x \\\r\n  y"
    assert heredoc.heredocs[0].text == "body\r\n"


def test_lower_case_instructions() -> None:
    found = read("from a as b\nrun x\n")
    assert found.stages[0].name == "b"
    assert found.stages[0].instructions[0].keyword == "RUN"
    assert found.source.text(found.stages[0].instructions[0].keyword_span) == "run"


@pytest.mark.parametrize(
    ("text", "escape", "syntax"),
    [
        ("# escape=`\nFROM a", "`", None),
        ("#escape = \\ \nFROM a", "\\", None),
        ("# syntax=docker/dockerfile:1 more\n# Escape=`\nFROM a", "`", "docker/dockerfile:1"),
        ("# check=skip=all\n# syntax = x\nFROM a", "\\", "x"),
        ("# a comment\n# escape=`\nFROM a", "\\", None),
        ("\n# escape=`\nFROM a", "\\", None),
        ("# other=x\n# escape=`\nFROM a", "\\", None),
    ],
)
def test_parser_directives(text: str, escape: str, syntax: str | None) -> None:
    found = read(text)
    assert (found.escape, found.syntax) == (escape, syntax)


def test_backtick_continues_lines_when_it_is_the_escape() -> None:
    found = read("# escape=`\nFROM a\nRUN dir c:\\ `\n  b\n")
    assert found.stages[0].instructions[0].arguments.text == "dir c:\\   b"


def test_a_doubled_escape_continues_nothing() -> None:
    assert [entry.keyword for entry in read("FROM a\nRUN x \\\\\nRUN y").stages[0].instructions] == ["RUN", "RUN"]


def test_several_heredocs_in_one_instruction() -> None:
    text = "FROM a\nCOPY --link <<A <<-'B' 3<<\"C D\" /x/\n$a\nA\n\tb\n\tB\nC D\nRUN x\n"
    found = read(text)
    copy, run = found.stages[0].instructions
    assert [(h.name, h.expand, h.strip_tabs, h.text) for h in copy.heredocs] == [
        ("A", True, False, "$a\n"),
        ("B", False, True, "\tb\n"),
        ("C D", False, False, ""),
    ]
    assert [found.source.text(h.marker) for h in copy.heredocs] == ["<<A", "<<-'B'", '3<<"C D"']
    assert [found.source.text(h.body) for h in copy.heredocs] == [h.text for h in copy.heredocs]
    assert found.source.text(copy.span).endswith("\nC D")
    assert run.arguments.text == "x"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN cat << EOF", ["EOF"]),
        ("RUN cat <<EOF | sh <<-X", ["EOF", "X"]),
        ("RUN cat <<<word", []),
        ('RUN echo "<<EOF"', []),
        ("RUN echo '<<EOF'", []),
        ("RUN echo it's <<EOF", []),
        ("RUN echo $((1<<2))", []),
        ("RUN echo \\'<<EOF", []),
        ("RUN a <<${", []),
        ('RUN echo "${x:-"y"}" <<EOF', ["EOF"]),
        ("ENV x=<<EOF", []),
        ('RUN ["cat", "<<EOF"]', []),
        ("ONBUILD RUN <<EOF", ["EOF"]),
    ],
)
def test_what_is_a_heredoc(line: str, names: list[str]) -> None:
    body = "".join(f"text\n{name}\n" for name in names)
    found = only(f"{line}\n{body}")
    assert [entry.name for entry in (found.trigger or found).heredocs] == names


def test_a_comment_in_a_heredoc_is_text() -> None:
    found = only("RUN <<E\n# not a comment\n\nE\n")
    assert found.heredocs[0].text == "# not a comment\n\n"


def test_onbuild_keeps_an_instruction() -> None:
    found = only("ONBUILD copy --chown=1 <<E /x\nb\nE\n")
    trigger = found.trigger
    assert trigger is not None
    assert (found.keyword, found.words, found.heredocs) == ("ONBUILD", (), ())
    assert (trigger.keyword, texts(trigger.words), [h.text for h in trigger.heredocs]) == (
        "COPY",
        ["<<E", "/x"],
        ["b\n"],
    )
    assert trigger.span.end == found.span.end


@pytest.mark.parametrize(
    ("line", "strings"),
    [
        ('RUN ["a", "b c"]', ["a", "b c"]),
        ("CMD []", []),
        ('CMD ["a\\"b\\u0041\\n"]', ['a"bA\n']),
        ('ENTRYPOINT [ "☃" ,"x" ] ', ["☃", "x"]),
        ('COPY ["a b", "/c"]', ["a b", "/c"]),
        ('VOLUME ["/a"]', ["/a"]),
        ('SHELL ["/bin/sh", "-c"]', ["/bin/sh", "-c"]),
        ('HEALTHCHECK CMD ["a"]', ["a"]),
        ('RUN ["a", \\\n "b"]', ["a", "b"]),
    ],
)
def test_json_form(line: str, strings: list[str]) -> None:
    assert texts(only(line).exec_form) == strings


@pytest.mark.parametrize(
    "line",
    [
        "RUN ['a']",
        'RUN ["a"',
        'RUN ["a"] x',
        'RUN ["a",]',
        "RUN [ -f x ] && y",
        "RUN [NaN]",
        "RUN [1e999]",
        "RUN " + "[" * 5000,
    ],
)
def test_what_is_no_json_is_shell_form(line: str) -> None:
    found = only(line)
    assert found.exec_form is None
    assert found.words == ()
    assert found.arguments.text == line[4:]


def test_a_json_string_covers_what_stands_between_its_quotes() -> None:
    found = read('FROM a\nRUN ["sh", "-c", "curl x\\"y"]')
    words = found.stages[0].instructions[0].exec_form or ()
    assert [found.source.text(word.span) for word in words] == ["sh", "-c", 'curl x\\"y']
    assert words[2].text == 'curl x"y'
    assert found.source.text(words[2].slice(5, 8).span) == 'x\\"y'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ENV a=1 b=\"x y\" c='z w' d=e\\ f", ["a=1", 'b="x y"', "c='z w'", "d=e\\ f"]),
        ("ENV name some value  here ", ["name some value  here"]),
        ("ENV a=1 \\\n # c\n b=2", ["a=1", "b=2"]),
        ('LABEL "a b"=c', ['"a b"=c']),
        ("ARG a b=1 c=", ["a", "b=1", "c="]),
        ('COPY "a b" /', ['"a', 'b"', "/"]),
        ("EXPOSE 80 443/tcp", ["80", "443/tcp"]),
        ("WORKDIR /a b", ["/a b"]),
        ("USER a:b", ["a:b"]),
        ("HEALTHCHECK --interval=5s CMD curl -f x", ["CMD", "curl -f x"]),
        ("HEALTHCHECK none", ["none"]),
        ("RUN a b", []),
        ("CMD", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert texts(only(line).words) == words


@pytest.mark.parametrize(
    ("line", "flags", "arguments"),
    [
        (
            "RUN --mount=type=cache,target=/x --network=none make",
            [("mount", "type=cache,target=/x"), ("network", "none")],
            "make",
        ),
        ('COPY --chown="a b" --link x y', [("chown", "a b"), ("link", None)], "x y"),
        ("RUN --a=b\\ c d", [("a", "b c")], "d"),
        ("RUN -- --x", [], "--x"),
        ("RUN -x", [], "-x"),
        ("COPY --from= x y", [("from", "")], "x y"),
        ("RUN --a \\\n  --b=1 \\\n  c", [("a", None), ("b", "1")], "c"),
    ],
)
def test_flags(line: str, flags: list[tuple[str, str | None]], arguments: str) -> None:
    found = only(line)
    assert [(flag.name, flag.value) for flag in found.flags] == flags
    assert found.arguments.text == arguments


def test_flag_spans() -> None:
    found = read('FROM --platform="linux/amd64" a')
    flag = found.stages[0].platform
    assert flag is not None
    assert flag.word is not None
    assert found.source.text(flag.span) == '--platform="linux/amd64"'
    assert flag.value_span is not None
    assert found.source.text(flag.value_span) == '"linux/amd64"'
    assert found.source.text(flag.word.slice(6, 11).span) == "amd64"


def test_comments_above_an_instruction() -> None:
    found = read("# syntax=x\n# far\n#\n# near\n\n  # crossdock: ignore=x y\nFROM a\nRUN x \\\n# inside\n y\nUSER x\n")
    head = found.stages[0].from_
    assert [found.source.text(span) for span in head.comments] == ["# near", "# crossdock: ignore=x y"]
    assert [entry.comments for entry in found.stages[0].instructions] == [(), ()]


WRONG = [
    ("", "1:1", "empty"),
    ("# only a comment\n\n", "1:1", "empty"),
    ("ARG x\n", "1:6", "FROM"),
    ("RUN x\nFROM a\n", "1:1", "before the first FROM"),
    ("FROM a\nRNU x\n", "2:1", "Did you mean RUN?"),
    ("FROM a\n  && x\n", "2:3", "end that line with \\"),
    ("FROM a\nRUN x \\\n\\\n", None, None),
    ("FROM a\nRUN\n", "2:4", "RUN needs an argument"),
    ("FROM a\nRUN --mount=x\n", "2:4", "RUN needs an argument"),
    ("FROM\n", "1:5", "FROM needs"),
    ("FROM a b\n", "1:8", "FROM image AS name"),
    ("FROM a AS 1x\n", "1:11", "'1x'"),
    ("FROM a\nCOPY x\n", "2:7", "a source and a destination"),
    ("FROM a\nCOPY x <<E\nE\n", "2:8", "destination"),
    ("FROM a\nENV x\n", "2:6", "has no value"),
    ("FROM a\nENV a=b c d=e\n", "2:9", "`=`"),
    ("FROM a\nENV =b\n", "2:5", "name before `=`"),
    ("FROM a\nRUN <<EOF\nx\n", "2:5", "'EOF' is never ended"),
    ('FROM a\nRUN ["a", 1]\n', "2:5", "strings"),
    ("FROM a\nSHELL sh\n", "2:7", "JSON array"),
    ("FROM a\nHEALTHCHECK curl x\n", "2:13", "CMD or NONE"),
    ("FROM a\nHEALTHCHECK CMD\n", "2:12", "needs an argument"),
    ("FROM a\nHEALTHCHECK NONE x\n", "2:18", "no arguments"),
    ("FROM a\nONBUILD ONBUILD RUN x\n", "2:9", "ONBUILD"),
    ("FROM a\nONBUILD FROM x\n", "2:9", "FROM"),
    ("FROM a\nONBUILD\n", "2:8", "needs an argument"),
    ("# escape=x\nFROM a\n", "1:1", "'x'"),
    ("# escape=`\n# escape=`\nFROM a\n", "2:1", "second"),
    ("FROM a\nRUN " + "x" * 70000, "2:1", "longer than"),
    ("FROM a\nCOPY --from=0 a b\n", "2:13", "circle: 0 → 0"),
    ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nCOPY --from=x a b\n", None, "circle"),
    ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nFROM x\n", "2:13", "comes later"),
    ("FROM a AS x\nRUN --mount=type=bind,from=y,target=/y z\nFROM b AS y\nFROM x\n", "2:13", "comes later"),
    ("FROM a\nCOPY --from=7 a b\n", "2:13", "no stage number 7"),
    ("FROM a\nCOPY --from=-1 a b\n", "2:13", "no stage number -1"),
    ("FROM a\x00\n", "1:7", "binary"),
]


@pytest.mark.parametrize(("text", "at", "says"), [entry for entry in WRONG if entry[2]])
def test_a_wrong_file_is_told_with_its_place(text: str, at: str | None, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    error = caught.value
    assert says in f"{error.what} {error.hint}"
    assert error.hint
    assert error.where
    assert error.where == f"Dockerfile:{at}" if at else error.where.startswith("Dockerfile:")


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01\0\0", "FROM a".encode("utf-16"), b"\0"])
def test_a_binary_file_is_no_dockerfile(data: bytes) -> None:
    with pytest.raises(InputError, match=r"binary|UTF-16"):
        read(data)


@pytest.mark.parametrize(
    "text",
    [
        "FROM a AS x\nCOPY --from=y a b\nFROM b AS y\n",  # the stage that would fail is not needed
        "FROM a\nCOPY --from=alpine a b\n",
        "FROM a AS x\nFROM x AS x\n",
        "FROM x AS x\n",
        "FROM a\nRUN x \\\n",
        "FROM a\nRUN x \\",
        "FROM ${A}",
        "FROM a\nRUN --unknown=x y",
        "\\\nFROM a",
    ],
)
def test_what_buildkit_takes_is_taken(text: str) -> None:
    read(text)


def every(found: Dockerfile) -> list[Instruction]:
    return [part for entry in found.instructions for part in (entry, entry.trigger) if part]


def check_spans(found: Dockerfile) -> None:
    """Every span slices to what it says it is."""
    source = found.source
    end = 0
    for entry in found.instructions:
        assert end <= entry.span.start < entry.span.end <= len(source.data)
        end = entry.span.end
    for entry in every(found):
        assert source.text(entry.keyword_span).upper() == entry.keyword
        assert entry.keyword_span.start == entry.span.start
        assert len(entry.arguments.offsets) == len(entry.arguments.text) + 1
        assert list(entry.arguments.offsets) == sorted(entry.arguments.offsets)
        for index, character in enumerate(entry.arguments.text):
            assert source.text(entry.arguments.span(index, index + 1)) == character
        for word in entry.words:
            assert word.span in entry.span
            if entry.exec_form is None:
                for index, character in enumerate(word.text):
                    assert source.text(word.logical.span(index, index + 1)) == character
        for flag in entry.flags:
            assert source.text(flag.span).startswith("-")
            for index, character in enumerate(flag.word.text if flag.word else ""):
                assert flag.word is not None
                assert source.text(flag.word.logical.span(index, index + 1)) == character
        for heredoc in entry.heredocs:
            assert heredoc.text == source.text(heredoc.body)
            assert "<<" in source.text(heredoc.marker)
            assert heredoc.body in entry.span
        for comment in entry.comments:
            assert source.text(comment).startswith("#")


LINES = st.sampled_from(
    ["FROM a", "FROM --platform=$X a:${B} AS c", "RUN x \\", "  y é ☃", "# c", "RUN <<E cat <<-'F'", "E", "\tF", "CMD",
     'ENV a=b c="d e"', "ENV a b", "COPY --from=0 a b", "COPY --chown=é:ü <<E /x", 'ONBUILD RUN ["a", "b\\n"]', "\\",
     "HEALTHCHECK --a=b CMD x", "LABEL a='b", "c'", 'ARG x="y" z', "# escape=`", "RUN y `", "  \\ ", 'SHELL ["é"]',
     'run ["sh", \\', '  "a"]', "add a b", "EXPOSE 80", 'volume ["/a"]', "USER x", "onbuild copy <<E /"]
)  # fmt: skip
FILES = st.builds(
    lambda head, lines, end: head + end.join(lines).encode() + end.encode(),
    st.sampled_from([b"", b"FROM a\n", b"\xef\xbb\xbfFROM a\n", b"# escape=`\nFROM a\n"]),
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
)
SOUP = st.lists(
    st.sampled_from(
        [
            b"FROM a\n",
            b"RUN ",
            b"\\\n",
            b"<<",
            b"E",
            b"\n",
            b"'",
            b'"',
            b"${",
            b"}",
            b"[",
            b"]",
            b"\xff",
            b"\xc2\xa0",
            b"#",
            b"ENV a=",
            b" ",
            b"ONBUILD ",
        ]
    ),
    max_size=40,
).map(b"".join)


@given(st.one_of(FILES, SOUP, st.binary(max_size=200)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    source = Source("Dockerfile", data)
    found: Dockerfile | InputError
    try:
        found = parse(source)
    except InputError as error:
        found = error
    if isinstance(found, InputError):
        assert (found.where or "").startswith("Dockerfile:")
        assert found.hint
        return
    assert found.source.data == data
    assert apply_edits(found.source, []).data == data
    check_spans(found)


@pytest.mark.parametrize(
    "unit",
    [
        b"RUN echo hello && apt-get install foo\n",
        b"RUN <<E\nx\nE\n",
        b"# comment\n",
        b"RUN --a=1 \\\n --b=2 \\\n c\n",
        b'ENV a=b \\\n c="d" \\\n e=f\n',
        b"FROM a AS s\nCOPY --from=x a b\n",
    ],
)
def test_work_grows_with_size_and_not_with_its_square(unit: bytes) -> None:
    assert calls(b"FROM a\n" + unit * 3200) < 10 * calls(b"FROM a\n" + unit * 400)


def test_one_instruction_of_many_lines_is_read_in_linear_time() -> None:
    def instruction(flags: int) -> bytes:
        return b"FROM a\nRUN " + b"--flag=1 \\\n" * flags + b" x\n"

    assert len(parse(Source("Dockerfile", instruction(50_000))).stages[0].instructions[0].flags) == 50_000
    assert calls(instruction(3200)) < 10 * calls(instruction(400))


def calls(data: bytes) -> int:
    """How many calls reading takes: as good as time to see a square, and the same on every machine."""
    count = 0

    def counting(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    source = Source("Dockerfile", data)
    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        parse(source)
    finally:
        sys.setprofile(before)
    return count
