"""What is around us: folders that can be written, paths that are short enough, no proxy to itself, no pandas to ask."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pixelbrain.errors import EngineError, PixelbrainError

logger = logging.getLogger(__name__)

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
#: The longest path of a Unix socket, and what Ray puts below its folder: session_DATE_TIME_MICROSECONDS_PID/sockets/...
_SOCKET_BYTES = 107
#: Of Nvidia's cards, its boards, its cards inside WSL, and AMD's cards.
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
_BELOW_RAY = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1")


def cache_folder() -> Path:
    """Where files of this user stay between commands: $XDG_CACHE_HOME, else ~/.cache.

    Where that cannot be written, as for a container's user without a home, a folder of the user's among the temporary
    ones, which a warning names once.

    Raises:
        PixelbrainError: there is no such folder either.
    """
    return _cache_folder(os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"), tempfile.gettempdir())


@functools.lru_cache(maxsize=16)
def _cache_folder(cache: str | None, _home: str | None, temporary: str) -> Path:
    wanted = user_cache()
    if _can_write(wanted):
        return wanted
    found = Path(temporary) / f"pixelbrain-{os.getuid()}"
    try:
        found.mkdir(mode=0o700, exist_ok=True)
        ours = found.stat().st_uid == os.getuid() and _can_write(found) and not found.is_symlink()
    except OSError:
        ours = False
    if not ours:
        raise PixelbrainError(f"{wanted} cannot be written, nor can {found}: name a folder in XDG_CACHE_HOME")
    logger.warning("%s cannot be written: caches go to %s; XDG_CACHE_HOME names another place", wanted, found)
    return found


def user_cache() -> Path:
    """$XDG_CACHE_HOME, else ~/.cache, whether it can be written or not; for what may lie there already."""
    home = os.path.expanduser("~")
    if home == "~":  # a user whom this machine does not know: below this, nobody can write
        home = os.devnull
    default = Path(home) / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or default).absolute()


def _can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or it itself in the nearest one that is there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def ray_parent(name: str) -> Path:
    """Where Ray's folder of this name may be, so that the paths of its sockets stay under 108 bytes.

    The first of $RAY_TMPDIR, the temporary folder ($TMPDIR) and /tmp that can be written and is short enough. One that
    was asked for and cannot be is named in a warning.

    Raises:
        EngineError: none of them.
    """
    room = _SOCKET_BYTES - _BELOW_RAY - len(f"/{name}")
    wanted = {variable: os.environ[variable] for variable in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(variable)}
    reasons: list[str] = []
    for variable, place in {**wanted, "": "/tmp"}.items():
        folder = Path(os.path.abspath(place))
        if not folder.is_dir() or not _can_write(folder):
            why = "cannot be written"
        elif len(os.fsencode(folder)) > room:
            why = f"is longer than the {room} characters that leave room for the paths of Ray's sockets"
        else:
            if reasons:  # of $TMPDIR nobody may know: macOS has a long one for everybody
                level = logging.WARNING if "RAY_TMPDIR" in wanted else logging.INFO
                logger.log(level, "%s: Ray's folder is in %s", "; ".join(reasons), folder)
            return folder
        reasons.append(f"{variable}={place} {why}" if variable else f"{place} {why}")
    raise EngineError(f"{'; '.join(reasons)}: name a short folder in RAY_TMPDIR")


def bypass_proxies() -> None:
    """Have no proxy asked for this machine's own addresses, which no proxy can reach; what else no_proxy says stays.

    For this process and those that it starts: Ray's parts talk to each other by the machine's address.
    """
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return
    said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip() for name in said.split(",") if name.strip()]
    if "*" not in names:
        names += [name for name in dict.fromkeys(_own_addresses()) if name not in names]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(names)


def may_have_gpu() -> bool:
    """Whether there is the driver of a GPU; how many there are takes an import of seconds to find out."""
    return any(os.path.exists(device) for device in _GPU_DRIVERS)


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """CPUs that this process may use: those that it may run on, and no more than its container has been given."""
    # macOS has no sched_getaffinity
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = _numbers(cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us")
    return min(there, quota / period) if period else there


def usable_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that are free, and no more than its container has been given."""
    import psutil

    free = psutil.virtual_memory().available
    limit, _ = _numbers(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    return min(free, limit or free)


def _numbers(new: Path, *old: Path) -> tuple[float, float]:
    """The first two of a file of cgroups of version 2, or of two of version 1; 0 where nothing is limited or known."""
    for files in ((new,), old):
        with contextlib.suppress(OSError):
            words = " ".join(file.read_text() for file in files).split()
            found = [float(word) if word.isdigit() else 0.0 for word in words]
            return (found[0], (*found[1:], 0.0)[0]) if found[0] else (0.0, 0.0)
    return 0.0, 0.0


def _own_addresses() -> Iterator[str]:
    import psutil

    yield from ("localhost", "127.0.0.1", "::1")
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                yield one.address.partition("%")[0]


def spare_pandas() -> None:
    """Have pyarrow look for pandas where there is none: it looks once, only to ask whether a list is a Series.

    To import it takes .8 s, longer than to find and name somebody. Whoever wants it later has it; but what is a Series
    then, pyarrow takes for any list until a table is made one of pandas: not for where others' code runs.
    """
    if "pandas" not in sys.modules:
        import pyarrow

        sys.meta_path.insert(0, _Nothing())
        try:
            pyarrow.array([0])
        finally:
            del sys.meta_path[0]


class _Nothing:
    """Finds no module."""

    def find_spec(self, fullname: str, path: object, target: object = None, /) -> None:
        raise ModuleNotFoundError(name=fullname)
