"""Which candidate fix is taken, on what evidence."""

from crossdock.errors import RegistryError
from crossdock.findings import Claim, Confidence, Finding, Fix, Safety, Severity, locate
from crossdock.fixes.decide import Decision, decide
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.report.checked import Checked
from crossdock.report.style import Style
from crossdock.report.terminal import check_text
from crossdock.rules.check import check_dockerfile
from crossdock.source import Edit, Source, Span

SOURCE = Source("Dockerfile", b"ADD http://x/tool-amd64 /bin/tool\n")


class Web:
    """A scripted outside world: what is listed exists, what is in ``down`` cannot be asked."""

    def __init__(self, *urls: str, down: tuple[str, ...] = ()) -> None:
        self.urls, self.down = urls, down
        self.asked: list[str] = []

    def exists(self, url: str) -> Evidence:
        self.asked.append(url)
        if url in self.down:
            return Evidence(url, EvidenceStatus.UNKNOWN, "timed out")
        found = url in self.urls
        return Evidence(url, EvidenceStatus.FOUND if found else EvidenceStatus.MISSING, "HTTP")

    def fetch_text(self, url: str) -> str | None:
        return None

    def fetch_digest(self, url: str, algorithm: str = "sha256") -> str:
        if url in self.down:
            raise RegistryError("broken connection", where=url)
        return f"{algorithm}-of-{url[-5:]}"


def candidate(*urls: str, safety: Safety = Safety.SAFE, text: bytes = b"new", digest: str = "") -> Fix:
    claims = tuple(Claim(url, digest) for url in urls)
    return Fix(f"use {urls}", safety, (Edit("Dockerfile", Span(0, 3), text),), claims)


def one(*fixes: Fix, prober: Web | None) -> Decision:
    finding = Finding(
        "amd64-download", Severity.ERROR, Confidence.HIGH, locate(SOURCE, Span(4, 23)), "m", "why", "help", fixes
    )
    return decide([finding], prober)[0]


def test_the_first_candidate_that_is_seen_to_exist_is_taken() -> None:
    decision = one(
        candidate("a/arm64"), candidate("a/aarch64"), candidate("a/armv8"), prober=Web("a/aarch64", "a/armv8")
    )
    assert decision.fix is not None
    assert decision.fix.claims[0].url == "a/aarch64"
    assert decision.fix.safety is Safety.SAFE
    assert [item.status.value for item in decision.evidence] == ["missing", "found"]


def test_nothing_found_means_no_fix_and_says_so() -> None:
    decision = one(candidate("a/arm64"), prober=Web())
    assert decision.fix is None
    assert "no arm64 counterpart" in decision.reason


def test_every_claim_of_a_candidate_must_hold() -> None:
    assert one(candidate("a/arm64", "a/arm64.sig"), prober=Web("a/arm64")).fix is None


def test_what_could_not_be_looked_up_is_unsafe_never_assumed() -> None:
    decision = one(candidate("a/arm64"), prober=Web(down=("a/arm64",)))
    assert decision.fix is not None
    assert decision.fix.safety is Safety.UNSAFE
    assert "a/arm64 could not be looked up (timed out)" in decision.reason


def test_a_proven_candidate_wins_over_an_earlier_one_that_could_not_be_looked_up() -> None:
    decision = one(candidate("a/arm64"), candidate("a/aarch64"), prober=Web("a/aarch64", down=("a/arm64",)))
    assert decision.fix is not None
    assert decision.fix.claims[0].url == "a/aarch64"


def test_offline_takes_what_claims_nothing_and_marks_the_rest() -> None:
    assert one(candidate("a/arm64"), candidate(), prober=None).fix == candidate()
    decision = one(candidate("a/arm64"), prober=None)
    assert decision.fix is not None
    assert decision.fix.safety is Safety.UNSAFE
    assert decision.reason.startswith("offline")


def test_a_checksum_is_filled_in_from_what_was_found() -> None:
    fix = candidate("a/arm64", text=b"sum=@1@", digest="@1@")
    decision = one(fix, prober=Web("a/arm64"))
    assert decision.fix is not None
    assert decision.fix.edits[0].replacement == b"sum=sha256-of-arm64"


def test_a_checksum_that_cannot_be_known_withholds_the_fix() -> None:
    fix = candidate("a/arm64", text=b"sum=@1@", digest="@1@")
    for prober in (None, Web(down=("a/arm64",))):
        decision = one(fix, prober=prober)
        assert decision.fix is None
        assert "checksum" in decision.reason


def test_a_finding_without_candidates_has_a_reason_too() -> None:
    assert one(prober=Web()).reason == one(prober=None).reason != ""


CHECKSUM = f'FROM debian\nENV SUM={"a" * 64}\nRUN curl -LO http://x/t-amd64 && echo "$SUM  t-amd64" | sha256sum -c\n'


def test_a_checksum_goes_with_its_download() -> None:
    source = Source("Dockerfile", CHECKSUM.encode())
    findings = check_dockerfile(source, context=None, build_args={}).findings
    for prober, reason, by_hand in (
        (Web("http://x/t-arm64"), "it is mended with amd64-download in line 3", 0),
        (Web(), "it goes with amd64-download in line 3, for which there is no fix", 2),
    ):
        checksum, download = decisions = decide(findings, prober)
        assert (checksum.finding.rule, checksum.fix, checksum.reason) == ("amd64-checksum", None, reason)
        assert checksum.main == download
        said = check_text(Checked(("Dockerfile",), decisions, (), {}), Style(100))
        assert said.count("by hand") == by_hand
        assert said.count("1 with another") == (by_hand == 0)
