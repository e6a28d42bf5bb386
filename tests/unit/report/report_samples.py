"""Results to show: small, but with everything that makes a report hard (tabs, wide characters, long lines)."""

from pathlib import Path

from crossdock.assist.build import Fallback
from crossdock.assist.timing import Gain
from crossdock.builders.state import BuilderState, NodeState
from crossdock.doctor.diagnosis import Check, Diagnosis, State, Topic
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.facts import Cpu, Facts
from crossdock.errors import Kind, RegistryError, UsageError
from crossdock.findings import Confidence, Finding, Fix, Safety, Severity, Skipped, locate
from crossdock.fixes.decide import NO_FIX, Decision
from crossdock.fixes.port import Change, PortResult
from crossdock.host.registry import Place
from crossdock.host.steps import Step
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.image.availability import Alternative, ImagePlatforms, PlatformImage
from crossdock.image.registry import Limit
from crossdock.plan import work as worked
from crossdock.plan.model import BuildPlan, StagePlan, Strategy
from crossdock.platforms import AMD64, ARM64, parse_platform
from crossdock.report.checked import Checked
from crossdock.report.looked import Looked
from crossdock.report.proved import Proof
from crossdock.report.sent import Sent
from crossdock.source import Edit, Source, Span, apply_edits
from crossdock.verify.compare import Comparison, Difference
from crossdock.verify.differing import Nature
from crossdock.verify.model import CheckResult, Status, VerifyResult

DOCKERFILE = Source(
    "app/Dockerfile",
    (
        "FROM --platform=linux/amd64 debian:12-slim\n"
        "RUN echo 下载工具 && \\\n"
        "\tcurl -fsSLo /usr/local/bin/tini https://github.com/krallin/tini/releases/download/v0.19.0/tini-amd64 && \\\n"
        "\tchmod +x /usr/local/bin/tini \x1b[31m\n"
        "COPY 中文/lib-x86_64.so /usr/lib/x86_64-linux-gnu/\n"
        'ENTRYPOINT ["/usr/local/bin/tini"]'
    ).encode(),
)
WHY = "On arm64 this fetches a program for amd64, which the kernel refuses with 'exec format error'."
HELP = "Let the URL follow the platform that is being built: ${TARGETARCH} is amd64 or arm64."


def span_of(text: str) -> Span:
    start = DOCKERFILE.data.index(text.encode())
    return Span(start, start + len(text.encode()))


def finding(
    rule: str, text: str, message: str, severity: Severity = Severity.ERROR, fixes: tuple[Fix, ...] = ()
) -> Finding:
    return Finding(rule, severity, Confidence.HIGH, locate(DOCKERFILE, span_of(text)), message, WHY, HELP, fixes)


PLATFORM_FIX = Fix("remove --platform", Safety.SAFE, (Edit(DOCKERFILE.path, span_of("--platform=linux/amd64 "), b""),))
URL_FIX = Fix(
    "use ${TARGETARCH} in the URL", Safety.UNSAFE, (Edit(DOCKERFILE.path, span_of("amd64 &&"), b"${TARGETARCH} &&"),)
)
PINNED = Decision(
    finding(
        "pinned-platform",
        "--platform=linux/amd64",
        "the stage is built for linux/amd64 whatever is asked for",
        fixes=(PLATFORM_FIX,),
    ),
    PLATFORM_FIX,
)
DOWNLOAD = Decision(
    finding("amd64-download", "tini-amd64", "curl fetches tini-amd64", fixes=(URL_FIX,)),
    URL_FIX,
    "https://github.com/krallin/tini/releases/download/v0.19.0/tini-arm64 could not be looked up (offline)",
)
LIBRARY = Decision(
    finding("amd64-library-path", "x86_64-linux-gnu", "arm64 has no /usr/lib/x86_64-linux-gnu", Severity.WARNING),
    None,
    NO_FIX,
)
SECOND_DOWNLOAD = Decision(
    finding("amd64-download", "lib-x86_64.so", "a library for amd64", Severity.INFO), None, NO_FIX
)
MISSING_DOWNLOAD = Decision(
    finding("amd64-download", "v0.19.0", "a release without arm64"),
    None,
    "no arm64 counterpart was found under any name that is usual",
    tuple(Evidence(f"https://tool.example/v1/tool-{n}", EvidenceStatus.MISSING, "HTTP 404") for n in range(6)),
)
SEEN_DOWNLOAD = Decision(
    finding("amd64-download", "krallin", "curl fetches a file", fixes=(URL_FIX,)),
    Fix("choose by architecture", Safety.SAFE, ()),
    "",
    (
        Evidence("https://tool.example/v1/tool-arm64", EvidenceStatus.MISSING, "HTTP 404"),
        Evidence("https://tool.example/v1/tool-aarch64", EvidenceStatus.FOUND, "HTTP 200"),
    ),
)
SKIPPED = (Skipped("app/build.sh:7", "ignored by comment (amd64-download): only used in CI"),)

