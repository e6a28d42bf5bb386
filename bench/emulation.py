#!/usr/bin/env python3
"""What emulating arm64 costs, by version of QEMU and setting of QEMU_CPU: processor time of the same programs.

    python bench/emulation.py ROOT --qemu FILE... [--cpu SETTING]... [--runs N]

ROOT is the root folder of an arm64 system with gcc, xz, python3 and perl (the layers of an image, unpacked), FILE a
static qemu-aarch64. Needs root, for chroot. Processor time, and not wall time, because it does not depend on what else
the machine does; the least of N runs counts. Printed are milliseconds, and times of the first setting of each QEMU.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
from pathlib import Path

FUNCTION = """double f{n}(double *a, int n) {{
    double s = 0;
    for (int j = 0; j < n; j++) {{ s += a[j] * {n} + sin(a[j]); if (s > 1e9) s /= 3; }}
    return s;
}}
"""
LOOPS = {
    "python": [
        "/usr/bin/python3",
        "-c",
        "d = {}\nfor i in range(40000): d[i % 1000] = i * i % 7\nprint(sorted(d)[:3])",
    ],
    "perl": ["/usr/bin/perl", "-e", "for (1 .. 30000) { $s += $_ * $_ % 7; $h{$_ % 1000} .= q(a) } print $s"],
    "sh": ["/bin/sh", "-c", "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); case x$i in *7) j=$i;; esac; done"],
}
STARTS = 15


def prepare(root: Path) -> dict[str, list[str]]:
    """The programs' input below the root; their command lines."""
    (root / "bench").mkdir(exist_ok=True)
    source = "#include <math.h>\n" + "".join(FUNCTION.format(n=number) for number in range(25))
    (root / "bench/source.c").write_text(source)
    chosen = random.Random(1)
    words = [bytes(chosen.choices(b"abcdefgh ", k=7)) for _ in range(3000)]
    (root / "bench/text").write_bytes(b"".join(chosen.choices(words, k=40000)))
    if not (root / "dev/null").exists():
        (root / "dev").mkdir(exist_ok=True)
        os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    compiler = next(file for folder in ("lib", "libexec") for file in root.glob(f"usr/{folder}/gcc/aarch64*/*/cc1"))
    compile_ = [f"/{compiler.relative_to(root)}", "-quiet", "-imultiarch", "aarch64-linux-gnu", "-O2"]
    return {
        "start": ["/bin/true"],
        "cc1": [*compile_, "/bench/source.c", "-o", "/bench/out"],
        "xz": ["/usr/bin/xz", "-6kcf", "/bench/text"],
        **LOOPS,
    }


def processor_seconds(root: Path, qemu: str, cpu: str, argv: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | ({} if cpu == "default" else {"QEMU_CPU": cpu})
    command = ["/usr/sbin/chroot", root, qemu, *argv]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--qemu", type=Path, nargs="+", required=True)
    parser.add_argument("--cpu", action="append")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    settings = given.cpu or ["default", "max,pauth-impdef=on", "max,pauth=off", "cortex-a72"]
    programs = prepare(given.root)
    for number, qemu in enumerate(given.qemu):
        inside = f"/bench/qemu-{number}"
        shutil.copy(qemu, given.root / inside[1:])
        first: dict[str, float] = {}
        for cpu in settings:
            shown = []
            for name, argv in programs.items():
                times = STARTS if name == "start" else 1
                taken = min(
                    sum(processor_seconds(given.root, inside, cpu, argv) for _ in range(times)) / times
                    for _ in range(given.runs)
                )
                gain = first.setdefault(name, taken) / taken
                shown.append(f"{name} {1000 * taken:.0f} ms" + (f" ({gain:.1f}×)" if cpu != settings[0] else ""))
            print(f"{qemu} {cpu}: {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
