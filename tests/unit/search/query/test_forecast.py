"""Forecasts against landscapes whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.archive import Archive
from hipp_prune.search.query.forecast import Curve, Forecast, fit_curve, fit_forecast, known_forecast
from tests.unit.search.known_world import make_archive, random_kept


def errors_and_margins(seed: int, count: int, minibatches: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecast minus truth, and margins, of 60 plans that were not evaluated, each [60, 2]."""
    landscape = Landscape(seed=seed)
    forecast = fit_forecast(make_archive(landscape, count, minibatches), landscape.space)
    kept = random_kept(landscape.space, 60, seed + 1000)
    mean, margin = forecast.accuracies(kept, landscape.space)
    return mean - np.exp(landscape.objectives(kept)), margin


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Errors of one landscape's plans share a level, so many landscapes are few independent trials."""
    covered = []
    for seed in range(12):
        error, margin = errors_and_margins(seed, 240, 16)
        covered.append((np.abs(error) <= margin).mean())
    assert 0.8 <= np.mean(covered) <= 0.98


def test_more_evaluations_make_better_forecasts_and_narrower_intervals():
    few = np.abs([errors_and_margins(seed, 60, 8) for seed in range(3)]).mean(axis=(0, 2, 3))
    many = np.abs([errors_and_margins(seed, 600, 40) for seed in range(3)]).mean(axis=(0, 2, 3))
    assert (many < 0.7 * few).all()


def test_few_minibatches_widen_the_interval_even_with_many_evaluations():
    """Questions are what a level hangs on, and four minibatches are few of them."""
    few = np.mean([errors_and_margins(seed, 240, 4)[1].mean() for seed in range(3)])
    many = np.mean([errors_and_margins(seed, 240, 48)[1].mean() for seed in range(3)])
    assert few > 1.4 * many


@pytest.mark.parametrize(("count", "minibatches"), [(20, 10), (100, 3)])
def test_an_archive_that_is_too_small_is_refused(count, minibatches):
    landscape = Landscape()
    with pytest.raises(
        InputError, match=rf"at least 24 evaluations on 4 minibatches.*made {count} on {minibatches}"
    ):
        fit_forecast(make_archive(landscape, count, minibatches), landscape.space)


def test_pruning_more_never_predicts_more():
    landscape = Landscape()
    forecast = fit_forecast(make_archive(landscape, 100, 5), landscape.space)
    kept = random_kept(landscape.space, 30, 7)
    before, _ = forecast.accuracies(kept, landscape.space)
    after, _ = forecast.accuracies(kept - 20, landscape.space)
    assert (after <= before + 1e-12).all()


def test_a_curve_is_found_where_there_is_no_noise():
    """Levels differ by minibatch; the curve has their mean over questions."""
    rng = np.random.default_rng(0)
    loss, minibatch = rng.exponential(size=200), np.arange(200) % 4
    questions = np.where(minibatch == 0, 16.0, 64.0)
    level = np.array([0.95, 0.85, 0.9, 0.9])
    typical = float(np.median(loss))
    accuracy = level[minibatch] - 0.4 * -np.expm1(-((loss / (2 * typical)) ** 1.5))
    curve = fit_curve(loss, accuracy, minibatch, questions)
    mean = (16 * 0.95 + 64 * (0.85 + 0.9 + 0.9)) / (16 + 3 * 64)
    assert curve.power == 1.5
    assert (curve.level, curve.fall, curve.scale) == pytest.approx((mean, 0.4, 2 * typical))


def test_accuracy_that_rises_with_the_loss_is_noise():
    curve = fit_curve(np.arange(10.0), np.arange(10.0) / 10, np.zeros(10, dtype=np.int64), np.ones(10))
    assert curve.fall == 0
    np.testing.assert_allclose(curve(np.arange(3.0)), 0.45)


def test_plans_without_any_loss_have_a_level():
    curve = fit_curve(np.zeros(4), np.array([0.5, 0.7, 0.5, 0.7]), np.array([0, 0, 1, 1]), np.ones(4))
    assert isinstance(curve, Curve)
    assert (curve.level, curve.fall) == (pytest.approx(0.6), 0.0)


def test_a_forecast_is_kept_until_the_archive_grows(tmp_path: Path):
    landscape, path = Landscape(), tmp_path / "forecast.json"
    archive = Archive()
    rows = make_archive(landscape, 41, 5)
    for row in rows[:40]:
        archive.add(row)
    first = known_forecast(path, archive, landscape.space)
    assert not path.exists()
    first.save(path)
    again = Forecast.load(path, evaluations=40, units=landscape.space.num_units)
    kept = random_kept(landscape.space, 5, 1)
    for one, other in zip(
        first.accuracies(kept, landscape.space), again.accuracies(kept, landscape.space), strict=True
    ):
        assert (one == other).all()
    archive.add(rows[40])
    assert known_forecast(path, archive, landscape.space).evaluations == 41
    path.write_text("{")
    assert known_forecast(path, archive, landscape.space).evaluations == 41


def test_a_forecast_of_another_mode_is_fitted_anew(tmp_path: Path):
    landscape, path = Landscape(), tmp_path / "forecast.json"
    rows = make_archive(landscape, 40, 5)
    plain, fitted = Archive(), Archive()
    for row in rows:
        plain.add(row)
        fitted.add(replace(row, robustness=row.robustness / 2, compensation="ridge"))
    stored = known_forecast(path, plain, landscape.space)
    stored.save(path)
    assert stored.compensation == "none"
    units = landscape.space.num_units
    assert Forecast.load(path, evaluations=40, units=units, compensation="ridge") is None
    assert known_forecast(path, fitted, landscape.space).compensation == "ridge"
    with pytest.raises(AssertionError, match="two modes"):
        fit_forecast([*rows, replace(rows[0], compensation="ridge")], landscape.space)


def test_forecasts_stay_in_range():
    landscape = Landscape()
    rows = [
        replace(row, accuracies={**row.accuracies, "pope": 1.0}) for row in make_archive(landscape, 60, 6)
    ]
    mean, margin = fit_forecast(rows, landscape.space).accuracies(
        landscape.space.widths[None], landscape.space
    )
    assert ((mean >= 0) & (mean <= 1)).all()
    assert mean[0, 0] == pytest.approx(1.0)
    assert (margin >= 0).all()
