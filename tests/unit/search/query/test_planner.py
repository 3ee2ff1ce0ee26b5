import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hipp_prune.errors import BudgetError, IncompleteRunError, RunError
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace, UnitKind
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import PolicySolution
from tests.unit.full_disk import full_disk
from tests.unit.plans.shapes import make_shape

EVEN = Preference.parse("1,1,1")
PREFERENCES = [Preference.parse(text) for text in ("1,0,0", "0,1,0", "0,0,1", "2,1,1")]


def _planner(unit: UnitKind = "coupled", blocks: int = 6) -> Planner:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    space = PlanSpace(shape=make_shape((96,) * blocks, hidden=32), unit=unit, r_max=0.7)
    state = rng.normal(size=(space.num_units, 5))
    policy = PlanPolicy(5)
    for head in (policy.budget_head, policy.allocation_head):
        torch.nn.init.normal_(head.weight, std=0.2)
    widths = (96,) if unit == "coupled" else (96, 96, 32)
    settings = SearchSettings(unit=unit, r_max=0.7, seed=3)
    return Planner(
        answers=PolicySolution(policy=policy.eval(), state=state, space=space, settings=settings),
        space=space, settings=settings, state=state, features=("a", "b", "c", "d", "e"), scale=(0.1, 0.2, 0.3),
        questions="0123456789abcdef",
        orders=tuple(rng.permutation(width) for _ in range(blocks) for width in widths),
    )  # fmt: skip


@pytest.fixture(params=["coupled", "rows"])
def planner(request: pytest.FixtureRequest) -> Planner:
    return _planner(request.param)


def test_save_and_load_give_identical_plans(planner, tmp_path: Path):
    path = tmp_path / "search" / "policy.safetensors"
    planner.save(path)
    loaded = Planner.load(path)
    assert loaded.settings == planner.settings
    assert loaded.space == planner.space
    assert loaded.features == planner.features
    assert loaded.scale == planner.scale
    assert (loaded.state == planner.state).all()
    for preference in PREFERENCES:
        for sparsity in (None, 0.3):
            plan = planner.query(preference, sparsity=sparsity)
            assert loaded.query(preference, sparsity=sparsity) == plan
            assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_says_where_it_comes_from(planner):
    plan = planner.query(EVEN, sparsity=0.3, align=4)
    assert plan.preference == EVEN
    search = {"compression": "parameters", "method": "hybrid", "seed": 3, "questions": "0123456789abcdef"}
    assert plan.notes == {"sparsity": 0.3, "align": 4, **search}
    assert plan.shape == planner.space.shape
    assert plan.unit == planner.space.unit
    assert plan.ledger == planner.space.ledger(np.array(plan.kept))


def test_masks_keep_the_most_important(planner):
    plan = planner.query(EVEN)
    for mask, order in zip(plan.keep_masks(), planner.orders, strict=True):
        assert set(np.flatnonzero(mask)) == set(order[: mask.sum()])


def test_plans_depend_on_the_preference(planner):
    assert len({planner.query(preference).kept for preference in PREFERENCES}) == 4
    assert len({planner.query(preference, sparsity=0.3).kept for preference in PREFERENCES}) == 4


def test_sparsity_of_a_free_query_lies_in_the_budget(planner):
    settings = planner.settings
    for preference in PREFERENCES:
        assert settings.s_min - 0.01 <= planner.query(preference).ledger.mlp <= settings.s_max + 0.01


@pytest.mark.parametrize("sparsity", [0.0, 0.05, 0.225, 0.5, 0.65])
def test_sparsity_is_exact_to_one_neuron(planner, sparsity):
    """Also beyond the range that was searched, as far as the box goes."""
    one = planner.space.costs.max() / planner.space.weights.sum()
    for preference in PREFERENCES:
        assert abs(planner.query(preference, sparsity=sparsity).ledger.mlp - sparsity) <= one


