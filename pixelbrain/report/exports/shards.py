"""Photos and what is known of them in tar files as WebDataset reads them, on disk or in S3."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError, ReadError
from pixelbrain.landing.landing import Landing
from pixelbrain.report.exports.contents import Contents, iter_contents
from pixelbrain.report.exports.shard_index import ShardIndex
from pixelbrain.report.gallery.originals import OriginalReader
from pixelbrain.shown import Shown
from pixelbrain.sources import ImageBytes, read_image
from pixelbrain.storage.base import Storage

SHARD_SIZE = "256MB"

_THREADS = 16
_AHEAD = 2 * _THREADS  # photos that are read before their turn
_LARGEST_IN_S3 = 4 * 10**9  # of one PUT
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
#: The ending by which loaders know a format, where it is not Pillow's name of it.
_ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "HEIF": "heic"}
_OF_A_ROW = [one.name for one in schema.BASE_FIELDS if one.name not in ("status", "error_type", "error")]


@dataclass(kw_only=True, repr=False)
class ShardsReport(Shown):
    """What was written."""

    photos: int = 0
    shards: int = 0
    kept: int = 0  # of them, those that an earlier export had written of the same
    failed: int = 0  # images that could not be read when they landed: they are in no shard
    left_out: dict[str, str] = field(default_factory=dict)  # photos that are gone or changed: by image_id, why


class _Sample(NamedTuple):
    base: dict[str, Any]  # `schema.BASE_FIELDS`, by name
    names: tuple[str, str]  # of its two files: the photo, and what is known of it
    said: bytes  # JSON

    @property
    def size(self) -> int:
        """In a tar, about."""
        return (self.base["size_bytes"] or 0) + len(self.said) + 4 * tarfile.BLOCKSIZE


def shard_bytes(size: int | str) -> int:
    """Bytes of a size such as 256MB, 1.5GB, 512MiB or a number. Raises `ConfigError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMG]I?)?B?", str(size).strip().upper())
    value = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if value < 1:
        raise ConfigError(f"a shard of {size!r} cannot be: write 256MB, 1GB or 512MiB")
    return value


def write_shards(
    landing: Landing,
    storage: Storage,
    *,
    shard_size: int | str = SHARD_SIZE,
    s3_endpoint: str | None = None,
    min_label_score: float | None = None,
    images: pa.ChunkedArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ShardsReport:
    """Write OUT as a WebDataset: `photos-000000.tar` and so on, and an `index.json` that lists them.

    A sample is a photo's own bytes, named by its format, and a .json: the columns of its row, path, label, group_id,
    names, `fields` by module (without vectors), `faces` (with whose they are) and `answers`. Its key is the
    image's number, made of its id, as in a COCO export. Images that failed are in none. A photo that cannot be read, or
    is not the one any more that was looked at, is left out, and said.

    A tar file is there whole, or not at all. After an export that was cut short, or where little has changed since,
    those that would be the same stay as they are; those that lack photos are tried again. Of those for S3 one at a time
    is in memory, and else what is known of its photos.

    Args:
        storage: where.
        shard_size: of a tar file at most, but for a photo that is larger; see `shard_bytes`.
        images: the ids of those that are meant; all by default.

    Raises:
        ConfigError: no such size can be, or the folder is OUT, or holds an `index.json` that is not an export's.
        LandingError: OUT cannot be read, nothing can be written there, or not one photo could be read.
    """
    limit = shard_bytes(shard_size)
    if storage.owner == landing.storage.owner:
        raise ConfigError(f"{storage.uri} is OUT itself: name another folder")
    if limit > _LARGEST_IN_S3 and not storage.is_local:
        raise ConfigError(f"a shard of {shard_size} is too large for S3, where it is one PUT: 4GB at most")
    storage.sweep("")
    index, report, done = ShardIndex(storage, landing.storage.uri), ShardsReport(), 0
    total = landing.count_images() if images is None else len(images)
    versions: dict[str, str] = {}  # of the photos of a tar file: they say where in an archive a photo lies
    read = OriginalReader(lambda one: read_image(one, version=versions[one], s3_endpoint=s3_endpoint))

    def tell(photos: int) -> None:
        nonlocal done
        done += photos
        if progress is not None:
            progress(done + report.failed, total)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="export") as pool:
        for number, samples in enumerate(_planned(landing, limit, report, min_label_score, images)):
            name, made_of = f"photos-{number:06d}.tar", _digest(samples)
            shard = index.known(name, made_of)
            if shard is not None:
                report.kept += 1
                tell(len(samples))
            else:
                versions = {sample.base["image_id"]: sample.base["version"] for sample in samples}
                left_out: dict[str, str] = {}

                def fill(file: IO[bytes], samples: list[_Sample] = samples, left: dict[str, str] = left_out) -> None:
                    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                        for sample, data in _read_ahead(pool, read, samples):
                            if isinstance(data, ReadError):
                                left[sample.base["image_id"]] = str(data)
                            else:
                                _add(tar, sample.names[0], data)
                                _add(tar, sample.names[1], sample.said)
                            tell(1)

                storage.write_with(name, fill)
                shard = {"url": name, "nsamples": len(samples) - len(left_out), "made_of": made_of}
                shard |= {"left_out": left_out}
            index.add(shard)
            report.shards += 1
            report.photos += shard["nsamples"]
            report.left_out |= shard["left_out"]
    if report.left_out and not report.photos:
        why = next(iter(report.left_out.values()))
        raise LandingError(f"none of the {len(report.left_out):,} photos could be read; the first: {why}")
    index.finish()
    return report


def _planned(
    landing: Landing,
    limit: int,
    report: ShardsReport,
    min_label_score: float | None,
    images: pa.ChunkedArray | None,
) -> Iterator[list[_Sample]]:
    """What goes into each tar file, by the sizes that landed."""
    samples: list[_Sample] = []
    size = 0
    for one in iter_contents(landing, min_label_score, images):
        if one.failed:
            report.failed += 1
            continue
        sample = _sample(one)
        if samples and size + sample.size > limit:
            yield samples
            samples, size = [], 0
        samples.append(sample)
        size += sample.size
    if samples:
        yield samples


def _sample(one: Contents) -> _Sample:
    called = dict.fromkeys(face["name"] for face in one.faces if face["name"])
    said = {
        "id": one.number,
        **{name: one.base[name] for name in _OF_A_ROW},
        "path": one.path,
        "label": one.label,
        "group_id": one.group_id,
        "names": [*called],
        "fields": one.fields,
        "faces": one.faces,
        "answers": one.answers,
    }
    key, form = f"{one.number:016d}", one.base["format"]
    ending = _ENDINGS.get(form, (form or "img").lower())
    return _Sample(one.base, (f"{key}.{ending}", f"{key}.json"), json.dumps(said, ensure_ascii=False).encode())


def _digest(samples: list[_Sample]) -> str:
    """Of what a tar file is to hold: a photo is known by its version and hash, which are in what is said of it."""
    found = hashlib.sha256()
    for sample in samples:
        found.update(f"{sample.names[0]} {len(sample.said)} ".encode() + sample.said)
    return found.hexdigest()


def _read_ahead(
    pool: ThreadPoolExecutor, read: OriginalReader[ImageBytes], samples: list[_Sample]
) -> Iterator[tuple[_Sample, bytes | ReadError]]:
    """The samples in their order, with their photos, of which some are read before their turn."""
    waiting: deque[tuple[_Sample, Future[bytes | ReadError]]] = deque()
    left = iter(samples)
    try:
        while True:
            for sample in itertools.islice(left, _AHEAD - len(waiting)):
                waiting.append((sample, pool.submit(_same_photo, read, sample)))
            if not waiting:
                return
            sample, data = waiting.popleft()
            yield sample, data.result()
    finally:
        for _sample, data in waiting:
            data.cancel()


def _same_photo(read: OriginalReader[ImageBytes], sample: _Sample) -> bytes | ReadError:
    """The bytes that were looked at, or why they are not to be had."""
    try:
        found = read(sample.base["image_id"])
    except ReadError as error:
        return error
    sha256 = sample.base["sha256"]
    if hashlib.sha256(found.data).hexdigest() == sha256 if sha256 else found.version == sample.base["version"]:
        return found.data
    return ReadError("it has changed since it landed: `pixelbrain run` looks at it again")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
