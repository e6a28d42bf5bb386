"""The evaluated shell against real shells: what a variable holds at the end of a script is what sh and bash print."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossdock.platforms import AMD64
from crossdock.read.shell import evaluate
from crossdock.read.shell_model import Machine, plain_text
from crossdock.read.values import literal

ENVIRONMENT = {"TARGETARCH": "amd64", "TARGETPLATFORM": "linux/amd64", "EMPTY": "", "VERSION": "v1.10.2-rc1"}
NAMES = ("TARGETARCH", "TARGETPLATFORM", "EMPTY", "VERSION", "a", "b", "c")
WORDS = ("amd64", "x86_64", "linux/amd64", "v1.2", "", "a", "tool-1.0.tar.gz", "no", "Two Words")
PATTERNS = (
    "*",
    "v",
    "v*",
    "*/",
    "*-",
    ".*",
    "-*",
    "*.",
    "amd64",
    "x86*",
    "?",
    "[av]*",
    "[!v]*",
    "*64",
    "linux/*",
    "a|b",
)

names = st.sampled_from(NAMES)
texts = st.sampled_from(WORDS)
patterns = st.sampled_from(PATTERNS)
quoted = texts.map(lambda text: f"'{text}'")


@st.composite
def expansions(draw: st.DrawFn, bash: bool) -> str:
    """An expansion between double quotes."""
    name = draw(names)
    forms = [
        f"${{{name}}}",
        f"${{{name}:-{draw(texts)}}}",
        f"${{{name}-{draw(texts)}}}",
        f"${{{name}:+{draw(texts)}}}",
        f"${{{name}+{draw(texts)}}}",
        f"${{{name}:-${draw(names)}}}",
        f"${{{name}#{draw(patterns)}}}",
        f"${{{name}##{draw(patterns)}}}",
        f"${{{name}%{draw(patterns)}}}",
        f"${{{name}%%{draw(patterns)}}}",
        f"$(echo ${name} | sed 's/amd64/x86_64/;s/arm64/aarch64/')",
        f"$(echo ${name} | sed -e 's#/#-#g' -e 's/^v//')",
        f"$(echo ${name} | sed -E 's/^(v?)([0-9]+)\\..*/\\2\\1/')",
        f"$(echo ${name} | cut -d/ -f2)",
        f"$(echo ${name} | awk -F/ '{{print $2}}')",
        f"$(echo ${name} | awk -F. '{{print $NF}}')",
        f"${{{name}:={draw(texts)}}}",
        f"$(echo ${name} | cut -d. -f1-2)",
        f"$(echo ${name} | tr a-z A-Z)",
        f"$(echo ${name} | tr -d .)",
        f"$(printf '%s-%s' ${{{name}:-x}} ${{b:-y}})",
        f'$(basename "/x/${name}.zip" .zip)',
        f'$(if [ "${name}" = amd64 ]; then echo x64; else echo other; fi)',
        f'$(case "${name}" in amd64|x86_64) echo x64;; *) echo "${name}";; esac)',
        f'$([ "${name}" = amd64 ] && echo x86_64 || echo "${name}")',
        f'$(f "${name}")',
    ]
    if bash:
        forms += [
            f"${{{name}/amd64/x64}}",
            f"${{{name}//\\//-}}",
            f"${{{name}//[0-9]/}}",
            f"${{{name}/#v/}}",
            f"${{{name}/%64/32}}",
            f"${{{name}^^}}",
            f"${{{name}^}}",
            f"${{{name},,}}",
            f"${{{name}:1}}",
            f"${{{name}:1:2}}",
            f"${{{name}: -2}}",
            f"${{MAP[${{{name}:-none}}]}}",
            f"${{#{name}}}",
        ]
    return draw(st.sampled_from(forms))


@st.composite
def values(draw: st.DrawFn, bash: bool) -> str:
    parts = draw(st.lists(st.one_of(texts, expansions(bash)), min_size=1, max_size=2))
    return '"' + "".join(parts) + '"'


@st.composite
def conditions(draw: st.DrawFn, bash: bool) -> str:
    left, right = f'"${draw(names)}"', draw(quoted)
    forms = [
        f"[ {left} = {right} ]",
        f"[ {left} != {right} ]",
        f"test {left} = {right}",
        f"[ -n {left} ]",
        f"[ -z {left} ]",
        f"! [ {left} = {right} ]",
        f"[ {left} = {right} -o {left} = amd64 ]",
        f"[ {left} = {right} ] || [ {left} = amd64 ]",
        f"[ {left} != {right} ] && [ -n {left} ]",
        f"case {left} in {right}) true;; *) false;; esac",
        f"echo {left} | grep -q 64",
        "true",
        "false",
    ]
    if bash:
        forms += [
            f"[[ {left} == {draw(patterns.filter(lambda text: '|' not in text))} ]]",
            f"[[ {left} =~ ^(linux/)?amd64$ ]]",
            f"[[ {left} == amd64 || {left} == {right} ]]",
            f"[[ -z {left} && {left} != {right} ]]",
        ]
    return draw(st.sampled_from(forms))


@st.composite
def statements(draw: st.DrawFn, bash: bool, depth: int = 0) -> str:
    target = draw(st.sampled_from(("a", "b", "c")))
    assigned = f"{target}={draw(values(bash))}"
    if depth >= 2:
        return assigned
    inner = lambda: draw(statements(bash, depth + 1))  # noqa: E731
    forms = [
        lambda: assigned,
        lambda: f"export {assigned}",
        lambda: f"if {draw(conditions(bash))}; then {inner()}; else {inner()}; fi",
        lambda: f"if {draw(conditions(bash))}; then {inner()}; elif {draw(conditions(bash))}; then {inner()}; fi",
        lambda: f'case "${draw(names)}" in amd64) {inner()} ;; v*|*/*) {inner()} ;; *) {inner()} ;; esac',
        lambda: f'case "${draw(names)}" in {draw(patterns)}) {inner()} ;; esac',
        lambda: f"if {draw(conditions(bash))}; then {inner()}; fi",
        lambda: f"{{ {draw(conditions(bash))}; }} && {assigned}",
        lambda: f"{draw(conditions(bash))} || {assigned}",
        lambda: f'for x in one "${draw(names)}" two; do {target}="${{{target}}}$x"; done',
        lambda: f"g() {{ {inner()}; }}; g {draw(quoted)}",
        lambda: f"eval '{target}=$TARGETARCH'",
        lambda: f"( {inner()} )",
        lambda: f'for x in one "${draw(names)}" two; do {draw(conditions(bash))} && break; {target}="$x"; done',
        lambda: (
            f'for x in one "${draw(names)}" two; do if {draw(conditions(bash))}; then continue; fi; {target}="$x"; done'
        ),
        lambda: f'h() {{ local x="$1"; {target}="$x$2"; }}; h {draw(quoted)} {draw(quoted)}',
        lambda: f"k() {{ {draw(conditions(bash))} && return 1; return 0; }}; k && {assigned}",
        lambda: f"if {draw(conditions(bash))} && {draw(conditions(bash))}; then {inner()}; else {inner()}; fi",
        lambda: f"set -- {draw(quoted)} {draw(quoted)}; {target}=$2",
        lambda: f"echo {draw(quoted)} > f.txt; {target}=$(cat f.txt)",
        lambda: f"{target}=$(cat <<EOF\n{draw(expansions(bash))}\nEOF\n)",
    ]
    if bash:
        forms += [
            lambda: f"{target}+={draw(values(bash))}",
            lambda: f"read -r {target} <<< {draw(values(bash))}",
            lambda: f"IFS=/ read -r a {target} <<< {draw(values(bash))}",
            lambda: f'list=({draw(quoted)} "${draw(names)}" z); {target}="${{list[{draw(st.sampled_from("012@"))}]}}"',
            lambda: f'list=(x {draw(quoted)}); for x in "${{list[@]}}"; do {target}="${{{target}}}$x"; done',
        ]
    return draw(st.sampled_from(forms))()


@st.composite
def scripts(draw: st.DrawFn, bash: bool) -> str:
    lines = draw(st.lists(statements(bash), min_size=1, max_size=5))
    lines.insert(0, draw(st.sampled_from(("set -e", "set -u", ":"))))
    # A variable that nothing sets is taken for one from outside, so each has a value at first.
    head = (
        f"a={draw(quoted)} b={draw(quoted)} c=\n"
        'f() { if [ "$1" = amd64 ]; then echo from-$1; return; fi; echo "${1#v}"; }\n'
    )
    if bash:
        head += "declare -A MAP=([amd64]=x64 [linux/amd64]=lx64 [none]=no)\n"
    return head + "\n".join(lines)


SHOWN = """trap 'printf "%s\\0" "$a" "$b" "$c"' EXIT\n"""


def printed(shell: str, script: str, folder: str) -> list[str]:
    done = subprocess.run(
        [shell, "-c", SHOWN + script],
        env={**ENVIRONMENT, "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd=folder,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.stdout.decode().split("\0")[-4:-1]


def evaluated(script: str) -> list[str | None]:
    variables = {name: literal(text) for name, text in ENVIRONMENT.items()}
    held = evaluate(plain_text(script), "f", variables=variables, machine=Machine(AMD64, AMD64)).variables
    return [held[name].text for name in ("a", "b", "c")]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_script_leaves_the_values_that_a_real_shell_leaves(
    shell: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(tmp_path_factory.mktemp(shell))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(scripts(bash=shell == "bash"))
    def compare(script: str) -> None:
        real, ours = printed(shell, script, folder), evaluated(script)
        for name, there, here in zip("abc", real, ours, strict=True):
            assert here == there, f"{name} in:\n{script}"

    compare()
