"""A short, seeded part of ``make torture``: a few kills, two writers at once, and damage to every file of a run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

from hipp_prune.cli.verbs import VERBS
from hipp_prune.export.formats import ExportFormat
from tests.torture.stages import STAGES, WITHOUT


def test_nothing_is_lost_and_nothing_is_silently_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture", "--quick", "--seed", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [line for line in ended.stdout.splitlines() if "| all |" in line]
    assert len(rows) == 4, "kills, pairs, damage, reading"
    assert all(row.endswith(" 0 |") for row in rows)
    assert list(tmp_path.iterdir()) == [], "nothing is left in the temporary folder"


def test_whatever_writes_is_tortured_or_has_a_reason_not_to_be() -> None:
    exported = {word for stage in STAGES for word in stage.command if stage.command[0] == "export"}
    tried = {stage.command[0] for stage in STAGES}
    tried |= {f"export {format}" for format in get_args(ExportFormat) if format in exported}
    wanted = {*VERBS, *(f"export {format}" for format in get_args(ExportFormat))}
    assert tried | WITHOUT.keys() == wanted
    assert not tried & WITHOUT.keys()
