from typing import Literal

import pytest

from hipp_prune.experiments.damage.cells import DENSE_CELL, DamageCell, Result
from hipp_prune.experiments.damage.page import costless_lines, search_lines
from hipp_prune.experiments.damage.standings import by_method, gap_between


def result(method: str, right: list[int], kl: list[float], *, seed: int = 0, budget: float = 0.5) -> Result:
    cell = DamageCell(method=method, compensation="none", budget=budget, seed=seed)
    return Result(
        cell=DENSE_CELL if method == "dense" else cell, saved=budget, kept=(1,), right={"asked": right},
        kl={"texts": kl}, seconds={},
    )  # fmt: skip


ITEMS = {"asked": [number // 2 for number in range(40)], "texts": list(range(40))}


def test_a_difference_is_of_the_same_items_and_the_same_seeds() -> None:
    rows = by_method(
        [
            result("flap", [1] * 40, [0.2] * 40, seed=0),
            result("flap", [1] * 40, [0.4] * 40, seed=1),
            result("owl", [1, 0] * 20, [0.1] * 40, seed=1),
        ]
    )
    flap, owl = rows
    found = gap_between(flap, owl, "texts", ITEMS["texts"])
    assert found.seeds == 1
    assert [found.gain, found.low, found.high] == pytest.approx([0.3, 0.3, 0.3])
    assert gap_between(flap, owl, "asked", ITEMS["asked"]).gain == pytest.approx(0.5)


def test_an_interval_covers_pictures_and_seeds() -> None:
    noisy = [0.1 * (number % 5) for number in range(40)]
    rows = by_method(
        [
            *(
                result("flap", [1] * 40, [value + shift for value in noisy], seed=seed)
                for seed, shift in ((0, 0.0), (1, 0.2))
            ),
            *(result("owl", [1] * 40, [0.0] * 40, seed=seed) for seed in (0, 1)),
        ]
    )
    found = gap_between(rows[0], rows[1], "texts", ITEMS["texts"])
    assert found.gain == pytest.approx(0.3)
    assert found.low < 0.2 < 0.4 < found.high
    assert found.is_clear


@pytest.mark.parametrize(("kl", "word"), [(0.1, "ahead of"), (0.3, "tied with"), (0.5, "behind")])
def test_a_search_is_compared_with_the_best_of_the_others(
    kl: float, word: Literal["ahead of", "tied with", "behind"]
) -> None:
    results = [
        result("dense", [1] * 40, [0.0] * 40, budget=0.0),
        result("surrogate", [1] * 40, [kl] * 40),
        result("flap", [1] * 40, [0.9] * 40),
        result("owl", [1] * 40, [0.3] * 40),
    ]
    (of_answers, of_texts) = search_lines(by_method(results), ITEMS)
    assert f"surrogate is {word} owl" in of_texts
    assert "surrogate is tied with flap by +0.000 points" in of_answers


def test_where_nothing_is_lost_is_said_in_a_line() -> None:
    results = [result("dense", [1] * 40, [0.0] * 40, budget=0.0)]
    results += [
        result("uniform", [0] * missed + [1] * (40 - missed), [missed / 100] * 40, budget=budget)
        for budget, missed in ((0.1, 0), (0.2, 1), (0.4, 4))
    ]
    asked, texts = costless_lines(by_method(results), ITEMS)
    assert asked.startswith("asked, none: 10.00 points at 40% removed")
    assert asked.endswith("loses less at 20%")
    assert texts == "KL texts, none: less than 0.1 nats at every budget measured, up to 40%"
