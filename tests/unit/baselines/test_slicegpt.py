"""SliceGPT's arithmetic by hand, and the laws of a sliced residual stream."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hipp_prune.baselines.methods import slicegpt
from hipp_prune.baselines.methods.slicegpt import (
    choose_width,
    principal_bases,
    principal_directions,
    sliced_ledger,
)
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.residual import Rotation, touching
from hipp_prune.errors import BudgetError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.uneven import SlicedNorm
from tests.strangers import tiny_stranger
from tests.tiny import tiny_llava, tiny_llava_next


class TestByHand:
    def test_directions_are_those_in_which_the_states_lie(self) -> None:
        states = torch.tensor([[2.0, 2.0], [-2.0, -2.0], [0.5, -0.5]])
        first, second = principal_directions([states[:2], states[2:]]).T
        assert abs(first @ torch.tensor([1.0, 1.0]).double()) == pytest.approx(2**0.5)
        assert abs(second @ torch.tensor([1.0, -1.0]).double()) == pytest.approx(2**0.5)

    def test_the_mean_is_not_subtracted(self) -> None:
        """RMSNorm does not, so a constant direction is the most important one."""
        states = torch.tensor([[5.0, 0.1], [5.0, -0.1]])
        assert principal_directions([states])[:, 0].abs().tolist() == pytest.approx([1, 0])

    def test_a_reader_takes_up_the_norm_and_turns_its_columns(self) -> None:
        diagonal = torch.tensor([[1.0], [1.0]]).double() / 2**0.5
        rotation = Rotation(dtype="F32", rows=None, columns=diagonal, norm=torch.tensor([2.0, 1.0]).double())
        weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()
        assert rotation.rotate(weight).tolist() == [
            [pytest.approx(4 / 2**0.5)],
            [pytest.approx(10 / 2**0.5)],
        ]
        assert rotation.shape((2, 2)) == (2, 1)

    def test_a_writer_turns_its_rows_and_its_bias(self) -> None:
        diagonal = torch.tensor([[1.0], [1.0]]).double() / 2**0.5
        rotation = Rotation(dtype="F32", rows=diagonal, columns=None, norm=None)
        weight = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]]).double()
        assert rotation.rotate(weight).tolist() == [pytest.approx([4 / 2**0.5, 6 / 2**0.5, 5 / 2**0.5])]
        assert rotation.rotate(weight[:, 0]).tolist() == pytest.approx([4 / 2**0.5])
        assert (rotation.shape((2, 3)), rotation.shape((2,))) == ((1, 3), (1,))

    def test_the_norm_divides_by_the_coordinates_there_were(self) -> None:
        # √(25 / 4) = 2.5, where two of four coordinates are left
        assert SlicedNorm(4, 0.0)(torch.tensor([3.0, 4.0])).tolist() == pytest.approx([1.2, 1.6])
        assert SlicedNorm(4, 1.0)(torch.tensor([3.0, 4.0])).tolist() == pytest.approx(
            [3 / 7.25**0.5, 4 / 7.25**0.5]
        )

    def test_shortcuts_are_counted(self, llava: Setting) -> None:
        """Three blocks of hidden 32 and 48 neurons, with biases on the MLPs, cut to 16."""
        dense = 4 * 32 * 32 + (3 * 32 * 48 + 2 * 48 + 32) + 2 * 32
        inner = 4 * 32 * 16 + (3 * 16 * 48 + 2 * 48 + 16) + 2 * 16 * 16
        last = inner + 16 * 48 + 16 + 16 * 16
        ledger = sliced_ledger(llava.adapter, 16, tokens=10)
        assert ledger.block == pytest.approx(1 - (2 * inner + last) / (3 * dense))
        neuron = 3 * 32 + 2
        mlp = 3 * (3 * 16 + 2) * 48 + 16 * 48
        assert ledger.mlp == pytest.approx(1 - mlp / (3 * 48 * neuron))
        vocabulary = llava.adapter.model.get_input_embeddings().num_embeddings
        removed = 3 * dense - (2 * inner + last) + 16 * vocabulary
        assert ledger.language == pytest.approx(removed / llava.adapter.shape.language_parameters)
        assert ledger.model == pytest.approx((removed + 16 * 33) / llava.adapter.shape.total_parameters)


class TestWidth:
    def test_it_is_the_widest_that_saves_enough(self, setting: Setting) -> None:
        told = replace(setting, settings=BaselineSettings(match="block", round_to=1))
        width, ledger = choose_width(told)
        assert ledger.block >= 0.25 > sliced_ledger(setting.adapter, width + 1, tokens=told.tokens).block

    def test_it_is_rounded_down(self, setting: Setting) -> None:
        fine, _ = choose_width(replace(setting, settings=BaselineSettings(round_to=1)))
        coarse, _ = choose_width(replace(setting, settings=BaselineSettings(round_to=8)))
        assert coarse == fine // 8 * 8 < fine

    def test_nothing_is_cut_at_sparsity_0(self, setting: Setting) -> None:
        assert choose_width(replace(setting, sparsity=0.0))[0] == 32

    def test_what_no_width_saves_is_refused(self, llava: Setting) -> None:
        with pytest.raises(BudgetError, match=r"multiples of 8 save at most 0\.6\d+; ask for less"):
            slicegpt.plan(replace(llava, sparsity=0.9))


class TestBases:
    def test_there_is_one_for_every_place_but_the_last(self, setting: Setting) -> None:
        bases = slicegpt.plan(setting).bases
        assert len(bases) == 2 * len(setting.adapter.blocks)
        for basis in bases:
            torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]).double())

    def test_padding_does_not_count(self, setting: Setting) -> None:
        alone = replace(setting, settings=BaselineSettings(batch_size=1))
        for one, several in zip(principal_bases(alone, 16), principal_bases(setting, 16), strict=True):
            torch.testing.assert_close(one @ one.T, several @ several.T, atol=1e-4, rtol=0)

    def test_the_model_is_left_as_it_was(self, setting: Setting) -> None:
        model = setting.adapter.model
        before = {name: value.clone() for name, value in model.state_dict().items()}
        slicegpt.plan(setting)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert not any(module._forward_pre_hooks for module in model.modules())


def test_every_tensor_of_the_stream_is_touched(llava: Setting) -> None:
    """By shape: what has the hidden size on an axis, but for vision tower, projector, final norm and head."""
    touches = touching(llava.adapter)
    norms = {touch.norm for touch in touches.values()}
    last = len(llava.adapter.blocks) - 1
    whole = {f"model.language_model.layers.{last}.mlp.down_proj.{kind}" for kind in ("weight", "bias")}
    whole |= {"model.language_model.norm.weight"}
    named = dict(llava.adapter.model.named_parameters())
    on_stream = {
        name for name, weight in named.items() if "language_model" in name and 32 in weight.shape
    } - whole
    assert on_stream == {name for name in touches | dict.fromkeys(norms) if "language_model" in str(name)}


def test_images_that_a_linear_does_not_write_are_refused(tmp_path, llava: Setting) -> None:
    with pytest.raises(UnsupportedModelError, match="image_newline"):
        slicegpt.plan(replace(llava, adapter=load_model(tiny_llava_next(tmp_path))))
    assert touching(load_model(tiny_llava(tmp_path)))


@pytest.mark.filterwarnings("ignore:.*is not among the tested families")
def test_images_that_a_resampler_writes_are_refused(tmp_path: Path, llava: Setting) -> None:
    adapter = load_model(tiny_stranger(tmp_path, "idefics2"))
    with pytest.raises(UnsupportedModelError, match=r"more than what model\.connector.* writes"):
        slicegpt.plan(replace(llava, adapter=adapter))


def test_queries_keys_and_values_in_one_matrix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"several in one in model\.language_model\.layers\.0"):
        touching(load_model(tiny_llava(tmp_path, backbone="phi3")))
