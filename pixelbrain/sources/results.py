"""Folders of results, which hold thumbnails and crops and no photo: this run's OUT by any of its names, and others'."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pixelbrain.sources.base import one_line
from pixelbrain.storage.s3_uri import S3_SCHEME

#: The file in the folder of a gallery by which it is known as one.
GALLERY_MARKER = ".pixelbrain-report"

_PART = r"part-\d{6}-\d{8}-\d{3,}\.parquet"  # as `landing.parts` names what lands
_PART_KEY = re.compile(rf"(.+)/images/{_PART}")


class Outs:
    """OUTs, as the disk knows them: through links, mounts and dots they are the same.

    `places` are folders, which need not be there, and s3:// URIs.
    """

    def __init__(self, places: Iterable[str]) -> None:
        places = tuple(places)
        self._uris = tuple(f"{place.rstrip('/')}/" for place in places if place.startswith(S3_SCHEME))
        found = (_stat(place) for place in places if not place.startswith(S3_SCHEME))
        # an inode 0 is that of a mounted server which has none: then every folder would be OUT
        self._folders = {(one.st_dev, one.st_ino) for one in found if one is not None and one.st_ino}
        self._hold = functools.lru_cache(1024)(self._look)  # the files of a list lie in few folders

    def are_at(self, path: str) -> bool:
        """Whether one of them is there."""
        found = _stat(path) if self._folders else None
        return found is not None and (found.st_dev, found.st_ino) in self._folders

    def hold(self, folder: str) -> bool:
        """Whether a folder is one of them, or inside one."""
        return bool(self._folders) and self._hold(folder)

    def hold_file(self, path: str) -> bool:
        """Whether a file is inside one of them, or is a link to one that is."""
        if not self._folders:
            return False
        folder = os.path.dirname(path)
        return self._hold(folder) or (os.path.islink(path) and self._hold(os.path.dirname(os.path.realpath(path))))

    def hold_uri(self, uri: str) -> bool:
        """Whether an s3:// URI is one of them, or inside one."""
        return f"{uri.rstrip('/')}/".startswith(self._uris) if self._uris else False

    def _look(self, folder: str) -> bool:
        real = Path(os.path.realpath(folder))
        return any(self.are_at(str(one)) for one in (real, *real.parents))


def is_results(folder: str, subfolders: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a folder that holds these is an OUT, of whatever run, or a gallery, wherever it was copied to.

    An OUT without a run.json has no pictures yet.
    """
    if GALLERY_MARKER in names:
        return True
    if "run.json" not in names or "images" not in subfolders:
        return False
    try:
        with os.scandir(os.path.join(folder, "images")) as entries:
            return any(re.fullmatch(_PART, entry.name) for entry in entries)
    except OSError:
        return False


def is_in_gallery(folder: str) -> bool:
    """Whether a folder is below a gallery, of whatever run."""
    real = Path(os.path.realpath(folder))
    return any(os.path.lexists(one / GALLERY_MARKER) for one in (real, *real.parents))


def results_of_key(key: str) -> str | None:
    """The OUT that a key is a part file of. Of an OUT's keys, which are listed in their order, these come first."""
    found = _PART_KEY.fullmatch(key)
    return found and f"{found[1]}/"


def inside_out(place: str) -> str:
    """What is wrong where SOURCE is OUT, or inside it."""
    return f"SOURCE {one_line(place)} is in OUT, of which nothing is listed: name another folder for results as OUT"


def of_a_run(place: str) -> str:
    """What is wrong where SOURCE is the OUT of another run, or in its gallery."""
    return f"{one_line(place)} holds the results of a run: name the photos' own folder"


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None
