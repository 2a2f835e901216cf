"""How an image id is shown, linked to and turned into a file name; everything here is text from strangers."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pixelbrain.sources.archives.names import split_member

_FILE = "file://"
_GENERATED = re.compile(r"[a-z]+-[0-9a-f]{8,}")

#: What would vanish, break the line or turn the reading direction of what stands around it, and what is shown instead.
_SHOWN = {
    **dict.fromkeys([*range(0x80, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)], "\ufffd"),
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **dict.fromkeys(map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")),
}


def visible(text: str) -> str:
    """`text` on one line: control characters become their pictures (a newline is ␊), direction marks go."""
    return text.translate(_SHOWN)


def full_name(image_id: str) -> str:
    """The path of a file:// URI, decoded, and that of an archive's member; any other URI as it stands. On one line."""
    if member := split_member(image_id):
        return f"{full_name(member[1])}/{visible(member[2])}"
    if image_id.startswith(_FILE):
        return visible(urllib.parse.unquote(image_id.removeprefix(_FILE)))
    return visible(image_id)


def short_name(image_id: str) -> str:
    """The file's own name, without its folders."""
    name = full_name(image_id)
    return posixpath.basename(name) or name


def href(image_id: str) -> str | None:
    """A link that a browser can open, or None: only files on disk can be opened from a page on disk.

    A file:// id is percent-encoded already; whatever in it is not (`#`, `?`, quotes, blanks) is encoded here.
    """
    if not image_id.startswith(_FILE):
        return None
    return _FILE + urllib.parse.quote(image_id.removeprefix(_FILE), safe="/%:@!$&()*+,;=~-._")


def slug(text: str) -> str:
    """A file name for `text`: readable, the same from run to run, different for different texts.

    Lower-case ASCII letters, digits and hyphens, at most 57 characters; the last 8 are a hash, because "a b" and "a/b"
    read the same and some file systems do not tell "A" from "a".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def label_text(label: str) -> str:
    """A class name as a person would write it: `Egyptian_cat` is Egyptian cat."""
    return visible(label).replace("_", " ")


def display_names(ids: Iterable[str], word: str, called: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What to call people or groups: as somebody `called` them; else a generated id is `word` and its place."""
    named = {name: called.get(name, name) for name in ids}
    return {
        name: f"{word} {place:,}" if _GENERATED.fullmatch(shown) else visible(shown)
        for place, (name, shown) in enumerate(named.items(), 1)
    }
