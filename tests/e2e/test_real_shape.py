"""``benchmarks/real_shape.py`` on a small shape: every step runs, and all of them tell of the same pruned models."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real_shape.py"


@pytest.mark.skipif("REAL_SHAPE" not in os.environ, reason="minutes; run `make test-real-shape`")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_every_step_runs_and_all_models_agree(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    command = [sys.executable, SCRIPT, "--quick", "--folder", tmp_path / "work", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = out.read_text(encoding="utf-8")
    assert table in done.stdout
    assert len(re.findall(r"^\|.* s \| .* GB \|", table, re.MULTILINE)) == 14
    apart = [float(found) for found in re.findall(r"differ (?:from the search's )?by ([\d.e+-]+)", table)]
    assert len(apart) == 4
    assert max(apart) < 0.1, (
        "bfloat16 rounds; a plan that is carried out otherwise moves logits by a deviation"
    )
    assert not (tmp_path / "work").exists()
