"""Where a variable may be written into shell text as it stands."""

import pytest

from crossdock.rules.edits import single_quote_before


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("echo amd64", False),
        ("echo 'amd64", True),
        ("echo 'a' amd64", False),
        ("echo \"it's amd64", False),
        (r"echo \'amd64", False),
        ("# Prometheus' exporter\nfile=amd64", False),
        ("echo a#b 'amd64", True),
        ("echo '# no comment\namd64", True),
        ("echo \"$(jq '.amd64", True),
        ("echo \"$(jq '.x') it's amd64", False),
        ("(cd a) && f() { echo 'amd64", True),
        ("case x in a) echo 'amd64", True),
    ],
)
def test_single_quotes_are_seen_as_the_shell_sees_them(text: str, quoted: bool) -> None:
    assert (single_quote_before(text) is not None) is quoted
