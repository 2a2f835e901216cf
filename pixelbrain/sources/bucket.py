"""What a listing of a bucket names, wherever the bucket is: which of its keys are images, by what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pixelbrain.sources.base import ImageSource, ManifestRow, is_image_name
from pixelbrain.sources.globs import Glob
from pixelbrain.sources.passed_over import HIDDEN_FILE, IN_RESULTS, is_hidden
from pixelbrain.sources.results import Outs, results_of_key


class BucketSource(ImageSource):
    """Everything below a prefix whose name looks like an image's; or one object, whatever its name.

    Args:
        uri: the bucket, or container, and the prefix.
        bucket: its URI.
        prefix: of the keys.
        where: the bucket is, for people.
        hidden: list what is hidden below the prefix, or a system's own, too; see `is_hidden`.
        outs: prefixes of results, which are never listed.
        glob: only what it means; `uri` is its base.
        kind: which objects are meant, by the names of their keys.
    """

    def __init__(
        self,
        uri: str,
        bucket: str,
        prefix: str,
        where: str,
        *,
        hidden: bool = False,
        outs: Iterable[str] = (),
        glob: Glob | None = None,
        kind: Callable[[str], bool] = is_image_name,
    ) -> None:
        super().__init__()
        self.uri, self.prefix, self._start = uri, prefix, f"{bucket}/"
        self.what = f"{'a prefix' if glob is None else glob.what} in {where}"
        self._hidden, self._outs, self._glob, self._kind = hidden, Outs(outs), glob, kind
        self._results: str | None = None  # the OUT in which the listing is

    def covers(self, image_id: str) -> bool:
        key = image_id.removeprefix(self._start)
        named = key == self.prefix or self._kind(key)
        return image_id.startswith(f"{self._start}{self.prefix}") and named and self._is_below(key)

    def _row(self, key: str, version: str, size: int) -> ManifestRow | None:
        """That of an object below the prefix; None if it is no image, which is counted where people would miss it."""
        if not self._is_below(key, size):
            return None
        if why := self._why_not(key):
            self.passed_over.add(why)
        elif key == self.prefix or self._kind(key):
            return self._start + key, version, size
        else:
            self.passed_over.add_file(key.rpartition("/")[2])
        return None

    def _is_below(self, key: str, size: int = 1) -> bool:
        """`photos` means the folder photos/, not also photos-old/; an object of just this key is meant by its name.

        An empty object that marks a folder, with or without a slash, is none.
        """
        rest = key[len(self.prefix) :]
        if self._glob is not None and not self._glob.matches(rest):
            return False
        if not rest:
            return self._kind(key) or (size > 0 and bool(key) and not key.endswith("/"))
        below = not self.prefix or self.prefix.endswith("/") or rest.startswith("/")
        return below and not (key.endswith("/") and size == 0)

    def _why_not(self, key: str) -> str | None:
        """Why a key below the prefix is passed over, whatever its name ends in."""
        rest = key[len(self.prefix) :].lstrip("/")
        self._results = results_of_key(rest) or self._results
        in_results = self._results is not None and rest.startswith(self._results)
        if in_results or self._outs.hold_uri(self._start + key):
            return IN_RESULTS
        return HIDDEN_FILE if not self._hidden and any(map(is_hidden, rest.split("/"))) else None
