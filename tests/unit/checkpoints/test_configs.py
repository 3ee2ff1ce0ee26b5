"""Settings that transformers 4 reads under other names."""

from typing import Any

import pytest

from hipp_prune.checkpoints.configs import with_old_rope

LLAMA3 = {"rope_type": "llama3", "factor": 8.0}
MROPE = {"rope_type": "default", "mrope_section": [2, 1, 1]}


@pytest.mark.parametrize(
    ("rope", "old"),
    [
        ({"rope_type": "default", "rope_theta": 5.0}, {"rope_theta": 5.0}),
        ({**MROPE, "rope_theta": 5.0}, {"rope_theta": 5.0, "rope_scaling": MROPE}),
        ({**LLAMA3, "rope_theta": 5.0}, {"rope_theta": 5.0, "rope_scaling": LLAMA3}),
        ({"full_attention": {"rope_theta": 5.0}}, {}),
        (None, {}),
    ],
)
def test_the_rotary_embedding_is_told_in_both_words(rope: Any, old: dict[str, Any]) -> None:
    text = {"rope_parameters": rope, "hidden_size": 8}
    assert with_old_rope({"text_config": text, "other": 1}) == {"text_config": {**text, **old}, "other": 1}
    assert with_old_rope(text) == {**text, **old}
