import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hipp_prune.errors import IncompleteRunError, RunError
from hipp_prune.search import archive as archive_module
from hipp_prune.search.archive import Archive, Evaluation, kept_matrix, objective_matrix
from tests.unit.full_disk import full_disk


def _evaluation(number: int, **fields) -> Evaluation:
    values = {
        "kept": (number, 10), "minibatch": "step-0", "robustness": -0.1 * number, "utility": 0.5,
        "accuracies": {"pope": 0.75, "scienceqa": 0.4}, "questions": 64,
        "sparsity": 1 / 3, "source": "warm-up", "seconds": 0.01,
    }  # fmt: skip
    return Evaluation(**{**values, **fields})


def _drawn(number: int) -> Evaluation:
    return _evaluation(
        number, source="policy", z=(0.1, -2.0, 1e-17), budget=(0.1, 0.5), preference=(1.0, 0.0, 0.0), log_prob=-3.25
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search" / "archive.jsonl"


def test_add_and_find(path):
    archive = Archive(path)
    archive.add(_evaluation(1))
    archive.add(_evaluation(1, minibatch="step-1"))
    assert len(archive) == 2
    assert archive.find((1, 10), "step-0") == _evaluation(1)
    assert archive.find((1, 10), "step-2") is None
    assert archive.find((2, 10), "step-0") is None


def test_read_again_to_the_bit(path):
    archive = Archive(path)
    for evaluation in (_evaluation(1), _drawn(2), _evaluation(3, robustness=0.1 + 0.2)):
        archive.add(evaluation)
    assert list(Archive(path)) == list(archive)


def test_in_memory():
    archive = Archive()
    archive.add(_evaluation(1))
    assert list(archive) == [_evaluation(1)]


def test_each_evaluation_is_in_its_file_before_add_returns(path):
    archive = Archive(path)
    for number in range(3):
        archive.add(_evaluation(number))
        assert len(path.read_text().splitlines()) == number + 1


def test_the_disk_is_waited_for_at_most_once_a_second(path, monkeypatch):
    seconds, synced = iter([0.0, 0.0, 0.4, 0.9, 1.1, 1.1, 1.2]), []
    monkeypatch.setattr(archive_module, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(
        archive_module.os, "fsync", lambda _: synced.append(len(path.read_text().splitlines()))
    )
    archive = Archive(path)
    for number in range(5):
        archive.add(_evaluation(number))
    assert synced == [1, 4]


def test_paying_twice_is_our_own_mistake(path):
    archive = Archive(path)
    archive.add(_evaluation(1))
    with pytest.raises(AssertionError, match="twice"):
        archive.add(_evaluation(1, utility=0.0))


def test_a_cut_off_last_line_is_dropped_and_appending_stays_sound(path):
    archive = Archive(path)
    for number in range(3):
        archive.add(_evaluation(number))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(lines[0]) + len(lines[1]), len(whole)):
        path.write_bytes(whole[:cut])
        resumed = Archive(path)
        assert list(resumed) == [_evaluation(0), _evaluation(1)]
    resumed.add(_evaluation(7))
    assert list(Archive(path)) == [_evaluation(0), _evaluation(1), _evaluation(7)]


def test_an_empty_file_is_an_empty_archive(path):
    path.parent.mkdir()
    path.write_bytes(b"")
    assert len(Archive(path)) == 0
    path.write_bytes(b'{"kept": [1')
    archive = Archive(path)
    assert len(archive) == 0
    assert path.read_bytes() == b'{"kept": [1', "reading writes nothing"
    archive.add(_evaluation(0))
    assert list(Archive(path)) == [_evaluation(0)]


@pytest.mark.parametrize("line", [b"{", b"null", b"[]", b"{}", b"", b'{"kept": 3}', b"\xff\xfe", b"\0\0"])
def test_a_damaged_line_in_the_middle(path, line):
    archive = Archive(path)
    for number in range(3):
        archive.add(_evaluation(number))
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, lines[2], b""]))
    with pytest.raises(IncompleteRunError, match=r"line 2: expected .*; delete that line") as caught:
        Archive(path)
    assert str(path) in str(caught.value)


def test_a_field_of_another_version(path):
    path.parent.mkdir()
    path.write_text(json.dumps({**asdict(_evaluation(1)), "colour": "blue"}) + "\n")
    with pytest.raises(IncompleteRunError, match=r"line 1: .*colour"):
        Archive(path)


def test_disk_full_loses_nothing_already_stored(path):
    archive = Archive(path)
    archive.add(_evaluation(0))
    size = path.stat().st_size
    with full_disk(size + 20), pytest.raises(RunError, match=r"cannot write .*goes on from evaluation 1"):
        archive.add(_evaluation(1))
    resumed = Archive(path)
    assert list(resumed) == [_evaluation(0)]
    resumed.add(_evaluation(1))
    assert list(Archive(path)) == [_evaluation(0), _evaluation(1)]


def test_select_by_source():
    archive = Archive()
    for evaluation in (_evaluation(1), _drawn(2), _evaluation(3, source="surrogate")):
        archive.add(evaluation)
    assert [e.kept[0] for e in archive.select("warm-up", "surrogate")] == [1, 3]
    assert [e.kept[0] for e in archive.select()] == [1, 2, 3]


def test_matrices():
    rows = [_evaluation(1), _evaluation(2, utility=-1.0)]
    assert kept_matrix(rows).tolist() == [[1, 10], [2, 10]]
    np.testing.assert_allclose(objective_matrix(rows), [[-0.1, 0.5, 1 / 3], [-0.2, -1.0, 1 / 3]])
    assert objective_matrix([]).shape == (0, 3)


def test_a_line_says_how_its_plan_was_compensated_where_it_was(path: Path) -> None:
    archive = Archive(path)
    archive.add(_evaluation(1))
    archive.add(_evaluation(2, compensation="ridge"))
    plain, fitted = map(json.loads, path.read_text().splitlines())
    assert "compensation" not in plain
    assert fitted["compensation"] == "ridge"
    assert [each.compensation for each in Archive(path)] == ["none", "ridge"]


def test_evaluations_of_another_mode_are_refused(path: Path) -> None:
    archive = Archive(path)
    archive.check_compensation("bias")
    archive.add(_evaluation(1))
    archive.add(_evaluation(2, compensation="ridge"))
    with pytest.raises(RunError, match=r"line 2: expected .* none compensation, found ridge; .*--force"):
        Archive(path).check_compensation("none")
    with pytest.raises(RunError, match=r"line 1: expected .* ridge compensation, found none"):
        Archive(path).check_compensation("ridge")
