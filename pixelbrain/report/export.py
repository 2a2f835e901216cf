"""The tables as one file for other programs: CSV, JSON lines or Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.report.tables import EXPORT_TABLES, of_images
from pixelbrain.storage.tables import TABLE_SUFFIXES, write_lines, write_table


def export(
    landing: Landing,
    file: Path,
    table: str = "images",
    *,
    min_label_score: float | None = None,
    images: pa.ChunkedArray | None = None,
) -> int:
    """Write a table of what has landed to one file, which is complete or absent.

    images: image_id, status, error, label, label_score, n_faces, identities (joined with ;), path (the URI of what
    is not on disk), format, width, height, bytes, sha256, taken_at, labels (the best, joined with ;), group_id, and
    the scalar fields of exif and of users' own modules as `<module>.<field>`, lists of texts joined with ;, answers
    by their field (tags joined with ;, objects as JSON). faces: image_id, face_id, x1, y1, x2, y2 (pixels of the
    upright original), score, identity_id, path, sharpness, distance (cosine, to that person's mean), assigned.
    people: identity_id, n_faces, n_images, and the face_id, image_id and path of the face that is most like them
    all. groups: group_id, image_id, path, distance (to the group's mean). duplicates: duplicate_id, propose (keep
    or drop), image_id, path, kind, why, copy_of, bits, similarity, width, height, bytes, chosen (best, keep or drop, by
    somebody). lookalikes: group_id, propose (keep: the best, and what was chosen; drop: what was chosen; else
    null), image_id, path, why, width, height, bytes, chosen. answers: image_id, path,
    field, answer as text, status, model, error_type, error.

    Where people have names, images have `names` (joined with ;), and faces and people a `name`; where some are hidden,
    people have `hidden`.

    A label of less probability than `min_label_score` is null; its `label_score` stays, and tells it from one that was
    not asked for. With 0 every image has its likeliest label.

    In CSV null is an empty field and an empty text is `""`; in the other two null is null. Data is written as it is: a
    file name that starts with `=` or `@` is not defused, and a spreadsheet may take it for a formula. Import such a
    CSV as text.

    Args:
        landing: the landed tables.
        file: its ending is .csv, .jsonl or .parquet, in any case of letters. Replaced if it is there.
        table: one of `EXPORT_TABLES`.
        min_label_score: the least probability of a label; the classifier's own by default, see `report.labels`.
        images: the ids of those that are meant, all by default: rows about others are left out; people are those in
            them, with all their photos.

    Returns:
        Rows written.

    Raises:
        ConfigError: another ending, another table, no such folder, or a `min_label_score` that is no probability.
        LandingError: the landed tables cannot be read, or the file cannot be written.
    """
    file = Path(file)
    if file.suffix.lower() not in TABLE_SUFFIXES:
        other = "; a .json takes --format coco" if file.suffix.lower() == ".json" else "; - is standard output"
        raise ConfigError(f"cannot export to {file.name!r}: its name must end in {', '.join(TABLE_SUFFIXES)}{other}")
    if table not in EXPORT_TABLES:
        raise ConfigError(f"no table {table!r}: choose one of {', '.join(EXPORT_TABLES)}")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"no folder {file.absolute().parent} to write {file.name} to: make it first")
    found = of_images(table, landing, images, min_label_score)
    try:
        return write_table(file, found.columns, found.rows)
    except OSError as error:
        raise LandingError(f"cannot write {file}: {error.strerror or error}") from None


def export_paths(
    landing: Landing,
    file: Path,
    table: str = "images",
    *,
    images: pa.ChunkedArray | None = None,
    end: str = "\n",
) -> int:
    """Write the paths of a table's photos for programs such as xargs, each once; of what is alike, those to drop.

    The arguments are as `export` has them; `end`: what is behind each, a line's end or "\\0". Returns how many, and
    raises the same, and `ConfigError` for a path that has a line's end in it, which other programs would take for two.
    """
    if "path" not in (found := of_images(table, landing, images, None)).columns.names:
        raise ConfigError(f"{table} have no paths: choose another table")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"no folder {file.absolute().parent} to write {file.name} to: make it first")
    paths: dict[str, None] = {}
    for rows in found.rows:
        if table in ("duplicates", "lookalikes"):
            rows = rows.filter(pc.equal(rows["propose"], "drop"))
        paths |= dict.fromkeys(rows["path"].drop_null().to_pylist())
    broken = next((one for one in paths if end == "\n" and ("\n" in one or "\r" in one)), None)
    if broken is not None:
        raise ConfigError(f"{broken!r} has the end of a line in its name: --format paths0 is for xargs -0")
    try:
        return write_lines(file, paths, end=end)
    except OSError as error:
        raise LandingError(f"cannot write {file}: {error.strerror or error}") from None
