"""What is left to do: the listed images minus those that have landed, module by module."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.parquet import Landing

__all__ = ["pending"]


def pending(
    manifest: pa.Table, landing: Landing, settings_hashes: Mapping[str, str]
) -> dict[tuple[str, ...], pa.Table]:
    """Group the images by the modules that have not seen them.

    An image has landed for a module when a row of the same image_id and version was computed by the module with the
    same settings. A file that changed, a module that is new, or one whose settings changed, is work.

    Args:
        manifest: rows of `schema.MANIFEST_SCHEMA`.
        landing: what is there.
        settings_hashes: each wanted module's `ModuleState.settings_hash`.

    Returns:
        The rows to do by the names of the modules to run on them; empty when nothing is left.
    """
    index = landing.index
    position = pc.index_in(manifest["image_id"], index.image_id.combine_chunks())
    known = np.asarray(position.is_valid())
    where = np.asarray(pc.fill_null(position, 0))
    same = known.copy()
    if known.any():
        same &= np.asarray(pc.equal(manifest["version"], index.version.take(pa.array(where))))
    wanted = list(settings_hashes)
    missing = np.ones((len(manifest), len(wanted)), bool)
    for column, name in enumerate(wanted):
        if name not in index.modules or not known.any():
            continue
        agrees = np.array(
            [name in p.modules and p.modules[name].settings_hash == settings_hashes[name] for p in index.parts], bool
        )
        part = index.modules[name][0]
        landed = (part >= 0) & agrees[np.maximum(part, 0)]
        missing[:, column] = ~(same & landed[where])
    work: dict[tuple[str, ...], pa.Table] = {}
    for pattern in np.unique(missing, axis=0):
        if pattern.any():
            chosen = (missing == pattern).all(axis=1)
            work[tuple(n for n, m in zip(wanted, pattern, strict=True) if m)] = manifest.filter(pa.array(chosen))
    return work
