"""``port --cross``: which stages may run on the build platform, what is written, and what stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossdock.findings import Safety
from crossdock.fixes.port import port
from crossdock.plan.cross import RULE, cross_findings
from crossdock.plan.planner import make_plan
from crossdock.platforms import AMD64, ARM64
from crossdock.read.context import Context, load_context
from crossdock.read.dockerfile import parse
from crossdock.read.trace import trace
from crossdock.source import Source


def ported(text: str, *, unsafe: bool = False, context: Context | None = None) -> str:
    done = port(
        Source("Dockerfile", text.encode()),
        context=context,
        build_args={},
        prober=None,
        unsafe=unsafe,
        wanted=lambda finding: finding.rule == RULE,
        further=lambda source, files: cross_findings(trace(parse(source), context=files), files),
    )
    return done.dockerfile.data.decode()


GO = """\
FROM golang:1.22 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# compile
RUN CGO_ENABLED=0 go build -o /out/app . && chmod +x /out/app

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/app /app
"""


def test_go_without_cgo_compiles_for_the_target_on_the_build_platform() -> None:
    after = ported(GO)
    assert after == (
        GO.replace("FROM golang", "FROM --platform=$BUILDPLATFORM golang")
        .replace("# compile", "ARG TARGETARCH\n# compile")
        .replace("go build", "GOARCH=$TARGETARCH go build")
    )
    plan = make_plan(parse(Source("Dockerfile", after.encode())), (AMD64, ARM64), host=AMD64)
    assert {entry.strategy.value for entry in plan.stages if entry.stage == "build"} == {"cross"}
    assert plan.emulated() == ()
    assert ported(after) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CGO_ENABLED=0 go build -o /out/app .", "CGO_ENABLED=0 GOARCH=$TARGETARCH go build -o /out/app ."),
        ("CGO_ENABLED=0 GOOS=linux go build -o=/out/app", "CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -o="),
        ("cd /out && CGO_ENABLED=0 go build -o app .", "cd /out && CGO_ENABLED=0 GOARCH=$TARGETARCH go build -o app ."),
        ("CGO_ENABLED=0 go build -o /out/ ./...", "GOARCH=$TARGETARCH go build -o /out/ ./..."),
        ("go vet . && CGO_ENABLED=0 go build -o /out/app", "go vet . && CGO_ENABLED=0 GOARCH=$TARGETARCH go build"),
        ("apk add git && CGO_ENABLED=0 go build -o /out/app", "GOARCH=$TARGETARCH go build"),
    ],
)
def test_ways_of_writing_it(before: str, after: str) -> None:
    text = f"FROM golang AS build\nENV CGO_ENABLED=0\nRUN {before}\nFROM scratch\nCOPY --from=build /out/app /\n"
    assert after in ported(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CGO_ENABLED=0 ", ""),
        ("CGO_ENABLED=0 ", "CGO_ENABLED=0 GOARCH=amd64 "),
        ("CGO_ENABLED=0 ", "CGO_ENABLED=0 GOOS=windows "),
        ("go build -o /out/app .", "go install ."),
        ("go build -o /out/app .", "go build -o $OUT ."),
        ("go build -o /out/app .", "go build ."),
        ("RUN CGO", "RUN go generate ./... && CGO"),
        ("RUN CGO", "RUN echo $(uname -m) && CGO"),
        ("RUN CGO", "RUN make assets && CGO"),
        ("RUN CGO", "RUN ./prepare && CGO"),
        ("RUN CGO", "RUN if x; then CGO_ENABLED=0 go build -o /out/app x; fi; CGO"),
        ("&& chmod +x /out/app", "&& /out/app --version"),
        ("&& chmod +x /out/app", "&& strip /out/app"),
        ("&& chmod +x /out/app", "&& upx /out/app"),
        ("COPY --from=build /out/app", "COPY --from=build /go/bin/tool"),
        ("COPY --from=build /out/app", "COPY --from=build /out"),
        ("COPY --from=build /out/app", "COPY --from=build /"),
        ("/etc/ssl/certs/ca-certificates.crt", "/lib/ld-musl.so.1"),
        ("COPY . .", "COPY . .\nCOPY --from=tools /bin/jq /bin/jq"),
        ("COPY . .", "COPY . .\nARG TARGETARCH"),
        ("FROM golang:1.22", "FROM --platform=linux/amd64 golang:1.22"),
        ("FROM golang:1.22", "FROM golang:$BUILDARCH"),
        ("\nFROM scratch\n", "\nFROM build\n"),
    ],
)
def test_what_is_not_proven_stays_as_it_is(old: str, new: str) -> None:
    text = GO.replace(old, new)
    assert text != GO
    assert ported(text, unsafe=True) == text


def test_a_script_that_is_followed_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "b.sh").write_text("#!/bin/sh\nCGO_ENABLED=0 go build -o /out/app .\n")
    text = "FROM golang AS b\nCOPY b.sh .\nRUN ./b.sh\nFROM scratch\nCOPY --from=b /out/app /\n"
    assert ported(text, unsafe=True, context=load_context(tmp_path, tmp_path / "Dockerfile")) == text


JAVA = "FROM maven AS b\nCOPY . .\nRUN mvn package\nFROM jre\nCOPY --from=b /target/*.jar /app.jar\n"
WEB = (
    "FROM node AS b\nCOPY . .\nRUN npm ci && npm run build\nFROM nginx\nCOPY --from=b /app/dist /usr/share/nginx/html\n"
)


def test_class_files_and_bundles_are_alike_but_nobody_has_looked_into_them(tmp_path: Path) -> None:
    (tmp_path / "pom.xml").write_text("<project/>")
    context = load_context(tmp_path, tmp_path / "Dockerfile")
    for text in (JAVA, WEB):
        (finding,) = cross_findings(trace(parse(Source("Dockerfile", text.encode())), context=context), context)
        assert finding.fixes[0].safety is Safety.UNSAFE
        assert finding.fixes[0].doubt
        assert ported(text, context=context) == text
        after = ported(text, unsafe=True, context=context)
        assert after == text.replace("FROM ", "FROM --platform=$BUILDPLATFORM ", 1)


@pytest.mark.parametrize("part", ["<classifier>linux-x86_64</classifier>", "${os.detected.classifier}", "<arch>amd64"])
def test_java_with_native_parts_is_left_alone(tmp_path: Path, part: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/pom.xml").write_text(f"<project>{part}</project>")
    assert ported(JAVA, unsafe=True, context=load_context(tmp_path, tmp_path / "Dockerfile")) == JAVA
    assert ported(JAVA, unsafe=True) == JAVA  # without the context nobody knows


@pytest.mark.parametrize("taken", ["/app", "/app/node_modules", "/usr/local/bin/node", "/"])
def test_more_than_a_bundle_is_left_alone(taken: str) -> None:
    text = WEB.replace("/app/dist", taken)
    assert ported(text, unsafe=True) == text
