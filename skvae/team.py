"""Processes that fit one model together: what they tell each other, and what they sum.

A team is made of the default group of `torch.distributed`, whoever started it, and has a group of
its own for as long as a fit lasts: a process that does not answer is noticed after a minute, not
after the half hour that the default group waits.
"""

import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")
Node = tuple[int, int]  # of the tree over shards: those from the first to before the second

FEWEST_SHARDS = 8  # of a team whose sums have one order


class TeamError(RuntimeError):
    """A process of a joint fit has ended, does not respond, or has rejected its input."""


def is_group_there() -> bool:
    """Whether this process belongs to a group of torch.distributed."""
    return dist.is_available() and dist.is_initialized()


@dataclass
class Team:
    """The processes of a group, for one fit.

    What is summed over them is a sum over shards of the rows. With sums in one order, the shards
    are as many whatever the number of processes, and are added as the leaves of one tree: the
    bits are the same for any number. Otherwise each process is a shard.
    """

    group: Any
    rank: int
    size: int
    has_one_order: bool
    seconds: float  # that a process may take to answer
    wants_stop: bool = field(default=False, init=False)

    @property
    def n_shards(self) -> int:
        """Parts of all rows."""
        if not self.has_one_order:
            return self.size
        return max(FEWEST_SHARDS, 1 << (self.size - 1).bit_length())

    @property
    def nodes(self) -> list[Node]:
        """The shards of every process: subtrees, as even as these can be."""
        if not self.has_one_order:
            return [(rank, rank + 1) for rank in range(self.size)]
        nodes = [(0, self.n_shards)]
        while len(nodes) < self.size:
            place = max(range(len(nodes)), key=lambda i: nodes[i][1] - nodes[i][0])
            first, end = nodes[place]
            half = (first + end) // 2
            nodes[place : place + 1] = [(first, half), (half, end)]
        return nodes

    @property
    def own(self) -> range:
        """The shards of this process."""
        return range(*self.nodes[self.rank])

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Tell whoever is gone as an error of the team that says what to do."""
        try:
            yield
        except (dist.DistError, RuntimeError) as error:
            if isinstance(error, TeamError) or not _is_of_group(error):
                raise
            raise TeamError(
                f"process {self.rank} of {self.size} received no answer from another process: it "
                "has ended (its own output shows an error), has stopped for more than "
                f"{self.seconds:g} s, or cannot be reached. Start all processes again; with "
                f"checkpoint_dir they resume. ({_short(error)})"
            ) from error

    def gather(self, value: Value) -> list[Value]:
        """What every process has, in their order. All of them are asked at once."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with self.answering():
            dist.all_gather_object(found, value, self.group)
        return found

    def first(self, value: Value) -> Value:
        """What the first process has."""
        if self.size == 1:
            return value
        found = [value]
        with self.answering():
            dist.broadcast_object_list(found, group=self.group, group_src=0)
        return found[0]

    def exchange(self, parts: Sequence[Any]) -> list[Any]:
        """What the others have for this process, given what it has for each; in their order."""
        found = list(parts)
        with self.answering():
            for shift in range(1, self.size):
                to, source = (self.rank + shift) % self.size, (self.rank - shift) % self.size
                found[source] = self._swap(parts[to], to, source)
        return found

    def _swap(self, value: Any, to: int, source: int) -> Any:
        sent = torch.frombuffer(bytearray(pickle.dumps(value, protocol=5)), dtype=torch.uint8)
        size = torch.empty(1, dtype=torch.int64)
        self._pass_on(torch.tensor([len(sent)]), to, size, source)
        received = torch.empty(int(size), dtype=torch.uint8)
        self._pass_on(sent, to, received, source)
        return pickle.loads(received.numpy().data)

    def _pass_on(self, sent: Tensor, to: int, received: Tensor, source: int) -> None:
        going = dist.isend(sent, group=self.group, group_dst=to)
        coming = dist.irecv(received, group=self.group, group_src=source)
        for work in (going, coming):
            if work is not None:
                work.wait()

    def total(self, parts: Mapping[int, Tensor]) -> Tensor:
        """The sum over all shards, given what this process has of each of its own."""
        mine = _added(self.nodes[self.rank], {(v, v + 1): part for v, part in parts.items()})
        if self.size == 1:
            return mine
        with self.answering():
            if not self.has_one_order:
                dist.all_reduce(mine, group=self.group)
                return mine
            found = [torch.empty_like(mine) for _ in range(self.size)]
            dist.all_gather(found, mine, group=self.group)
        return _added((0, self.n_shards), dict(zip(self.nodes, found, strict=True)))

    def all_do(self, work: Callable[[], Value]) -> Value:
        """Do something that may fail: where it does for one process, it fails for all of them.

        Raises
        ------
        TeamError
            If another process has failed; the message says which, and why.
        """
        failure: Exception | None = None
        try:
            value = work()
        except Exception as error:  # which the others have to know before it goes on
            failure = error
        told = self.gather(None if failure is None else f"{type(failure).__name__}: {failure}")
        if failure is not None:
            raise failure
        for rank, message in enumerate(told):
            if message is not None:
                raise TeamError(f"process {rank} of {self.size} cannot take part: {message}")
        return value

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Raise on all processes where one has other facts.

        Raises
        ------
        ValueError
            If they differ; the message names the first that does.
        """
        first, *others = self.gather(dict(facts))
        for rank, own in enumerate(others, start=1):
            for name in first | own:
                if own.get(name) != first.get(name):
                    raise ValueError(
                        "all processes must fit the same model to rows with the same columns, "
                        f"but {name} is {first.get(name)!s:.200} in process 0 and "
                        f"{own.get(name)!s:.200} in process {rank}."
                    )


@contextmanager
def team_of_group(has_one_order: bool, seconds: float) -> Iterator[Team]:
    """The team of all processes of the default group, with a group of its own meanwhile."""
    team = Team(None, dist.get_rank(), dist.get_world_size(), has_one_order, seconds)
    with team.answering():
        team.group = group = dist.new_group(timeout=timedelta(seconds=seconds))
    try:
        with _stopping_together(team):
            yield team
    finally:
        dist.destroy_process_group(group)


@contextmanager
def _stopping_together(team: Team) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the pass: all processes stop there, or none.

    A second one stops this process alone. Only the main thread is told of signals, and who has set
    a handler of their own for SIGTERM keeps it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        before[signal.SIGTERM] = signal.SIG_DFL

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        team.wants_stop = True
        restore()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def _added(node: Node, known: Mapping[Node, Tensor]) -> Tensor:
    """The sum over a node of the tree, of which some nodes below are known."""
    if node in known:
        return known[node]
    first, end = node
    half = (first + end) // 2
    return _added((first, half), known) + _added((half, end), known)


def _is_of_group(error: Exception) -> bool:
    """Whether an error is one of communication; gloo's have no class of their own."""
    words = ("gloo", "Connection", "connect", "timed out", "Timed out", "NCCL", "Broken pipe")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
