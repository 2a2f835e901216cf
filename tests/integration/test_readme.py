"""What the README and the pages in docs/ show runs, as it stands there.

Each test says by `shows` which block it runs, by page, language and place. A block that no test names fails the last
test, and a test of a block that is gone is not even collected.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

import pixelbrain as pb
from pixelbrain.apps.demo import SAMPLES
from pixelbrain.config import RunConfig
from tests.fake_openai.running import FakeOpenAI
from tests.pages import examples

BLOCKS = examples()
SHOWN: set[tuple[str, str, int]] = set()


def shows(page: str, language: str, number: int) -> pytest.MarkDecorator:
    """The test runs this block, and gets it as `block`."""
    key = (page, language, number)
    SHOWN.add(key)
    return pytest.mark.parametrize("block", [pytest.param(BLOCKS[key], id=f"{page}-{language}-{number}")])


def run(block: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Run a block of Python in a folder that modules are found in; returns its names, and the lines that it printed."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        exec(compile(block, "block", "exec"), names)
    return names, printed.getvalue().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with photos/, as on the pages: four of one person, and one that is broken."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(SAMPLES / "joe-biden", folder / "photos")
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    """What the README's example prints, without Ray, as on a laptop; its out/ is what the pages' examples read."""
    return run(BLOCKS["README.md", "python", 0], folder)[1]


@pytest.fixture
def landed(folder: Path, printed: list[str]) -> Path:
    """The working folder, in which out/ is there."""
    return folder


@pytest.fixture(scope="module")
def beside_ray(folder: Path, ray_running: str) -> Path:
    """As `landed`, for the examples that want a Ray, on which the README's would take four times as long."""
    beside = folder / "beside"
    shutil.copytree(folder / "photos", beside / "photos")
    modules = [pb.ResnetClassifierModule("efficientnet-lite0"), pb.FacenetEmbedderModule("dlib")]
    pb.Pipeline(pb.DataLoader(beside / "photos"), modules, executor="local").run(beside / "out")
    with pb.Database.open(beside / "out") as database:
        pb.PeopleIdentifierModule().run(database)
    return beside


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for table in pb.Landing(out).iter_images() for row in table.to_pylist()]


@shows("README.md", "python", 0)
def test_the_pipeline(block, printed):
    assert printed[-2] == "1 people in 4 faces"


@shows("docs/photos.md", "python", 0)
def test_the_loader(block, folder):
    _, shown = run(block, folder)
    assert len(shown) == 12 and sum(line.endswith(", 3)") for line in shown) == 4
    assert shown[0] == "5" and shown[6].startswith("4 {") and shown[-1].rpartition(" ")[2].isdigit()


@shows("docs/photos.md", "yaml", 0)
def test_the_config_file(block):
    assert RunConfig(**yaml.safe_load(block)).classifier == "resnet18"


@shows("docs/sources.md", "python", 0)
def test_several_sources(block, folder, encode, monkeypatch):
    (folder / "more" / "deep").mkdir(parents=True)
    for name in ("more/deep/a.jpg", "portrait.jpg"):
        (folder / name).write_bytes(encode())
    names, _ = run(block, folder)
    monkeypatch.chdir(folder)
    assert len(names["loader"]) == len(pb.DataLoader(folder / "photos")) + 2


@shows("docs/sources.md", "yaml", 0)
def test_several_sources_in_a_config_file(block):
    assert len(RunConfig(**yaml.safe_load(block)).source) == 3


@shows("docs/people.md", "python", 0)
def test_who_is_who(block, landed):
    names, shown = run(block, landed)
    assert shown[0] == "4 of 4 faces are 1 people's"
    assert len(shown) == 5
    assert names["report"].threshold == 0.914


@shows("docs/people.md", "python", 1)
def test_names_and_corrections(block, landed):
    names, shown = run(block, landed)
    assert shown[0] == f"{names['person'].identity_id} None 4"
    assert [event.kind for event in names["people"].history()] == ["name", "undo"]


