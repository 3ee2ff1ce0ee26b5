from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import AutoModelForImageTextToText

from hipp_prune.errors import InputError, RunError
from hipp_prune.experiments.photo.assembly import ridge
from hipp_prune.experiments.photo.build import build_rung
from hipp_prune.experiments.photo.drawn import Collection, write_collection
from hipp_prune.experiments.photo.settings import PhotoSettings, PhotoTask
from hipp_prune.experiments.photo.tasks import IN_PICTURES, facts
from hipp_prune.experiments.photo.texts import GENERAL, HELD_OUT, prose, write_texts
from hipp_prune.models import load_model
from hipp_prune.questions.sources import load_questions
from hipp_prune.questions.toyworld.scenes import rng_for, scenes
from tests.tiny_language import tiny_language


def test_ridge_finds_a_linear_map() -> None:
    inputs, truth = torch.randn(200, 5), torch.randn(3, 5)
    weight, bias = ridge(inputs, inputs @ truth.T + 2, penalty=1e-3)
    assert torch.allclose(weight, truth, atol=0.02)
    assert torch.allclose(bias, torch.full((3,), 2.0), atol=0.02)


@pytest.mark.parametrize("task", IN_PICTURES)
def test_questions_about_a_scene_are_different(task: PhotoTask) -> None:
    stream = scenes(0, "test")
    for number in range(20):
        texts = [row.question for row in IN_PICTURES[task](next(stream), rng_for(number))]
        assert len(texts) == len(set(texts))


def test_facts_are_asked_in_other_words_than_they_are_taught() -> None:
    taught, asked = (
        {row.question for row in facts(rng_for(0), taught=taught, times=1)} for taught in (True, False)
    )
    assert taught
    assert asked
    assert not taught & asked


def test_a_rung_is_built_once_and_loads_like_any_model(tmp_path: Path) -> None:
    said: list[str] = []
    rung, settings = tmp_path / "rung", PhotoSettings(scenes=12, steps=2, batch_size=4, lora_rank=2)
    model = build_rung(rung, settings, language=tiny_language, say=said.append)
    assert any("projector: explains" in line for line in said)
    assert load_model(model).shape.num_blocks == 2
    assert AutoModelForImageTextToText.from_pretrained(model).config.text_config.hidden_size == 32
    files = [str(rung / "questions" / f"{task}.jsonl") for task in settings.tasks]
    kinds = Counter(question.benchmark for question in load_questions(files, "all", cache=tmp_path))
    assert set(kinds) == {"yes-no", "choices", "yes-no-utility"}
    weights = (model / "model.safetensors").read_bytes()
    assert build_rung(rung, settings, language=tiny_language) == model
    assert (model / "model.safetensors").read_bytes() == weights
    with pytest.raises(RunError, match="steps 2 → 3"):
        build_rung(rung, replace(settings, steps=3), language=tiny_language)
    (rung / "untrained" / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is not what we wrote"):
        build_rung(rung, settings, language=tiny_language)


def test_only_the_tasks_that_are_asked_for_are_taught(tmp_path: Path) -> None:
    settings = PhotoSettings(tasks=("presence",), scenes=3)
    for name in get_args(Collection):
        prompts = {"open": 3} if name == "questions" else {}
        assert write_collection(tmp_path / name, name, settings) == {"presence": 18, **prompts}
        files = {"pictures", "presence.jsonl", *(f"{each}.jsonl" for each in prompts)}
        assert {path.name for path in (tmp_path / name).iterdir()} == files
    taught, asked = ((tmp_path / name / "presence.jsonl").read_text() for name in get_args(Collection))
    assert taught != asked


def test_texts_are_prose_and_no_paragraph_is_in_both(tmp_path: Path) -> None:
    counts = write_texts(tmp_path)
    held_out, general = (set((tmp_path / name).read_text().split("\n\n")) for name in (HELD_OUT, GENERAL))
    assert min(counts.values()) > 100_000
    assert not held_out & general
    assert list(prose(["# Title\n\n" + "plain words " * 20 + "\n\n" + "x = f(1, 2); " * 30])) == [
        ("plain words " * 20).strip()
    ]


def test_a_rung_without_a_task_is_refused() -> None:
    with pytest.raises(InputError, match="--tasks names nothing to learn"):
        PhotoSettings(tasks=())
