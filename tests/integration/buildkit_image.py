"""An image of BuildKit as moby/buildkit is one, of what tests/buildkit/compile has compiled and this machine's runc."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from daemon import Daemon

COMPILED = Path(__file__).parents[2] / ".work" / "buildkit"
DOCKERFILE = (
    'FROM scratch\nCOPY root /\nENV PATH=/usr/bin:/usr/sbin\nVOLUME /var/lib/buildkit\nENTRYPOINT ["buildkitd"]\n'
)


def push_buildkit(daemon: Daemon, folder: Path, reference: str) -> None:
    """Build the image with a daemon, and push it to a registry that the daemon takes for one of its own machine."""
    root = folder / "root"
    for program in ("buildkitd", "buildctl"):
        if not (COMPILED / program).exists():
            raise RuntimeError(f"{program} is not compiled; run tests/provision")
        _put(COMPILED / program, root / "usr/bin" / program)
    runc = shutil.which("runc", path="/usr/sbin:/usr/bin")
    assert runc, "runc is not installed; run tests/provision"
    _put(Path(runc), root / "usr/bin/runc")
    said = subprocess.run(["ldd", runc], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", said):
        _put(Path(library), root / library[1:])
    (root / "tmp").mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    daemon.docker("build", "--quiet", f"--tag={reference}", str(folder))
    daemon.docker("push", "--quiet", reference)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
