"""Images read, decoded and preprocessed in threads, one batch ahead of whoever takes them.

Of two blocks that are taken in two threads, the second's first batch is opened while the first's last one is with the
models, so that nobody waits between blocks; no more than a batch is ahead then, either.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.pictures import THUMBNAIL, thumbnail_of
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.thumbnail import THUMBNAIL_PX
from pixelbrain.landing.moves.known import KnownBytes
from pixelbrain.modules.base import Beside, Known, PipelineModule
from pixelbrain.sources import local_path, read_image
from pixelbrain.sources.base import ImageBytes

#: Images from S3 that are read or wait to be decoded, beside two for each decoding thread: a read waits 30 ms and needs
#: no core, and what has been read needs memory.
_READ_AHEAD = 16

_LISTED = tuple(schema.MANIFEST_SCHEMA.names)  # which Arrow makes anew each time that they are asked for


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images that were opened together."""

    rows: pa.Table  # of `schema.BASE_FIELDS`, and their `pictures.THUMBNAIL`; failed ones say why
    good: list[int]  # the rows whose image could be opened
    inputs: dict[str, list[Any]]  # by module, what it made of each of the good ones; `Beside` it what landed earlier
    seconds: float  # that nobody could do anything but wait for them


class _ReadAhead:
    """Reads that go on beside those who wait for them: at most `most` that are on their way, or not yet taken.

    They begin in the order in which they are asked for and taken, so that whoever takes the next one never waits for
    room that others have who wait for him.
    """

    def __init__(self, most: int) -> None:
        self._room = most
        self._lock = threading.Lock()
        self._waiting: collections.deque[tuple[Future, Callable[[], ImageBytes]]] = collections.deque()
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="read")  # no thread before there is a read

    def begin(self, read: Callable[[], ImageBytes]) -> Callable[[], ImageBytes]:
        """What gives its result, or raises its error, once."""
        coming: Future = Future()
        with self._lock:
            self._waiting.append((coming, read))
        self._fill(0)

        def take() -> ImageBytes:
            try:
                return coming.result()
            finally:
                self._fill(1)

        return take

    def _fill(self, taken: int) -> None:
        with self._lock:
            self._room += taken
            while self._room and self._waiting:
                self._room -= 1
                self._pool.submit(_fulfil, *self._waiting.popleft())


def _fulfil(coming: Future, read: Callable[[], ImageBytes]) -> None:
    try:
        coming.set_result(read())
    except BaseException as error:  # whatever it is, it is for whoever takes it
        coming.set_exception(error)


