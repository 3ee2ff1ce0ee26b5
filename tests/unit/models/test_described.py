"""Sizes of real models from their configurations alone, and of a tiny one as its weights have them."""

from pathlib import Path

import pytest

from benchmarks.public import llava_7b, qwen_7b
from hipp_prune.errors import CheckpointError
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.described import describe_sizes, picture_tokens, prompt_tokens
from hipp_prune.models.forward_cost import flops_table
from hipp_prune.stages.rates import question_flops


def test_llava_from_its_configuration(tmp_path: Path) -> None:
    sizes = describe_sizes(llava_7b(tmp_path))
    assert sizes.parameters == pytest.approx(7.06e9, rel=0.005)
    assert sizes.bytes == pytest.approx(14.1e9, rel=0.005)
    assert (sizes.num_blocks, sizes.hidden_size, sizes.neurons) == (32, 4096, 11008)
    assert picture_tokens(tmp_path, (640, 480)) == 576
    assert 30 < prompt_tokens(tmp_path, ["Is there a dog in the image?"]) < 60


def test_qwen_from_its_configuration(tmp_path: Path) -> None:
    sizes = describe_sizes(qwen_7b(tmp_path))
    assert sizes.parameters == pytest.approx(8.29e9, rel=0.005)
    assert sizes.patches_a_token == 4
    assert picture_tokens(tmp_path, (640, 480)) == 23 * 17


def test_a_tiny_model_is_what_it_was_said_to_be(folder: Path, adapter: Adapter) -> None:
    sizes, shape = describe_sizes(folder), adapter.shape
    assert sizes.parameters == shape.total_parameters
    assert sizes.language_parameters == shape.language_parameters
    assert (sizes.num_blocks, sizes.hidden_size) == (shape.num_blocks, shape.hidden_size)
    table = flops_table(adapter, 50)
    assert question_flops(sizes, 50) == pytest.approx(table.constant + sum(unit[-1] for unit in table.units))
    assert describe_sizes(folder, dtype="bfloat16").bytes * 2 == describe_sizes(folder, dtype="float32").bytes


def test_no_configuration_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        describe_sizes(tmp_path)
