"""An elastic checkpoint of every family: it is the dense model, and each plan what is pruned by it alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedModel

from hipp_prune.checkpoints.elastic import CarriedOut, measure_plan, write_elastic
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.checkpoints.separate import separate_plan
from hipp_prune.errors import PlanError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.structure import compares_neurons
from hipp_prune.models.uneven import elastic_tensors
from hipp_prune.plans.plan import keep_masks
from hipp_prune.plans.prefixes import living_neurons, nested_orders, neuron_ranks
from hipp_prune.questions.question import probe
from tests.tiny import FAMILIES, tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import LOGITS, assert_agree
from tests.unit.checkpoints.test_checkpoint import tensor_bytes
from tests.unit.checkpoints.tiny_plans import fit_somehow, make_plan

KINDS = {
    "plain": ("coupled", (40, 29), "none"),
    "equal": ("coupled", (24, 24), "none"),
    "biased": ("coupled", (33, 20), "bias"),
    "fitted": ("coupled", (30, 10), "sequential"),
    "block-whole": ("coupled", (None, 12), "ridge"),
    "rows": ("rows", (30, 32, 26, 20), "none"),
    "rows-all-outputs": ("rows", (28, 32, 28, 32), "none"),
}
"""Plans that live in one checkpoint: unit, kept counts (None: all) and compensation."""
COMMON = ("biased", "fitted", "rows")
"""What is tried of every family."""
WHOLE = "llava-biased-sharded"
"""The one of which every kind is tried, and taken out again."""
BUILDERS = {
    **FAMILIES,
    "llava-biased-sharded": lambda tmp: tiny_llava(tmp, mlp_bias=True, max_shard_size="40KB"),
    "qwen2_5_vl-bf16": lambda tmp: tiny_qwen2_5_vl(tmp, dtype=torch.bfloat16),
}


@pytest.fixture(scope="module", params=list(BUILDERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def source(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BUILDERS[family](tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def adapter(source: Path) -> Adapter:
    return load_model(source)


@pytest.fixture(scope="module")
def carried_out(adapter: Adapter, family: str) -> dict[str, CarriedOut]:
    """Plans of one ranking of gate rows, up rows and outputs; a neuron is ranked as the worse of its rows."""
    rng = np.random.default_rng(0)
    hidden = adapter.shape.hidden_size
    rows = [rng.permutation(n) for width in adapter.shape.neurons for n in (width, width, hidden)]
    neurons = [np.argsort(rank, kind="stable") for rank in neuron_ranks("rows", rows)]
    made: dict[str, CarriedOut] = {}
    for name in KINDS if family == WHOLE else COMMON:
        unit, counts, mode = KINDS[name]
        if unit == "rows" and any(map(compares_neurons, adapter.blocks)):
            continue
        kept = [adapter.shape.neurons[0] if count is None else count for count in counts]
        masks = keep_masks(unit, neurons if unit == "coupled" else rows, kept)
        plan = make_plan(adapter, unit, kept, masks).with_compensation(mode, None)
        made[name] = CarriedOut(
            plan=plan,
            down_weights=fit_somehow(plan) if mode in ("ridge", "sequential") else None,
            down_biases=[torch.linspace(-1, 1, hidden, dtype=torch.float64)] * 2 if mode == "bias" else None,
        )
    return made


@pytest.fixture(scope="module")
def elastic(
    source: Path, carried_out: dict[str, CarriedOut], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("elastic") / "elastic"
    plans = {name: done.plan for name, done in carried_out.items()}
    done = {id(each.plan): each for each in carried_out.values()}
    report = write_elastic(source, out, plans, nested_orders(plans), lambda plan: done[id(plan)])
    assert report.plans.keys() == plans.keys()
    return out


@torch.no_grad()
def answer(model: PreTrainedModel, adapter: Adapter) -> Tensor:
    """Logits of a model after a question about a picture, [1, V]."""
    asked = type(adapter)(model, adapter.processor)
    picture = Path("picture")
    features = {picture: asked.encode_images([tiny_image()])[0]}
    return asked.answer_logits(*asked.encode([probe("Is there a red cup in the image?", picture)], features))


def near(adapter: Adapter, found: Tensor, expected: Tensor) -> None:
    """Sums of sorted neurons are rounded in another order, in sixteen bits after every one of them."""
    half = adapter.model.dtype == torch.bfloat16
    assert_agree(found.float(), expected.float(), 3e-2 if half else LOGITS)


def test_the_folder_is_the_dense_model(adapter: Adapter, elastic: Path) -> None:
    """For the stock class of plain transformers, for the remote code, and for us; its neurons lie in another order."""
    expected = answer(adapter.model, adapter)
    stock, info = AutoModelForImageTextToText.from_pretrained(elastic, output_loading_info=True)
    assert not any(info[f"{kind}_keys"] for kind in ("missing", "unexpected", "mismatched"))
    assert type(stock) is type(adapter.model)
    near(adapter, answer(stock, adapter), expected)
    ours = load_model(elastic)
    near(adapter, answer(ours.model, adapter), expected)
    assert not torch.equal(ours.blocks[0].gate.weight, adapter.blocks[0].gate.weight)
    assert ours.shape.total_parameters == adapter.shape.total_parameters


def test_a_plan_is_the_checkpoint_that_is_pruned_by_it_alone(
    family: str,
    adapter: Adapter,
    source: Path,
    elastic: Path,
    carried_out: dict[str, CarriedOut],
    tmp_path: Path,
) -> None:
    """The same logits as the same plan pruned alone; a plan of rows is narrower than that."""
    for name, done in carried_out.items():
        prune_checkpoint(
            source, done.plan, tmp_path / name, shape=adapter.shape, down_weights=done.down_weights,
            down_biases=done.down_biases,
        )  # fmt: skip
        expected = answer(load_model(tmp_path / name).model, adapter)
        ours = load_model(elastic / name)
        near(adapter, answer(ours.model, adapter), expected)
        assert ours.shape.neurons == tuple(int(mask.sum()) for mask in living_neurons(done.plan))
        assert ours.model.dtype == adapter.model.dtype
        if family in (WHOLE, "glm4v") and done.plan.unit == "coupled":
            separate_plan(elastic / name, tmp_path / f"{name}-again")
            near(adapter, answer(load_model(tmp_path / f"{name}-again").model, adapter), expected)
            sizes = [tensor_bytes(tmp_path / each) for each in (name, f"{name}-again")]
            assert sizes[0] == sizes[1] == measure_plan(elastic / name).loaded


def test_a_plan_of_rows_has_no_checkpoint_of_its_own(adapter: Adapter, elastic: Path, tmp_path: Path) -> None:
    if any(map(compares_neurons, adapter.blocks)):
        pytest.skip("has no plans of rows")
    with pytest.raises(PlanError, match="is a plan of rows"):
        separate_plan(elastic / "rows", tmp_path / "out")


def test_no_more_is_read_than_the_plan_is(elastic: Path, carried_out: dict[str, CarriedOut]) -> None:
    """What is held in memory, mapped or copied, is as large as the plan."""
    for name in carried_out:
        tensors = elastic_tensors(elastic / name)
        storages = [tensor.untyped_storage() for tensor in tensors.values()]
        assert (
            sum({each.data_ptr(): each.nbytes() for each in storages}.values())
            == measure_plan(elastic / name).loaded
        )
        assert all(tensor.is_contiguous() for tensor in tensors.values())
