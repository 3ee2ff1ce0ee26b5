"""Calibration needs the weights, one block and what passes through the model: measured in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import tiny_image, tiny_llava

MEASURED = """
import json, os, sys
from pathlib import Path
import torch
from benchmarks.peak import Peak
from hipp_prune.calibration import grams as sums
from hipp_prune.calibration.grams import gather_grams, GramLayout
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.models import load_model
from hipp_prune.pruning import compensation
from hipp_prune.pruning.compensated import choose_ridge
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question

sums._DOUBLE = compensation._EXACT_WIDTH = 0  # Gram matrices in float32, as those of large models are
folder, picture = map(Path, sys.argv[1:])
adapter = load_model(folder)
questions = [
    Question(benchmark="pope", id=str(index), prompt=f"Is there a red cup in the image number {index}?",
        images=(picture,),
             answers=("Yes", "No"), gold=index % 2, subset="random", group=str(index))
    for index in range(8)
]
calibrate(adapter, questions[:1])  # libraries allocate once
layout = GramLayout(widths=tuple(adapter.shape.neurons), weights=(1.0, 1.0))
with gather_grams(folder / "grams.safetensors", layout, Origin(weights="w", questions="q")) as grams:
    with Peak(os.getpid()) as peak:
        calibration = calibrate(adapter, questions, grams=grams)
        grams.factor = choose_ridge(adapter, calibration, grams)
weights = sum(parameter.nbytes for parameter in adapter.model.parameters())
print(json.dumps({"more": peak.most - peak.start, "weights": weights}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_a_quarter_above_the_weights_at_most(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path, hidden=512, neurons=1024, blocks=48)
    tiny_image(1, (112, 56)).save(picture := tmp_path / "picture.png")
    gives_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}  # what is freed is not kept for later
    command = [sys.executable, "-c", MEASURED, folder, picture]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=gives_back)
    found = json.loads(done.stdout)
    assert found["weights"] > 5e8
    assert found["more"] <= 0.25 * found["weights"], found
