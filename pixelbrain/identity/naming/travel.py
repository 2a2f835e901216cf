"""Names to other programs and back: a CSV, or a folder of XMP sidecars; the photos themselves are never written to."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from pixelbrain.errors import ConfigError, ContradictionError, PeopleError, PixelbrainError
from pixelbrain.identity.corrections.people import People
from pixelbrain.identity.corrections.state import State, as_name
from pixelbrain.identity.evaluation.labels import BOX, Label, find_labelled, read_labels
from pixelbrain.identity.naming.regions import Region, RegionsError, read_regions, write_regions
from pixelbrain.images.encoded import open_encoded
from pixelbrain.images.metadata import orientation
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import plain
from pixelbrain.shown import Shown
from pixelbrain.storage.file_uri import shown_path
from pixelbrain.storage.local import LocalStorage

#: The columns of the CSV.
COLUMNS = ("person", "name", "photo", *BOX, "face_id")
#: Programs draw their boxes tighter or wider round a face: by so much they overlap when they mean the same one.
_SAME_FACE = 0.3
_SUFFIX = ".xmp"

Read = Callable[[str], bytes]


@dataclass(kw_only=True, repr=False)
class Exported(Shown):
    """What was written."""

    faces: int = 0
    photos: int = 0
    unreadable: list[str] = field(default_factory=list)  # photos whose orientation could not be looked at


@dataclass(kw_only=True, repr=False)
class Imported(Shown):
    """What names came to."""

    faces: int = 0  # that have a name now
    people: int = 0  # names
    new: int = 0  # of them, people whom nobody knew
    not_found: int = 0  # named faces that were not detected here
    not_in_out: int = 0  # named photos that did not land
    problems: list[str] = field(default_factory=list)  # sidecars that cannot be read, and names that contradict others


def export_names(people: People, to: Path, *, read: Read, unnamed: bool = False, hidden: bool = False) -> Exported:
    """Write whose faces are where.

    Args:
        to: a file that ends in .csv, or a folder, which gets a sidecar a photo, in the folders of the photos: copy them
            beside the photos, or let the other program look there.
        read: the bytes of a photo; how it lies is looked up for its sidecar.
        unnamed: in a CSV, also the people without a name.
        hidden: also those who are hidden.

    Raises:
        LandingError: it cannot be written.
    """
    state = people.state()
    registry, table = state.registry, state.faces
    chosen = table.filter(pc.is_valid(table["identity_id"])).sort_by(
        [("image_id", "ascending"), ("face_id", "ascending")]
    )
    csv_wanted = to.suffix.lower() == ".csv"
    rows = [
        row | {"name": registry.names.get(row["identity_id"], "")}
        for row in chosen.select(["identity_id", "image_id", "face_id", *BOX]).to_pylist()
        if (hidden or row["identity_id"] not in registry.hidden)
        and (registry.names.get(row["identity_id"]) or (unnamed and csv_wanted))
    ]
    report = Exported(faces=len(rows), photos=len({row["image_id"] for row in rows}))
    if csv_wanted:
        _write_csv(rows, to)
    else:
        _write_sidecars(people.landing, rows, to, read, report)
    return report


def _write_csv(rows: list[dict[str, Any]], to: Path) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        box = [f"{row[name]:.1f}" for name in BOX]
        lines.writerow([row["identity_id"], row["name"], shown_path(row["image_id"]), *box, row["face_id"]])
    LocalStorage(to.parent).write(to.name, text.getvalue().encode())


def _write_sidecars(landing: Landing, rows: list[dict[str, Any]], to: Path, read: Read, report: Exported) -> None:
    photos: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        photos.setdefault(row["image_id"], []).append(row)
    folder, start = LocalStorage(to), _common_folder(landing.index.image_id.to_pylist())
    for image_id, width, height in _sizes(landing):
        if image_id not in photos:
            continue
        lies = _orientation(image_id, read)
        if lies is None:
            report.unreadable.append(image_id)
        sides = (width, height, width, height)
        regions = [
            Region(row["name"], tuple(row[name] / side for name, side in zip(BOX, sides, strict=True)))  # type: ignore[arg-type]
            for row in photos[image_id]
        ]
        name = shown_path(image_id)[len(start) :].lstrip("/") + _SUFFIX
        if (folder.local / name).resolve() == Path(shown_path(image_id) + _SUFFIX).resolve():
            raise ConfigError(
                f"{to} is where the photos are, whose own sidecars would be written over: name another one"
            )
        folder.write(name, write_regions(regions, width=width, height=height, orientation=lies or 1).encode())


def _common_folder(image_ids: list[str]) -> str:
    """The folder that all photos of OUT have in common: below it they are told apart."""
    folders = [shown_path(one).split("/")[:-1] for one in image_ids]
    return "/".join(os.path.commonprefix(folders))  # type: ignore[type-var]  # of lists, too


def _sizes(landing: Landing) -> Iterator[tuple[str, int, int]]:
    """Of each photo that could be read: image_id, width and height."""
    for table in landing.iter_images([], vectors=False):
        for row in table.select(["image_id", "width", "height"]).to_pylist():
            if row["width"] and row["height"]:
                yield row["image_id"], row["width"], row["height"]


def _orientation(image_id: str, read: Read) -> int | None:
    """EXIF's, 1 to 8; None: the photo cannot be read."""
    try:
        data = read(image_id)
        with open_encoded(data) as image:
            if image.format == "TIFF":  # Pillow turns it, and says that nothing is left to do
                return int(image.tag_v2.get(274, 1))  # type: ignore[attr-defined]
            return orientation(image, data)
    except PixelbrainError:
        return None