CHECKED = Checked(
    (DOCKERFILE.path,), (PINNED, DOWNLOAD, SECOND_DOWNLOAD, LIBRARY), SKIPPED, {DOCKERFILE.path: DOCKERFILE}
)
CLEAN = Checked((DOCKERFILE.path,), (), (), {})

PORTED = PortResult(
    found=tuple(decision.finding for decision in CHECKED.decisions),
    applied=(PINNED, SEEN_DOWNLOAD),
    left=(DOWNLOAD, SECOND_DOWNLOAD, MISSING_DOWNLOAD, LIBRARY),
    skipped=SKIPPED,
    changes=(Change(DOCKERFILE, apply_edits(DOCKERFILE, PLATFORM_FIX.edits)),),
    dockerfile=apply_edits(DOCKERFILE, PLATFORM_FIX.edits),
    context=None,
)

_WORK = {work.name: work for work in worked.catalogue()}
_EVIDENCE = (
    worked.Evidence(_WORK["apt"], "Dockerfile", 2, "apt-get install -y gcc make", "apt-get"),
    worked.Evidence(_WORK["shell"], "Dockerfile", 3, "cd /src", "cd"),
    worked.Evidence(
        _WORK["make"], "tools/build.sh", 7, "make -j4 CFLAGS=-O2 install", "make", certain=False, in_script=True
    ),
    worked.Evidence(_WORK["node-addons"], "Dockerfile", 4, "npm ci", "npm", file="package-lock.json"),
)
PLAN = BuildPlan(
    (AMD64, ARM64),
    (
        StagePlan("build", AMD64, Strategy.NATIVE, "this machine is linux/amd64", evidence=_EVIDENCE),
        StagePlan(
            "build",
            ARM64,
            Strategy.EMULATE,
            "RUN compiles C with gcc; no arm64 machine is known",
            evidence=_EVIDENCE,
            opportunity="runs a script of package.json, which should give the same for every target",
        ),
        StagePlan("1", ARM64, Strategy.NEUTRAL, "only copies files"),
        StagePlan(
            "2", ARM64, Strategy.ASSIST, "compiles with make on line 7", evidence=_EVIDENCE[:3],
            natively=frozenset({"make", "apt"}),
        ),
        StagePlan("2", ARM64, Strategy.NATIVE, "the node arm is arm64", evidence=_EVIDENCE[:3], node="arm"),
    ),
)  # fmt: skip

DIGEST = "sha256:" + "5f" * 32
VERIFIED = VerifyResult(
    "registry.example/app:1",
    DIGEST,
    (AMD64, ARM64),
    (
        CheckResult("platforms", Status.PASSED, "linux/amd64 and linux/arm64 are in the index"),
        CheckResult("binaries", Status.PASSED, "412 binaries, all for amd64", AMD64),
        CheckResult("smoke", Status.SKIPPED, "no engine; --engine chooses one", ARM64),
    ),
)
BROKEN = VerifyResult(
    "registry.example/app:1",
    DIGEST,
    (AMD64, ARM64),
    (
        *VERIFIED.results,
        CheckResult(
            "binaries",
            Status.FAILED,
            "/usr/local/bin/tini is for amd64",
            ARM64,
            path="/usr/local/bin/tini",
            created_by="RUN /bin/sh -c curl -fsSLo /usr/local/bin/tini …",
            hint="Mend the instruction that brought it; crossdock check points at the place.",
        ),
        CheckResult("binaries", Status.FAILED, "/usr/bin/jq is for amd64", ARM64, path="/usr/bin/jq"),
    ),
)

SERVED = Place("localhost:5000", "http://localhost:5000", Path("/srv/images"))

