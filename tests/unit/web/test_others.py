"""Beside the pages another process lands, looks for duplicates and compacts: nothing is lost, and all of it is seen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pixelbrain.landing.landing import Landing
from tests.unit.web.visitor import Visitor, key_of, said

_PAGES = ("/", "/people", "/photos", "/photos?where=n_faces+>+0+and+person+is+not+null", "/duplicates", "/history",
          "/review", "/faces", "/run", "/map", "/photos/list.csv", "/duplicates/list.csv")  # fmt: skip

_OTHER = """
import sys
from pixelbrain.identity.lookalikes.duplicates import find_duplicates
from pixelbrain.landing.compact import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import publish
from pixelbrain.locks.run import waiting
from tests.unit.landed_out import land_faces

out = sys.argv[1]
for number in range(4):
    with waiting(Landing(out).storage, what="another run", wait_s=60):  # a correction is at work, perhaps
        landing = land_faces(out, [f"file:///new{number}{one}.jpg" for one in "ab"], generation=100 * (number + 1))
        landing.refresh()
        find_duplicates(landing)
        publish(landing)
    print("round", flush=True)
    sys.stdin.readline()
with waiting(Landing(out).storage, what="another run", wait_s=60):
    compact(Landing(out))
"""


def test_what_another_process_does_is_seen_and_nothing_is_lost(out: Path):
    visitor, named = Visitor(out), []
    since = re.search(r'data-stamp="(\w+)"', visitor.get("/photos"))[1]
    who = [one.identity_id for one in visitor.desk.people.list()]
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        while other.stdout.readline():
            visitor.desk._looked = visitor.desk._finished = float("-inf")  # as after a while
            for path in _PAGES:
                assert visitor.client.get(path).status_code == 200, path
            other.stdin.write("on\n")
            other.stdin.flush()
            name = f"Ann {len(named)}"  # while it goes on
            page = visitor.say(f"/people/{key_of(who[len(named)])}/name", name=name)
            named.append((name, said(page)))
            for path in _PAGES:
                assert visitor.client.get(path).status_code == 200, path
        assert other.wait() == 0
    for _ in range(2):  # what was at work when the last file landed may have read what was there before
        visitor.desk._looked = visitor.desk._finished = float("-inf")
        visitor.desk.view()
        visitor.desk._reading.join()
    assert len(named) == 4
    told = visitor.client.get("/changes", params={"since": since}).json()
    assert told["text"] == "More has landed here."
    new = {f"file:///new{number}{one}.jpg" for number in range(4) for one in "ab"}
    assert new <= set(visitor.desk.view().photos.image_id.to_pylist())
    assert len(visitor.desk.view().photos) == Landing(out).count_images() == 32
    done = [name for name, note in named if "is called" in note]
    assert all(note.startswith("Nothing was changed, as something else") for name, note in named if name not in done)
    assert [event.name for event in visitor.desk.people.history()] == done
    assert all(one in visitor.get("/people") for one in done)
