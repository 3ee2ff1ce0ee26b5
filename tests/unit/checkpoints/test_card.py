"""Model cards: what they say, and that scores are renewed without touching the rest."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hipp_prune.checkpoints.card import write_card, write_scores
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError
from hipp_prune.files.writing import write_text
from hipp_prune.models import load_model
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from tests.tiny import tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    source = tiny_llava(tmp_path)
    plan = make_plan(load_model(source), "coupled", (30, 21))
    plan = replace(plan, preference=Preference.parse("2,1,1"), notes={"sparsity": 0.4, "require": {}})
    prune_checkpoint(source, plan, tmp_path / "smaller")
    return tmp_path / "smaller"


def test_it_says_what_was_pruned_for_whom_and_how_to_load_it(pruned: Path) -> None:
    card = (pruned / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: image-text-to-text\n")
    assert "# smaller" in card
    assert "- preference: 0.5 robustness, 0.25 utility, 0.25 compression" in card
    assert "- sparsity: 0.4" in card
    assert "| prunable MLP parameters | 46.88% |" in card  # 45 of 96 neurons
    assert "Kept neurons of each block: 30 21." in card
    assert "trust_remote_code=True" in card
    assert str(pruned.parent) not in card


def test_it_can_be_imported_before_anything_else() -> None:
    subprocess.run([sys.executable, "-c", "import hipp_prune.checkpoints.card"], check=True)


def test_a_stock_model_needs_no_remote_code(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (24, 24)), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "trust_remote_code" not in card
    assert "It is a stock model" in card


def test_other_architectures_are_named(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    plan = make_plan(load_model(source), "coupled", (30, 21))
    prune_checkpoint(source, plan, tmp_path / "out", down_biases=[torch.ones(32)] * 2)
    assert "biases of the down projections" in (tmp_path / "out" / "README.md").read_text()


def test_scores_are_renewed_and_the_rest_stays(pruned: Path) -> None:
    path = pruned / "README.md"
    path.write_text(path.read_text() + "\nLicence: see the base model.\n")
    before = path.read_text()
    write_scores(pruned, "| POPE | 80.0 |")
    write_scores(pruned, "| POPE | 81.0 |")
    assert path.read_text() == before.replace("Not measured yet.", "| POPE | 81.0 |")


def test_a_card_without_a_place_for_scores_is_left_alone(pruned: Path) -> None:
    (pruned / "README.md").write_text("# mine\n")
    with pytest.raises(CheckpointError, match="no place for scores"):
        write_scores(pruned, "80")
    assert (pruned / "README.md").read_text() == "# mine\n"
    write_card(pruned, "again", ["Quantised."])
    assert "\n\nQuantised.\n\n## Scores" in (pruned / "README.md").read_text()


def test_names_and_notes_of_a_plan_are_no_markup(pruned: Path) -> None:
    plan = Plan.load(pruned / "plan.json")
    write_text(
        pruned / "plan.json", replace(plan, notes={"method": '<img src="x">', "<script>": 1}).to_json()
    )
    write_card(pruned, "</h1><b>smaller</b>")
    card = (pruned / "README.md").read_text()
    assert "- method: &lt;img src=&quot;x&quot;&gt;" in card
    assert "# &lt;/h1&gt;&lt;b&gt;smaller" in card
    assert not any(tag in card for tag in ("<img", "<script", "<b>"))


def test_the_card_can_be_the_first_that_imports_transformers() -> None:
    code = "import hipp_prune.checkpoints.card as card; assert 'qwen2_5_vl' in card._VIDEO_FAMILIES"
    subprocess.run([sys.executable, "-c", code], check=True)
