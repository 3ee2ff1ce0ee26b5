"""Gram matrices of the down projections' inputs: sums over tokens, in whatever batches, workers, file they come."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hipp_prune.calibration import grams as module
from hipp_prune.calibration.grams import (
    GramLayout,
    Grams,
    fit_layout,
    gather_grams,
    token_weights,
)
from hipp_prune.calibration.held_out import held_out_groups
from hipp_prune.calibration.measurement import calibrate, observe
from hipp_prune.errors import IncompleteRunError, InputError, RunError
from hipp_prune.questions.fingerprint import Origin
from hipp_prune.questions.question import Question
from tests.tolerance import assert_agree

ORIGIN = Origin(weights="w", questions="q")
HELD_OUT = ["no group"]


def layout_of(family, weights=None) -> GramLayout:
    return GramLayout(widths=tuple(family.adapter.shape.neurons), weights=weights)


def gather(family, *, weights=None, batch_size=3, questions=None, held_out=()) -> Grams:
    grams = Grams.in_memory(layout_of(family, weights))
    observe(
        family.adapter, questions or family.questions, batch_size=batch_size, grams=grams, held_out=held_out
    )
    return grams


def inputs_of(family, block: int) -> tuple[Tensor, Tensor]:
    """All inputs of a block's down projection, image and text tokens."""
    batch, images = family.encode(sorted(family.questions, key=lambda question: str(question.images)))
    seen: list[Tensor] = []
    handle = family.adapter.blocks[block].down.register_forward_pre_hook(
        lambda _, a: seen.append(a[0].detach())
    )
    with torch.no_grad():
        family.adapter.hidden_states(batch, images)
    handle.remove()
    present = batch.attention_mask.bool()
    return seen[0][batch.image_mask & present].double(), seen[0][~batch.image_mask & present].double()


@pytest.mark.parametrize("panel", [7, 512])
@pytest.mark.parametrize("image_weight", [0.0, 0.5, 1.0])
def test_it_is_the_mixed_mean_of_outer_products(family, image_weight, panel, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PANEL", panel)
    grams = gather(family)
    for block in range(2):
        image, text = inputs_of(family, block)
        expected = image_weight * image.T @ image / len(image) + (1 - image_weight) * text.T @ text / len(
            text
        )
        found = grams.gram(block, image_weight)
        assert torch.equal(found, found.T)
        assert_agree(found, expected)
    assert grams.count.tolist() == [len(image), len(text)]


def test_its_diagonal_is_what_the_moments_say(family) -> None:
    grams = Grams.in_memory(layout_of(family))
    calibration = calibrate(family.adapter, family.questions, batch_size=3, taylor_questions=1, grams=grams)
    for block, moments in enumerate(calibration.neurons):
        assert_agree(grams.gram(block, 0.3).diagonal(), moments.rms(0.3).square())
        assert_agree(grams.gram(block, None).diagonal(), moments.rms(None).square())


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batches_do_not_matter(family, batch_size) -> None:
    held_out = {family.questions[0].group}
    one, other = (gather(family, batch_size=size, held_out=held_out) for size in (3, batch_size))
    for block in range(2):
        assert_agree(other.gram(block), one.gram(block))
        assert_agree(other.held_out(block), one.held_out(block), 1e-4)


def test_mixed_tokens_weigh_what_their_modality_is_to(family) -> None:
    batch, _ = family.encode(family.questions)
    weights = token_weights(batch)
    grams = gather(family, weights=weights)
    image, text = inputs_of(family, 0)
    expected = (image.T @ image / len(image) + text.T @ text / len(text)) / 2
    assert_agree(grams.gram(0), expected)
    assert grams.layout.num_bytes < gather(family).layout.num_bytes


def test_held_out_questions_are_in_no_matrix_and_their_sums_tell_any_error(family, monkeypatch) -> None:
    monkeypatch.setattr(module, "_SKETCH", 4096)
    group = family.questions[0].group
    others = [question for question in family.questions if question.group != group]
    own = [question for question in family.questions if question.group == group]
    grams = gather(family, held_out={group})
    assert_agree(grams.gram(0), gather(family, questions=others).gram(0))
    change = torch.randn(8, grams.layout.widths[0], dtype=torch.float64)
    expected = (change @ gather(family, questions=own).gram(0) @ change.T).trace()
    assert float((grams.held_out(0) @ change.T).square().sum()) == pytest.approx(float(expected), rel=0.1)


def test_one_group_in_eight_is_held_out_and_none_of_few(family) -> None:
    assert held_out_groups(family.questions) == set()
    grams = gather(family)
    assert len(grams.held_out(0)) == 0


def test_a_file_gives_back_what_was_summed(family, tmp_path: Path) -> None:
    path, held_out = tmp_path / "grams.safetensors", {family.questions[0].group}
    with gather_grams(path, layout_of(family), ORIGIN) as written:
        assert not path.exists()
        observe(family.adapter, family.questions, batch_size=3, grams=written, held_out=held_out)
        written.factor = 1e-3
    read, expected = Grams.load(path), gather(family, held_out=held_out)
    assert read.factor == 1e-3
    assert read.layout == layout_of(family)
    for block in range(2):
        assert torch.equal(read.gram(block), expected.gram(block))
        assert torch.equal(read.held_out(block), expected.held_out(block))


def test_a_failure_leaves_no_file(family, tmp_path: Path) -> None:
    path = tmp_path / "grams.safetensors"
    with pytest.raises(KeyboardInterrupt), gather_grams(path, layout_of(family), ORIGIN):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_at_once(family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with (
        pytest.raises(RunError, match="No space left on device"),
        gather_grams(tmp_path / "grams.safetensors", layout_of(family), ORIGIN),
    ):
        pytest.fail("nothing is computed")


def test_something_else_is_refused(family, tmp_path: Path) -> None:
    path = tmp_path / "grams.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(IncompleteRunError, match="cut off or no Gram matrices"):
        Grams.load(path)
    calibration = calibrate(family.adapter, family.questions[:1], taylor_questions=1)
    calibration.save(path)
    with pytest.raises(IncompleteRunError, match="expected a file that says"):
        Grams.load(path)


class TestLayout:
    def test_tokens_stay_apart_where_the_disk_allows(self) -> None:
        widths = [11_008] * 36
        apart = fit_layout(widths, 40e9)
        assert apart is not None
        assert str(apart) == (
            "Gram matrices: 36 blocks of 11,008 neurons, image and text tokens apart, 18.5 GB on disk"
        )
        assert fit_layout(widths, 10e9) is None
        with pytest.raises(
            InputError, match=r"mixed, 9.2 GB on disk, more than the 8 GB allowed; raise --gram-disk"
        ):
            fit_layout(widths, 8e9)

    def test_small_sums_are_exact(self) -> None:
        assert GramLayout(widths=(48, 48)).dtype == torch.float64
        assert GramLayout(widths=(11_008,) * 32).dtype == torch.float32


def test_the_same_questions_are_held_out_wherever_their_pictures_lie() -> None:
    def asked(folder: str) -> list[Question]:
        return [
            Question(
                benchmark="pope", id=str(index), prompt="?", images=(), answers=("Yes", "No"), gold=0,
                subset="random", group=f"{folder}/{index // 2}.png",
            )
            for index in range(40)
        ]  # fmt: skip

    here, there = (
        {Path(group).name for group in held_out_groups(asked(at))} for at in ("/a", "/somewhere/else")
    )
    assert here == there
    assert len(here) == 2
