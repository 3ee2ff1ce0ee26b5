import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.models import packing
from hipp_prune.models.packing import PackedBatch, lay_out, visible_tokens

IMAGE = 9
PROMPTS = ([1, 9, 9, 2, 3, 4], [5, 6], [1, 9, 9, 2, 7], [1, 9, 8, 8], [1, 9, 9, 2, 3], [5, 6, 7])
"""Three questions about image a, one about b, two without an image."""
ABOUT = ("a", "", "a", "b", "a", "")


def padded(prompts):
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    return ids, lengths


def laid_out(prompts=PROMPTS, about=ABOUT):
    ids, lengths = padded(prompts)
    places = torch.arange(ids.shape[1])
    predicts = (places < lengths[:, None]) & (places >= lengths[:, None] - 1)
    return lay_out(ids, predicts, ids == IMAGE, about), ids


def test_a_shared_prefix_stands_once_and_the_rest_behind_it():
    layout, ids = laid_out()
    assert layout.members == ((0, 2, 4), (3,), (1, 5))
    assert layout.take(ids, -7).tolist() == [
        [1, 9, 9, 2, 3, 4, 7, 3],
        [1, 9, 8, 8] + [-7] * 4,
        [5, 6, 6, 7] + [-7] * 4,
    ]
    assert layout.segments[0].tolist() == [0, 0, 0, 0, 1, 1, 2, 3]
    assert layout.segments[2].tolist() == [0, 1, 2, 2] + [-1] * 4


def test_questions_without_an_image_fill_what_those_about_images_need_anyway():
    texts = ([5, 6, 1, 1], [5, 7, 2, 2], [5, 8, 3, 3])
    assert laid_out(texts, ("", "", ""))[0].members == ((0,), (1,), (2,))
    layout, _ = laid_out(([1, 9, 9, 2, 3, 4, 5], *texts), ("a", "", "", ""))
    assert layout.members == ((0,), (1, 2), (3,))
    assert layout.segments.shape == (3, 7)


def test_positions_restart_behind_the_prefix():
    layout, _ = laid_out()
    axes = torch.stack([torch.arange(6), 10 + torch.arange(6)])[:, None].expand(2, 6, 6)
    positions = layout.take(axes, 0)
    assert positions[0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 4]
    assert positions[1, 0].tolist() == [10, 11, 12, 13, 14, 15, 14, 14]


def test_answers_are_in_the_order_asked():
    layout, ids = laid_out()
    found = layout.take(ids, -7)[layout.predicts][layout.order]
    assert found.tolist() == [prompt[-1] for prompt in PROMPTS]
    taken = layout.question[layout.predicts][layout.order]
    assert taken.tolist() == list(range(len(PROMPTS)))


def test_a_question_sees_the_prefix_and_itself_only():
    assert visible_tokens(torch.tensor([[0, 1, 1, 2, -1]]))[0].long().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_is_additive_in_the_models_precision(dtype):
    segments = torch.tensor([[0, 1, 2], [0, 1, -1]])
    batch = PackedBatch(
        input_ids=segments,
        segments=segments,
        predicts=segments > 0,
        order=torch.arange(3),
        images=(),
        extras={},
    )
    mask = batch.tree_mask(dtype)
    assert mask.shape == (2, 1, 3, 3)
    assert mask.dtype == dtype
    assert torch.equal(mask[:, 0] == 0, visible_tokens(segments))
    assert mask.min() == torch.finfo(dtype).min


def test_prompts_that_put_the_image_last_share_nothing():
    layout, ids = laid_out(([1, 2, 9, 3], [1, 4, 9, 3]), ("a", "a"))
    assert layout.members == ((0,), (1,))
    assert layout.take(ids, 0).tolist() == ids.tolist()


def test_equal_prompts_each_keep_their_last_token():
    layout, ids = laid_out(([1, 9, 2], [1, 9, 2]), ("a", "a"))
    assert layout.take(ids, 0).tolist() == [[1, 9, 2, 2]]
    assert layout.predicts.tolist() == [[False, False, True, True]]


def test_many_questions_about_one_image_become_several_sequences(monkeypatch):
    monkeypatch.setattr(packing, "_OWN_TOKENS", 4)
    layout, _ = laid_out([[1, 9, 2 + n, 0, 0] for n in range(3)] + [[1, 9, *range(2, 9)]], "aaaa")
    assert layout.members == ((0,), (1,), (2,), (3,))
    monkeypatch.setattr(packing, "_OWN_TOKENS", 6)
    layout, _ = laid_out([[1, 9, 2 + n, 0, 0] for n in range(3)] + [[1, 9, *range(2, 9)]], "aaaa")
    assert layout.members == ((0, 1), (2,), (3,))


questions = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 3), min_size=1, max_size=5)),
    min_size=1,
    max_size=8,
)


@given(questions=questions)
def test_a_question_and_its_prefix_are_its_prompt(questions):
    prompts = [[4, IMAGE, IMAGE, *rest] for _, rest in questions]
    layout, ids = laid_out(prompts, [about for about, _ in questions])
    packed = layout.take(ids, -7)
    ends = torch.nonzero(layout.predicts)[layout.order]
    for prompt, (row, end) in zip(prompts, ends.tolist(), strict=True):
        assert packed[row][visible_tokens(layout.segments)[row, end]].tolist() == prompt
