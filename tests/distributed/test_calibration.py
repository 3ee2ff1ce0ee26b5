"""Workers calibrate on parts of the questions and end with what one worker measures on all of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hipp_prune.calibration.grams import Grams
from hipp_prune.questions.question import Question
from tests.distributed import jobs
from tests.tiny import tiny_image, tiny_llava
from tests.tolerance import GRADIENTS, assert_agree


def ask(folder: Path, count: int) -> list[Question]:
    """Questions about one picture after the other, every third without any."""
    questions = []
    for index in range(count):
        image = None if index % 3 == 2 else folder / f"{index // 3}.png"
        if image is not None:
            tiny_image(index // 3).save(image)
        questions.append(
            Question(
                benchmark="pope", id=f"random/{index}", prompt=f"Is there a red cup in the image number {index}?",
                images=(image,) if image else (), answers=("Yes", "No"), gold=index % 2, subset="random",
                group=str(image or index),
            )
        )  # fmt: skip
    return questions


@pytest.mark.parametrize(("questions", "workers"), [(8, 2), (1, 2)], ids=["shares", "one has nothing to do"])
def test_sums_of_all_workers_are_those_of_one(tmp_path: Path, questions: int, workers: int) -> None:
    model = tiny_llava(tmp_path)
    asked = ask(tmp_path, questions)
    for count in (1, workers):
        (tmp_path / str(count)).mkdir()
        jobs.run(tmp_path / str(count), count, jobs.calibrate_model, model, asked, tmp_path / str(count))
    alone = load_file(tmp_path / "1" / "0.safetensors")
    assert alone["inputs.0.count"].sum() > 0
    assert alone["taylor.0"].sum() > 0
    for rank in range(workers):
        together = load_file(tmp_path / str(workers) / f"{rank}.safetensors")
        assert together.keys() == alone.keys()
        for name, tensor in alone.items():
            assert_agree(together[name], tensor, GRADIENTS)
    written = Grams.load(tmp_path / str(workers) / "grams.safetensors")
    expected = load_file(tmp_path / "1" / "grams-0.safetensors")
    assert len(expected) == 2
    for block, gram in enumerate(expected[str(index)] for index in range(2)):
        assert_agree(written.gram(block), gram, GRADIENTS)
        for rank in range(workers):
            found = load_file(tmp_path / str(workers) / f"grams-{rank}.safetensors")
            assert torch.equal(found[str(block)], written.gram(block))
    assert not [path for path in (tmp_path / str(workers)).iterdir() if path.name.endswith(".tmp")]
