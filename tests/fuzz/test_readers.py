"""A short run of the fuzzer, always the same; ``make fuzz`` is the long one."""

import random
from pathlib import Path

import pytest

from tests.fuzz.readers import fuzz
from tests.fuzz.seed import Seed
from tests.fuzz.seeds import SEEDS

_INPUTS = 30
"""Damaged files of each reader."""


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_damaged_files_are_read_as_declared_or_refused_in_our_words(seed: Seed, tmp_path: Path) -> None:
    tally = fuzz(seed, tmp_path, random.Random(seed.name), lambda inputs: inputs < _INPUTS)
    assert tally.inputs == _INPUTS
    assert not tally.foreign
    assert not tally.wrong
