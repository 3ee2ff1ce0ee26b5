from functools import reduce
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.calibration.activations import Moments, record_moments
from hipp_prune.errors import InputError


def _literal(values: torch.Tensor, image: torch.Tensor, text: torch.Tensor) -> Moments:
    parts = [values[mask].double() for mask in (image, text)]
    return Moments(
        count=torch.tensor([float(len(part)) for part in parts], dtype=torch.float64),
        total=torch.stack([part.sum(0) for part in parts]),
        square=torch.stack([(part**2).sum(0) for part in parts]),
        maximum=torch.stack(
            [part.abs().amax(0) if len(part) else torch.zeros(values.shape[-1]).double() for part in parts]
        ),
    )


def _assert_close(ours: Moments, theirs: Moments, rtol: float = 1e-12) -> None:
    for kind in ("count", "total", "square", "maximum"):
        left, right = getattr(ours, kind), getattr(theirs, kind)
        assert left.dtype == torch.float64
        torch.testing.assert_close(left, right, rtol=rtol, atol=rtol)


@given(
    seed=st.integers(0, 2**31 - 1),
    samples=st.integers(1, 6),
    tokens=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 6), max_size=4),
    shuffled=st.booleans(),
)
def test_moments_do_not_depend_on_chunking_or_order(seed, samples, tokens, cuts, shuffled):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(samples, tokens, 3, generator=generator) * 100
    kind = torch.randint(0, 3, (samples, tokens), generator=generator)  # image, text, padding
    image, text = kind == 0, kind == 1
    edges = sorted({0, samples, *(min(cut, samples) for cut in cuts)})
    chunks = [slice(a, b) for a, b in pairwise(edges)]
    parts = [Moments.of(values[chunk], image[chunk], text[chunk]) for chunk in chunks]
    if shuffled:
        parts.reverse()
    _assert_close(reduce(Moments.merge, parts), _literal(values, image, text))


def test_many_tokens_are_summed_in_pieces():
    values = torch.randn(2, 2500, 4, generator=torch.Generator().manual_seed(0))
    text = torch.ones(2, 2500, dtype=torch.bool)
    _assert_close(Moments.of(values, ~text, text), _literal(values, ~text, text))


def test_half_precision_does_not_overflow():
    values = torch.full((1, 3, 2), 60_000.0, dtype=torch.float16)
    text = torch.ones(1, 3, dtype=torch.bool)
    moments = Moments.of(values, ~text, text)
    assert moments.square[1].tolist() == [3 * float(values[0, 0, 0]) ** 2] * 2


def _moments(image: list[float], text: list[float]) -> Moments:
    values = torch.tensor([*image, *text])[None, :, None]
    is_image = torch.arange(len(image) + len(text))[None] < len(image)
    return Moments.of(values, is_image, ~is_image)


def test_modalities_are_mixed_by_weight_not_by_count():
    moments = _moments([1.0, 1.0, 1.0, 1.0], [3.0])
    assert moments.rms(0.5).item() == pytest.approx(5**0.5)
    assert moments.rms(0.0).item() == pytest.approx(3.0)
    assert moments.rms(1.0).item() == pytest.approx(1.0)
    assert moments.mean(0.25).item() == pytest.approx(2.5)


def test_a_modality_without_tokens_counts_nothing():
    assert _moments([], [3.0, 4.0]).rms(0.5).item() == pytest.approx(12.5**0.5)
    assert _moments([2.0], []).rms(0.01).item() == pytest.approx(2.0)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_weights_outside_the_unit_interval_are_refused(weight):
    with pytest.raises(InputError, match="image weight"):
        _moments([1.0], [1.0]).rms(weight)


def test_all_weight_on_absent_tokens_is_refused():
    with pytest.raises(InputError, match="0 image and 1 text tokens"):
        _moments([], [1.0]).rms(1.0)


def test_hooks_see_gate_and_down_inputs_without_padding(family):
    adapter = family.adapter
    batch, images = family.encode(family.questions)
    with torch.no_grad(), record_moments(adapter.blocks, batch) as recorded:
        adapter.hidden_states(batch, images)
    seen: dict[tuple[int, str], torch.Tensor] = {}
    handles = [
        getattr(block, name).register_forward_hook(
            lambda _m, arguments, _out, key=(index, name): seen.update({key: arguments[0]})
        )
        for index, block in enumerate(adapter.blocks)
        for name in ("up", "down")
    ]
    with torch.no_grad():
        adapter.hidden_states(batch, images)
    for handle in handles:
        handle.remove()
    text = batch.attention_mask.bool() & ~batch.image_mask
    for index in range(len(adapter.blocks)):
        _assert_close(recorded.inputs[index], _literal(seen[index, "up"], batch.image_mask, text))
        _assert_close(recorded.neurons[index], _literal(seen[index, "down"], batch.image_mask, text))
    assert recorded.inputs[0].count.sum() == batch.attention_mask.sum()


def test_hooks_are_removed_on_every_way_out(llava):
    adapter = llava.adapter
    batch, _ = llava.encode(llava.questions[:1])
    hooked = [module._forward_pre_hooks for block in adapter.blocks for module in (block.gate, block.down)]

    def fail():
        with record_moments(adapter.blocks, batch):
            assert all(hooked)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert not any(hooked)


def test_without_an_image_weight_every_token_counts_alike():
    moments = _moments([1.0, 1.0, 1.0], [3.0])
    assert moments.rms(None).item() == pytest.approx(((3 * 1 + 9) / 4) ** 0.5)
    assert moments.mean(None).item() == pytest.approx(6 / 4)