@shows("docs/map.md", "python", 0)
def test_the_map(block, landed):
    names, shown = run(block, landed)
    assert "points=4" in shown[0]
    assert len(names["places"]) == names["places"]["face_id"].nunique() == 4


@shows("docs/stores.md", "python", 0)
def test_reading_with_pandas(block, landed):
    names, _ = run(block, landed)
    assert len(names["images"]) == 5 and names["images"]["width"].count() == 4
    assert len(names["faces"]) == 4 and names["faces"]["identity_id"].nunique() == 1


@shows("docs/stores.md", "python", 1)
def test_reading_parquet(block, landed):
    _, shown = run(block, landed)
    assert len(shown) == 5
    assert len([line for line in shown if line.endswith(" 1")]) == 4
    assert len([line for line in shown if "/broken.jpg DecodeError" in line]) == 1


@shows("docs/stores.md", "python", 2)
def test_reading_with_other_tools(block, beside_ray):
    names, _ = run(block, beside_ray)
    assert names["people"].to_pylist()[0]["photos"] == 4
    assert names["alike"].num_rows == 3 and names["alike"]["distance"][0].as_py() < 0.01  # itself
    assert names["dataset"].count() == 5 and names["found"].to_ray("faces").count() == 4


@shows("docs/stores.md", "python", 3)
def test_reading_mongodb(block, landed):
    names, shown = run(block, landed)
    assert len(names["ids"]) == 4
    assert len(shown) == 6  # the labels, four images, the summary
    assert "4" in shown[-1]


@shows("docs/stores.md", "python", 4)
def test_reading_chromadb(block, landed):
    names, shown = run(block, landed)
    assert names["model"].model == "dlib"
    assert len(shown) == 2


@shows("docs/stores.md", "python", 5)
def test_vectors_of_ones_own(block, landed):
    names, shown = run(block, landed)
    assert (names["stored"].written, names["stored"].errors) == (5, ()) and len(shown) == 2


@shows("docs/datasets.md", "python", 0)
def test_reading_coco(block, landed):
    assert pb.open(landed / "out").export(landed / "faces.json", format="coco") == 5
    _, shown = run(block, landed)
    assert "face 0 faces" in shown and [line for line in shown if line.endswith(" 4 faces")]


@shows("docs/datasets.md", "python", 1)
def test_reading_webdataset(block, landed):
    assert pb.open(landed / "out").export(landed / "shards", format="webdataset") == 4  # and one that failed
    _, shown = run(block, landed)
    assert len(shown) == 4 and all(line.endswith(" [] 1") for line in shown)


@shows("docs/extending.md", "python", 5)
def test_a_store_of_ones_own(block, landed):
    for _ in range(2):
        run(block, landed)
    with contextlib.closing(sqlite3.connect(landed / "labels.sqlite")) as store:
        found = store.execute("SELECT image_id, label FROM labels ORDER BY label IS NULL").fetchall()
    assert len(found) == 5
    assert all(label for _, label in found[:4]) and found[4][1] is None
    assert found[4][0].endswith("/broken.jpg")


@shows("docs/extending.md", "python", 0)
def test_a_module_of_ones_own(block, folder, command, monkeypatch):
    (folder / "colour.py").write_text(block)
    monkeypatch.chdir(folder)
    words = ("extract", "photos/", "--out", "out2/", "--module", "colour:AverageColour", "--executor", "local")
    done = command(*words, "--strict", check=False)
    assert done.returncode == 3, done.stderr
    found = rows(folder / "out2")
    assert len(found) == 5
    for row in found:
        if row["status"] == "ok":
            assert 0 < row["colour"]["red"] < 255
        else:
            assert row["image_id"].endswith("/broken.jpg") and row["colour"] is None


