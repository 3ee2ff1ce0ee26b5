from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hipp_prune.errors import InputError, RunError
from hipp_prune.experiments.damage.cells import DENSE_CELL, DamageCell, read_results, schedule
from hipp_prune.experiments.damage.compensating import pruned
from hipp_prune.experiments.damage.settings import DamageSettings
from hipp_prune.experiments.damage.stage import damage, write_down
from hipp_prune.experiments.damage.yardstick import TextYardstick, at_most_a_file, file_of
from hipp_prune.experiments.photo.build import build_rung
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.questions.sources import load_questions
from tests.tiny_language import tiny_language

_TEXTS = ("A dog sits on the table.", "Is there a ball in the kitchen? " * 8)


@pytest.fixture(scope="module")
def rung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def language() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        model, tokenizer = tiny_language()
        for name, weight in model.named_parameters():
            if ".mlp." in name:
                weight.data *= 10  # as drawn, its MLPs hardly change what it says
        return model, tokenizer

    folder = tmp_path_factory.mktemp("damage") / "rung"
    settings = PhotoSettings(tasks=("presence", "counting"), scenes=30, steps=1, batch_size=4, lora_rank=2)
    build_rung(folder, settings, language=language)
    return folder


@pytest.fixture(scope="module")
def adapter(rung: Path) -> Adapter:
    return load_model(rung / "model")


@pytest.fixture(scope="module")
def settings(rung: Path) -> DamageSettings:
    return DamageSettings(
        questions=tuple(
            str(rung / "questions" / f"{name}.jsonl") for name in ("presence", "counting", "open")
        ),
        texts=(rung / "texts" / "held-out.txt",),
        general_text=(rung / "texts" / "general.txt",),
        limit=6,
        windows=3,
        calibration=8,
        evaluations=12,
        search_questions=4,
        search_windows=2,
        batch_size=4,
    )


def test_the_dense_model_is_no_distance_from_itself_and_another_as_far_as_kl_says(adapter: Adapter) -> None:
    yardstick = TextYardstick(adapter, _TEXTS)
    assert yardstick.divergences() == pytest.approx([0, 0], abs=1e-3)
    batch = adapter.encode_texts(_TEXTS[1:], most=128)
    head = adapter.model.get_output_embeddings()

    def everywhere() -> torch.Tensor:
        with torch.no_grad():
            states = adapter.hidden_states(batch, [])[0, : int(batch.last[0]) + 1]
            return head(states)[3::4].double().log_softmax(-1)

    dense, down = everywhere(), adapter.blocks[0].down.weight
    before = down.detach().clone()
    down.data = torch.randn_like(before)
    now, found = everywhere(), yardstick.divergences()
    down.data = before
    expected = float((dense.exp() * (dense - now)).sum(-1).mean())
    assert expected > 0.001
    assert found[1] == pytest.approx(expected, rel=0.02)


def test_unrepaired_pruning_is_masking(adapter: Adapter) -> None:
    masks = [np.arange(block.down.in_features) % 3 != 0 for block in adapter.blocks]
    mlps = [
        PrunedMlp(block.down.weight.detach()[:, torch.from_numpy(mask)])
        for block, mask in zip(adapter.blocks, masks, strict=True)
    ]
    batch = adapter.encode_texts(_TEXTS, most=32)
    with torch.no_grad():
        whole = adapter.answer_logits(batch, [])
        with pruned(adapter, masks, mlps):
            found = adapter.answer_logits(batch, [])
        with apply_masks(adapter, masks):
            wanted = adapter.answer_logits(batch, [])
        assert torch.equal(adapter.answer_logits(batch, []), whole)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, whole, atol=1e-5)


def test_every_file_has_at_most_so_many_questions(settings: DamageSettings, tmp_path: Path) -> None:
    questions = load_questions(settings.questions, "all", cache=tmp_path)
    few, more = (at_most_a_file(questions, count, seed=0) for count in (3, 6))
    for name in ("presence", "counting", "agreement"):
        numbers = [sum(file_of(question) == name for question in part) for part in (few, more)]
        assert numbers == [3, 6]
    assert {question.id for question in few} < {question.id for question in more}


def test_cells_go_seed_by_seed_behind_the_dense_one() -> None:
    cells = schedule(("uniform", "dense", "flap"), ("none", "ridge"), (0.1, 0.2), range(2))
    assert cells[0] == DENSE_CELL
    assert len(cells) == 1 + 2 * 2 * 2 * 2
    assert [cell.seed for cell in cells[1:]] == [0] * 8 + [1] * 8
    assert len({cell.path(Path()) for cell in cells}) == len(cells)


def test_damage_is_measured_resumed_and_tabulated(
    rung: Path, settings: DamageSettings, tmp_path: Path
) -> None:
    out, said = tmp_path / "damaged", list[str]()

    def measure(settings: DamageSettings) -> None:
        damage(
            out,
            str(rung / "model"),
            settings,
            methods=("uniform", "surrogate"),
            budgets=(0.3, 0.5),
            compensations=("none", "ridge", "sequential"),
            seeds=range(1),
            say=said.append,
        )

    measure(settings)
    found = {result.cell: result for result in read_results(out)}
    assert len(found) == 1 + 2 * 2 * 3
    dense = found.pop(DENSE_CELL)
    assert max(max(kl) for kl in dense.kl.values()) < 1e-3
    assert set(dense.right) == {"presence", "counting"}
    assert set(dense.kl) == {"agreement", "texts"}
    for cell, result in found.items():
        assert result.saved == pytest.approx(cell.budget, abs=0.04)
        assert min(result.kl["texts"]) > 0
    evaluated = (out / "searches" / "surrogate-ridge-0.jsonl").read_text()
    gone = DamageCell(method="surrogate", compensation="ridge", budget=0.5, seed=0)
    kept = found[gone]
    gone.path(out).unlink()
    said.clear()
    measure(settings)
    assert [line.partition("  ")[0] for line in said] == ["1/1"]
    again = {result.cell: result for result in read_results(out)}[gone]
    assert again.kept == kept.kept
    assert (out / "searches" / "surrogate-ridge-0.jsonl").read_text() == evaluated
    table, lines = write_down(out)
    assert len(table) == 2 + 2 * 2 * 3
    assert sum("surrogate is" in line for line in lines) == 6 * 4
    assert (out / "damage.svg").read_text().count("<polyline") == 3 * 4
    with pytest.raises(RunError, match="limit 6 → 7"):
        measure(replace(settings, limit=7))


def test_methods_that_cannot_be_repaired_are_refused(settings: DamageSettings, tmp_path: Path) -> None:
    for method, why in (("slicegpt", "more than whole neurons"), ("nothing", "there is no method")):
        with pytest.raises(InputError, match=why):
            damage(
                tmp_path / "out",
                "nowhere",
                settings,
                methods=(method,),
                budgets=(0.1,),
                compensations=("none",),
                seeds=[0],
            )


def test_something_has_to_judge() -> None:
    with pytest.raises(InputError, match="nothing judges"):
        DamageSettings(questions=())
