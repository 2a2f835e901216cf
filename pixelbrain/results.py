"""Results: what has landed in an OUT, in the hands of other tools: Arrow, pandas, Polars, SQL, Ray."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError, MissingExtraError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import IMAGES
from pixelbrain.landing.published import FACES, publish
from pixelbrain.report.tables import EXPORT_TABLES, of_images
from pixelbrain.shown import Shown
from pixelbrain.stages.display import choose_display
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    from pixelbrain.identity.group import GroupReport
    from pixelbrain.identity.lookalikes.duplicates import DuplicatesReport
    from pixelbrain.identity.mapping.map import MapReport

#: The tables that lie in OUT as any program can read them.
_PUBLISHED = (IMAGES, FACES)


def open(
    out: str | Path | Storage,
    *,
    mongo: str | None = None,
    chroma: str | None = None,
    s3_endpoint: str | None = None,
    progress: bool | None = None,
) -> Results:
    """The results in an OUT, a folder or s3://bucket/prefix.

        found = pb.open("out/")
        found.images().to_pandas()
        found.sql("SELECT label, count(*) AS photos FROM images GROUP BY label ORDER BY photos DESC")

    Args:
        mongo, chroma: where the two stores are, if they are not those of the last run.
        s3_endpoint: of an S3 server that is not Amazon's.
        progress: whether stages show how far they are; None: on a terminal and in a notebook.

    Raises:
        LandingError: nothing has landed there, or it cannot be read.
    """
    uri = out.uri if isinstance(out, Storage) else str(out)
    return Results(functools.partial(Stages.over, uri, mongo=mongo, chroma=chroma, s3_endpoint=s3_endpoint), progress)


class Results(Shown):
    """What has landed in an OUT, as of each call: see `open`.

    A table is a `pyarrow.Table`: its `to_pandas()` is a data frame of pandas, `polars.from_arrow(table)` one of Polars.
    """

    def __init__(self, over: Callable[..., Stages], progress: bool | None = None) -> None:
        self._over = functools.partial(over, choose_display(progress))
        self._stages = self._over(stores=False)  # to read tables, nobody gives a password

    @property
    def landing(self) -> Landing:
        """The landed rows themselves, with all vectors, a thousand images at a time: `Landing.iter_images`."""
        return self._stages.landing

    def shown(self) -> Mapping[str, Any]:
        return {"out": self.landing.storage.uri}

    def shown_at_length(self) -> Mapping[str, Any]:
        return {**self.shown(), "images": self.landing.count_images(), "modules": [*self.landing.index.modules]}

    def images(self, *, min_label_score: float | None = None, where: str | None = None) -> pa.Table:
        """A row an image, with the columns of `report.export.export`; an unlikelier label than that is null.

        Args:
            where: only the images for which this is true, as `n_faces > 0 and person = "Ada"`; see docs/filters.md.
        """
        return self._table("images", min_label_score, where=where)

    def faces(self, *, where: str | None = None) -> pa.Table:
        """A row a face, and whose it is, with the columns of `report.export.export`."""
        return self._table("faces", where=where)

    def people(self, *, where: str | None = None) -> pa.Table:
        """A row a person, those with the most faces first, with the columns of `report.export.export`."""
        return self._table("people", where=where)

    def groups(self, *, where: str | None = None) -> pa.Table:
        """A row an image that looks like others, group by group, with the columns of `report.export.export`."""
        return self._table("groups", where=where)

    def duplicates(self, *, where: str | None = None) -> pa.Table:
        """A row an image that is there more than once, the one to keep first, with the columns of `report.export`.

        What the last `find_duplicates` found, as far as its photos are there as they were.
        """
        return self._table("duplicates", where=where)

    def find_duplicates(
        self, *, bits: int | None = None, similarity: float | None = None, burst_s: float | None = None,
        vectors: bool = True,
    ) -> DuplicatesReport:  # fmt: skip
        """Look for copies, near copies and bursts, as `pixelbrain duplicates`; `duplicates()` are they then.

        See `identity.lookalikes.duplicates.find_duplicates` for the arguments and errors.
        """
        return self._stages.duplicates(bits=bits, similarity=similarity, burst_s=burst_s, vectors=vectors)

    def map(self, by: str | None = None, *, where: str | None = None) -> pa.Table:
        """A row an image, or a face, with its place `x`, `y` on the map; `by`: of one map of several.

        What the last `make_map` laid out, as far as it is there as it was; none before.
        """
        found = self._table("maps", where=where)
        return found if by is None else found.filter(pc.equal(found["by"], by))

    def make_map(self, by: str | None = None, *, seed: int = 0) -> MapReport:
        """Lay out all photos, or all faces, by their vectors, as `pixelbrain map`; `map()` has it then.

        See `identity.mapping.map.make_map` for the arguments and errors.
        """
        return self._stages.map(by=by, seed=seed)

    def answers(self, *, where: str | None = None) -> pa.Table:
        """A row an image and question, with the columns of `report.export.export`."""
        return self._table("answers", where=where)

    def _table(self, name: str, min_label_score: float | None = None, *, where: str | None = None) -> pa.Table:
        self.landing.refresh()  # others may have landed more
        found = of_images(name, self.landing, self._stages.context.choose(where), min_label_score)
        return pa.concat_tables([found.columns.empty_table(), *found.rows])

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """What DuckDB finds in the tables, of which it reads the columns and rows that it needs.

        `images` and `faces` are what lies in OUT for other programs: a struct a module with its vectors, and `label`,
        `label_score` and `n_faces` beside them. `people`, `groups` and `answers` are as in the methods of that name.

        Args:
            query: SQL, see https://duckdb.org/docs.
            parameters: values for `?` or `$name` in it.

        Raises:
            MissingExtraError: DuckDB is not installed.
            ConfigError: a query that DuckDB refuses; it says why.
            OutLockedError: a command is at work on OUT: what other programs can read is out of date.
        """
        import pyarrow.dataset

        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("sql: package duckdb is not installed: pip install 'pixelbrain[sql]'") from None
        names = EXPORT_TABLES.keys() & {word.lower() for word in re.findall(r"\w+", query)}
        if names & {*_PUBLISHED}:
            self._publish()
        with duckdb.connect() as connection:
            for name in names:
                if name in _PUBLISHED:
                    filesystem, path = self.landing.storage.arrow(name)
                    dataset = pyarrow.dataset.dataset(path, format="parquet", filesystem=filesystem)
                    connection.register(f"landed_{name}", dataset)
                    connection.execute(f"CREATE VIEW {name} AS SELECT *{_short(dataset.schema)} FROM landed_{name}")
                else:
                    connection.register(name, self._table(name))
            try:
                found = connection.sql(query, params=parameters)
                return pa.table({}) if found is None else found.to_arrow_table()  # None: it was no question
            except duckdb.Error as error:
                known = (
                    f"; the tables are {', '.join(EXPORT_TABLES)}" if isinstance(error, duckdb.CatalogException) else ""
                )
                raise ConfigError(f"DuckDB says: {' '.join(str(error).split())}{known}") from None

    def to_ray(self, table: str = IMAGES) -> Any:
        """`images` or `faces`, as they lie in OUT, as a `ray.data.Dataset`, which is read when it is used.

        Raises:
            ConfigError: another table.
            OutLockedError: as `sql`.
        """
        from pixelbrain.engine.landed import landed_dataset

        if table not in _PUBLISHED:
            raise ConfigError(f"no dataset {table!r}: {' or '.join(_PUBLISHED)}; ray.data.from_arrow takes the others")
        self._publish()
        return landed_dataset(self.landing.storage, table)

    def search(
        self,
        image: str | Path | None = None,
        *,
        text: str | None = None,
        person: str | None = None,
        similar: bool = False,
        k: int = 20,
        where: str | None = None,
    ) -> pa.Table:
        """The nearest faces or images to a photo or to words, by cosine distance (0: same, 2: opposite), or somebody's.

        Args:
            image: a file, or an s3:// URI.
            text: what photos are to show, in its place, for an OUT with the module clip.
            person: a name or an id, in its place.
            similar: the images that look most alike, and not the faces.
            k: how many; of a photo with several faces, to each.
            where: only among the images for which this is true.

        Returns:
            A row a match, nearest first: `query`, which face of the photo it is near to, `distance`, and what it is.

        Raises:
            ConfigError: none or several of a photo, words and a person; or words that cannot be read.
            ImageError, LandingError, ModuleError, PeopleError: see `apps.photo_search`.
        """
        from pixelbrain.apps.photo_search import search_person, search_photo, search_text

        if sum(one is not None for one in (image, text, person)) != 1:
            raise ConfigError("search by a photo, by text= words, or by person= somebody: one of them")
        if person is not None:
            found = search_person(self._stages, person, k=k, where=where)
        elif text is not None:
            found = search_text(self._stages, text, k=k, where=where)
        else:
            found = search_photo(self._stages, str(image), by="images" if similar else "faces", k=k, where=where)
        rows = [{"query": one["title"], **match} for one in found["queries"] for match in one["matches"]]
        return pa.Table.from_pylist([{name: row[name] for name in ("query", *found["columns"])} for row in rows])

    def group(self, *, threshold: float | None = None, where: str | None = None) -> GroupReport:
        """Group the images that look alike, as `pixelbrain group`; `groups()` are they then.

        Args:
            threshold: cosine distance, 0 to 2; see `identity.group.group_images` for the default and errors.
            where: only the images for which this is true; the others are in no group.

        Raises:
            ConfigError: the last load was into a MongoDB server: `open` wants its URI, password and all.
        """
        stages = self._over()
        with stages.database("group") as database:
            return stages.group(database, threshold=threshold, where=where)

    def report(self) -> Path:
        """Write the gallery; returns its first page."""
        return self._stages.report()

    def export(
        self,
        file: str | Path,
        table: str = "images",
        *,
        min_label_score: float | None = None,
        format: str | None = None,
        root: str | Path | None = None,
        shard_size: int | str | None = None,
        where: str | None = None,
    ) -> int:
        """Write a table to a .csv, .jsonl or .parquet; returns its rows. See `report.export.export`.

        Or all as a data set; returns its images.

        Args:
            format: "coco": one .json, see `report.exports.coco.write_coco`; "webdataset": a folder of tar files, see
                `report.exports.shards.write_shards`. `file` may be in S3, and `table` is not looked at.
            root: of COCO, what file names are relative to.
            shard_size: of WebDataset, bytes or a text such as "1GB".
            where: only what is of the images for which this is true.

        Raises:
            ConfigError: another format, and what these say.
        """
        from pixelbrain.report.export import export
        from pixelbrain.stages.export import export_coco, export_webdataset

        self.landing.refresh()
        if format is None:
            images = self._stages.context.choose(where)
            return export(self.landing, Path(file), table, min_label_score=min_label_score, images=images)
        if format == "coco":
            folder = None if root is None else str(root)
            return export_coco(self._stages, str(file), root=folder, min_label_score=min_label_score, where=where)[0]
        if format == "webdataset":
            return export_webdataset(
                self._stages, str(file), shard_size=shard_size, min_label_score=min_label_score, where=where
            ).photos
        raise ConfigError(f"no format {format!r}: coco or webdataset; a table's is in its file's name")

    def _publish(self) -> None:
        """What a command that was killed left undone is done."""
        publish(self.landing.require())


def _short(columns: pa.Schema) -> str:
    """The short names of what the columns have, as SQL."""
    found = []
    for short, path in schema.SHORT_NAMES.items():
        module, _, field = path.partition(".")
        if module in columns.names and columns.field(module).type.get_field_index(field) >= 0:
            found.append(f', "{module}"."{field}" AS {short}')
    return "".join(found)
