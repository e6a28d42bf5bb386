"""Whatever porting does, a build for amd64 does what it did before, and porting again does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from amd64_view import differences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import Everything, ported

from crossdock.fixes.port import PortResult
from crossdock.read.dockerfile import parse
from crossdock.rules import RULES
from crossdock.source import Source

CHANGES_A_VARIABLE = {"undeclared-platform-argument"}
EXAMPLES = [
    pytest.param(re.sub("[⟦⟧]", "", example.text), id=f"{rule.id}-{number}")
    for rule in RULES
    if rule.id not in CHANGES_A_VARIABLE
    for number, example in enumerate(rule.INVALID)
    if example.path == "Dockerfile"
]


@pytest.mark.parametrize("text", EXAMPLES)
@pytest.mark.parametrize("world", [None, Everything()], ids=["offline", "online"])
def test_every_example_of_every_rule(text: str, world: Everything | None) -> None:
    hold(text, world)


def hold(text: str, world: Everything | None) -> PortResult:
    before = text.encode()
    result = ported(before, world, unsafe=True)
    after = result.dockerfile.data
    parse(Source("Dockerfile", after))
    assert differences(before, after) == []
    again = ported(after, world, unsafe=True)
    assert not again.changes, again.changes[0].diff()
    assert [d.finding.rule for d in again.left] == [d.finding.rule for d in result.left]
    return result


NOISE = ["# it's a comment with amd64", "LABEL  a=b   c='x86_64'", "", "WORKDIR   /srv", "ENV A=1  B='2'", "USER root"]
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
WORDS = st.sampled_from(["amd64", "x86_64", "x64", "linux64", "linux-amd64"])
NAMES = st.sampled_from(["tool", "two-words", "v_1"])
JOINED = st.sampled_from([" && ", " \\\n    && ", " && \\\n    ", "; ", " ;\\\n\t"])
QUOTES = st.sampled_from(["", '"', "'"])


@st.composite
def downloads(draw: st.DrawFn) -> list[str]:
    """The commands of one download and of what is done with it."""
    word, name, quote = draw(WORDS), draw(NAMES), draw(QUOTES)
    file = f"{name}-{word}.tgz"
    url = f"{quote}https://example.com/{draw(st.sampled_from(['v1', '$V', '${V}']))}/{file}{quote}".replace("'$", "$")
    url = url.replace("'", '"') if "$" in url else url
    ways = ["curl -fLO {}", "wget {}", "curl -fL {} -o " + file, "curl -fL {} > " + file, "wget -O t.tgz {}"]
    fetch = draw(st.sampled_from(ways)).format(url)
    local = "t.tgz" if "t.tgz" in fetch else file
    after = [
        f"echo '{SHA}  {local}' | sha256sum -c -",
        f'tar xf "{local}"',
        f"mv {name}-{word}/bin/{name} /usr/bin/{name}",
        f"rm -rf {name}-{word}* /tmp/*",
        "echo 'done: it is $V'",
    ]
    return [fetch, *draw(st.lists(st.sampled_from(after), unique=True, max_size=4))]


@st.composite
def instructions(draw: st.DrawFn) -> str:
    word = draw(WORDS)
    kind = draw(st.integers(0, 7))
    match kind:
        case 0:
            return f"ADD https://example.com/v1/tool-{word} /usr/bin/tool"
        case 1:
            return f"ARG ARCH={word}\nRUN curl -fLo /t https://example.com/$V/t_$ARCH"
        case 2:
            return f"ENV FILE=f-{word}.zip\nENV URL=https://example.com/$FILE\nRUN wget $URL && unzip $FILE"
        case 3:
            return f"RUN <<EOF\nset -e\ncurl -LO https://example.com/t-{word}\nchmod +x t-{word}\nEOF"
        case 4:
            return (
                f"ENV URL=https://example.com/v/t-{word} FILE=t-{word} SUM={SHA}\n"
                'RUN wget $URL && echo "$SUM  $FILE" | sha256sum -c && mv $FILE /bin/'
            )
        case 5:
            return "RUN ls /usr/lib/x86_64-linux-gnu && GOARCH=amd64 go build"
    start = draw(st.sampled_from(["", "set -eux; ", "set -ex && \\\n    ", "\\\n# why\n    "]))
    joint = draw(JOINED)
    commands = [command for download in draw(st.lists(downloads(), min_size=1, max_size=3)) for command in download]
    return f"RUN {start}" + joint.join(commands)


@st.composite
def dockerfiles(draw: st.DrawFn) -> str:
    stages = []
    for number in range(draw(st.integers(1, 2))):
        platform = draw(st.sampled_from(["", "--platform=linux/amd64 "])) if number == 0 else ""
        lines = [f"FROM {platform}debian AS s{number}"]
        lines += draw(st.sampled_from([["ARG V=1.2"], ["", "ARG V=1.2"], ["", "# version", "ENV V=1.2"]]))
        for each in draw(st.lists(st.one_of(instructions(), st.sampled_from(NOISE)), max_size=5)):
            lines.append(each)
        stages.append("\n".join(lines))
    return "\n\n".join(stages) + draw(st.sampled_from(["", "\n"]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dockerfiles(), st.sampled_from([None, Everything()]))
def test_any_dockerfile(text: str, world: Everything | None) -> None:
    result = hold(text, world)
    if world:
        assert not result.left, (result.left[0].finding.message, result.left[0].reason)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dockerfiles(), st.sampled_from(["\n", "\r\n"]))
def test_what_has_nothing_to_do_with_it_stays_byte_for_byte(text: str, newline: str) -> None:
    before = text.replace("\n", newline).encode()
    after = iter(ported(before, Everything(), unsafe=True).dockerfile.data.split(b"\n"))
    for line in noise(before):
        assert any(line == other for other in after), line


def noise(data: bytes) -> Iterator[bytes]:
    for line in data.split(b"\n"):
        if line.rstrip(b"\r").decode() in NOISE and line.strip():
            yield line
