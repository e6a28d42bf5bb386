#!/usr/bin/env python3
"""How long `crossdock --help` takes, as a multiple of starting Python and doing nothing.

    python bench/startup.py [--runs N]

Both commands run in turn, so that a busy machine slows both; the median of the pairs' ratios is the figure. The goal
is at most 4.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    nothing = [sys.executable, "-c", "pass"]
    help_ = [str(Path(sysconfig.get_path("scripts")) / "crossdock"), "--help"]
    seconds(nothing), seconds(help_)
    pairs = [(seconds(nothing), seconds(help_)) for _ in range(runs)]
    for name, column in (("python -c pass", 0), ("crossdock --help", 1)):
        print(f"{name:18} {statistics.median(pair[column] for pair in pairs) * 1000:6.1f} ms (median of {runs})")
    ratios = sorted(helped / passed for passed, helped in pairs)
    print(
        f"{'ratio':18} {statistics.median(ratios):6.2f}    (from {ratios[0]:.2f} to {ratios[-1]:.2f}; goal: at most 4)"
    )


if __name__ == "__main__":
    main()
