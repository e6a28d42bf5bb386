"""Porting files that are no Dockerfiles: rounds, what is left and why."""

from crossdock.fixes.port import PortResult
from crossdock.fixes.port_other import port_other
from crossdock.source import Source

WORKFLOW = (
    "on: push\njobs:\n  image:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n"
    "      - uses: docker/build-push-action@v6\n        with:\n          platforms: linux/amd64\n"
)


def ported(text: str, *, unsafe: bool = False, rule: str = "") -> PortResult:
    return port_other(
        Source(".github/workflows/x.yml", text.encode()),
        environ={},
        prober=None,
        unsafe=unsafe,
        wanted=lambda finding: not rule or finding.rule == rule,
    )


def test_what_a_fix_brings_up_is_mended_in_the_next_round() -> None:
    result = ported(WORKFLOW, unsafe=True)
    assert [decision.finding.rule for decision in result.applied] == [
        "platforms-without-arm64",
        "builder-not-set-up",
    ]
    assert result.left == ()
    text = result.dockerfile.data.decode()
    assert "platforms: linux/amd64,linux/arm64\n" in text
    assert text.index("checkout") < text.index("setup-qemu") < text.index("setup-buildx") < text.index("build-push")
    assert ported(text, unsafe=True).changes == ()


def test_unsafe_fixes_are_left_with_a_reason() -> None:
    result = ported(WORKFLOW)
    assert result.changes == ()
    assert [bool(decision.reason) for decision in result.left] == [True]


def test_what_is_not_asked_for_is_left() -> None:
    result = ported(WORKFLOW, unsafe=True, rule="pinned-platform")
    assert result.changes == ()
    assert len(result.left) == 1
