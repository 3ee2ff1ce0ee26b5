"""The notebook runs as it stands, in a kernel of its own, and shows its pictures; it is stored without outputs."""

import os
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
nbformat = pytest.importorskip("nbformat", reason="pip install '.[dev]' brings it")
nbclient = pytest.importorskip("nbclient", reason="pip install '.[dev]' brings it")


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_valid_and_stored_without_outputs(notebook) -> None:
    nbformat.validate(notebook)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
    assert [cell.execution_count for cell in notebook.cells if cell.get("execution_count")] == []


@pytest.mark.skipif("DOCS" not in os.environ, reason="make test-docs runs it, and CI does")
@pytest.mark.filterwarnings("default")  # what a kernel's packages warn of is not ours
def test_it_prunes_the_embedded_model_and_shows_pictures(
    notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(__file__).parents[2] / "src"
    monkeypatch.setenv("PYTHONPATH", str(source))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 4
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert [line.split()[0] for line in printed.splitlines()] == ["dense", "robustness", "utility"]
    dense, *pruned = [float(line.split()[-2]) for line in printed.splitlines()]
    assert all(megabytes < dense for megabytes in pruned)
