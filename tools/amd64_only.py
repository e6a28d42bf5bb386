"""Writes src/crossdock/catalogue/debian.toml: the packages that Debian has for amd64 and not for arm64.

apt-get fetches the indexes of both architectures into a folder of its own, with the archive that this machine's apt is
configured with; nothing else of the machine is read or changed. Releases that the archive has no more are left out.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
import tempfile
import textwrap
from collections import defaultdict
from pathlib import Path

from crossdock.packages.indexes.control import read_packages

RELEASES = {"bullseye": "11", "bookworm": "12", "trixie": "13"}
COMPONENTS = "main contrib non-free non-free-firmware"
NUMBERED = re.compile(r"linux-(?:image|headers|kbuild|support|config|source)-\d")
"""Kernels change their names with every update."""
TARGET = Path(__file__).parents[1] / "src/crossdock/catalogue/debian.toml"
HEAD = """\
# Packages that Debian has for amd64 and not for arm64, also not under another package's Provides. Made by
# tools/amd64_only.py; kernels with a version in their name are left out, because each update renames them.
#
# source     which indexes were compared
# seen       on which day
# [[names]]  releases: in which; main: whether all of them are in the component main, so built by Debian from source
"""


def main() -> int:
    archive = archive_of_this_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        update(folder, archive)
        found: dict[str, dict[str, bool]] = {release: only_amd64(folder, release) for release in RELEASES}
    groups: dict[tuple[tuple[str, ...], bool], list[str]] = defaultdict(list)
    for package in sorted(set().union(*found.values())):
        having = tuple(release for release in RELEASES if package in found[release])
        groups[having, all(found[release][package] for release in having)].append(package)
    lines = [HEAD, 'source = "dists/RELEASE/*/binary-{amd64,arm64}/Packages of Debian"']
    lines += [f"seen = {datetime.datetime.now(datetime.UTC).date()}"]
    for (having, main), packages in sorted(groups.items(), key=lambda item: (-len(item[0][0]), item[0])):
        lines += ["", "[[names]]", f"releases = {list(having)}".replace("'", '"'), f"main = {str(main).lower()}"]
        text = textwrap.fill(" ".join(packages), 118, break_on_hyphens=False, break_long_words=False)
        lines += ['packages = """', text, '"""']
    TARGET.write_text("\n".join(lines) + "\n")
    return 0


def archive_of_this_machine() -> str:
    """Where apt has Debian's packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages"]
    out = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return next(line.split()[0] for line in out.splitlines() if line.endswith("debian/ main"))


def update(folder: Path, archive: str) -> None:
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "status").touch()
    sources = folder / "sources.list"
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    components = dict.fromkeys(RELEASES, COMPONENTS) | {"bullseye": "main contrib non-free"}
    sources.write_text("".join(f"deb [signed-by={key}] {archive} {r} {c}\n" for r, c in components.items()))
    options = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": "amd64",
        "APT::Architectures::": "arm64",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", *flags, "update", "-q"], check=True, timeout=600)


def only_amd64(folder: Path, release: str) -> dict[str, bool]:
    """The packages, and whether they are in ``main``."""
    there: dict[str, set[str]] = {"amd64": set(), "arm64": set()}
    main = set()
    for architecture, names in there.items():
        for path in (folder / "lists").glob(f"*_dists_{release}_*_binary-{architecture}_Packages*"):
            index = read_packages(unpacked(path))
            names.update(index.versions)
            if "_main_" in path.name:
                main.update(index.versions)
            if architecture == "arm64":
                names.update(index.provided)
    return {name: name in main for name in there["amd64"] - there["arm64"] if not NUMBERED.match(name)}


def unpacked(path: Path) -> bytes:
    """apt keeps the indexes packed on some machines, in containers for example."""
    return subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], capture_output=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
