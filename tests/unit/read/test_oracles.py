"""The same Dockerfiles read by BuildKit's own parser (its Go code, in the package ``dockerfile``) and by this one.

Known differences, kept out of what is generated: the oracle is older than two changes (text after a JSON array makes it
shell form; a blank may stand between << and the name), it writes non-ASCII flags in the wrong encoding, and it counts a
line of nothing but a continuation character as the beginning of an instruction.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.read.dockerfile import parse
from crossdock.read.expand import split_assignment
from crossdock.read.model import Instruction
from crossdock.source import Source

dockerfile = pytest.importorskip("dockerfile", reason="BuildKit's parser is packaged for x86_64 only")

Shape = tuple[str, str, bool, int, int, list[str], list[str], list[tuple[str, str]]]


def arguments(entry: Instruction, escape: str) -> list[str]:
    if entry.trigger:
        return arguments(entry.trigger, escape)
    if entry.keyword in ("RUN", "CMD", "ENTRYPOINT") and entry.exec_form is None:
        return [entry.arguments.text] if entry.arguments.text else []
    if entry.keyword in ("ENV", "LABEL"):
        pairs = (split_assignment(word, escape=escape) for word in entry.words)
        return [part.text for pair in pairs for part in pair if part]
    return [word.text for word in entry.words]


def ours(data: bytes) -> list[Shape]:
    source = Source("Dockerfile", data)
    found = parse(source)
    return [
        (
            entry.keyword,
            entry.trigger.keyword if entry.trigger else "",
            (entry.trigger or entry).exec_form is not None,
            source.position(entry.span.start).line,
            source.position(entry.span.end).line,
            [f"--{flag.name}" + ("" if flag.value is None else f"={flag.value}") for flag in entry.flags],
            arguments(entry, found.escape),
            [(heredoc.name, heredoc.text) for heredoc in entry.heredocs],
        )
        for entry in found.instructions
    ]


def theirs(data: bytes) -> list[Shape]:
    return [
        (
            entry.cmd.upper(),
            (entry.sub_cmd or "").upper(),
            entry.json,
            entry.start_line,
            entry.end_line,
            list(entry.flags),
            list(entry.value),
            [] if entry.sub_cmd else [(heredoc.name, heredoc.content) for heredoc in entry.heredocs],
        )
        for entry in dockerfile.parse_string(data.decode())
    ]


WRITTEN = [
    "FROM a\n",
    "\ufeffARG A=1\nFROM --platform=linux/amd64 a:$A AS b\nFROM b\nCOPY --from=b --chown=1:2 --link x y /z/\n",
    "# escape=`\r\nFROM a\r\nRUN x `\r\n  # c\r\n\r\n y\r\nWORKDIR C:\\x\\\r\n",
    "from a\nrun a \\\\\nrun b \\  \n  c\nRUN d \\\n",
    "FROM a\nRUN <<A cat <<-'B' 3<<\"C\"\n$x\nA\n\tb\n\tB\n#c\nC\nCOPY <<x /y\n\nx\nADD <<-'z z' /\n\tz z\n",
    "FROM a\nONBUILD RUN <<E\nx\nE\nONBUILD COPY --chown=1 [\"a b\", \"c\"]\n",
    "FROM a\nONBUILD HEALTHCHECK --interval=1s CMD x y\n",
    "FROM a\nENV a=b c=\"d e\" f='g h' i=j\\ k l=\"m\\\"n\"\n",
    "FROM a\nENV old  some 'text here\nLABEL \"a b\"=c d=\nARG x y=\"z w\"\n",
    'FROM a\nRUN ["a", "b\\u0041\\n", "☃"]\nCMD [ ]\nENTRYPOINT ["x"]\nSHELL ["a", "-c"]\n',
    'FROM a\nVOLUME ["/a b"]\nVOLUME /a /b\n',
    "FROM a\nRUN ['a']\nRUN [ -f x ] && y\nCMD [\"a\"\nCOPY [\"a\" b] c\n",
    "FROM a\nRUN --mount=type=bind,target=/x --security=\"in secure\" --network=none -- --x\nRUN -- y\n",
    "FROM a\nEXPOSE 80   443/tcp\nUSER  a b \nSTOPSIGNAL 9\nMAINTAINER A B <c>\nHEALTHCHECK none\n",
    "FROM a\nHEALTHCHECK CMD [\"x\"]\n",
    "FROM a\nRUN echo it's <<E\nRUN echo '<<E' \"<<E\" \\'<<E\n",
    "FROM a\nRUN x\n\n\n   # c \\\n  RUN y # z\n\tRUN w\\\n\\\n\n\nRUN v",
]  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_written_dockerfiles(text: str) -> None:
    assert ours(text.encode()) == theirs(text.encode())


BLANKS = st.sampled_from([" ", "  ", "\t", " \\\n", " \\\n  # c\n\n "])
PIECES = st.sampled_from(
    ["a", "b=c", 'd="e f"', "'g h'", "$X", "${X:-y}", "=", "\\", "\\\\", '\\"', "'", '"', "<<E", "<<-E", "<<'E'", "<",
     "[", "{", "}", ",", "#", "--", "--f=1", '--f="1 2"', "--f", "-f", "CMD", "NONE", "RUN", "\v"]
)  # fmt: skip
JSON = st.lists(
    st.sampled_from(
        ['"a"', ", ", ",", '"b c"', '"\\u0041\\""', '"\\ud83d\\ude00"', '"\\q"', "'a'", "1", "null", "{}", " "]
    ),
    max_size=6,
).map(lambda parts: f"[{''.join(parts)}]")
KEYWORD = st.sampled_from(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD RUN STOPSIGNAL USER VOLUME WORKDIR run env copy "
    "onbuild\tRUN ONBUILD\tENV RUN COPY ENV HEALTHCHECK\tCMD".split(" ")
)
WORDS = st.lists(st.tuples(BLANKS, st.lists(PIECES, min_size=1, max_size=4).map("".join)), max_size=5).map(
    lambda pairs: "".join(blank + piece for blank, piece in pairs)
)
LINE = st.one_of(
    st.tuples(KEYWORD, WORDS).map("".join),
    st.tuples(KEYWORD, BLANKS, JSON).map("".join),
    st.sampled_from(["E", "\tE", "# comment", "", "FROM x", "FROM x AS y"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(LINE, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_generated_dockerfiles(lines: list[str], end: str) -> None:
    """What both take they read alike, and what the oracle refuses is refused here. This reader refuses more: it also
    checks what BuildKit looks at after parsing."""
    data = end.join(["FROM a", *lines, ""]).encode()
    mine: list[Shape] | None
    try:
        mine = ours(data)
    except InputError:
        mine = None
    try:
        other = theirs(data)
    except dockerfile.GoParseError:
        other = None
    assert mine is None or mine == other
