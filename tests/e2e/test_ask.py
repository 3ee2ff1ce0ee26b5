"""Both models answer in their own words, and what only the pruned one names is marked."""

from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.report.side_by_side import marked
from hipp_prune.stages.ask import ask
from tests.e2e.conftest import Refused
from tests.tiny import FAMILIES, tiny_image


def test_both_answers_stand_side_by_side(
    tmp_path: Path, llava: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_image(0).save(tmp_path / "0.png")
    words = ["ask", str(llava), "What is it?", "Where?", "--dense", str(llava), "--max-tokens", "4"]
    assert main([*words, "--image", str(tmp_path / "0.png")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("pruned") == 2
    assert max(len(line) for line in printed.splitlines() if "│" in line) == 80
    assert "only" not in printed
    assert marked("A dog.", "A cat.") == "A ‹dog›."


def test_pictures_are_asked_about_in_turn_or_together(
    tmp_path: Path, llava: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    first, second = (tmp_path / f"{name}.png" for name in range(2))
    for name, path in enumerate((first, second)):
        tiny_image(name).save(path)
    words = ["ask", str(llava), "Alike?", "--max-tokens", "4", "--image", str(first), "--image", str(second)]
    assert main(words) == 0
    asked = [line for line in capsys.readouterr().out.splitlines() if "Alike?" in line]
    assert asked == [f"{first}: Alike?", f"{second}: Alike?"]
    assert main([*words, "--together"]) == 0
    asked = [line for line in capsys.readouterr().out.splitlines() if "Alike?" in line]
    assert asked == [f"{first}, {second}: Alike?"]
    together = ask(str(llava), ["Alike?"], [first, second], together=True, max_tokens=4)
    assert ask(str(llava), ["Alike?"], [second, first], together=True, max_tokens=4) != together
    family = FAMILIES["gemma3"](tmp_path / "gemma")
    for path in family.glob("*.safetensors"):
        path.write_bytes(b"no weights")
    assert "Gemma 3 cannot do several pictures: " in refused(
        ["ask", family, "?", "--image", first, "--image", second, "--together"]
    )


def test_what_cannot_be_asked_is_said(tmp_path: Path, refused: Refused) -> None:
    assert "expected an image, found nothing" in refused(
        ["ask", "toy-llava", "?", "--image", tmp_path / "no.png"]
    )
    tiny_image(0).save(tmp_path / "0.png")
    assert "config.json" in refused(["ask", tmp_path, "?", "--image", tmp_path / "0.png"])
