"""What a listing passes over, counted by kind, so that people see that nothing is lost; a stream keeps no names."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN_FILE, HIDDEN_FOLDER = "hidden file", "hidden folder"
RESULTS = "folder of results"  # an OUT, of this run or of another
IN_RESULTS = "file of results"  # of one, that a link, a list or an S3 listing leads to
SPECIAL = "pipe, socket or device"
IN_ARCHIVE = "link or device in an archive"
REPEATED = "entry that stands twice"
NAMELESS = "row without a uri"
LISTED_ELSEWHERE = "linked folder that is listed elsewhere"
AROUND = "linked folder that SOURCE is in"
_BARE = "file without an extension"
_OTHER = "of other kinds"

_PLURALS = {
    IN_ARCHIVE: "links or devices in archives",
    SPECIAL: "pipes, sockets or devices", REPEATED: "entries that stand twice",
    AROUND: "linked folders that SOURCE is in", LISTED_ELSEWHERE: "linked folders that are listed elsewhere",
}  # fmt: skip

#: Folders that file servers, archivers and systems make beside photos, in any case of letters: thumbnails and waste.
_OF_SYSTEMS = frozenset(
    {
        "__macosx", "@eadir", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot",
        "$recycle.bin", "recycler", "system volume information", "lost+found",
    }
)  # fmt: skip

_MOST_KINDS = 50  # names may end in anything: after so many, the others are one kind
_SAID = 8
_EXTENSION = re.compile(r"(?<=.)\.(?=[^.]*[a-z])[a-z0-9_-]{1,12}\Z")


class PassedOver(dict[str, int]):
    """How many of each kind."""

    def add(self, kind: str) -> None:
        """One more."""
        if kind not in self and len(self) >= _MOST_KINDS:
            kind = _OTHER
        self[kind] = self.get(kind, 0) + 1

    def add_file(self, name: str) -> None:
        """One more file that is called like no image."""
        found = _EXTENSION.search(name.lower())
        self.add(found[0] if found else _BARE)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or a system's own, so that no camera wrote what is in it."""
    if name.startswith("."):
        return name not in (".", "..")  # which stand in keys of S3, as any letters do
    return name.lower() in _OF_SYSTEMS


def describe_passed_over(counts: Mapping[str, int]) -> str:
    """As people read it: `3 .mov, 2 .xmp, 1 hidden folder`."""
    commonest = sorted(counts.items(), key=lambda one: -one[1])
    said = [f"{count:,} {kind if count == 1 else _plural(kind)}" for kind, count in commonest[:_SAID]]
    if rest := sum(count for _, count in commonest[_SAID:]):
        said.append(f"{rest:,} more")
    return ", ".join(said)


def _plural(kind: str) -> str:
    return _PLURALS.get(kind) or re.sub(r"^(hidden )?(file|folder|row)\b", r"\1\2s", kind)
