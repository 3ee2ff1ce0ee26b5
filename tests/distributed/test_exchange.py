"""What workers tell each other arrives as it was, at everybody."""

import json
import math
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune import distributed
from hipp_prune.errors import InputError
from tests.distributed import jobs


def as_worker(monkeypatch: pytest.MonkeyPatch, rank: int, count: int) -> None:
    team = distributed._Team(rank=rank, names=[f"worker {index}" for index in range(count)])
    monkeypatch.setattr(distributed, "_team", team)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(count))


def test_three_workers_exchange_values_bit_by_bit(tmp_path: Path) -> None:
    jobs.run(tmp_path, 3, jobs.exchange, tmp_path)
    brought = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    for one in brought:
        assert one["gathered"] == [
            {"rank": rank, "exact": (0.1 + 0.2) * 3**rank, "text": "ä" * (rank + 1)} for rank in range(3)
        ]
        assert one["once"] == [0, None, -math.inf]
        assert one["total"] == [[3, -3]]
        assert one["ones"] == [3, 3, 3]
        assert one["largest"] == [[2, 0]]
    assert [one["share"] for one in brought] == [[0, 1], [2, 3], [4, 5, 6]]


def test_alone_nothing_is_exchanged_and_torch_stays_out() -> None:
    script = (
        "import sys; from hipp_prune import distributed as d\n"
        "with d.workers():\n"
        "    value = (1, 'x')\n"
        "    assert d.gather(value)[0] is value and d.once(lambda: value) is value and d.is_first()\n"
        "    d.barrier(); d.agree('anything', b'1'); assert d.share([1, 2]) == [1, 2]\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@given(items=st.lists(st.integers(), max_size=40), count=st.integers(1, 12))
def test_shares_are_even_and_together_everything(items: list[int], count: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shares = []
        for rank in range(count):
            as_worker(monkeypatch, rank, count)
            shares.append(distributed.share(items))
    assert [item for share in shares for item in share] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_workers_split_the_gpus_of_their_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.gpus(8) == range(8)
    found = []
    for rank in range(2):
        as_worker(monkeypatch, rank, 2)
        found.append(list(distributed.gpus(8)))
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7]]
    as_worker(monkeypatch, 5, 8)
    assert list(distributed.gpus(8)) == [5]
    with pytest.raises(InputError, match=r"8 workers on one machine need a GPU each, found 4"):
        distributed.gpus(4)


def test_workers_that_differ_are_refused_by_name(tmp_path: Path) -> None:
    workers = jobs.start(tmp_path, 2, jobs.disagree)
    assert 0 not in workers.wait()
    assert f"worker 1 ({socket.gethostname()}, process " in workers.said(0)
    assert "has another result than worker 0" in workers.said(0)
    assert "in what it was told" in workers.said(0)


@pytest.mark.parametrize(
    "said",
    [b"3\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b"other 1 x\n", b"token one x\n", b"", b"x" * 2**21],
    ids=["short", "deep", "no text", "another token", "no rank", "nothing", "endless"],
)
def test_a_stranger_who_calls_is_no_worker(said: bytes) -> None:
    def call(words: bytes) -> socket.socket:
        connection = socket.create_connection(server.getsockname()[:2])
        with suppress(OSError):  # whoever says too much is hung up on
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
        return connection

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        accepted = pool.submit(distributed._accept, server, "token")
        with call(said), call(b"token 3 worker 3 (here, process 7)\n"):
            rank, (lifeline, name) = accepted.result(30)
            lifeline.close()
    assert (rank, name) == (3, "worker 3 (here, process 7)")
