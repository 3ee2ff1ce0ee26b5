"""A short, seeded part of ``make torture``: a few kills, two writers at once, and damage to every file of a run."""

import os
import subprocess
import sys
from pathlib import Path


def test_nothing_is_lost_and_nothing_is_silently_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture", "--quick", "--seed", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [line for line in ended.stdout.splitlines() if "| all |" in line]
    assert len(rows) == 4, "kills, pairs, damage, reading"
    assert all(row.endswith(" 0 |") for row in rows)
    assert list(tmp_path.iterdir()) == [], "nothing is left in the temporary folder"
