"""One file of weights as a module holds it: the published one or the user's own, found late, and its sha256."""

from __future__ import annotations

from pathlib import Path

from pixelbrain.errors import WeightsError
from pixelbrain.modules.weights.find import fetch_weights, find_weights, hash_file
from pixelbrain.modules.weights.table import WEIGHTS


class ModelFile:
    """A reference to weights that is cheap, can be pickled, and means the same in another process' folder."""

    def __init__(
        self, name: str, *, weights_dir: str | Path | None = None, own: str | Path | None = None, offline: bool = False
    ) -> None:
        """Refer to the published weights `name` (of `weights.WEIGHTS`), or to the user's `own` file instead."""
        self._name = name
        # workers run in other folders
        self._weights_dir = Path(weights_dir).expanduser().absolute() if weights_dir else None
        self._own = Path(own).expanduser().absolute() if own else None
        self._offline = offline

    def required(self) -> list[str]:
        """Names of the published files that are wanted: none or one."""
        return [] if self._own else [self._name]

    def path(self) -> Path:
        """Where the file is, checked, and fetched before where it is missing. Raises as `fetch_weights` does."""
        if self._own is None:
            return fetch_weights(self._name, self._weights_dir, offline=self._offline)
        if not self._own.is_file():
            raise WeightsError(f"there is no weights file {self._own}")
        return self._own

    def sha256(self) -> str:
        """Of the file, as hex: the published one, or else that of the file as it is here, if it is (`WeightsError`)."""
        published = None if self._own else WEIGHTS[self._name].sha256
        if published:
            return published
        path = self._own or find_weights(self._name, self._weights_dir)
        if path is None or not path.is_file():
            raise WeightsError(
                f"{WEIGHTS[self._name].file_name if path is None else path} is not here, and its sha256 is published "
                f"nowhere: fetch it first"
            )
        return hash_file(path)
