"""``hipp_prune.prune`` and stages on a model in memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

import hipp_prune
from hipp_prune import api
from hipp_prune.errors import HippPruneError, InputError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.sources import load_questions
from tests.e2e.conftest import write_pope
from tests.tiny import tiny_image, tiny_llava


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"pope:{write_pope(tmp_path_factory.mktemp('pope') / 'files')}"


def test_a_searched_model_is_smaller_and_the_dense_one_as_before(tmp_path: Path, source: str) -> None:
    dense = load_model(tiny_llava(tmp_path))
    model = dense.model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    questions = load_questions([source], "all", cache=tmp_path)
    smaller = hipp_prune.prune(
        model,
        dense.processor,
        questions=questions,
        sparsity=0.3,
        evaluations=12,
        count=4,
        run=tmp_path / "run",
    )
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    widths = tuple(block.gate.out_features for block in api.loaded(smaller, dense.processor).blocks)
    [plan] = [Plan.load(path) for path in (tmp_path / "run" / "plans").glob("*.json")]
    assert widths == plan.kept
    assert plan.ledger.mlp == pytest.approx(0.3, abs=0.01)
    smaller.save_pretrained(tmp_path / "smaller")
    opened = AutoModelForImageTextToText.from_pretrained(tmp_path / "smaller", trust_remote_code=True)
    assert all(
        torch.equal(tensor, smaller.state_dict()[name]) for name, tensor in opened.state_dict().items()
    )


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"sparsity": 30}, "did you mean 0.3"),
        ({"sparsity": 0.9}, r"a sparsity must lie in \[0, 0.8\]"),
        ({"sparsity": 0.9, "method": "wanda-coupled"}, r"a sparsity must lie in \[0, 0.8\]"),
        ({"preference": "2,1"}, "a preference is three numbers"),
        ({"evaluations": 0}, "--evaluations to be at least"),
        ({"preference": "1,1,1"}, "weighs utility, which this run did not measure"),
    ],
)
def test_what_cannot_be_had_is_refused_before_a_search(
    wish: dict[str, Any], sentence: str, tmp_path: Path, source: str
) -> None:
    dense = load_model(tiny_llava(tmp_path))
    with pytest.raises(HippPruneError, match=sentence):
        hipp_prune.prune(
            dense.model, dense.processor, questions=[source], count=4, run=tmp_path / "run", **wish
        )
    assert not (tmp_path / "run" / "search").exists()


def test_a_baseline_too_and_a_checkpoint_of_it(tmp_path: Path, source: str) -> None:
    dense = load_model(tiny_llava(tmp_path))
    smaller = hipp_prune.prune(
        dense.model, dense.processor, questions=[source], method="wanda-coupled", sparsity=0.25, count=4
    )
    assert api.loaded(smaller, dense.processor).shape.neurons == (36, 36)
    run = api.calibrate(dense, [source], tmp_path / "run", api.CalibrateSettings(count=4))
    assert run.provenance().weights == dense.shape.fingerprint
    settings = api.SearchSettings(evaluations=12, minibatch=4)
    plan = api.search(run.root, settings, model=dense).query(Preference.parse("1,0,1"), sparsity=0.3)
    report = api.prune(dense, plan, tmp_path / "smaller")
    assert load_model(tmp_path / "smaller").shape.neurons == report.widths == plan.kept
    scores = [api.evaluate(each, [source]).answers for each in (dense, str(tmp_path / "smaller"))]
    assert len(scores[0]) == len(scores[1])


@pytest.mark.parametrize("answered", [True, False])
def test_rows_with_pictures_in_memory_are_questions(tmp_path: Path, answered: bool) -> None:
    dense = load_model(tiny_llava(tmp_path))
    rows = [
        {"image": tiny_image(number), "question": "Is it red?"}
        | ({"answer": ("yes", "no")[number % 2]} if answered else {})
        for number in range(16)
    ]
    smaller = hipp_prune.prune(
        dense.model,
        dense.processor,
        questions=rows,
        sparsity=0.3,
        evaluations=12,
        count=4,
        run=tmp_path / "run",
    )
    assert api.loaded(smaller, dense.processor).shape.neurons < dense.shape.neurons
    scored = api.evaluate(dense, rows, run=tmp_path / "run")
    assert set(scored.results.scores) == ({"yes-no"} if answered else {"agreement", "agreement-objects"})


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"method": "flap"}, InputError, "needs to be told a sparsity"),
        ({"processor": object()}, UnsupportedModelError, "found object without tokenizer"),
        ({"model": torch.nn.Linear(1, 1)}, UnsupportedModelError, "found Linear"),
    ],
)
def test_what_does_not_fit_is_refused_first(
    tmp_path: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    dense = load_model(tiny_llava(tmp_path))
    given = {"model": dense.model, "processor": dense.processor, "questions": ["toyworld"], **options}
    with pytest.raises(error, match=said):
        hipp_prune.prune(given.pop("model"), given.pop("processor"), **given)


def test_the_package_comes_without_torch() -> None:
    code = "import hipp_prune, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_stages_that_work_on_files_take_it_too(tmp_path: Path, source: str) -> None:
    dense = load_model(tiny_llava(tmp_path))
    before = {name: tensor.clone() for name, tensor in dense.model.state_dict().items()}
    settings = api.RecoverySettings(steps=1, batch_size=2, lora_blocks=1)
    api.recover(dense, [source], tmp_path / "recovered", settings)
    settings = api.BaselineSettings()
    api.baseline("llm-pruner", 0.2, tmp_path / "pruned", settings, model=dense, questions=[source], count=4)
    api.export(dense, "padded", tmp_path / "stock")
    assert load_model(tmp_path / "pruned").shape.total_parameters < dense.shape.total_parameters
    assert load_model(tmp_path / "stock").shape == dense.shape
    assert load_model(tmp_path / "recovered").shape.fingerprint != dense.shape.fingerprint
    assert all(torch.equal(tensor, before[name]) for name, tensor in dense.model.state_dict().items())
