"""The images of a source or of an OUT, chosen by what is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.config import MAX_MEGAPIXELS
from pixelbrain.errors import ConfigError
from pixelbrain.images.loader import DataLoader as SourceLoader
from pixelbrain.images.loader import Filter
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.language import Condition, all_of, names_in
from pixelbrain.landing.where.names import Chosen, choose_images, most_common_person, read_where
from pixelbrain.sources import ImageSource
from pixelbrain.storage.base import Storage


class DataLoader(SourceLoader):
    """Lists images from disk, S3, a manifest or an OUT, chosen by what is known of them, and decodes them if asked.

        for image in DataLoader("photos/"):
            image.pixels  # uint8 (H, W, 3), RGB, upright
        DataLoader("out/", where="n_faces > 0", limit=10)  # of what has landed in OUT, the first ten with a face
        DataLoader("photos/", out="out/", person="Ada")

    `len` lists the source, and counts; `batches` has several images at a time, and those that failed. What is chosen by
    is looked at anew at each listing.

    Args:
        source: a folder (searched with all below it), an image, a list file (.txt, .csv, .tsv,
            .jsonl, .parquet), s3://bucket/prefix, or a glob (`photos/**/*.jpg`); or several of these, each image of
            which is listed once. Paths may be `Path`s; relative ones start where the process is now.
            Without, all that has landed in `out`. With one of the three below, it may be an OUT.
        out: the OUT that knows the images, a folder or s3://bucket/prefix; in a pipeline, that of the run. Images that
            have not landed there as they are now are not meant.
        where: only images for which this is true, as `n_faces > 0 and person = "Ada"`; see docs/filters.md.
        person: only images of somebody, by name or id.
        most_common_person: only images of whoever is in most of them.
        filter: a function of yours, whether an image is meant: of a dict with its `image_id`, `path`, `version` and
            `size_bytes`; with `out`, of all that has landed of it, without vectors.
        limit: only the first so many images, of those that are meant.
        offset: leave out the first so many of these.
        recursive: False lists what is in a folder or prefix itself, and not below it.
        decode: False has the bytes of each image as they are, in an `EncodedImage`. A pipeline decodes all the same.
        s3_endpoint: another S3 server's URL.
        max_megapixels: images of which more would be in memory at once are refused; see `decode_image`.
        hidden: list hidden files and folders, too, and those that systems make (@eaDir, __MACOSX).
        column: of list files, the one that names the images; by default `uri`, `url` or `path`.

    Raises:
        ConfigError: no source and no OUT, or an expression that cannot be read; at a listing, names in it that are not
            known.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
        *,
        out: str | Path | Storage | None = None,
        where: str | Condition | None = None,
        person: str | None = None,
        most_common_person: bool = False,
        filter: Filter | None = None,
        limit: int | None = None,
        offset: int = 0,
        recursive: bool = True,
        decode: bool = True,
        s3_endpoint: str | None = None,
        max_megapixels: int = MAX_MEGAPIXELS,
        hidden: bool = False,
        column: str | None = None,
    ) -> None:
        place = out.uri if isinstance(out, Storage) else None if out is None else str(out)
        super().__init__(
            place or "" if source is None else source,
            s3_endpoint=s3_endpoint,
            limit=limit,
            max_megapixels=max_megapixels,
            hidden=hidden,
            column=column,
            offset=offset,
            recursive=recursive,
            filter=filter,
            decode=decode,
        )
        if isinstance(where, str):
            names_in(where)
        #: The OUT that knows the images; None: not said.
        self.out = place
        self.where, self.person, self.most_common_person = where, person, most_common_person
        self._chosen: Chosen | None = None  # of the last listing

    def shown(self) -> Mapping[str, Any]:
        where = self.where.text if isinstance(self.where, Condition) else self.where
        more = {"out": self.out, "where": where, "person": self.person, "most_common_person": self.most_common_person}
        return {**super().shown(), **{name: value for name, value in more.items() if value}}

    @property
    def asks_out(self) -> bool:
        """Whether images are meant by what an OUT knows of them."""
        known = self.where is not None or self.person is not None or self.most_common_person
        return known or (self.filter is not None and self.out is not None)

    @property
    def chooses(self) -> bool:
        """Whether images are meant or not by what is known of them: of a source that is there, it may be none."""
        return self.asks_out or super().chooses

    @property
    def is_whole(self) -> bool:
        """Whether all images of the source are meant: a part of it says nothing of what is gone from it."""
        return super().is_whole and self._of_out() is None

    def over(self, landing: Landing) -> DataLoader:
        """This loader; where it asks an OUT and nobody has said which, of this one."""
        return self.clone(out=landing.storage.uri) if self.asks_out and self._knows() is None else self

    def settled(self) -> DataLoader:
        """This loader, or one that goes on choosing as it does now, whatever lands meanwhile."""
        if not self.asks_out:
            return self
        out = self.source if self._of_out() is not None else self.out
        made = self.clone(out=out, where=None, person=None, most_common_person=False, filter=None)
        return made.among(self._choose())

    def open(self) -> ImageSource:
        """The source, whole: `limit` does not bound it."""
        landing = self._of_out()
        return super().open() if landing is None else _LandedImages(landing)

    def list_images(self) -> Iterator[pa.Table]:
        """The images, without reading a byte of them, as tables of `schema.MANIFEST_SCHEMA`.

        Raises:
            SourceError: the source cannot be listed.
            ConfigError: what they are chosen by is not known.
            LandingError: nothing has landed in the OUT that they are chosen by.
        """
        self._chosen = self._choose() if self.asks_out else None
        return super().list_images()

    def choose(self, table: pa.Table) -> pa.Table:
        """Of a table of the listing, the images that are meant."""
        return super().choose(table) if self._chosen is None else table.filter(self._chosen(table))

    def _choose(self) -> Chosen:
        """The images that OUT says are meant, by what they are called, and which state of them it knows."""
        landing = self._knows()
        if landing is None:
            raise ConfigError(
                f"{self.source} is no OUT that knows what images are chosen by: name it, DataLoader(..., out='out/')"
            )
        person = self.person
        if self.most_common_person and (person := most_common_person(landing.require())) is None:
            raise ConfigError(f"nobody is known in {landing.storage.uri}: `pixelbrain identify` finds people")
        texts = [f"person == {one!r}" for one in {self.person, person} if one is not None]
        where = self.where
        if not isinstance(where, Condition):
            where, texts = None, [*texts, *([where] if where is not None else [])]
        found = choose_images(landing.require(), read_where(landing, all_of(*texts)), self.filter)
        if where is not None:
            both = choose_images(landing, where)
            found = found.filter(pc.is_in(found["image_id"], both["image_id"].combine_chunks()))
        return Chosen(found)

    def _knows(self) -> Landing | None:
        """The OUT that says what images are; None: nobody has said which, and the source is none."""
        if self.out is not None:
            return Landing(self._placed(self.out), s3_endpoint=self.s3_endpoint)
        return self._of_out()

    def _of_out(self) -> Landing | None:
        """The OUT whose images are listed; None: it is a source that is."""
        if isinstance(self.source, str) and (self.source == self.out or (self.out is None and self.asks_out)):
            landing = Landing(self._placed(self.source), s3_endpoint=self.s3_endpoint)
            return landing if self.source == self.out or landing.exists() else None
        return None


class _LandedImages(ImageSource):
    """The images of an OUT, as sources list them: those that landed, wherever they are."""

    def __init__(self, landing: Landing) -> None:
        super().__init__()
        self._landing = landing

    def list_images(self) -> Iterator[pa.Table]:
        """Raises `LandingError`."""
        self._landing.require()
        names = schema.MANIFEST_SCHEMA.names
        return (table.select(names).cast(schema.MANIFEST_SCHEMA) for table in self._landing.iter_images([]))

    def covers(self, image_id: str) -> bool:
        """Never: what landed says nothing of what is gone."""
        return False
