"""The shape of the house: which room may import which, where Ray lives, and that importing is quick."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pixelbrain
from tests.unit.identity.corrections.world import four_people
from tests.unit.landed_out import landed  # noqa: F401  (a fixture)

PACKAGE = Path(pixelbrain.__file__).parent
#: Data flows from left to right; a room imports only those to its left.
FLOW = [
    "sources",
    "images",
    "modules",
    "landing",
    "asking",
    "engine",
    "stores",
    "identity",
    "report",
    "stages",
    "apps",
    "web",
    "cli",
]
#: What any room may import; each of these only those before it.
FOUNDATIONS = ["ahead", "errors", "shown", "machine", "config", "schema", "storage", "locks"]
#: Files above the rooms, by the last room that they may import.
TOP = {"record": None, "pipeline": "stages", "results": "apps", "__init__": "report", "__main__": "cli"}
#: About ten files a room; `__init__` is its table.
ROOM_FILES = 12


def module_name(file: Path) -> str:
    """As it is imported: `pixelbrain.landing.parts`."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def imported_modules(file: Path) -> set[str]:
    """All modules that a file imports, at its top or inside functions; those for type checkers alone, too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def rooms(names: set[str]) -> set[str]:
    """The rooms and foundations of ours among imported modules."""
    return {n.split(".")[1] for n in names if n.startswith("pixelbrain.")} & {*FLOW, *FOUNDATIONS}


def may_import(room: str) -> set[str]:
    """What a room may import: itself, the foundations, and the rooms to its left."""
    if room in FOUNDATIONS:
        return set(FOUNDATIONS[: FOUNDATIONS.index(room) + 1])
    return {*FOUNDATIONS, *FLOW[: FLOW.index(room) + 1]}


def test_a_room_imports_only_rooms_to_its_left():
    files = [file for file in FILES.values() if file.parent != PACKAGE]
    assert len(files) > 100
    for file in files:
        room = file.relative_to(PACKAGE).parts[0]
        wrong = rooms(imported_modules(file)) - may_import(room)
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {wrong}"


def test_files_above_the_rooms_keep_their_place():
    files = {file.stem: file for file in PACKAGE.glob("*.py")}
    assert set(files) == {*TOP, *(name for name in FOUNDATIONS if (PACKAGE / f"{name}.py").exists())}
    for name, file in files.items():
        last = TOP.get(name)
        allowed = {*FOUNDATIONS, *(FLOW[: FLOW.index(last) + 1] if last else ())}
        assert rooms(imported_modules(file)) <= (may_import(name) if name in FOUNDATIONS else allowed), name


def test_no_file_imports_itself_through_others():
    """Not inside functions, and not for type checkers alone: a circle says that two files are one, or three."""
    imports = {
        name: {n for n in imported_modules(file) if n in FILES and n != name}
        for name, file in FILES.items()
        if file.parent != PACKAGE
    }
    while leaves := [name for name, wanted in imports.items() if not wanted & imports.keys()]:
        for name in leaves:
            del imports[name]
    assert not imports, f"a circle among {sorted(imports)}"


def test_a_room_is_small_and_says_what_is_in_it():
    for folder in {file.parent for file in FILES.values()} - {PACKAGE}:
        names = {file.name for file in folder.glob("*.py")} - {"__init__.py"}
        assert 1 <= len(names) <= ROOM_FILES, folder
        table = (folder / "__init__.py").read_text(encoding="utf-8")
        for name in [*names, *(f"{child.name}/" for child in folder.iterdir() if (child / "__init__.py").exists())]:
            assert f"| {name.removesuffix('.py')} " in table, (
                f"{folder.relative_to(PACKAGE)}: {name} is not in its table"
            )


def test_the_pages_draw_this_flow():
    for page in (PACKAGE.parent / "README.md", PACKAGE.parent / "docs" / "architecture.md"):
        drawn = [line for line in page.read_text(encoding="utf-8").splitlines() if "▶" in line]
        assert [[room.strip() for room in line.split("▶")] for line in drawn] == [FLOW], page


def test_only_the_engine_imports_ray():
    for file in FILES.values():
        if PACKAGE / "engine" not in file.parents:
            assert not {n for n in imported_modules(file) if n == "ray" or n.startswith("ray.")}, file


def test_help_needs_no_heavy_import():
    heavy = ["torch", "ray", "chromadb", "pymongo", "pyarrow", "numpy", "PIL", "sklearn", "boto3"]
    code = f"import sys; import pixelbrain, pixelbrain.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_over_parquet_alone_imports_no_model_and_no_store(landed, tmp_path):  # noqa: F811
    heavy = ["torch", "torchvision", "ray", "chromadb", "onnxruntime", "sklearn", "scipy", "boto3", "openai", "pandas"]
    one, other = (person.identity_id for person in four_people(tmp_path / "people").people.list()[:2])
    code = f"""
import sys
from pixelbrain.cli.main import cli, main
sys.argv = ["pixelbrain", "people", "merge", "people", {one!r}, {other!r}]
try:
    main()
except SystemExit as done:
    print("of a merge", done.code or [m for m in {heavy!r} if m in sys.modules])
for words in ("status OUT", "export OUT images.csv", "report OUT", "compact OUT"):
    cli(words.replace("OUT", {str(landed)!r}).split(), standalone_mode=False)
    print("of", words, [m for m in {heavy!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [line for line in done.stdout.splitlines() if line.startswith("of ")]
    assert len(said) == 5 and all(line.endswith(" []") for line in said), said


def test_public_names_are_sorted_and_there():
    assert pixelbrain.__all__ == sorted(pixelbrain.__all__)
    for name in pixelbrain.__all__:
        assert getattr(pixelbrain, name).__doc__
