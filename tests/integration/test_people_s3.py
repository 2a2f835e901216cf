"""Two who correct the people of an OUT in S3 at once lose nothing."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.storage.open import open_storage
from tests.unit.landed_out import land_faces
from tests.unit.web.visitor import Visitor, key_of, said

_PROGRAM = """
import sys
import pixelbrain as pb

people = pb.People(sys.argv[1], s3_endpoint=sys.argv[2], by=sys.argv[3], wait_s=120)
for number in range(3):
    people.name(sys.argv[4], f"{sys.argv[3]} {number}")
"""


def test_two_at_once_lose_nothing(s3):
    s3.create_bucket(Bucket="people")
    out, endpoint = "s3://people/some/out", s3.meta.endpoint_url
    storage = open_storage(out, s3_endpoint=endpoint)
    faces = [f"file:///{number}.jpg#0" for number in range(4)]
    landing = land_faces(storage, faces)
    rows = [
        {"face_id": one, "image_id": one[:-2], "identity_id": f"person-{number % 2}", "assigned": "clustered"}
        for number, one in enumerate(faces)
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(rows, schema=schema.IDENTITY_SCHEMA))
    ends = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM, out, endpoint, by, f"person-{number}"])
        for number, by in enumerate(("ann", "bob"))
    ]
    assert [end.wait(timeout=300) for end in ends] == [0, 0]
    people = pb.People(out, s3_endpoint=endpoint)
    assert sorted((event.by, event.name) for event in people.history()) == [
        (by, f"{by} {number}") for by in ("ann", "bob") for number in range(3)
    ]
    assert [(one.identity_id, one.name) for one in people.list()] == [("person-0", "ann 2"), ("person-1", "bob 2")]

    # and `pixelbrain open` shows them, and says more
    visitor = Visitor(out, s3_endpoint=endpoint)
    assert 'value="ann 2"' in visitor.get("/people") and "4" in visitor.get("/photos")
    page = visitor.say(f"/people/{key_of('person-1')}/name", name="Cleo")
    assert "is called Cleo" in said(page) and 'value="Cleo"' in page
    assert people.list()[1].name == "Cleo"


def test_a_file_is_created_once(s3):
    s3.create_bucket(Bucket="once")
    storage = open_storage("s3://once/out", s3_endpoint=s3.meta.endpoint_url)
    assert storage.create("a/1", b"first") and not storage.create("a/1", b"second")
    assert storage.create("a/1", b"first")  # as after an answer that was lost
    assert storage.read("a/1") == b"first"
