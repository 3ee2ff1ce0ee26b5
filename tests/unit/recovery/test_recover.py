import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from hipp_prune.checkpoints.finding import find_tensors
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.checkpoints.ledger import checkpoint_compensation, checkpoint_ledger
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, OutputExistsError, QuestionError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.recovery.recover import RecoveryReport, recover_checkpoint, state_file
from hipp_prune.recovery.training import Student
from tests.tiny import FAMILIES, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import fit_somehow, logits, make_plan, stock_inputs
from tests.unit.full_disk import full_disk
from tests.unit.recovery.conftest import SHORT


def recover(folder: Path, out: Path, questions: list[Question], **options: Any) -> RecoveryReport:
    return recover_checkpoint(folder, load_model(folder), questions, out, SHORT, **options)


def answers(folder: Path) -> Tensor:
    adapter = load_model(folder)
    return logits(adapter.model, stock_inputs(adapter))


def test_the_merged_checkpoint_is_the_trained_model(folder: Path, questions: list[Question], tmp_path: Path):
    adapter = load_model(folder)
    inputs = stock_inputs(adapter)
    before = logits(adapter.model, inputs)
    recover_checkpoint(folder, adapter, questions, tmp_path / "out", SHORT)
    trained, merged = logits(adapter.model, inputs), answers(tmp_path / "out")
    assert_agree(merged, trained)
    assert (merged - before).abs().max() > 1e-2
    assert not state_file(tmp_path / "out").exists()


@pytest.mark.parametrize("projector", [False, True])
@pytest.mark.parametrize("name", ["llava_onevision", "qwen2_5_vl"])
def test_questions_about_several_pictures_are_learnt(
    name: str, projector: bool, questions: list[Question], tmp_path: Path
):
    folder = FAMILIES[name](tmp_path)
    shown = [question.images[0] for question in questions[:3]]
    pairs = [
        replace(question, images=(shown[row % 3], shown[(row + 1) % 3]))
        for row, question in enumerate(questions[:8])
    ]
    adapter = load_model(folder)
    before = answers_about(adapter, pairs, adapter.encode)
    recover_checkpoint(folder, adapter, pairs, tmp_path / "out", replace(SHORT, projector=projector))
    merged = load_model(tmp_path / "out")
    after = answers_about(adapter, pairs, adapter.pack)
    assert_agree(answers_about(merged, pairs, merged.encode), after)
    assert (after - before).abs().max() > 1e-2


@torch.no_grad()
def answers_about(adapter: Adapter, questions: list[Question], encode: Callable[..., Any]) -> Tensor:
    paths = pictures_of(questions)
    features = adapter.encode_images([read_image(path) for path in paths])
    return adapter.answer_logits(*encode(questions, dict(zip(paths, features, strict=True))))


def test_widths_stay_uneven_and_plain_transformers_loads_it(
    folder: Path, questions: list[Question], tmp_path: Path
):
    out = tmp_path / "out"
    recover(folder, out, questions)
    adapter = load_model(out)
    assert adapter.shape.neurons == (30, 21)
    assert (out / "plan.json").read_bytes() == (folder / "plan.json").read_bytes()
    stock, info = AutoModelForImageTextToText.from_pretrained(
        out, trust_remote_code=True, output_loading_info=True
    )
    assert not any(info[f"{kind}_keys"] for kind in ("missing", "unexpected", "mismatched"))
    inputs = stock_inputs(adapter)
    assert_agree(logits(stock.eval(), inputs), logits(adapter.model, inputs))


def test_a_compensated_checkpoint_is_recovered_from_the_compensated_weights_and_stays_told_as_one(
    questions: list[Question], tmp_path: Path
):
    dense, compensated = tiny_llava(tmp_path), tmp_path / "compensated"
    plan = make_plan(load_model(dense), "coupled", (30, 21)).with_compensation("ridge", 0.5, 1e-3)
    prune_checkpoint(dense, plan, compensated, down_weights=fit_somehow(plan))
    prune_checkpoint(dense, plan, tmp_path / "plain")
    recover(compensated, tmp_path / "out", questions)
    downs = [
        load_model(folder).blocks[0].down.weight
        for folder in (tmp_path / "out", compensated, tmp_path / "plain")
    ]
    assert torch.equal(downs[0], downs[1]), "LoRA is on the last block only"
    assert (downs[0] - downs[2]).abs().max() > 1e-3
    assert checkpoint_compensation(tmp_path / "out") == "ridge"
    for folder in (compensated, tmp_path / "out"):
        card = (folder / "README.md").read_text()
        assert "- compensation: ridge" in card
        assert "- ridge factor: 0.001" in card


