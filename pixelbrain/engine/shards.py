"""Work in shards that all need the same tensors: in threads here, or as tasks on all nodes of a Ray."""

from __future__ import annotations

import collections
import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from pixelbrain.errors import EngineError

S, T = TypeVar("S"), TypeVar("T")

# Of a task that its node took with it; Ray counts tries that it makes before it knows that a node is gone, too.
_RETRIES = 20
_AHEAD = 4  # tasks a CPU that wait or run: more only hold results that nobody has asked for yet


class Shared:
    """Tensors and numbers as attributes. Pickled, tensors are arrays, which the workers of a node map and do not copy.

    A shard reads them, and writes to none.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {name: _packed(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: _unpacked(value) for name, value in state.items()})


class OverShards(Protocol):
    """What does a function for each shard, wherever that is; the results come in the order of the shards.

    They are the same ones wherever, as each shard has one thread of torch's.
    """

    def __call__(self, function: Callable[[S, range], T], shared: S, shards: Sequence[range]) -> Iterator[T]: ...


def in_threads(function: Callable[[S, range], T], shared: S, shards: Sequence[range]) -> Iterator[T]:
    """In this process, as many at a time as torch has threads.

    Many threads at one small product wait for each other, and burn ten times the work on a busy machine.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(function, itertools.repeat(shared), shards)
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def on_ray(*, debug: bool = False) -> Iterator[OverShards]:
    """Within it, as Ray tasks of a CPU each; the Ray is joined when there is something to do, see `ray_session`.

    What is shared goes there once. Where a node goes, its tasks are done on others.

    Raises:
        EngineError: no Ray can be joined, or a task failed.
    """
    with contextlib.ExitStack() as stack:

        def over(function: Callable[[S, range], T], shared: S, shards: Sequence[range]) -> Iterator[T]:
            from pixelbrain.engine.cluster.session import ray_session

            stack.enter_context(ray_session(debug=debug))  # from the second time on, the same one
            return _as_tasks(function, shared, shards)

        yield over


def _as_tasks(function: Callable[[S, range], T], shared: S, shards: Sequence[range]) -> Iterator[T]:
    import ray

    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_alone)
    left, waiting = iter(shards), collections.deque[Any]()
    try:
        there = ray.put(shared)
        while True:
            ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            for shard in itertools.islice(left, ahead - len(waiting)):
                waiting.append(task.remote(function, there, shard))
            if not waiting:
                return
            try:
                found = ray.get(waiting[0])
            except ray.exceptions.RayError:
                waiting.popleft()  # it is over: to cancel it, while Ray still notes its end, aborts this process
                raise
            waiting.popleft()
            yield found
    except ray.exceptions.RayError as error:
        raise EngineError(f"a task on Ray failed: {' '.join(str(error).split())[-500:]}") from error
    finally:
        for one in waiting:
            ray.cancel(one)


def _alone(function: Callable[[S, range], T], shared: S, shard: range) -> T:
    """In a worker of Ray's, which other tasks use after it."""
    return next(in_threads(function, shared, [shard]))


class _Array(NamedTuple):
    dtype: str  # torch's name
    values: np.ndarray


def _packed(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    known = value.view(torch.int16) if value.dtype is torch.bfloat16 else value  # NumPy has no bfloat16
    return _Array(str(value.dtype).removeprefix("torch."), known.cpu().numpy())


def _unpacked(value: Any) -> Any:
    import torch

    if not isinstance(value, _Array):
        return value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory that is only read
        return torch.from_numpy(value.values).view(getattr(torch, value.dtype))
