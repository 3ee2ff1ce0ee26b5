import json
from pathlib import Path

from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings
from hipp_prune.stages.split_questions import SplitQuestions
from tests.tiny import tiny_image


def _refused(folder: Path, *, damaged: bool = False) -> list[str]:
    """What is refused of three questions about one picture."""
    picture = folder / "0.png"
    tiny_image().save(picture)
    if damaged:
        picture.write_bytes(b"no picture")
    rows = [{"image": picture.name, "question": f"Is {n} there?", "answer": "Yes"} for n in range(3)]
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused: list[str] = []
    SplitQuestions(
        [str(folder / "few.jsonl")],
        folder,
        CalibrateSettings(count=4),
        EvaluateSettings(),
        refused,
        recovers=True,
    )
    return refused


def test_too_few_pictures_are_refused_once_and_not_for_every_split(tmp_path: Path) -> None:
    (only,) = _refused(tmp_path)
    assert "expected some in every split, found none for " in only
    assert only.endswith("add questions about 4 more")


def test_a_damaged_picture_is_refused_beside_too_few(tmp_path: Path) -> None:
    few, damaged = _refused(tmp_path, damaged=True)
    assert "expected some in every split" in few
    assert "0.png" in damaged
