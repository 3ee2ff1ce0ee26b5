import sys

import pytest

from hipp_prune.files.modules import load_module, module_names


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "shelf_of_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "two_words.py").write_text("SETTINGS = 2\n")
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    (folder / "_shared.py").write_text("")
    (folder / "notes.txt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def test_names_are_those_of_the_files_and_nothing_is_imported(package):
    assert module_names(package) == ("broken", "two-words")
    assert f"{package}.two_words" not in sys.modules


def test_a_module_has_the_members_it_must(package):
    assert load_module(package, "two-words", "SETTINGS").SETTINGS == 2
    with pytest.raises(
        AssertionError, match=r"two_words.py must define plan, search, as every module of shelf"
    ):
        load_module(package, "two-words", "SETTINGS", "plan", "search")
