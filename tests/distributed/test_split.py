"""A model larger than one device: split over two, it calibrates, scores and is pruned as in one piece."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from accelerate import dispatch_model

from hipp_prune.calibration.measurement import calibrate, observe
from hipp_prune.errors import InputError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import _check_split
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.settings import SearchSettings
from tests.distributed import jobs
from tests.distributed.pretend_gpus import place, pretend_gpus
from tests.distributed.test_calibration import ask
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree

CONFIG = SearchSettings(minibatch=6, flow="chain", robust_share=1.0)
SECOND = ("model.language_model.layers.1", "model.language_model.norm", "lm_head")
"""What stands on the second device."""


def device_of(name: str) -> str:
    return f"pretend:{int(name.startswith(SECOND))}"


def split(adapter: Adapter) -> Adapter:
    """The same model over two pretended GPUs, as ``device_map`` leaves it."""
    place(adapter.model, device_of)
    parts = [name for name, _ in adapter.model.named_children() if name != "model"]
    parts += [f"model.{name}" for name, _ in adapter.model.model.named_children() if name != "language_model"]
    backbone = adapter.model.model.language_model
    parts += [f"model.language_model.{name}" for name, _ in backbone.named_children() if name != "layers"]
    parts += [f"model.language_model.layers.{index}" for index in range(len(backbone.layers))]
    dispatch_model(
        adapter.model,
        {part: device_of(part) for part in parts},
        main_device="pretend:0",
        skip_keys=adapter.model._skip_keys_device_placement,
    )
    _check_split("tiny", adapter.model)
    return type(adapter)(adapter.model, adapter.processor)


def compare(model: Path) -> None:
    """Observes and evaluates in one piece and in two, and compares (autograd does not know pretended devices)."""
    questions = ask(model, 9)
    whole, parts = load_model(model), load_model(model)
    calibration = calibrate(whole, questions, batch_size=4, taylor_questions=2)
    problem = ModelProblem(whole, calibration, questions, CONFIG)
    plan = np.array([1, 2]) + problem.space.widths.astype(np.int64) // 2
    scores, flow = problem.evaluate(plan, "any", 6), problem.log_ratio(plan[None])
    with pretend_gpus():
        parts = split(parts)
        assert {str(block.down.weight.device) for block in parts.blocks} == {"pretend:0", "pretend:1"}
        again = observe(parts, questions, batch_size=4)
        for one, other in zip(
            calibration.neurons + calibration.inputs, again.neurons + again.inputs, strict=True
        ):
            assert_agree(other.square, one.square)
        assert_agree(again.visual.total, calibration.visual.total)
        divided = ModelProblem(parts, calibration, questions, CONFIG)
        np.testing.assert_allclose(divided.log_ratio(plan[None]), flow, rtol=1e-9)
        assert divided.evaluate(plan, "any", 6).robustness == pytest.approx(scores.robustness, abs=1e-5)
    assert scores.robustness != 0


@pytest.mark.parametrize("build", [tiny_llava, tiny_qwen2_5_vl])
def test_a_model_over_two_devices_measures_what_one_in_a_piece_does(
    tmp_path: Path, build: Callable[..., Path]
) -> None:
    jobs.run(tmp_path, 1, compare, build(tmp_path, tied=False))


def test_auto_without_gpus_is_the_cpu(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path), device="auto")
    assert {parameter.device.type for parameter in adapter.model.parameters()} == {"cpu"}


def test_weights_that_no_gpu_holds_are_refused(tmp_path: Path) -> None:
    model = load_model(tiny_llava(tmp_path)).model
    model.lm_head.to("meta")
    with pytest.raises(InputError, match=r"no room for 1 of its tensors"):
        _check_split("tiny", model)