@pytest.mark.parametrize("align", [4, 8])
def test_align(planner, align):
    plan = planner.query(EVEN, sparsity=0.3, align=align)
    assert all(count % align == 0 for count in plan.kept)
    assert abs(plan.ledger.mlp - 0.3) <= align * planner.space.costs.max() / planner.space.weights.sum()


@pytest.mark.parametrize("sparsity", [0.71, 1.0, -0.1])
def test_sparsity_outside_the_box(planner, sparsity):
    with pytest.raises(BudgetError, match=rf"\[0, 0\.7\].*got {sparsity:g}"):
        planner.query(EVEN, sparsity=sparsity)


def test_an_alignment_that_misses_the_sparsity_is_refused(planner):
    width = int(planner.space.widths[0])
    with pytest.raises(
        BudgetError, match=r"nearest plan saves 0\.0000, but 0\.3 was asked for|no multiple of --align"
    ):
        planner.query(EVEN, sparsity=0.3, align=width)


def test_align_that_leaves_no_width():
    with pytest.raises(BudgetError, match="no multiple of --align 200"):
        _planner().query(EVEN, align=200)


def test_query_answers_in_milliseconds():
    planner = _planner(blocks=32)
    planner.query(EVEN)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        planner.query(EVEN)
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 0.05


def test_a_plan_of_ones_own_counts(planner):
    counts = np.array([planner.space.widths[unit] - unit for unit in range(planner.space.num_units)])
    plan = planner.plan(counts, note="by hand")
    assert plan.kept == tuple(counts.tolist())
    assert plan.preference is None
    assert plan.notes["note"] == "by hand"


def test_no_planner(tmp_path: Path):
    with pytest.raises(IncompleteRunError, match=r"policy.safetensors.*train one with `hipp-prune search`"):
        Planner.load(tmp_path / "policy.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\0" * 100])
def test_corrupt_planner(tmp_path: Path, content):
    path = tmp_path / "policy.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        IncompleteRunError, match=r"policy\.safetensors.*; train one with `hipp-prune search`"
    ):
        Planner.load(path)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.9, 0.999])
def test_cut_off_planner(tmp_path: Path, fraction):
    path = tmp_path / "policy.safetensors"
    _planner().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(
        IncompleteRunError, match=r"policy\.safetensors.*; train one with `hipp-prune search`"
    ):
        Planner.load(path)


def _metadata(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()["planner"]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"evaluations"', '"colour"'), ('"hybrid"', '"hybrid", "colour": 1'), ('"shape"', '"form"'),
     ('"hidden_size"', '"hidden"'), ("0.7", "1.7"), ("{", "[")],
)  # fmt: skip
def test_planner_of_another_version(tmp_path: Path, old, new):
    path = tmp_path / "policy.safetensors"
    _planner().save(path)
    metadata = _metadata(path)
    assert old in metadata
    save_file(load_file(path), path, metadata={"planner": metadata.replace(old, new)})
    with pytest.raises(
        IncompleteRunError, match=r"policy\.safetensors.*; train one with `hipp-prune search`"
    ):
        Planner.load(path)


@pytest.mark.parametrize("name", ["answers.embed.weight", "state", "order.0"])
@pytest.mark.parametrize("change", ["missing", "resized"])
def test_planner_with_other_tensors(tmp_path: Path, name, change):
    path = tmp_path / "policy.safetensors"
    _planner().save(path)
    metadata, tensors = _metadata(path), load_file(path)
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, path, metadata={"planner": metadata})
    with pytest.raises(
        IncompleteRunError, match=r"policy\.safetensors.*; train one with `hipp-prune search`"
    ):
        Planner.load(path)


def test_disk_full_leaves_the_old_planner(tmp_path: Path):
    path = tmp_path / "policy.safetensors"
    planner = _planner()
    planner.save(path)
    with full_disk(1000), pytest.raises(RunError, match=r"cannot write .*free space"):
        replace(planner, scale=(9.0, 9.0, 9.0)).save(path)
    assert Planner.load(path).scale == planner.scale
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
