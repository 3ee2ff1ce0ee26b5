"""``docs/benchmarks.md`` says of a benchmark what its module says; one without a row is skipped, and named."""

import re
from pathlib import Path

import pytest

from hipp_prune.questions.benchmarks import BENCHMARKS, lmms_eval
from hipp_prune.questions.sources import load_questions
from tests.contract.tiny_benchmarks import WRITERS
from tests.contract.tiny_task import tiny_task

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
DESCRIBED = {"amber", "dash_b", "hallusionbench", "lmms-eval", "mme", "pope", "repope", "scienceqa"}
"""What the page may not lose."""
OWN = "Your own questions"
"""The section of benchmarks that are no file of others."""


def rows() -> dict[str, list[str]]:
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("| name |") :].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_row_is_of_a_benchmark_and_has_a_section() -> None:
    assert set(rows()) >= DESCRIBED
    assert list(rows()) == [name for name in BENCHMARKS if name in rows()]
    sections = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(sections) == {OWN, *(BENCHMARKS[name].title for name in rows())}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_row_says_what_the_module_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = BENCHMARKS[name]
    if name not in rows():
        pytest.skip(f"{benchmark.title} has no row and no section in docs/benchmarks.md yet")
    title, role, source, columns, chance, reference = rows()[name]
    options = "".join(f"[,{option}=…]" for option in benchmark.source_options)
    assert title.startswith(benchmark.title)
    assert role == benchmark.role
    assert source == f"`{name}:PATH{options}`"
    monkeypatch.setattr(lmms_eval, "open_task", tiny_task)
    questions = load_questions([WRITERS[name](tmp_path)], "all", cache=tmp_path / "cache")
    found = benchmark.score(questions, [question.gold for question in questions], "official")
    assert re.findall(r"`([^`]+)`", columns) == list(found.rows()[0][1:])
    assert chance.startswith("50%") or "guess" in chance
    if benchmark.of_dense:
        assert "agreement with the dense model" in title
        assert reference == "ours"
    else:
        assert re.search(r"20\d\d, arXiv \d{4}\.\d{5}, github\.com/", reference)
