"""Reads what a Ray node's metrics agent shows to Prometheus, while something runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import ray
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

__all__ = ["Scraper"]

_EVERY_S = 1.0


class Scraper:
    """Scrapes a node, from a thread of its own for as long as it is entered.

    Args:
        url: of the node's metrics; by default, of the node of this process.

    Attributes:
        names: of all series that were ever seen.
        newest: of the samples, by name and labels, the last value that was seen: gauges go when their process goes.
        highest: of them, the highest value.
    """

    def __init__(self, url: str | None = None) -> None:
        if url is None:
            node = next(n for n in ray.nodes() if n["NodeID"] == ray.get_runtime_context().get_node_id())
            url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        self._url = url
        self._open = build_opener(ProxyHandler({})).open
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.names: set[str] = set()
        self.newest: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.highest: dict[str, float] = {}

    def __enter__(self) -> Scraper:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        return sum(value for found, value in self._ours(name, labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums of a metric's series with these labels, by another label."""
        sums: Counter[str] = Counter()
        for found, value in self._ours(name, labels):
            sums[found[label]] += value
        return dict(sums)

    def wait(self, fits: Callable[[], bool], limit_s: float = 30) -> None:
        """Until it fits: processes report every 10 s. Returns in any case: asserts say better what is missing."""
        until = time.monotonic() + limit_s
        while not fits() and time.monotonic() < until:
            time.sleep(_EVERY_S / 2)
        time.sleep(2 * _EVERY_S)  # a page may have been made while a report was taken in

    def _ours(self, name: str, labels: dict[str, str]) -> Iterator[tuple[dict[str, str], float]]:
        for (found, own), value in self.newest.copy().items():
            if found == name and labels.items() <= own:
                yield dict(own), value

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            # an agent that is busy is asked again
            with contextlib.suppress(URLError, TimeoutError, ConnectionError), self._open(self._url, timeout=5) as page:
                self._take(page.read().decode())

    def _take(self, text: str) -> None:
        samples: list[Sample] = [one for family in text_string_to_metric_families(text) for one in family.samples]
        self.names |= {sample.name for sample in samples}
        self.newest |= {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
        for sample in samples:
            self.highest[sample.name] = max(self.highest.get(sample.name, sample.value), sample.value)