def test_an_untied_head_is_saved_and_counted(
    uneven: dict[str, Path], questions: list[Question], tmp_path: Path
):
    folder, out = uneven["qwen2_5_vl"], tmp_path / "out"
    report = recover(folder, out, questions)
    assert report.untied > 0
    assert report.bytes_after - report.bytes_before == 4 * report.untied
    model = load_model(out).model
    head, embeddings = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert not torch.equal(head, embeddings)
    assert torch.equal(embeddings, load_model(folder).model.get_input_embeddings().weight)
    plan = Plan.load(out / "plan.json")
    assert checkpoint_ledger(folder) == plan.ledger
    ledger = checkpoint_ledger(out)
    assert ledger is not None
    assert ledger.mlp == plan.ledger.mlp
    lost = (plan.ledger.model - ledger.model) * plan.shape.total_parameters
    assert lost == pytest.approx(report.untied)
    recover(out, tmp_path / "again", questions)
    assert checkpoint_ledger(tmp_path / "again") == ledger


def test_only_what_was_trained_changes(uneven: dict[str, Path], questions: list[Question], tmp_path: Path):
    folder = uneven["llava"]
    recover(folder, tmp_path / "out", questions)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all(
        "lm_head" in name
        or "projector" in name
        or name == "language_model.model.norm.weight"
        or ".layers.1." in name
        for name in changed
    )
    assert not any("vision" in name or "embed_tokens" in name for name in changed)
    assert len(changed) == 1 + 1 + 4 + 7


def test_shards_precision_and_their_index_stay(questions: list[Question], tmp_path: Path):
    dense = tiny_qwen2_5_vl(tmp_path, max_shard_size="40KB", dtype=torch.bfloat16)
    recover_checkpoint(dense, load_model(dense, dtype="float32"), questions, tmp_path / "out", SHORT)
    names = [
        sorted(path.name for path in folder.glob("*.safetensors")) for folder in (dense, tmp_path / "out")
    ]
    assert names[0] == names[1]
    assert len(names[0]) > 2
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert "lm_head.weight" in index["weight_map"]
    adapter = load_model(tmp_path / "out")
    assert {parameter.dtype for parameter in adapter.model.parameters()} == {torch.bfloat16}


def test_masked_rows_stay_zero_to_the_bit(questions: list[Question], tmp_path: Path):
    dense = tiny_llava(tmp_path)
    plan = make_plan(load_model(dense), "rows", (30, 20, 25, 16))
    prune_checkpoint(dense, plan, tmp_path / "masked")
    adapter = load_model(tmp_path / "masked")
    recover_checkpoint(
        tmp_path / "masked", adapter, questions, tmp_path / "out", replace(SHORT, lora_blocks=2)
    )
    masks = [torch.as_tensor(mask) for mask in plan.keep_masks()]
    for index, block in enumerate(load_model(tmp_path / "out").blocks):
        for projection, keep in zip((block.gate, block.up, block.down), masks[3 * index :], strict=False):
            assert (projection.weight[~keep] == 0).all()
            assert (projection.weight[keep] != 0).any(dim=1).all()
    for before, after in zip(
        load_model(tmp_path / "masked").blocks, load_model(tmp_path / "out").blocks, strict=True
    ):
        assert not torch.equal(before.gate.weight, after.gate.weight), "LoRA did train what is kept"


def test_zeroed_columns_stay_zero_too(questions: list[Question], tmp_path: Path):
    folder = tiny_llava(tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "language_model" in name and "layers.1.mlp.down_proj" in name)
    weights[name][:, 5] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    recover(folder, tmp_path / "out", questions)
    down = load_model(tmp_path / "out").blocks[1].down.weight
    assert (down[:, 5] == 0).all()
    assert (down[:, 4] != 0).any()


def test_the_adapter_and_the_deltas_make_the_merged_checkpoint(
    folder: Path, questions: list[Question], tmp_path: Path
):
    """As ``docs/method.md`` prints it."""
    out = tmp_path / "out"
    recover(folder, out, questions, keep_adapter=True)
    model = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True).eval()
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    model.load_state_dict(load_file(out / "adapter" / "deltas.safetensors"), strict=False)
    inputs = stock_inputs(load_model(folder))
    model = PeftModel.from_pretrained(model, str(out / "adapter")).eval()
    assert_agree(logits(model, inputs), answers(out))


