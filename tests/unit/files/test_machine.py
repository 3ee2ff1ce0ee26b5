"""What a container or a scheduler leaves of the machine, read from files like the kernel's."""

import os
from math import inf
from pathlib import Path

import pytest

from hipp_prune.files.machine import (
    all_memory,
    cpu_limit,
    free_disk,
    free_memory,
    memory_limit,
    unwritable_place,
    usable_cpus,
)


def limited(root: Path, groups: str, **files: str) -> tuple[Path, Path]:
    """The kernel's files: which groups a process is in, and limits by ``folder__file``."""
    cgroups, controllers = root / "cgroup", root / "controllers"
    cgroups.write_text(groups)
    controllers.mkdir()
    for name, text in files.items():
        path = controllers.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return cgroups, controllers


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"cpu.max": "250000 100000"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000"}, inf),
        ("0::/\n", {}, inf),
        ("0::/a/b\n", {"a__b__cpu.max": "max 100000", "a__cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b\n", {"a__b__cpu.max": "400000 100000", "cpu.max": "300000 100000"}, 3.0),
        ("4:memory:/x\n3:cpu,cpuacct:/x\n", {"cpu,cpuacct__x__cpu.cfs_quota_us": "-1"}, inf),
        (
            "3:cpu,cpuacct:/x\n",
            {
                "cpu,cpuacct__x__cpu.cfs_quota_us": "150000",
                "cpu,cpuacct__x__cpu.cfs_period_us": "100000",
            },
            1.5,
        ),
        # inside a container the group's own path is not there
        ("3:cpu:/docker/x\n", {"cpu__cpu.cfs_quota_us": "800000", "cpu__cpu.cfs_period_us": "100000"}, 8.0),
        ("0::/\n", {"cpu.max": "nonsense"}, inf),
        ("nonsense\n", {"cpu.max": "100000 100000"}, inf),
    ],
)
def test_the_limit_of_processors(tmp_path: Path, groups: str, files: dict[str, str], limit: float) -> None:
    assert cpu_limit(*limited(tmp_path, groups, **files)) == limit


def test_usable_processors_are_the_fewest_that_anything_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = limited(tmp_path, "0::/\n", **{"cpu.max": "250000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cpus(*places) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert usable_cpus(*places) == 1
    (tmp_path / "controllers" / "cpu.max").write_text("10000 100000\n")
    assert usable_cpus(*places) == 1


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a\n", {"a__memory.max": "max", "memory.max": "1000"}, 1000),
        ("0::/\n", {"memory.max": "max"}, inf),
        ("4:memory:/x\n", {"memory__x__memory.limit_in_bytes": "2000"}, 2000),
    ],
)
def test_the_limit_of_memory(tmp_path: Path, groups: str, files: dict[str, str], limit: float) -> None:
    assert memory_limit(*limited(tmp_path, groups, **files)) == limit


def test_there_is_memory_and_disk_here(tmp_path: Path) -> None:
    assert 0 < free_memory() <= all_memory()
    assert free_disk(tmp_path / "not" / "yet") > 0


def test_what_keeps_us_from_writing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert unwritable_place(tmp_path / "not" / "yet") is None
    assert unwritable_place(tmp_path / "file" / "below") == tmp_path / "file"
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    assert unwritable_place(tmp_path / "not" / "yet") == tmp_path
