"""Names go out as a CSV or as sidecars, and come back to another library: the same photos under another OUT."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

import pixelbrain as pb
from pixelbrain.errors import ConfigError
from pixelbrain.identity.naming.travel import export_names, import_names
from pixelbrain.landing.landing import Landing
from pixelbrain.sources import read_bytes
from tests.unit.identity.evaluation.labelled_out import face, identify, land, vector

SIZE = (400, 300)  # upright


def photo(file: Path, orientation: int = 1) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", SIZE if orientation < 5 else SIZE[::-1]).save(file, exif=exif)
    return f"file://{file}"


def library(folder: Path, out: Path) -> Landing:
    """Four photos: Ann in three, of which one lies on its side; Bo in two; a stranger, whom nobody was found for."""
    ids = [
        photo(folder / "a" / "1.jpg"),
        photo(folder / "a" / "2.jpg", 6),
        photo(folder / "b" / "1.jpg"),
        photo(folder / "4.png"),
    ]
    faces = {
        ids[0]: [face(20, 60, vector(0, 0)), face(200, 80, vector(1, 0))],
        ids[1]: [face(30, 60, vector(0, 1))],
        ids[2]: [face(40, 60, vector(0, 2)), face(210, 80, vector(1, 1))],
        ids[3]: [face(100, 50, vector(2, 0))],
    }
    landing = land(out, faces, size=SIZE)
    whose = {f"{ids[0]}#0": "person-a", f"{ids[0]}#1": "person-b", f"{ids[1]}#0": "person-a"}
    identify(landing, whose | {f"{ids[2]}#0": "person-a", f"{ids[2]}#1": "person-b", f"{ids[3]}#0": None})
    return landing


@pytest.fixture
def named(tmp_path: Path) -> pb.People:
    people = pb.People(library(tmp_path / "photos", tmp_path / "out"))
    people.name("person-a", "Ann")
    people.name("person-b", "Bo & Co")
    return people


def names(people: pb.People) -> dict[str, str | None]:
    """By face, without the folders."""
    state = people.state()
    called = state.registry.names
    ids = state.faces["face_id"].to_pylist()
    return {one.rpartition("photos/")[2]: called.get(who, who) for one, who in zip(ids, state.person, strict=True)}


def other_library(named: pb.People, tmp_path: Path) -> pb.People:
    """The same photos elsewhere, where Ann fell into two and nobody has a name."""
    import shutil

    shutil.copytree(tmp_path / "photos", tmp_path / "else" / "photos")
    landing = library(tmp_path / "else" / "photos", tmp_path / "else" / "out")
    ids = landing.index.image_id.to_pylist()
    one, two, three, four = sorted(ids, key=lambda name: (name.endswith("4.png"), name))
    identify(landing, {
        f"{one}#0": "person-x", f"{one}#1": "person-z", f"{two}#0": "person-x", f"{three}#0": "person-y",
        f"{three}#1": "person-z", f"{four}#0": None,
    })  # fmt: skip
    return pb.People(landing)


@pytest.mark.parametrize("to", ["people.csv", "sidecars"])
def test_names_come_to_another_library_and_join_who_fell_into_two(named: pb.People, tmp_path: Path, to: str):
    report = export_names(named, tmp_path / to, read=read_bytes)
    assert (report.faces, report.photos, report.unreadable) == (5, 3, [])
    other = other_library(named, tmp_path)
    if to.endswith(".csv"):  # as somebody moves it: the photos' paths are others there
        text = (tmp_path / to).read_text().replace(str(tmp_path / "photos"), str(tmp_path / "else" / "photos"))
        (tmp_path / to).write_text(text)
    planned = import_names(other, tmp_path / to, read=read_bytes, dry_run=True)
    assert not other.history()
    done = import_names(other, tmp_path / to, read=read_bytes)
    assert (planned.people, planned.faces, planned.new) == (done.people, done.faces, done.new) == (2, 5, 0)
    assert not done.problems and not done.not_found and not done.not_in_out
    assert names(other) == names(named)
    assert {event.kind for event in other.history()} == {"name", "assign"}  # which holds, and can be undone
    said = len(other.history())
    again = import_names(other, tmp_path / to, read=read_bytes)
    assert not again.problems and names(other) == names(named) and len(other.history()) == said


def test_sidecars_lie_as_their_photos_do_and_have_their_folders(named: pb.People, tmp_path: Path):
    export_names(named, tmp_path / "xmp", read=read_bytes)
    files = {file.relative_to(tmp_path / "xmp").as_posix() for file in (tmp_path / "xmp").rglob("*") if file.is_file()}
    assert files == {"a/1.jpg.xmp", "a/2.jpg.xmp", "b/1.jpg.xmp"}
    named.name("Ann", "")  # the folders are those of all photos, not of those with names
    named.name("Bo & Co", "")
    named.assign("Cy", *(one for one in named.state().faces["face_id"].to_pylist() if "a/2.jpg" in one), new=True)
    export_names(named, tmp_path / "one", read=read_bytes)
    assert [file.relative_to(tmp_path / "one").as_posix() for file in (tmp_path / "one").rglob("*.xmp")] == [
        "a/2.jpg.xmp"
    ]
    text = (tmp_path / "xmp" / "a" / "2.jpg.xmp").read_text()  # it is 300 x 400 as it is stored
    assert 'stDim:w="300" stDim:h="400"' in text and 'mwg-rs:Name="Ann"' in text
    assert 'stArea:w="0.200000" stArea:h="0.150000"' in text
    assert "Bo &amp; Co" in (tmp_path / "xmp" / "a" / "1.jpg.xmp").read_text()


def test_a_csv_has_who_is_asked_for(named: pb.People, tmp_path: Path):
    named.hide("Bo & Co")
    named.name("Ann", "")

    def rows(**asked: bool) -> list[dict[str, str]]:
        export_names(named, tmp_path / "p.csv", read=read_bytes, **asked)
        return list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text())))

    assert rows() == []
    assert {row["person"] for row in rows(unnamed=True)} == {"person-a"}
    (first, *_) = rows(hidden=True)
    assert (first["name"], first["photo"]) == ("Bo & Co", str(tmp_path / "photos" / "a" / "1.jpg"))
    assert [float(first[name]) for name in ("x1", "y1", "x2", "y2")] == [200, 10, 280, 90]


def test_somebody_whom_nobody_knew_gets_a_person(named: pb.People, tmp_path: Path):
    file = tmp_path / "who.csv"
    file.write_text("photo,name\nphotos/4.png,Cy\nphotos/9.png,Di\n")
    done = import_names(named, file, read=read_bytes)
    assert (done.people, done.new, done.not_in_out) == (1, 1, 1)
    assert names(named)["4.png#0"] == "Cy"


def test_a_name_that_cannot_be_is_told_and_the_rest_is_done(named: pb.People, tmp_path: Path):
    file = tmp_path / "who.csv"
    rows = ["photos/4.png,person-77,,,,", "photos/b/1.jpg,Bo & Co,205,12,290,95", "photos/b/1.jpg,Bo & Co,0,200,9,209"]
    file.write_text("\n".join(["photo,name,x1,y1,x2,y2", *rows]))
    done = import_names(named, file, read=read_bytes)
    assert (done.people, len(done.problems)) == (1, 1) and done.problems[0].startswith("person-77: ")
    assert [event.kind for event in named.history()] == ["name", "name", "assign"]  # nothing is half done
    assert done.not_found == 1 and names(named)["b/1.jpg#1"] == "Bo & Co"


def test_names_that_are_written_in_another_way_are_the_same(named: pb.People, tmp_path: Path):
    """Spaces, capitals, and é as two letters, as on Macs; of two who are called so, each keeps its faces."""
    named.name("Ann", "Ren\u00e9  Ann\u200f")
    file = tmp_path / "who.csv"
    file.write_text("photo,name\nphotos/4.png,rene\u0301   Ann\nphotos/a/2.jpg,rene\u0301 Ann\n")
    assert import_names(named, file, read=read_bytes).new == 0
    assert names(named)["4.png#0"] == names(named)["a/2.jpg#0"] == "Ren\u00e9 Ann"
    named.name("Bo & Co", "Ren\u00e9 Ann")
    before = named.state().person.tolist()
    export_names(named, tmp_path / "p.csv", read=read_bytes)
    assert not import_names(named, tmp_path / "p.csv", read=read_bytes).problems
    assert named.state().person.tolist() == before


def test_sidecars_beside_the_photos_are_not_written_over(named: pb.People, tmp_path: Path):
    (tmp_path / "photos" / "a" / "1.jpg.xmp").write_text("of another program")
    with pytest.raises(ConfigError, match="is where the photos are"):
        export_names(named, tmp_path / "photos", read=read_bytes)
    assert (tmp_path / "photos" / "a" / "1.jpg.xmp").read_text() == "of another program"
    with pytest.raises(ConfigError, match=r"a photo that has landed in .*1.jpg.xmp: it is no XML"):
        import_names(named, tmp_path / "photos" / "a" / "1.jpg.xmp", read=read_bytes)


def test_sidecars_of_no_photo_and_those_that_are_none_are_counted(named: pb.People, tmp_path: Path):
    export_names(named, tmp_path / "xmp", read=read_bytes)
    (tmp_path / "xmp" / "a" / "1.jpg.xmp").write_text("<broken")
    (tmp_path / "xmp" / "elsewhere.jpg.xmp").write_text("<a/>")
    done = import_names(named, tmp_path / "xmp", read=read_bytes)
    assert done.not_in_out == 1 and [one for one in done.problems if "1.jpg.xmp: it is no XML" in one]
    with pytest.raises(ConfigError, match="no sidecar below .* names a face in a photo that has landed"):
        import_names(named, tmp_path / "photos", read=read_bytes)