def test_a_renamed_checkpoint_is_found_by_content(tmp_path: Path):
    tensor = torch.randn(4, 3)
    stored = {
        "language_model.model.layers.0.self_attn.q_proj.weight": tensor,
        "vision_tower.encoder.layers.0.self_attn.q_proj.weight": torch.randn(4, 3),
        "other.weight": tensor.clone(),
    }
    save_file(stored, tmp_path / "model.safetensors")
    shards = open_shards(tmp_path)
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    ((_, entry),) = find_tensors(shards, {name: tensor}).values()
    assert entry.name == "language_model.model.layers.0.self_attn.q_proj.weight"
    with pytest.raises(CheckpointError, match="found it 0 times"):
        find_tensors(shards, {name: tensor + 1})


def test_a_full_disk_loses_neither_the_work_nor_half_a_checkpoint(
    uneven: dict[str, Path], questions: list[Question], tmp_path: Path
):
    out = tmp_path / "out"

    def fill(done: int, total: int) -> None:
        if done == total:
            raise _Full

    with pytest.raises(_Full):
        recover(uneven["llava"], out, questions, progress=fill)
    with full_disk(4096), pytest.raises(CheckpointError, match="cannot write"):
        recover(uneven["llava"], out, questions)
    assert not out.exists()
    assert state_file(out).exists()
    assert len(list(tmp_path.iterdir())) == 1
    assert recover(uneven["llava"], out, questions).steps == SHORT.steps


def test_distilling_brings_the_model_closer_to_its_teacher(questions: list[Question], tmp_path: Path):
    dense = tiny_llava(tmp_path)
    folder = tmp_path / "pruned"
    prune_checkpoint(dense, make_plan(load_model(dense), "coupled", (30, 21)), folder)
    only = replace(SHORT, steps=25, next_token=0.0, yes_no=0.0, hinge=0.0, yes_rate=0.0)
    report = recover_checkpoint(
        folder, load_model(folder), questions, tmp_path / "out", only, teacher=load_model(dense)
    )
    assert report.loss_after < 0.6 * report.loss_before


def test_an_existing_output_is_refused_before_anything_is_trained(
    folder: Path, questions: list[Question], tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="already exists"):
        recover(folder, tmp_path / "out", questions)
    with pytest.raises(OutputExistsError, match="is or contains the source"):
        recover(folder, folder, questions)


def test_no_question_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(QuestionError, match="none"):
        recover(folder, tmp_path / "out", [])


def test_recovery_json_says_what_was_done(folder: Path, questions: list[Question], tmp_path: Path):
    recover(folder, tmp_path / "out", questions, record={"model": "mine"})
    record = json.loads((tmp_path / "out" / "recovery.json").read_text())
    assert record["model"] == "mine"
    assert record["settings"]["steps"] == len(record["losses"]) == SHORT.steps
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_student_asks_as_the_evaluator_does(folder: Path, questions: list[Question]):
    from hipp_prune.evaluation.evaluator import Evaluator
    from hipp_prune.recovery.pictures import frozen_pictures

    adapter = load_model(folder)
    student = Student(adapter=adapter, show=frozen_pictures(adapter, questions))
    with torch.no_grad():
        said = student.answers(questions, student.logits(questions))
    evaluator = Evaluator(adapter, questions)
    expected = torch.from_numpy(evaluator.scores(evaluator.prepare()).answers).float()
    assert_agree(said.allowed, expected)


class _Full(Exception):
    """The process is killed here."""


def test_only_the_only_subset_that_is_named_is_learnt_from(
    folder: Path, questions: list[Question], tmp_path: Path
):
    """The fixture's POPE questions are all ``random``: without them ScienceQA remains, and without that nothing."""
    popular = replace(SHORT, only_subset="popular")
    learnt = recover_checkpoint(folder, load_model(folder), questions, tmp_path / "rest", popular)
    assert learnt.losses != recover(folder, tmp_path / "all", questions).losses
    only_pope = [question for question in questions if question.benchmark == "pope"]
    with pytest.raises(QuestionError, match="recovery questions"):
        recover_checkpoint(folder, load_model(folder), only_pope, tmp_path / "none", popular)