@shows("docs/extending.md", "python", 1)
def test_a_module_of_ones_own_without_ray(block, folder):
    (folder / "colour.py").write_text(BLOCKS["docs/extending.md", "python", 0])
    _, shown = run(block, folder)
    assert len(shown) == 4 and all("'red': " in line for line in shown)


@shows("docs/extending.md", "python", 2)
def test_a_model_of_ones_own(block, folder, command, monkeypatch):
    import torch
    from torchvision.models import mobilenet_v3_small

    torch.save(mobilenet_v3_small(num_classes=2).state_dict(), folder / "outdoors.pt")
    (folder / "outdoors.py").write_text(block)
    monkeypatch.chdir(folder)
    command("extract", "photos/", "--out", "out3/", "--module", "outdoors:Outdoors", "--executor", "local")
    found = [row["outdoors"] for row in rows(folder / "out3") if row["status"] == "ok"]
    assert len(found) == 4
    assert all(0 < row["probability"] < 1 for row in found)
    assert pb.Landing(folder / "out3").models()["outdoors"].model == "outdoors"


@shows("docs/extending.md", "python", 4)
def test_a_module_that_stands_on_others(block, folder, landed, command, monkeypatch):
    """Over what landed before: the faces of the README's out/ are not looked for again."""
    (folder / "glasses.py").write_text(block)
    monkeypatch.chdir(folder)
    shutil.copytree("out", "out4", ignore=shutil.ignore_patterns("db", "report"))
    words = ("extract", "photos/", "--out", "out4/", "--module", "glasses:Glasses", "--executor", "local")
    command(*words)
    found = pb.open(folder / "out4").faces()
    assert len(found) == 4 and all(0 < value < 1 for value in found["glasses.probability"].to_pylist())
    assert [row["glasses"]["faces"][0]["face_id"] for row in rows(folder / "out4") if row["status"] == "ok"] == [
        row["facenet"]["faces"][0]["face_id"] for row in rows(folder / "out") if row["status"] == "ok"
    ]


@shows("docs/extending.md", "python", 3)
def test_any_shape(block, folder):
    _, shown = run(block, folder)
    assert shown == ["torch.Size([4, 1, 96, 320])"]


@shows("docs/asking.md", "python", 0)
def test_asking(block, beside_ray, monkeypatch):
    """Faces were found before; the example finds them there, and asks."""
    with FakeOpenAI() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        run(block, beside_ray)
    found = [row["mood"] for row in rows(beside_ray / "out")]
    assert len([mood for mood in found if mood and mood["answer"] in ("calm", "lively", "sad")]) == 4


@shows("docs/asking.md", "python", 1)
def test_an_answer_of_several_parts(block, folder):
    names, _ = run(block, folder)
    (question,) = names["scene"].settings.questions
    assert set(question.answer.json_schema()["properties"]) == {"indoors", "objects"}


@shows("docs/asking.md", "yaml", 0)
def test_the_prices_file(block, tmp_path):
    (tmp_path / "prices.yaml").write_text(block)
    priced = pb.Gpt4VModule("people_detector", model="my-model", prices=tmp_path / "prices.yaml").price
    assert float(priced.output_usd_per_million) == 0.6


@shows("docs/asking.md", "yaml", 1)
def test_the_questions_file(block):
    assert len(pb.Gpt4VModule(**yaml.safe_load(block)["gpt4v"]).settings.questions) == 2


@shows("docs/filters.md", "python", 0)
def test_a_filter_in_a_pipeline(block, landed):
    run(block, landed)
    assert sorted(row["quality"] is not None for row in rows(landed / "out")) == [False, True, True, True, True]


@shows("docs/filters.md", "python", 1)
def test_a_loader_of_what_is_meant(block, landed):
    names, shown = run(block, landed)
    assert len(shown) == 5 and shown[0] == "4" and not names["loader"].failures


def test_every_example_is_run_by_a_test():
    assert set(BLOCKS) == SHOWN
