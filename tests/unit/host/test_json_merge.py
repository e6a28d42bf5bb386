"""The JSON editor in awk that settings are changed with: against Python's json, and byte for byte."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.host import script
from crossdock.host.daemon_settings import check_json

PROGRAM = Path(script.__file__).with_name("json.sh").read_text() + '\nwith_additions FILE "$1"\n'


def added(document: str | bytes, additions: Any) -> subprocess.CompletedProcess[bytes]:
    data = document.encode() if isinstance(document, str) else document
    command = ["sh", "-c", f"export LC_ALL=C\n{PROGRAM}", "sh", json.dumps(additions)]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=20)


def merged(document: Any, additions: Any) -> Any:
    """What the result should mean."""
    if isinstance(document, dict) and isinstance(additions, dict):
        return {**document, **{k: merged(document[k], v) if k in document else v for k, v in additions.items()}}
    if isinstance(document, list) and isinstance(additions, list):
        return document + [value for value in additions if json.dumps(value) not in map(json.dumps, document)]
    return additions


NAMES = st.one_of(
    st.sampled_from(["features", "hosts", "a", "b", "é", "a\\b", 'a"b', "a/b", "\u2028\x7f"]), st.text(max_size=3)
)
SCALARS = st.one_of(
    st.booleans(), st.none(), st.integers(), st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
STYLES = st.sampled_from([None, 0, 2, 4, "\t"])


@settings(max_examples=150, deadline=None)
@given(OBJECTS, OBJECTS, STYLES, st.booleans(), st.sampled_from(["", "\n", " \r\n\n"]))
def test_nothing_is_lost_and_all_is_added(
    document: Any, additions: Any, style: Any, ascii_only: bool, tail: str
) -> None:
    text = json.dumps(document, indent=style, ensure_ascii=ascii_only) + tail
    done = added(text.encode("utf-8", "surrogatepass"), additions)
    assert done.returncode == 0, done.stderr
    result = done.stdout.decode("utf-8", "surrogatepass")
    assert json.loads(result) == merged(document, additions)
    assert list(json.loads(result))[: len(document)] == list(document)  # the order is kept
    assert result.endswith(tail)
    assert added(done.stdout, additions).stdout == done.stdout  # a second time changes nothing


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=12), st.text(alphabet='{}[]":,\\ 1-.etrufalsn\n', max_size=16)))
def test_it_takes_what_python_takes(text: str) -> None:
    data = text.replace("\0", "0").encode("utf-8", "surrogatepass")
    try:
        value = json.loads(data.decode("utf-8", "surrogatepass"), parse_constant=lambda _name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        value = None
    done = added(data, {"x": 1})
    assert (done.returncode == 0) == isinstance(value, dict)
    if done.returncode:
        assert done.stdout == b""


@pytest.mark.parametrize(
    ("before", "additions", "after"),
    [
        ("{}", {"a": True}, '{\n  "a": true\n}'),
        ('{"a": 1}\n', {"b": {"c": 2}}, '{"a": 1, "b": {"c": 2}}\n'),
        ('{\n    "a": 1\n}\n', {"b": {"c": 2}}, '{\n    "a": 1,\n    "b": {\n        "c": 2\n    }\n}\n'),
        ('{\r\n\t"a": {}\r\n}\r\n', {"a": {"c": 2}}, '{\r\n\t"a": {\r\n\t\t"c": 2\r\n\t}\r\n}\r\n'),
        ('{\n  "a": ["x", "y"] ,\n  "b":0}', {"a": ["y", "z"]}, '{\n  "a": ["x", "y", "z"] ,\n  "b":0}'),
        ('{"a": false, "a" : false}', {"a": True}, '{"a": false, "a" : true}'),
        ('{"\\u0061": false}', {"a": True}, '{"\\u0061": true}'),
        ('\ufeff{"a": 1}', {"b": 1}, '\ufeff{"a": 1, "b": 1}'),
        (
            '{\n  "a": {\n    "b": 1\n  }\n}',
            {"a": {"c": [1, 2]}, "d": 1},
            '{\n  "a": {\n    "b": 1,\n    "c": [\n      1,\n      2\n    ]\n  },\n  "d": 1\n}',
        ),
    ],
)
def test_every_other_byte_stays(before: str, additions: Any, after: str) -> None:
    assert added(before, additions).stdout.decode() == after


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{\n  "a": tru\n}', "2:8", "a value is expected"),
        ('{\n  "secret": 1,\n}', "3:1", "a key in double quotes is expected"),
        ('{"a": 1} x', "1:10", "the end is expected"),
        ('{"a": "secret\n"}', "1:7", "this string has no end on its line"),
        ("{'a': 1}", "1:2", "a key in double quotes is expected"),
        ('{"a": 1', "1:8", "a comma or } is expected"),
        ("[1]", "1:1", "an object is expected"),
    ],
)
def test_what_is_no_json_is_said_with_line_and_column_and_without_its_text(text: str, place: str, what: str) -> None:
    done = added(text, {"b": 1})
    assert done.returncode != 0
    assert done.stdout == b""
    assert done.stderr.decode().strip() == f"crossdock: FILE:{place}: this is no valid JSON: {what}"


def test_a_text_is_checked() -> None:
    check_json('{"a": 1}', "f")
    check_json(" \n", "f")
    with pytest.raises(InputError, match=r"f:2:8: .*Expecting value"):
        check_json('{\n  "a": tru\n}', "f")
    with pytest.raises(InputError, match="object"):
        check_json("[]", "f")
