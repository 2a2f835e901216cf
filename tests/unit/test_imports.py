"""The shape of the house: which folder may import which, where Ray lives, and that importing is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pixelbrain

PACKAGE = Path(pixelbrain.__file__).parent
#: Data flows from left to right; a folder imports only those to its left.
FLOW = ["sources", "images", "asking", "modules", "landing", "engine", "stores", "identity", "report", "apps"]
ANYONE = {"config", "errors", "schema"}
#: Files above the folders, by the last folder that they may import.
TOP = {"config": None, "errors": None, "schema": None, "record": "landing", "display": None, "__init__": "report"} | {
    "pipeline": "stores", "workflow": "report", "cli_options": None, "cli_ask": "apps", "cli_upkeep": "apps",
    "cli_weights": "modules", "cli_placement": None, "cli_plan": "apps", "cli_cluster": "engine",
    "cli_submit": "engine", "cli": "apps", "__main__": None,
}  # fmt: skip


def imported_modules(file: Path) -> set[str]:
    """All modules that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def rooms(names: set[str]) -> set[str]:
    """The folders of ours among imported modules."""
    return {n.split(".")[1] for n in names if n.startswith("pixelbrain.") and n.split(".")[1] in FLOW}


def test_a_folder_imports_only_folders_to_its_left():
    files = sorted(PACKAGE.glob("*/*.py"))
    assert len(files) > 30
    for file in files:
        own = FLOW.index(file.parent.name)
        wrong = {room for room in rooms(imported_modules(file)) if FLOW.index(room) > own}
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {wrong}"


def test_files_above_the_folders_keep_their_place():
    files = sorted(PACKAGE.glob("*.py"))
    assert {file.stem for file in files} == set(TOP)
    for file in files:
        last = TOP[file.stem]
        allowed = set() if last is None else set(FLOW[: FLOW.index(last) + 1])
        assert rooms(imported_modules(file)) <= allowed, file.name


def test_only_the_engine_imports_ray():
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "engine":
            assert not {n for n in imported_modules(file) if n == "ray" or n.startswith("ray.")}, file


def test_help_needs_no_heavy_import():
    heavy = ["torch", "ray", "chromadb", "pymongo", "pyarrow", "numpy", "PIL", "sklearn", "boto3"]
    code = f"import sys; import pixelbrain, pixelbrain.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_sorted_and_there():
    assert pixelbrain.__all__ == sorted(pixelbrain.__all__)
    for name in pixelbrain.__all__:
        assert getattr(pixelbrain, name).__doc__
