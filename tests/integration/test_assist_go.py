"""Go in assisted builds: native, and nothing can tell by what it makes or says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from assisted_site import Site
from debian_image import write_debian_layout
from registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1800)]

FILES = {
    "go.mod": "module example.com/service\n\ngo 1.19\n",
    "main.go": """\
package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println("go on", runtime.GOARCH) }
""",
    "main_test.go": 'package main\n\nimport "testing"\n\nfunc TestNothing(t *testing.T) {}\n',
    "v/wrong.go": "package wrong\n\nfunc Set(x int) { x = x }\n",
    "c/main.go": """\
package main

// #include <math.h>
// #cgo LDFLAGS: -lm
// static double twice(double number) { return 2 * cos(number); }
import "C"

import "fmt"

func main() { fmt.Println("c says", C.twice(0)) }
""",
}
PACKAGES = ("gcc", "golang-go", "libc6-dev")
TOOLS = "asm cgo compile link vet"
BROKEN = f"""\
RUN cd /usr/lib/go-1.* && truncate -s 4096 bin/go && cd pkg/tool/linux_arm64 && truncate -s 4096 {TOOLS}
"""
"""After this no emulated Go can be of use."""
WORK = """\
COPY . /src/
WORKDIR /src
RUN { go version; go env GOARCH GOHOSTARCH GOTOOLDIR GOROOT CGO_ENABLED CC; go vet ./v; \\
    go build -ldflags=-buildid= -o /out/go . && /out/go; go build -ldflags=-buildid= -o /out/c ./c && /out/c; \\
    objcopy -R .comment -R .note.gnu.build-id /out/c; sha256sum /out/*; go test -vet=off . | cut -f1,2; \\
    GOBIN=/bin/x go install . && ls /bin/x; GOARCH=amd64 go list -f '{{.Target}}' . ; } 2>&1 | sed 's/^/said: /'
"""


@pytest.fixture(scope="module")
def golang(tmp_path_factory: pytest.TempPathFactory, image_registry: Registry) -> str:
    """The reference of a Debian image of both platforms that has Go."""
    folder = tmp_path_factory.mktemp("golang")
    write_debian_layout(folder, *PACKAGES)
    reference = f"{image_registry.host}/golang:latest"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{folder}/layout:latest", f"docker://{reference}"], check=True)
    return reference


@pytest.fixture
def context(site: Site) -> Path:
    for name, text in FILES.items():
        (site.context / name).parent.mkdir(exist_ok=True)
        (site.context / name).write_text(text)
    return site.context


def said(site: Site) -> list[str]:
    lines = [line.removeprefix("said: ") for line in site.output if line.startswith("said: ")]
    site.output.clear()
    return lines


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("site", ["buildx"], indirect=True)
def test_go_of_the_base_image_makes_the_same_natively(site: Site, golang: str) -> None:
    site.build(f"FROM {golang}\n{BROKEN}{WORK}")
    assert site.said == []
    natively = said(site)
    site.build(f"FROM {golang}\n{WORK}", assist=False)
    assert natively == said(site)
    for line in ("arm64", "go on arm64", "c says 2", "service", "/root/go/bin/linux_amd64/service"):
        assert line in natively
    assert natively[0].endswith("linux/arm64")
    assert sum("  /out/" in line for line in natively) == 2
    assert any("self-assignment" in line for line in natively)


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("site", ["buildah"], indirect=True)
def test_go_from_packages_is_native(site: Site, debian: str) -> None:
    install = "RUN apt-get update && apt-get install -y --no-install-recommends golang-go\n"
    work = "COPY . /src/\nWORKDIR /src\nRUN CGO_ENABLED=0 go build -o /out/go . && /out/go\n"
    site.build(f"FROM {debian}\n{install}{BROKEN}{work}")
    assert site.said == []
    assert "go on arm64" in site.output


@pytest.mark.parametrize("site", ["buildx"], indirect=True)
def test_another_version_in_its_place_is_emulated(site: Site, golang: str) -> None:
    other = "RUN cd /usr/lib/go-1.* && echo go1.99.1 >VERSION && go version | sed 's/^/said: /'\n"
    site.build(f"FROM {golang}\n{other}{BROKEN}RUN go version || echo said: emulated\n")
    assert site.said == []
    assert said(site)[-1] == "emulated"