def import_names(people: People, source: Path, *, read: Read, dry_run: bool = False) -> Imported:
    """Take names from a CSV, or from all sidecars below a folder.

    Who has most of a name's faces here is called so, unless they have another name, and all of its faces are that
    person's from then on, whatever is found later: each name is a correction that `undo` takes back.

    Args:
        source: a CSV as `export_names` writes it, or with the columns photo and person; or a folder of .xmp files, each
            beside its photo or under the folders in which the photo is.
        read: the bytes of a photo; how it lies is looked up for its sidecar.
        dry_run: say what would come of it.

    Raises:
        ConfigError: it cannot be read, or none of its photos has landed.
        PeopleError: nobody was identified yet.
    """
    report = Imported()
    landing = people.landing
    if source.is_dir() or source.suffix.lower() == _SUFFIX:
        labels, beside = list(_from_sidecars(landing, source, read, report)), source
        if not labels:
            raise ConfigError(
                f"no sidecar below {source} names a face in a photo that has landed in {landing.storage.uri}"
                + (f": {report.problems[0]}" if report.problems else "")
            )
    else:
        labels, beside = list(read_labels(source, person=("name", "person"))), source.parent
    labelled = find_labelled(landing, labels, beside=beside, least_overlap=_SAME_FACE)
    report.not_in_out += len(labelled.not_in_out)
    report.problems += labelled.twice
    ids = labelled.faces["face_id"].to_pylist()
    named: dict[str, list[str]] = {}
    for person, face in zip(labelled.person.tolist(), labelled.face.tolist(), strict=True):
        if face < 0:
            report.not_found += 1
        else:
            named.setdefault(plain(person), []).append(ids[face])
    _name(people, {name: list(dict.fromkeys(faces)) for name, faces in named.items()}, report, dry_run)
    return report


def _name(people: People, named: dict[str, list[str]], report: Imported, dry_run: bool) -> None:
    """The names with the most faces first: they choose first whom they mean."""
    state = people.state()
    whose = dict(zip(state.faces["face_id"].to_pylist(), state.person.tolist(), strict=True))
    taken = set(state.registry.names)
    for name, faces in sorted(named.items(), key=lambda item: (-len(item[1]), item[0])):
        there = [face for face in faces if face in whose]
        report.not_found += len(faces) - len(there)
        if not there:
            continue
        votes = Counter(whose[face] for face in there if whose[face] is not None)
        same = state.registry.named(name)  # of two who are called so, the one who has most of the faces
        choice = same or votes.keys() - taken
        who = min(choice, key=lambda one: (-votes[one], one), default=None)
        mine = [face for face in there if whose[face] == who or whose[face] not in same]
        try:
            if not dry_run:
                _call(people, state, name, who, mine, known=bool(same))
            elif who is None or not same:
                as_name(name)
        except (ContradictionError, PeopleError) as error:
            report.problems.append(f"{name}: {error}")
            continue
        taken.add(who or "")
        report.people, report.faces, report.new = report.people + 1, report.faces + len(there), report.new + (not who)


def _call(people: People, state: State, name: str, who: str | None, faces: list[str], *, known: bool) -> None:
    """These faces are of who is called so; `known`: already. What was said before is not said again."""
    if who is None:
        people.assign(name, *faces, new=True)
        return
    if not known:
        people.name(who, name)
    ids, claims = state.faces["face_id"], state.claims
    said = {ids[at].as_py() for at, one in state.said.items() if one.explicit and claims.root(one.person) == who}
    if set(faces) - said:
        people.assign(who, *faces)


def _from_sidecars(landing: Landing, folder: Path, read: Read, report: Imported) -> Iterator[Label]:
    """The regions of all sidecars, in pixels of their photos."""
    names: dict[str, list[tuple[str, int, int]]] = {}
    for photo in _sizes(landing):
        file_name = shown_path(photo[0]).rpartition("/")[2]
        for name in {file_name, file_name.rpartition(".")[0]}:
            names.setdefault(name.lower(), []).append(photo)
    files, folder = (sorted(folder.rglob("*")), folder) if folder.is_dir() else ([folder], folder.parent)
    for file in files:
        if file.suffix.lower() != _SUFFIX or not file.is_file():
            continue
        of = _photo_of(file, folder, names.get(file.name[: -len(_SUFFIX)].lower(), []))
        if of is None:
            report.not_in_out += 1
            continue
        image_id, width, height = of
        try:
            regions = read_regions(file.read_bytes(), orientation=_orientation(image_id, read) or 1)
        except (RegionsError, OSError) as error:
            report.problems.append(f"{file}: {error}")
            continue
        for region in regions:
            x1, y1, x2, y2 = region.box
            yield Label(image_id, region.name, (x1 * width, y1 * height, x2 * width, y2 * height))


def _photo_of(file: Path, folder: Path, called_so: list[tuple[str, int, int]]) -> tuple[str, int, int] | None:
    """Which photo a sidecar is of: the one beside it, or in folders of the same names; None: none, or several."""
    beside = [one for one in called_so if Path(shown_path(one[0])).parent in (file.parent, file.parent.resolve())]
    inside = file.relative_to(folder).parent.as_posix()
    end = "/" if inside == "." else f"/{inside}/"
    same = beside or [one for one in called_so if (shown_path(one[0]).rpartition("/")[0] + "/").endswith(end)]
    return same[0] if len(same) == 1 else None
