"""Who writes OUT has its lock, by itself: another process that works there is met before anything is changed."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.asking.batch.run import ask_batch
from pixelbrain.engine.ask.run import ask
from pixelbrain.engine.extract import extract
from pixelbrain.errors import OutLockedError
from pixelbrain.identity.group import group_images
from pixelbrain.landing.compact import compact
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.forgotten.erase import erase
from pixelbrain.landing.forgotten.marks import Mark, lift_mark, write_mark
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation
from pixelbrain.landing.registry import write_registry
from pixelbrain.landing.remaining import prune
from pixelbrain.record import write_stage
from pixelbrain.stores.load import load
from tests.unit.engine.modules_for_tests import Size

ROOT = Path(pb.__file__).parent

#: What changes files of a storage, as it is called in the code.
WRITES = {"write", "write_with", "move", "delete", "sweep", "write_table"}

#: Functions that change OUT, and take no lock; and why that is right.
UNDER_ANOTHERS_LOCK = {
    "landing/landing.py:write_part": "workers on other machines write, for the run that claimed their generation",
    "landing/derived.py:_land": "of `write` and `rewrite`, which take it",
    "landing/answers/log.py:_fold": "of `fold`, which takes it",
    "landing/answers/log.py:_write": "of `fold`, which takes it",
    "landing/answers/journal.py:append": "a file of its own a process that asks, folded under the lock",
    "landing/answers/journal.py:flush": "as `append`",
    "landing/compact.py:_remove": "of `compact`, which takes it",
    "landing/compact.py:_compact_pictures": "as `_remove`",
    "landing/compact.py:write": "as `_remove`",
    "landing/moves/moved.py:_rename": "of `extract`, which takes it",
    "landing/moves/pictures.py:copy_pictures": "as `_rename`",
    "landing/landing.py:write_pictures": "as `write_part`",
    "landing/forgotten/erase.py:_erase_parts": "of `erase`, which takes it",
    "landing/forgotten/erase.py:_rewrite": "as `_erase_parts`",
    "landing/forgotten/people.py:erase_from_events": "as `_erase_parts`",
    "landing/forgotten/erase.py:_erase_choices": "as `_erase_parts`",
    "landing/duplicates/choices.py:replace": "as `_erase_parts`",
    "landing/said/events.py:append": "a file of its own, of a number that one alone gets; in S3 who appends takes it",
    "landing/published.py:_publish_faces": "of `publish`, which takes it",
    "landing/published.py:write": "as `_publish_faces`",
    "landing/parts.py:write_table": "of those above",
    "record.py:_write_stage": "of `write_stage`, which takes it",
}


def writers() -> dict[str, ast.FunctionDef]:
    """By `file:function`, what in landing/ and record.py changes files."""
    found = {}
    for file in [*sorted((ROOT / "landing").rglob("*.py")), ROOT / "record.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                names = {n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in ast.walk(node)}
                if names & WRITES:
                    found[f"{file.relative_to(ROOT).as_posix()}:{node.name}"] = node
    return found


def takes_the_lock(node: ast.FunctionDef) -> bool:
    calls = [item.context_expr for n in ast.walk(node) if isinstance(n, ast.With) for item in n.items]
    return any(isinstance(call, ast.Call) and getattr(call.func, "id", "") == "RunLock" for call in calls)


def test_whatever_changes_files_of_out_takes_the_lock_or_is_known_not_to():
    found = writers()
    assert len(found) > 10
    without = {name for name, node in found.items() if not takes_the_lock(node)}
    assert without == set(UNDER_ANOTHERS_LOCK)


def questions() -> dict:
    module = pb.Gpt4VModule("people_detector")
    return {"settings": module.settings, "price": module.price, "limits": module.limits}


WRITERS = [
    lambda out, photos: Landing(out).set_aside_broken(),
    lambda out, photos: IDENTITIES.write(Landing(out), pa.table({"face_id": []})),
    lambda out, photos: GROUPS.write(Landing(out), pa.table({"image_id": []})),
    lambda out, photos: Landing(out).answer_log.fold(),
    lambda out, photos: Landing(out).answer_log.set_lost("run", ["mood"], 1),
    lambda out, photos: claim_generation(Landing(out).storage),
    lambda out, photos: prune(Landing(out), pa.table({"image_id": ["a"], "version": ["1"]})),
    lambda out, photos: compact(Landing(out)),
    lambda out, photos: erase(Landing(out)),
    lambda out, photos: write_mark(Landing(out).storage, Mark()),
    lambda out, photos: lift_mark(Landing(out).storage, 1),
    lambda out, photos: write_stage(out, "load", {}, settings={}),
    lambda out, photos: extract(pb.DataLoader(photos), [Size()], Landing(out).storage),
    lambda out, photos: ask(Landing(out), **questions()),
    lambda out, photos: ask_batch(Landing(out), **questions()),
    lambda out, photos: load(Landing(out), pb.Database.open(out)),
    lambda out, photos: pb.PeopleIdentifierModule().run(SimpleNamespace(landing=Landing(out))),
    lambda out, photos: pb.People(out, wait_s=0).name("person-1", "Ann"),
    lambda out, photos: write_registry(Landing(out), schema.PERSON_SCHEMA.empty_table()),
    lambda out, photos: group_images(SimpleNamespace(landing=Landing(out))),
    lambda out, photos: pb.Pipeline(pb.DataLoader(photos), [Size()]).extract(out),
    lambda out, photos: pb.Pipeline(pb.DataLoader(photos), [Size()]).ask(out),
    lambda out, photos: pb.Pipeline(pb.DataLoader(photos), [Size()]).run(out),
]


def test_another_process_is_met_before_anything_is_changed(landed, photo_folder, another_run):
    def files():
        return {path: path.read_bytes() for path in landed.rglob("*") if path.is_file() and path.name != "run.lock"}

    def is_refused(write):
        try:
            write(str(landed), str(photo_folder))
        except OutLockedError as error:
            return "is in use by" in str(error) and files() == before
        return False

    with another_run(landed):
        before = files()
        assert len(before) > 1
        assert [write.__code__.co_firstlineno for write in WRITERS if not is_refused(write)] == []
