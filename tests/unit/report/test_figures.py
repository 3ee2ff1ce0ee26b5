"""What the charts hold; how they look is for eyes."""

import numpy as np
import pytest

from hipp_prune.report import figures


def test_learning_curve_shades_phases_end_to_end() -> None:
    figure = figures.learning_curve(
        [10, 20, 30, 40], ["warm-up", "surrogate", "surrogate", "policy"], np.arange(4.0), np.ones((4, 3))
    )
    assert sorted({(shape.x0, shape.x1) for shape in figure.layout.shapes}) == [(0, 10), (10, 30), (30, 40)]
    assert [note.text for note in figure.layout.annotations] == ["warm-up", "surrogate", "policy"]
    assert [trace.name for trace in figure.data] == ["mean return", "robustness", "utility", "sparsity"]
    assert list(figure.data[0].y) == [0, 1, 2, 3]


def plan_rows(rows: int, blocks: int) -> dict[str, np.ndarray]:
    widths = np.full((rows, blocks), 40)
    kept = widths - np.arange(rows * blocks).reshape(rows, blocks) % 30
    return {"ratios": 1 - kept / widths, "kept": kept, "widths": widths}


def test_plan_map_holds_ratios_and_counts() -> None:
    table = plan_rows(2, 5)
    (cells,) = figures.plan_map(["a", "b"], **table, unit="neurons").data
    assert (np.array(cells.z) == table["ratios"]).all()
    assert (np.array(cells.customdata)[..., 0] == table["widths"] - table["kept"]).all()
    assert list(cells.x) == [1, 2, 3, 4, 5]
    assert "neurons" in cells.hovertemplate


@pytest.mark.parametrize(("blocks", "numbers"), [(12, True), (32, False)])
def test_bars_stand_above_their_blocks(blocks: int, numbers: bool) -> None:
    sensitivity = {tokens: np.full(blocks, 0.2) for tokens in ("max", "mean", "last")}
    figure = figures.blocks_figure(sensitivity, ["a", "b", "c"], **plan_rows(3, blocks), unit="rows")
    *bars, cells = figure.data
    assert len(bars) == 3
    assert all(list(bar.x) == list(cells.x) for bar in bars)
    assert figure.layout.xaxis.matches == "x2"
    assert (cells.texttemplate is not None) is numbers
    assert figure.layout.height > 300


def test_a_plan_that_removes_nothing_can_be_drawn() -> None:
    widths = np.full((1, 3), 8)
    figure = figures.plan_map(["a"], np.zeros((1, 3)), widths, widths, "neurons")
    assert figure.layout.coloraxis.cmax > 0


def test_cloud_shows_the_front_and_all_but_the_worst() -> None:
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(100, 3)), [[-500.0, -400.0, 0.1], [-30.0, 9.0, 0.9]]])
    front = np.zeros(102, dtype=bool)
    front[-1] = True
    figure = figures.plan_cloud(points, ["warm-up"] * 101 + ["policy"], front)
    low, high = figure.layout.yaxis.range
    assert -500 < low < -30
    assert high > points[:, 0].max()
    large = [trace for trace in figure.data if trace.marker.size == 13 and len(trace.x)]
    assert [(trace.x[0], trace.y[0], trace.customdata[0]) for trace in large] == [(9.0, -30.0, 0.9)]
    assert sum(len(trace.x) for trace in figure.data if not (len(trace.x) and trace.x[0] is None)) == 102
    assert [trace.name for trace in figure.data if trace.showlegend is None] == ["warm-up", "policy"]
