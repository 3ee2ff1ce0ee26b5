from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hipp_prune.errors import InputError, RunError
from hipp_prune.models import load_model
from hipp_prune.questions.question import Question
from hipp_prune.recovery.loss import recovery_loss
from hipp_prune.recovery.parts import Parts, unfreeze
from hipp_prune.recovery.pictures import frozen_pictures, projected_pictures
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.recovery.state import StateFile
from hipp_prune.recovery.training import Student, follow_loss, train
from tests.tiny import tiny_llava
from tests.tolerance import GRADIENTS, assert_agree
from tests.unit.full_disk import full_disk
from tests.unit.recovery.conftest import SHORT


def prepare(
    folder: Path, questions: list[Question], config: RecoverySettings = SHORT, *, memory: int = 2**30
) -> tuple[Student, Parts]:
    adapter = load_model(folder)
    parts = unfreeze(adapter, config)
    if parts.projector is None:
        return Student(adapter=adapter, show=frozen_pictures(adapter, questions)), parts
    show = projected_pictures(adapter, questions, parts.projector, memory=memory)
    return Student(adapter=adapter, show=show), parts


def gradients(
    student: Student, parts: Parts, questions: list[Question], *, packed: bool
) -> dict[str, torch.Tensor]:
    for name, parameter in parts.factors.items():
        if "lora_B" in name:  # LoRA begins with B = 0, which A gets no gradient through
            parameter.data.normal_(std=0.02, generator=torch.Generator().manual_seed(0))
    logits = student.logits(questions, packed=packed)
    loss = recovery_loss(SHORT, student.answers(questions, logits), logits, None)
    found = torch.autograd.grad(loss, list(parts.parameters.values()))
    return dict(zip(parts.parameters, found, strict=True))


def test_packed_questions_have_the_gradients_of_questions_on_their_own(
    folder: Path, questions: list[Question]
):
    packed = gradients(*prepare(folder, questions), questions, packed=True)
    single = gradients(*prepare(folder, questions), questions, packed=False)
    for name, gradient in single.items():
        assert gradient.abs().sum() > 0, name
        assert_agree(packed[name], gradient, GRADIENTS)


@pytest.mark.parametrize("distilled", [False, True])
def test_several_passes_have_the_gradient_of_one(folder: Path, questions: list[Question], distilled: bool):
    found = []
    for size in (len(questions), 5):
        student, parts = prepare(folder, questions)
        adapter = load_model(folder)
        teacher = Student(adapter=adapter, show=frozen_pictures(adapter, questions)) if distilled else None
        loss = follow_loss(student, questions, replace(SHORT, pass_size=size), teacher)
        found.append((loss, {name: parameter.grad for name, parameter in parts.parameters.items()}))
    (loss, whole), (same, pieces) = found
    assert same == pytest.approx(loss, rel=1e-5)
    for name, gradient in whole.items():
        assert gradient is not None, name
        assert_agree(pieces[name], gradient, GRADIENTS)


def test_what_the_tower_made_of_a_picture_is_as_good_as_the_picture(folder: Path, questions: list[Question]):
    kept = gradients(*prepare(folder, questions), questions, packed=True)
    anew = gradients(*prepare(folder, questions, memory=0), questions, packed=True)
    for name, gradient in anew.items():
        assert_agree(kept[name], gradient, GRADIENTS)


def test_the_towers_output_of_llava_is_kept(
    tmp_path: Path, questions: list[Question], monkeypatch: pytest.MonkeyPatch
):
    student, _ = prepare(tiny_llava(tmp_path), questions)
    monkeypatch.setattr(student.adapter, "encode_images", None)
    student.logits(questions)


def test_a_frozen_projector_still_lets_the_rest_learn(folder: Path, questions: list[Question]):
    student, parts = prepare(folder, questions, replace(SHORT, projector=False))
    assert parts.projector is None
    assert all(g.abs().sum() > 0 for g in gradients(student, parts, questions, packed=True).values())


def weights_after(
    folder: Path, questions: list[Question], state: StateFile, *, stop_after: int | None = None
) -> dict[str, torch.Tensor]:
    def stop(done: int, _: int) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    student, parts = prepare(folder, questions)
    train(student, parts, questions, SHORT, robust_share=0.5, state=state, progress=stop)
    return {name: parameter.detach().clone() for name, parameter in parts.parameters.items()}


def test_a_killed_recovery_comes_to_the_same_bits(folder: Path, questions: list[Question], tmp_path: Path):
    straight = weights_after(folder, questions, StateFile(tmp_path / "a.safetensors", {}))
    state = StateFile(tmp_path / "b.safetensors", {})
    with pytest.raises(KeyboardInterrupt):
        weights_after(folder, questions, state, stop_after=3)
    resumed = weights_after(folder, questions, state)
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_training_lowers_the_loss(folder: Path, questions: list[Question], tmp_path: Path):
    config = replace(SHORT, steps=20)
    student, parts = prepare(folder, questions, config)
    losses = train(student, parts, questions, config, robust_share=0.5, state=StateFile(tmp_path / "s", {}))
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_a_state_of_other_settings_names_what_differs(
    folder: Path, questions: list[Question], tmp_path: Path
):
    weights_after(folder, questions, StateFile(tmp_path / "s", {"rate": 1, "seed": 0}))
    with pytest.raises(RunError, match=r"other settings \(rate 1 → 2\)"):
        weights_after(folder, questions, StateFile(tmp_path / "s", {"rate": 2, "seed": 0}))


def test_a_damaged_state_and_a_full_disk_are_one_sentence(
    folder: Path, questions: list[Question], tmp_path: Path
):
    with pytest.raises(KeyboardInterrupt):
        weights_after(folder, questions, StateFile(tmp_path / "s", {}), stop_after=3)
    whole = (tmp_path / "s").read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    for damaged in (whole[:50], whole[:-8], bytes(flipped)):
        (tmp_path / "s").write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            weights_after(folder, questions, StateFile(tmp_path / "s", {}))
    with full_disk(), pytest.raises(RunError, match="cannot write"):
        weights_after(folder, questions, StateFile(tmp_path / "t", {}))
    assert not (tmp_path / "t").exists()


def test_a_teacher_with_another_vocabulary_is_refused(
    uneven: dict[str, Path], questions: list[Question], tmp_path: Path
):
    student, parts = prepare(uneven["llava"], questions)
    teacher, _ = prepare(uneven["qwen2_5_vl"], questions)
    with pytest.raises(InputError, match="vocabulary"):
        train(
            student,
            parts,
            questions,
            SHORT,
            robust_share=0.5,
            state=StateFile(tmp_path / "s", {}),
            teacher=teacher,
        )


def test_a_loss_that_explodes_stops_the_recovery(folder: Path, questions: list[Question], tmp_path: Path):
    student, parts = prepare(folder, questions)
    next(iter(parts.whole.values())).data.fill_(float("nan"))
    with pytest.raises(InputError, match="loss became nan"):
        train(student, parts, questions, SHORT, robust_share=0.5, state=StateFile(tmp_path / "s", {}))
