"""One writer at a time; the second is told who the first is."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hipp_prune.errors import RunError
from hipp_prune.files.locking import sole_writer

HOLD = """
import sys, time
from pathlib import Path
from hipp_prune.files.locking import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    told = rf"run is being written by process {held.pid} on .* since 20"
    with pytest.raises(RunError, match=told), sole_writer(tmp_path / "run"):
        pass


@pytest.mark.parametrize("other", ["beside/../run", "link"])
def test_another_name_of_a_target_is_the_same_target(
    tmp_path: Path, held: subprocess.Popen[str], other: str
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with (
        pytest.raises(RunError, match=f"is being written by process {held.pid}"),
        sole_writer(tmp_path / other),
    ):
        pass


def test_a_process_does_not_accuse_itself(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "run"), sole_writer(tmp_path / "beside" / ".." / "run"):
        pass


def test_a_dead_writer_holds_nothing(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    held.kill()
    held.wait()
    with sole_writer(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_stage_within_a_stage_may_ask_again(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "run"):
        with sole_writer(tmp_path / "run"):
            assert (tmp_path / ".run.lock").is_file()
        assert (tmp_path / ".run.lock").is_file()
    assert list(tmp_path.iterdir()) == []


def test_it_is_released_on_every_way_out(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path / "run"):
        raise ZeroDivisionError
    start = time.monotonic()
    with sole_writer(tmp_path / "run"):
        assert time.monotonic() - start < 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"cannot write .*file is no folder"),
        sole_writer(tmp_path / "file" / "run"),
    ):
        pass


def test_the_root_is_no_place_to_write_to() -> None:
    with pytest.raises(RunError, match="root of the file system"), sole_writer(Path("/")):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_where_no_file_can_be_made_nobody_is_accused() -> None:
    with pytest.raises(RunError, match="cannot write /proc/out"), sole_writer(Path("/proc/out")):
        pass
