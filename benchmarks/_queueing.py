"""The pipeline as a queueing network, simulated event by event: which station is the first to be busy all the time?

It has the engine's shape: a listing that hands out blocks, a driver that serves every task, actors that read and
decode one batch ahead of the model, and files that land. A station serves first come, first served; service times are
constant, as those of a batch nearly are. Waiting is what comes out, not what goes in.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import simpy

__all__ = ["Outcome", "Shape", "Station", "Times", "simulate"]

_AHEAD = 1  # tasks that wait at an actor beside the one in its hands: engine.plan_staged.QUEUED_PER_ACTOR is both
_LAND_EVERY_S = 2.0  # engine.worker lands at least this often
_SATURATED = 0.9  # a station that is busy for this part of the time is what all others wait for
#: What an actor has for itself; it works in turn at these, so that none alone need be busy all the time.
_OWN = ("reading and decoding", "model", "landing")


@dataclass(frozen=True, kw_only=True)
class Times:
    """What the work takes, in seconds."""

    decode: float  # an image, of one core: decode and preprocess
    model: float  # an image, in a batch
    read: float = 0.0  # an image's bytes, while which a decoding thread waits
    python: float = 0.0  # an image's part of reading and decoding that one thread of a process does at a time
    block: float = 0.0  # an actor's, to begin and end a block
    file: float = 0.0  # to land a file
    row: float = 0.0  # to land a row of it
    hand_over: float = 0.0  # an image's inputs into the object store, or out of it
    task: float = 0.0  # the driver's, for each task of an actor


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The pools of a run, and the limits that they share; 0 is no limit."""

    actors: int  # that run the model
    sharing: int = 1  # fused: of them, on one card
    layout: str = "fused"
    threads: int = 1  # of an actor that decodes
    cores: int = 0  # that they have; 0: as many as threads
    batch: int = 32  # images that go through the model together
    block: int = 256  # images that are handed out together
    chunk: int = 32  # staged: images that travel together
    decoders: int = 1  # staged
    landers: int = 1  # staged
    listed_per_s: float = 0.0
    gets_per_s: float = 0.0  # of the image store
    puts_per_s: float = 0.0  # of the store that results land in
    image_bytes: float = 0.0
    node_bytes_per_s: float = 0.0  # of one actor's node
    start_s: float = 0.0  # until all actors have begun; each does at a random moment


class Station:
    """One server, first come, first served; its service times are known when a customer arrives."""

    def __init__(self, env: simpy.Environment, name: str) -> None:
        self.name = name
        self.busy_s = 0.0
        self._env = env
        self._free_at = 0.0

    def finish_at(self, seconds: float, *, not_before: float = 0.0) -> float:
        """When a customer who arrives now, or later, and takes so long is served."""
        self._free_at = max(self._env.now, self._free_at, not_before) + seconds
        self.busy_s += seconds
        return self._free_at

    def serve(self, seconds: float) -> simpy.Event:
        """Wait until a customer who arrives now is served."""
        return self._env.timeout(self.finish_at(seconds) - self._env.now)


@dataclass
class Outcome:
    """What came of it, after the start."""

    images_per_s: float
    use: dict[str, float]  # by station: busy for this part of the time, 0 to 1
    bottleneck: str = field(init=False)

    def __post_init__(self) -> None:
        shared = {name: use for name, use in self.use.items() if name not in _OWN and use >= _SATURATED}
        among = shared or {name: use for name, use in self.use.items() if name in _OWN}
        self.bottleneck = max(among, key=among.__getitem__)
        if among[self.bottleneck] < _SATURATED:
            self.bottleneck = f"{self.bottleneck}, and others in turn"


def simulate(shape: Shape, times: Times, *, seconds: float = 60.0, warm_up: float = 0.5, seed: int = 0) -> Outcome:
    """Run the network for so long, and look at what happens after the first `warm_up` (0 to 1) of it.

    Args:
        shape: how many of what.
        times: of the services.
        seconds: of simulated time, many times what a block takes.
        warm_up: the part of it that is left out.
        seed: of the moments at which the actors begin.
    """
    network = _Network(shape, times, random.Random(seed))
    network.start()
    network.env.run(until=warm_up * seconds)
    images, busy = network.images, network.busy()
    network.env.run(until=seconds)
    window = (1 - warm_up) * seconds
    use = {
        name: min(1.0, (now - busy[name][0]) / (window * servers)) for name, (now, servers) in network.busy().items()
    }
    return Outcome((network.images - images) / window, use)