class Opener:
    """Reads and decodes in threads, one batch ahead of whoever takes them."""

    def __init__(self, order: WorkOrder, meter: Meter) -> None:
        self._order = order
        self._meter = meter
        self._pool = ThreadPoolExecutor(order.threads, thread_name_prefix="decode")
        self._ahead, self._taken = threading.Lock(), threading.Lock()  # whose batches are opened ahead, and are taken
        self._remote = _ReadAhead(2 * order.threads + _READ_AHEAD)
        self._fields = [*schema.BASE_FIELDS, *([THUMBNAIL] if order.thumbnails else [])]

    @functools.cached_property
    def _known(self) -> KnownBytes:
        """As of the first block: it is written before any is handed out."""
        return KnownBytes(self._order.storage, RunNotes(self._order.storage).read_known())

    def batches(self, cut: Sequence[Sequence[Mapping[str, Any]]], modules: Sequence[PipelineModule]) -> Iterator[Batch]:
        """Open images, rows of `schema.MANIFEST_SCHEMA` by batch, and preprocess them for the modules.

        What a module stands on that is not among these has landed earlier, or comes along as an image's `beside`.
        Another thread that takes batches here, too, waits until these are all taken, or the iterator is closed.
        """
        if not cut:
            return
        targets = [module.decode_target for module in modules]
        if self._order.thumbnails and all(module.resources.with_decoder for module in modules):
            targets.append(DecodeTarget(long_side_px=THUMBNAIL_PX))  # else the models want as much and more
        target = functools.reduce(DecodeTarget.union, targets)

        def submit(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Future]]:
            """What is opened of each, and who opens it: a future for each image costs more than to read one."""
            opened: list[Any] = [None] * len(entries)
            reads = [self._begin_read(entry["image_id"], entry["version"]) for entry in entries]
            places = iter(range(len(entries)))  # each place goes to one thread

            def open_some() -> None:
                for place in places:
                    opened[place] = self._open(entries[place], reads[place], modules, target)

            return opened, [self._pool.submit(open_some) for _ in range(min(self._order.threads, len(entries)))]

        names = {module.name for module in modules}
        with contextlib.ExitStack() as opening, contextlib.ExitStack() as taking:
            opening.enter_context(self._ahead)
            ahead = submit(cut[0])
            taking.enter_context(self._taken)
            for entries, following in zip(cut, [*cut[1:], []], strict=True):
                (opened, openers), ahead = ahead, submit(following)
                if not following:
                    opening.close()
                started = time.perf_counter()
                wait(openers)
                for future in openers:
                    future.result()  # raises what is no image's fault
                rows, inputs = zip(*self._with_known(entries, opened, names), strict=True)
                waited = time.perf_counter() - started
                good = [i for i, given in enumerate(inputs) if given is not None]
                self._meter.read(sum(row.get("size_bytes") or 0 for row in rows))
                self._meter.activity("waiting for images", waited)
                yield Batch(
                    rows=pa.Table.from_pylist(list(rows), pa.schema(self._fields)),
                    good=good,
                    inputs={module.name: [inputs[i][module.name] for i in good] for module in modules},
                    seconds=waited,
                )

    def _begin_read(self, image_id: str, version: str) -> Callable[[], ImageBytes]:
        """What gives the image's bytes, once: those elsewhere are on their way, a disk's are read when wanted."""
        read = functools.partial(read_image, image_id, version=version, s3_endpoint=self._order.s3_endpoint)
        return self._remote.begin(read) if local_path(image_id) is None else read

    def _open(
        self,
        entry: Mapping[str, Any],
        read: Callable[[], ImageBytes],
        modules: Sequence[PipelineModule],
        target: DecodeTarget,
    ) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, int]]:
        """An image's base columns, each module's input, or None where the image failed, and where known ones are."""
        row: dict[str, Any] = {name: entry[name] for name in _LISTED}
        try:
            data, version = read()
            if self._order.versions_as_read:  # it may have changed since it was listed: these bytes count
                row["version"] = version
            row["size_bytes"] = len(data)
            row["sha256"] = hashlib.sha256(data).hexdigest()
            names = [module.name for module in modules]
            earlier = (of for name in names for of in self._order.stands_on.get(name, {}).values())
            known = self._known.find(row["sha256"], [*names, *earlier])
            if known.keys() >= {*names}:
                return row | {"status": schema.Status.OK.value}, {}, known
            max_pixels = self._order.max_megapixels * 1_000_000
            image = decode_image(data, image_id=row["image_id"], target=target, max_pixels=max_pixels)
            if self._order.thumbnails:
                row[THUMBNAIL.name] = thumbnail_of(image)
        except ImageError as error:
            row |= {"status": schema.Status.FAILED.value, "error_type": type(error).__name__, "error": str(error)}
            return row, None, {}
        row |= {name: getattr(image, name) for name in ("format", "width", "height", "taken_at")}
        row["status"] = schema.Status.OK.value
        return row, {m.name: m.try_preprocess(image) for m in modules if m.name not in known}, known

    def _with_known(
        self,
        entries: Sequence[Mapping[str, Any]],
        opened: Sequence[tuple[dict[str, Any], dict[str, Any] | None, dict[str, int]]],
        names: AbstractSet[str],
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
        """What was opened together, with what is known of it, which is read together; `names` are the modules."""
        found = [(row["image_id"], known) for row, _inputs, known in opened if known]
        structs = iter(self._known.read(*zip(*found, strict=True)) if found else ())
        for entry, (row, inputs, known) in zip(entries, opened, strict=True):
            said = next(structs) if known else {}
            if inputs is not None:
                if names <= known.keys():  # it was not decoded
                    row = row | {name: said[name] for name in ("format", "width", "height", "taken_at")}
                said |= entry.get("beside") or {}
                for name in inputs.keys() & self._order.stands_on.keys():
                    givers = self._order.stands_on[name].items()
                    inputs[name] = Beside(inputs[name], {called: said.get(of) for called, of in givers})
                inputs |= {name: Known(said[name]) for name in known.keys() & names}
            yield row, inputs
