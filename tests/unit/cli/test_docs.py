"""The generated documents are as tools/docs.py writes them."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[3] / "tools/docs.py"


def test_generated_documents_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