class _Network:
    def __init__(self, shape: Shape, times: Times, rng: random.Random) -> None:
        self.env = env = simpy.Environment()
        self.shape, self.times, self.images = shape, times, 0
        self._rng = rng
        self._driver, self._listing = Station(env, "driver"), Station(env, "listing")
        self._gets, self._puts = Station(env, "S3 GET requests"), Station(env, "S3 PUT requests")
        self._shared = [self._driver, self._listing, self._gets, self._puts]
        self._own: dict[str, list[Station]] = {name: [] for name in _OWN}
        self._links: list[Station] = []

    def busy(self) -> dict[str, tuple[float, int]]:
        """By station, seconds of service so far, and servers."""
        found = {station.name: (station.busy_s, 1) for station in self._shared}
        pools = {**self._own, "network of a node": self._links}
        return found | {
            name: (sum(station.busy_s for station in servers), len(servers))
            for name, servers in pools.items()
            if servers
        }

    def start(self) -> None:
        """Begin all processes."""
        if self.shape.layout == "fused":
            cards = [self._station("model") for _ in range(-(-self.shape.actors // self.shape.sharing))]
            for number in range(self.shape.actors):
                card = cards[number // self.shape.sharing]
                self.env.process(self._fused(self._fed(self._blocks()), card))
            return
        # what waits between two pools: Ray Data holds the faster one back by what the object store has room for
        room = 2 * (self.shape.decoders + self.shape.actors)
        decoded, modelled = simpy.Store(self.env, capacity=room), simpy.Store(self.env, capacity=room)
        for _ in range(self.shape.decoders):
            self.env.process(self._decoder(self._fed(self._blocks()), decoded))
        for _ in range(self.shape.actors):
            self.env.process(self._model(self._fed(self._taken(decoded)), modelled))
        for _ in range(self.shape.landers):
            self.env.process(self._lander(self._fed(self._taken(modelled))))

    # --- how work comes to an actor ------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[simpy.Event]:
        """One block after another from the listing, each when it is listed."""
        each = self.shape.block / self.shape.listed_per_s if self.shape.listed_per_s else 0.0
        while True:
            yield self._listing.serve(each)

    def _taken(self, store: simpy.Store) -> Iterator[simpy.Event]:
        while True:
            yield store.get()

    def _fed(self, work: Iterator[simpy.Event]) -> simpy.Store:
        """An actor's queue: the driver puts the next task in while the actor works."""
        queue = simpy.Store(self.env, capacity=_AHEAD)
        self.env.process(self._feed(work, queue))
        return queue

    def _feed(self, work: Iterator[simpy.Event], queue: simpy.Store) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(self._rng.uniform(0, self.shape.start_s))
        for ready in work:
            yield ready
            yield self._driver.serve(self.times.task)
            yield queue.put(True)

    # --- what actors do ------------------------------------------------------------------------------------------

    def _station(self, name: str) -> Station:
        station = Station(self.env, name)
        self._own[name].append(station)
        return station

    def _opener(self) -> tuple[Station, Station]:
        link = Station(self.env, "network of a node")
        self._links.append(link)
        return self._station("reading and decoding"), link

    def _open(self, images: int, threads: Station, link: Station) -> float:
        """When a batch that is begun now is read and decoded."""
        shape, times = self.shape, self.times
        arrived = self.env.now
        if shape.gets_per_s:
            arrived = self._gets.finish_at(images / shape.gets_per_s)
        if shape.node_bytes_per_s:
            arrived = link.finish_at(images * shape.image_bytes / shape.node_bytes_per_s, not_before=arrived)
        cores = shape.cores or shape.threads
        each = max((times.read + times.decode) / shape.threads, times.decode / cores, times.python)
        return threads.finish_at(images * each, not_before=arrived - images * each)

    def _fused(self, queue: simpy.Store, model: Station) -> Generator[simpy.Event, Any, None]:
        env, shape, times = self.env, self.shape, self.times
        threads, link = self._opener()
        landing = self._station("landing")
        sizes = _cut(shape.block, shape.batch)
        while True:
            yield queue.get()
            yield env.timeout(times.block)
            unlanded, landed_at = 0, env.now
            ready = self._open(sizes[0], threads, link)
            for number, size in enumerate(sizes):
                opened = ready
                if number + 1 < len(sizes):
                    ready = self._open(sizes[number + 1], threads, link)
                yield env.timeout(max(0.0, opened - env.now))
                yield model.serve(size * times.model)
                unlanded += size
                if env.now - landed_at > _LAND_EVERY_S or number + 1 == len(sizes):
                    yield from self._land(unlanded, landing)
                    unlanded, landed_at = 0, env.now

    def _land(self, images: int, landing: Station) -> Generator[simpy.Event, Any, None]:
        if self.shape.puts_per_s:
            yield self._puts.serve(1 / self.shape.puts_per_s)
        yield landing.serve(self.times.file + images * self.times.row)
        self.images += images

    def _decoder(self, queue: simpy.Store, decoded: simpy.Store) -> Generator[simpy.Event, Any, None]:
        env, times = self.env, self.times
        threads, link = self._opener()
        sizes = _cut(self.shape.block, self.shape.chunk)
        while True:
            yield queue.get()
            yield env.timeout(times.block)
            ready = self._open(sizes[0], threads, link)
            for number, size in enumerate(sizes):
                opened = ready
                if number + 1 < len(sizes):
                    ready = self._open(sizes[number + 1], threads, link)
                yield env.timeout(max(0.0, opened - env.now) + size * times.hand_over)
                yield decoded.put(size)

    def _model(self, queue: simpy.Store, modelled: simpy.Store) -> Generator[simpy.Event, Any, None]:
        size, times = self.shape.chunk, self.times
        model = self._station("model")
        while True:
            yield queue.get()
            yield model.serve(size * (times.model + times.hand_over))
            yield modelled.put(size)

    def _lander(self, queue: simpy.Store) -> Generator[simpy.Event, Any, None]:
        landing = self._station("landing")
        while True:
            yield queue.get()
            yield from self._land(self.shape.chunk, landing)


def _cut(images: int, size: int) -> list[int]:
    """Whole batches, and what is left."""
    return [min(size, images - start) for start in range(0, images, size)]
