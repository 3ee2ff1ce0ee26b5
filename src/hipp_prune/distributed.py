"""Many workers, one program: who they are, what they tell each other, and what happens when one dies.

``torchrun`` starts the workers; each runs the same command and takes its share of the work. A process that runs alone
is the no-op case: it exchanges nothing and does not import ``torch.distributed``.

What is exchanged is JSON (Python's floats survive it bit by bit) and sums of tensors; nothing is ever unpickled. CPU
tensors travel by gloo, CUDA tensors by NCCL.

Every worker also holds a *lifeline*, a TCP connection to the first worker on which nothing is said until the end. The
system closes it when a process dies, however it dies, so the first worker knows at once whom to name, even while its
main thread waits in a collective that cannot return.
"""

import hashlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from hipp_prune.errors import InputError, RunError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")

_PATIENCE = timedelta(days=1)
"""How long a collective may wait: a slow worker is no dead one, and the lifelines see the dead."""
_GRACE = 5.0
"""Seconds that a worker waits for the first one to say what went wrong."""
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds and tries after which the system gives up a peer whose machine fell silent."""
_LONGEST_LINE = 2**20
"""Bytes that a worker says at once; a stranger may say more."""
_DONE = "done"
_AGAIN = "what is in the run directory stays: start the same command again, with any number of workers"


@dataclass(kw_only=True)
class _Team:
    """The workers of this run, as one of them knows them."""

    rank: int
    names: list[str] = field(default_factory=list)
    lifelines: list[socket.socket] = field(default_factory=list)
    """To the first worker; the first one's, to all others."""
    listeners: list[threading.Thread] = field(default_factory=list)
    """A thread for each."""
    leaving: bool = False
    """Whether this worker is on its way out, so that others may hang up."""


_team: _Team | None = None


def rank() -> int:
    """Index of this worker, in [0, number of workers)."""
    return 0 if _team is None else _team.rank


def num_workers() -> int:
    """Workers of this run; 1 outside ``workers()``."""
    return 1 if _team is None else len(_team.names)


def is_first() -> bool:
    """Whether this is the worker that prints and writes."""
    return rank() == 0


def launched() -> int:
    """Workers that torchrun started; 1 in a process that it did not start, whatever else set some of its variables."""
    told = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    whole = all(each.isdecimal() for each in told) and "MASTER_ADDR" in os.environ
    return int(told[1]) if whole else 1


def speaks() -> bool:
    """Whether this process prints: the first one that torchrun started, or one that runs alone."""
    return launched() == 1 or os.environ["RANK"] == "0"


@contextmanager
def workers() -> Iterator[None]:
    """Joins the workers that torchrun started, for the body; a process that runs alone joins nobody.

    If a worker dies or fails in the body, the first one says which in one sentence on standard error, and all end.
    """
    global _team
    if launched() == 1:
        yield
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    store, own_rank, size = next(rendezvous("env://", timeout=_PATIENCE))
    _team = _Team(rank=own_rank)
    last_words = "ended early"
    try:
        _connect(_team, store, size)
        dist.init_process_group(_backend(), store=store, rank=own_rank, world_size=size, timeout=_PATIENCE)
        yield
        last_words = _DONE
    except BaseException as error:
        last_words = str(error) if isinstance(error, (InputError, RunError)) else repr(error)
        raise
    finally:
        _hang_up(_team, last_words)
        if last_words == _DONE:
            dist.destroy_process_group()
        _team = None


def gather(value: Any) -> list[Any]:
    """Every worker's ``value``, in the order of ranks, at every worker.

    Args:
        value: anything JSON can say; between workers tuples arrive as lists.
    """
    if _team is None:
        return [value]
    import torch
    import torch.distributed as dist

    message = _encode(value)
    with _connected():
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in _team.names]
        dist.all_gather(lengths, torch.tensor([len(message)]))
        longest = max(int(length) for length in lengths)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(message)] = message
        received = [torch.zeros_like(padded) for _ in _team.names]
        dist.all_gather(received, padded)
    return [_decode(message[: int(length)]) for message, length in zip(received, lengths, strict=True)]


def once(compute: Callable[[], T]) -> T:
    """What ``compute`` returns at the first worker, at every worker; only the first one calls it.

    The result must be something JSON can say; at the other workers its tuples arrive as lists.
    """
    if _team is None:
        return compute()
    import torch
    import torch.distributed as dist

    result = compute() if is_first() else None
    message = _encode(result)
    with _connected():
        length = torch.tensor([len(message)])
        dist.broadcast(length, src=0)
        message = message if is_first() else torch.zeros(int(length), dtype=torch.uint8)
        dist.broadcast(message, src=0)
    return result if result is not None else _decode(message)


def all_reduce(tensors: "Sequence[Tensor]", *, largest: bool = False) -> "list[Tensor]":
    """Entry by entry the sum (or the largest) over workers of tensors of one dtype; equal at every worker.

    Args:
        tensors: shapes equal at every worker; on the CPU they travel by gloo, on a GPU by NCCL.
        largest: the largest instead of the sum.
    """
    if _team is None:
        return list(tensors)
    import torch
    import torch.distributed as dist

    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _connected():
        dist.all_reduce(flat, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape).clone() for part, tensor in zip(parts, tensors, strict=True)]


