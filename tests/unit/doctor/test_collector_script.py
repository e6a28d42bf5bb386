"""The collector's text: whatever it reads becomes JSON, and its reader finds nothing to complain about."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.doctor.material import SCHEMA, collector
from crossdock.host.binfmt import tiny_program

FUNCTIONS = collector().partition("# --- Asking")[0]


@given(st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_any_bytes_become_a_string_of_json(data: bytes) -> None:
    script = FUNCTIONS.partition("umask 077")[0] + "longest=65536\n" + FUNCTIONS.partition("# --- JSON")[2]
    done = subprocess.run(["sh", "-c", f'{script}\nprintf \'"\'; text; printf \'"\''], input=data, capture_output=True,
                          timeout=20, check=True)  # fmt: skip
    text = json.loads(done.stdout.decode())
    plain = data.decode("ascii", "ignore").replace("\r", "")
    if data.isascii() and plain.isprintable() and "://" not in plain:
        assert text == plain


def test_what_it_tries_to_run_is_what_binfmt_calls_a_tiny_program() -> None:
    for architecture in ("arm64", "amd64"):
        function = collector().partition(f"write_{architecture}() {{")[2].partition("\n}")[0]
        done = subprocess.run(["sh", "-c", function], capture_output=True, timeout=20, check=True)
        assert done.stdout == tiny_program(architecture)


def test_it_is_clean_for_its_reader() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, "-s", "sh", "-"], input=collector(), text=True, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == ""
    assert SCHEMA in collector()