SECOND = "sha256:" + "a7" * 32
LOOKED = Looked(
    images=(
        ImagePlatforms(
            "alpine:3.20",
            DIGEST,
            (
                PlatformImage(AMD64, SECOND, 3_626_897),
                PlatformImage(ARM64, SECOND, 4_091_672),
                PlatformImage(parse_platform("linux/arm/v7"), SECOND),
            ),
        ),
        ImagePlatforms("registry.example/团队/single:1", DIGEST, (PlatformImage(AMD64, DIGEST, 1234),)),
        ImagePlatforms(
            "mysql:5.7",
            SECOND,
            (PlatformImage(AMD64, DIGEST),),
            (
                Alternative(f"mysql:8.4@{DIGEST}", DIGEST, "another tag of the same repository"),
                Alternative(f"mariadb:10.11@{SECOND}", SECOND, "MariaDB is close to it", "https://example.org/why"),
            ),
        ),
        ImagePlatforms(
            "registry.example/team/gone:1",
            error=RegistryError(
                "there is no tag 1 in registry.example",
                where="registry.example/team/gone:1",
                hint="Check name and tag.",
                kind=Kind.NO_TAG,
            ),
        ),
        ImagePlatforms("No:\x1b[31m", error=UsageError("'No:\x1b[31m' is not an image reference", hint="Name one.")),
    ),
    require=(AMD64, ARM64),
    skipped=(Skipped("compose.yaml:7", "${IMAGE} has no value"),),
    limits=(("docker.io", Limit(100, 76, 21600)), ("registry.example", Limit(1000, 12))),
)
LOOKED_WELL = Looked(LOOKED.images[:1], (ARM64,))
LOOKED_ONLY = Looked(LOOKED.images[:2])
SENT = Sent(("amd64.tar", "arm64.tar"), "registry.example/app:1", DIGEST, (AMD64, ARM64))

KEY = Step(
    "docker-key",
    "Add Docker's signing key",
    "Packages are taken from Docker only when signed by it.",
    "test -e /key",
    "fetch",
)
DIAGNOSIS = Diagnosis(
    Facts(
        ARM64,
        cpu=Cpu("Kunpeng 920", cores=64),
        page_size=65536,
        kernel="4.19.90-24.4.v2101.ky10.aarch64",
        unread={"/etc/docker/daemon.json": "permission denied"},
    ),
    Distribution(
        "kylin", "Kylin V10 server SP2", "V10", base=Base("centos", "8"), known=True, reasons=("os-release says so",)
    ),
    (
        Check(
            "cpu", Topic.MACHINE, State.GOOD, "64 cores, Kunpeng 920 (ARMv8.2)", ("CPU implementer 0x48, part 0xd01",)
        ),
        Check(
            "page-size",
            Topic.MACHINE,
            State.NOTE,
            "pages of 64 KiB",
            hint="Programs with a built-in page size of 4 KiB, such as old jemalloc, do not start.",
        ),
        Check(
            "docker",
            Topic.DOCKER,
            State.PROBLEM,
            "Docker is not installed",
            hint="Install it from Docker's repository.",
            steps=(KEY,),
        ),
        Check("store", Topic.DOCKER, State.WARNING, "the classic image store holds one platform under a tag"),
        Check("arm64", Topic.EMULATION, State.UNKNOWN, "whether arm64 programs run could not be tried"),
    ),
)

BUILDERS = (
    BuilderState(
        "both",
        "docker-container",
        (
            NodeState(
                "both0", "unix:///var/run/docker.sock", "running", "v0.12.5", (AMD64,), (AMD64, ARM64), AMD64, 0.31
            ),
            NodeState("both1", "ssh://me@arm-1", "inactive", "", (ARM64,), (ARM64,), trouble="no such host"),
        ),
        current=True,
    ),
    BuilderState("gone", "", (), trouble="its context is gone"),
)
FALLBACKS = (
    Fallback(
        "for 600 s it printed nothing, wrote nothing and used no processor time",
        hung=True, step="RUN make", where="Dockerfile:3", stage="build", platform=ARM64,
    ),
    Fallback("x"),
)  # fmt: skip
DIFFERENCES = (
    Difference(Nature.CODE, "usr/bin/app", "section .text", "RUN make"),
    Difference(Nature.TIME, "a", "b"),
)
PROOF = Proof(Comparison(ARM64, 5, 3, 1234, DIFFERENCES), Gain(3, 10.0, 120.0, 20.0))
