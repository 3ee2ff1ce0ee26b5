"""What runtimes take, by name: the multiples, their combinations, and what is said where blocks are too narrow."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.errors import BudgetError
from hipp_prune.plans.alignment import ALIGNMENTS, Runtime, aligned_neurons, check_runtimes, fitting_alignment
from hipp_prune.plans.allocation import check_alignment, fewest_neurons
from hipp_prune.stages.settings import QuerySettings

RUNTIMES = st.lists(st.sampled_from(list(ALIGNMENTS)), max_size=4)
SERVING = Path(__file__).parents[3] / "docs" / "serving.md"


@pytest.mark.parametrize(
    ("align", "runtimes", "expected"),
    [
        (1, (), 1),
        (12, (), 12),
        (1, ("marlin",), 128),
        (1, ("marlin", "tp2"), 256),
        (1, ("gguf-k", "tp4"), 1024),
        (64, ("gguf-k", "fp8"), 256),
        (48, ("mlx",), 192),
        (1, ("tp2", "tp2"), 2),
    ],
)
def test_combinations(align: int, runtimes: tuple[Runtime, ...], expected: int) -> None:
    assert aligned_neurons(align, runtimes) == expected
    assert QuerySettings(align=align, align_for=runtimes).neurons == expected


@given(st.integers(1, 300), RUNTIMES)
def test_every_gpu_gets_what_every_kernel_takes(align: int, runtimes: list[Runtime]) -> None:
    neurons = aligned_neurons(align, runtimes)
    assert neurons % align == 0
    gpus = max((ALIGNMENTS[name].gpus for name in runtimes), default=1)
    for name in runtimes:
        assert neurons // gpus % ALIGNMENTS[name].neurons == 0


@given(
    st.integers(1, 64),
    RUNTIMES,
    st.lists(st.integers(1, 2000), min_size=1, max_size=3),
    st.floats(0.05, 0.95),
)
def test_refused_if_and_only_if_a_block_has_no_such_width(
    align: int, runtimes: list[Runtime], widths: list[int], r_max: float
) -> None:
    wanted = aligned_neurons(align, runtimes)
    neurons = wanted if wanted <= min(widths) else aligned_neurons(1, runtimes)
    fits = all(
        any(kept % neurons == 0 for kept in range(width - int(r_max * width + 1e-9), width + 1))
        for width in widths
    )
    if fits or not runtimes:
        check_runtimes(align, runtimes, widths=widths, r_max=r_max)
    else:
        with pytest.raises(BudgetError, match=f"needs multiples of {neurons} neurons"):
            check_runtimes(align, runtimes, widths=widths, r_max=r_max)


def test_narrow_blocks_are_told_what_can_be_had() -> None:
    with pytest.raises(
        BudgetError,
        match=r"--align-for marlin tp2 needs multiples of 256 neurons, and none lies between the 7 .* block 0 .* 16; "
        r"what can be had here is fp8 or tp2 or tp4 or tp8",
    ):
        check_runtimes(1, ["marlin", "tp2"], widths=[16, 16], r_max=0.6)
    with pytest.raises(BudgetError, match="no other name can be had"):
        check_runtimes(1, ["marlin"], widths=[129], r_max=0.001)


def test_the_page_has_the_table() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| ([0-9]+) \| (.+) \| (.+) \|$", SERVING.read_text(), re.MULTILINE
    )
    assert rows == [
        (name, str(each.neurons * each.gpus), each.why, each.source) for name, each in ALIGNMENTS.items()
    ]


@given(
    st.integers(1, 128),
    RUNTIMES,
    st.lists(st.integers(1, 300), min_size=1, max_size=4),
    st.floats(0.1, 0.9),
)
def test_blocks_too_narrow_get_the_largest_divisor_they_have_widths_of(
    align: int, runtimes: list[Runtime], widths: list[int], r_max: float
) -> None:
    try:
        check_runtimes(align, runtimes, widths=widths, r_max=r_max)
    except BudgetError:
        return
    fitted, wanted = (
        fitting_alignment(align, runtimes, widths=widths, r_max=r_max),
        aligned_neurons(align, runtimes),
    )
    if wanted <= min(widths):
        assert fitted == wanted
        return
    assert wanted % fitted == 0
    assert fitted % aligned_neurons(1, runtimes) == 0
    wide = np.array(widths)
    check_alignment(fewest_neurons(wide, r_max), wide, fitted)
    known = [aligned_neurons(each, runtimes) for each in range(1, align + 1) if align % each == 0]
    larger = np.array([each for each in known if each > fitted])[:, None]
    assert np.all((wide // larger <= -(-fewest_neurons(wide, r_max) // larger)).any(axis=1)), (
        "a larger one would do"
    )


def test_a_runtime_that_fits_is_not_refused_for_an_alignment_that_gives_way() -> None:
    check_runtimes(64, ["tp2"], widths=[16, 16], r_max=0.8)
    assert fitting_alignment(64, ["tp2"], widths=[16, 16], r_max=0.8) == 8
    assert fitting_alignment(9, ["fp8"], widths=[40, 40], r_max=0.8) == 16
    with pytest.raises(BudgetError, match=r"needs multiples of 128 neurons, and none .* or tp8$"):
        check_runtimes(64, ["marlin"], widths=[16, 16], r_max=0.8)
