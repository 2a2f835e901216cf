"""What every benchmark shares: the machine, the versions, one table and one JSON file."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["machine", "peak_memory_mb", "print_table", "versions", "write_json"]


def machine() -> dict[str, Any]:
    """Where the figures were taken: processor, usable cores, memory, GPU, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average_1min": round(os.getloadavg()[0], 2),  # what else ran: figures of a busy machine are lower bounds
    }


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of installed packages."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def write_json(
    path: str | Path,
    bench: str,
    settings: Mapping[str, Any],
    figures: Mapping[str, float],
    package_versions: Mapping[str, str],
) -> None:
    """Write `{"bench", "machine", "versions", "settings", "figures"}`; `figures` maps dotted names to numbers."""
    result = {
        "bench": bench,
        "machine": machine(),
        "versions": dict(package_versions),
        "settings": dict(settings),
        "figures": {name: round(float(value), 6) for name, value in figures.items()},
    }
    Path(path).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown: the first column to the left, numbers to the right."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    rule = [f"{'-' * (width - 1)}{':' if storage else '-'}" for storage, width in enumerate(widths)]
    for cells in (list(headers), rule, *texts):
        padded = [
            cell.rjust(width) if storage else cell.ljust(width)
            for storage, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print(f"| {' | '.join(padded)} |")
    sys.stdout.flush()


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MB of 10^6 bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in KiB on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
