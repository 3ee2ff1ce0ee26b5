"""The folder of families is their table: a file adds one, and nothing else need know it."""

from pathlib import Path

from hipp_prune.models import SUPPORTED
from tests.package_copy import copy_package, run_warm


def test_the_table_says_what_was_tested() -> None:
    assert {"llava", "qwen2_5_vl"} <= set(SUPPORTED)
    assert all(family.name and family.tested for family in SUPPORTED.values())


def test_a_second_family_of_a_model_type_and_one_without_its_row_fail_at_import(tmp_path: Path) -> None:
    package = copy_package(tmp_path)
    folder = package / "models" / "families"
    (folder / "second.py").write_text((folder / "llava.py").read_text("utf-8"), encoding="utf-8")
    twice = run_warm(package, "import hipp_prune.models")
    assert "there are two families of model type 'llava'" in twice.stderr
    (folder / "second.py").write_text("", encoding="utf-8")
    empty = run_warm(package, "import hipp_prune.models")
    assert "second.py must define FAMILY, as every module of hipp_prune.models.families" in empty.stderr