def share(items: Sequence[T]) -> Sequence[T]:
    """This worker's part of ``items``: contiguous, as long as the others' to one; all of them together are all."""
    start, end = (len(items) * index // num_workers() for index in (rank(), rank() + 1))
    return items[start:end]


def barrier() -> None:
    """Returns when every worker has come here."""
    gather(None)


@contextmanager
def first() -> Iterator[None]:
    """Lets the first worker run the body before the others: it makes the files that they then find."""
    if not is_first():
        barrier()
    yield
    if is_first():
        barrier()


def agree(what: str, content: bytes) -> None:
    """Makes sure that every worker holds the same bytes.

    Args:
        what: names them in the error, e.g. ``the run directory``.
        content: compared by its SHA-256.

    Raises:
        RunError: at every worker, naming the first one that holds something else than worker 0.
    """
    if _team is None:
        return
    digests = gather(hashlib.sha256(content).hexdigest())
    for index, digest in enumerate(digests):
        if digest != digests[0]:
            raise RunError(
                f"{_team.names[index]} has another result than {_team.names[0]} in {what}: every worker needs the same "
                "run directory (a shared file system), the same versions and processors of one kind"
            )


def gpus(count: int) -> range:
    """The GPUs of this machine that are this worker's, when ``count`` are split evenly among the workers on it.

    Raises:
        InputError: if there are more workers than GPUs.
    """
    if _team is None:
        return range(count)
    index, local = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if count < local:
        raise InputError(
            f"{local} workers on one machine need a GPU each, found {count}; start torchrun with fewer "
            "(--nproc-per-node), or add --device cpu"
        )
    return range(count * index // local, count * (index + 1) // local)


def _backend() -> str:
    import torch

    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _encode(value: Any) -> "Tensor":
    import torch

    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _decode(message: "Tensor") -> Any:
    return json.loads(message.numpy().tobytes())  # what _encode wrote in another worker: no file, no user


@contextmanager
def _connected() -> Iterator[None]:
    """A collective fails where a neighbour has died: then the first worker, which knows whom, ends this process."""
    try:
        yield
    except RuntimeError as error:
        time.sleep(_GRACE)
        raise RunError(
            f"the connection between workers broke ({str(error).splitlines()[0]}); {_AGAIN}"
        ) from error


def _connect(team: _Team, store: "Store", size: int) -> None:
    """Opens the lifelines and learns the workers' names."""
    own = f"worker {team.rank} ({socket.gethostname()}, process {os.getpid()})"
    if team.rank == 0:
        with _listen() as server:
            token = secrets.token_hex(16)
            store.set("hipp-prune/lifeline", f"{server.getsockname()[1]} {token}")
            peers = dict(_accept(server, token) for _ in range(size - 1))
        team.names = [own, *(peers[index][1] for index in range(1, size))]
        team.lifelines = [peers[index][0] for index in range(1, size)]
        for lifeline, name in zip(team.lifelines, team.names[1:], strict=True):
            _say(lifeline, json.dumps(team.names))
            _watch(team, lifeline, name)
    else:
        port, token = store.get("hipp-prune/lifeline").decode().split()
        lifeline = socket.create_connection((os.environ["MASTER_ADDR"], int(port)))
        _keep_alive(lifeline)
        _say(lifeline, f"{token} {team.rank} {own}")
        team.names = json.loads(_hear(lifeline))
        team.lifelines = [lifeline]
        _watch(team, lifeline, team.names[0])


def _listen() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server(("", 0), backlog=1024)


def _accept(server: socket.socket, token: str) -> tuple[int, tuple[socket.socket, str]]:
    """The next worker's rank, lifeline and name; a stranger's connection is dropped."""
    while True:
        lifeline, _ = server.accept()
        lifeline.settimeout(_GRACE)
        with suppress(ValueError, OSError):
            said, index, name = _hear(lifeline).split(" ", maxsplit=2)
            if said == token:
                _keep_alive(lifeline)
                return int(index), (lifeline, name)
        lifeline.close()


def _watch(team: _Team, lifeline: socket.socket, name: str) -> None:
    """Ends this process when the worker at the other end of a lifeline does, unless it said that it was done."""

    def listen() -> None:
        try:
            last_words = _hear(lifeline)
        except OSError:
            last_words = ""
        if last_words and team.rank == 0:
            time.sleep(1.0)  # an error that all workers share is the first one's to tell
        if last_words == _DONE or team.leaving:
            return
        if team.rank == 0 or (team.rank == 1 and not last_words):  # the second speaks where the first is gone
            what = f"stopped: {last_words}" if last_words else f"died; {_AGAIN}"
            sys.stderr.write(f"hipp-prune: {name} {what}\n")
            sys.stderr.flush()
        for other in team.lifelines:
            with suppress(OSError):
                _say(other, "ended because another worker did")
        os._exit(2)  # the main thread may never come back from a collective

    team.listeners.append(threading.Thread(target=listen, name=f"lifeline of {name}", daemon=True))
    team.listeners[-1].start()


def _hang_up(team: _Team, last_words: str) -> None:
    """Says goodbye; a worker that failed stays until the first one has told why, since torchrun ends all after one."""
    team.leaving = True
    for lifeline in team.lifelines:
        with suppress(OSError):
            _say(lifeline, last_words)
    if team.rank > 0 and last_words != _DONE:
        for listener in team.listeners:
            listener.join(_GRACE)
    for lifeline in team.lifelines:
        lifeline.close()


def _say(lifeline: socket.socket, line: str) -> None:
    lifeline.sendall(line.replace("\n", " ").encode() + b"\n")


def _hear(lifeline: socket.socket) -> str:
    """The next line, or what came of it before the connection ended; no more than ``_LONGEST_LINE`` of it."""
    line = bytearray()
    while len(line) < _LONGEST_LINE and not line.endswith(b"\n") and (byte := lifeline.recv(1)):
        line += byte
    return line.decode(errors="replace").strip()


def _keep_alive(lifeline: socket.socket) -> None:
    lifeline.settimeout(None)
    lifeline.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            lifeline.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
