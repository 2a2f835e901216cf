"""Names that are taken: whoever names a module, a question or a field is told by what."""

from __future__ import annotations

import pytest

from pixelbrain import schema
from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.asking.pending import pending_images
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.settings import AskSettings
from pixelbrain.engine.extract import extract
from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.registry import MODULES
from pixelbrain.schema import check_name
from pixelbrain.stores.database import Database
from tests.unit.landing.answers.test_log import TYPES, record
from tests.unit.report.conftest import land  # noqa: F401  (a fixture)
from tests.unit.report.landed_rows import image_row

EVERYWHERE = [field.name for field in schema.BASE_FIELDS] + [
    *("_id", "row_hash", "identities", "group_id", "group_distance"),
]
POOLS = ["decode", "images", "land", "list"]
EXPORTED = ["label", "label_score", "n_faces"]


def question(field: str) -> Question:
    return Question(field=field, text="What is it?", answer=answer_type("text"))


@pytest.mark.parametrize(
    ("kind", "taken", "free"),
    [
        ("module", EVERYWHERE + POOLS, ["colour", "label", "journal"]),
        ("question", [*EVERYWHERE, *EXPORTED, "journal"], ["colour", "land"]),
        ("field", [*EVERYWHERE, *EXPORTED], ["colour", "land", "journal"]),
    ],
)
def test_each_kind_has_its_taken_names(kind, taken, free):
    for name in taken:
        with pytest.raises(ConfigError, match=f"the {kind} '{name}' needs another name: .*{name}") as caught:
            check_name(kind, name)
        assert "\n" not in str(caught.value)
    for name in free:
        check_name(kind, name)


def test_names_of_this_out_are_told_with_what_they_are():
    with pytest.raises(ConfigError, match=r"modules of this OUT \(colour, resnet\)"):
        check_name("question", "colour", modules=["resnet", "colour"])
    check_name("question", "size", modules=["resnet", "colour"])


@pytest.mark.parametrize("name", [*(name for name in EVERYWHERE if name != "_id"), *POOLS])
def test_no_module_is_called_so(name):
    with pytest.raises(ModuleError, match=f"{name!r} needs another name"):
        type("Own", (PipelineModule,), {"name": name})


@pytest.mark.parametrize("name", ["Colour", "_id", "a.b", ""])
def test_a_modules_name_is_lower_case_letters(name):
    with pytest.raises(ModuleError, match="lower-case letters"):
        type("Own", (PipelineModule,), {"name": name})


@pytest.mark.parametrize("name", [*(name for name in EVERYWHERE if name != "_id"), *EXPORTED, "journal"])
def test_no_question_is_called_so(name):
    with pytest.raises(ConfigError, match=f"{name!r} needs another name"):
        question(name)


def test_prebuilt_questions_have_free_names():
    for name in ("people_detector", "perfect_eyes", "no_generation_artifacts"):
        assert Gpt4VModule(name).settings.questions


@pytest.fixture
def out(land) -> Landing:  # noqa: F811
    """An OUT that has a module `colour` and a question `tags`."""
    landing = land([image_row("file:///a.jpg", colour={"red": 1.0})], modules=("colour",))
    journal = landing.answer_log.journal("one", TYPES)
    journal.append(record("file:///a.jpg", "tags", answer=["x"]))
    journal.close()
    landing.answer_log.fold()
    landing.refresh()
    return landing


def test_a_question_is_not_called_like_a_module_of_the_out(out):
    asked = AskSettings(questions=(question("colour"),))
    with pytest.raises(ConfigError, match=r"'colour' needs another name.*modules of this OUT \(colour\)"):
        list(pending_images(out, asked))
    assert len(list(pending_images(out, AskSettings(questions=(question("mood"),))))) == 1
    list(pending_images(out, AskSettings(questions=(question("tags"),))))  # its own name, again


def test_a_module_is_not_called_like_a_question_of_the_out(out, tmp_path):
    class Tags(PipelineModule):
        name = "tags"

        def fields(self):
            return []

    with pytest.raises(ConfigError, match=r"'tags' needs another name.*questions of this OUT \(tags\)"):
        extract(DataLoader(tmp_path), [Tags()], out.storage)


@pytest.mark.parametrize("field", ["colour", "colour.red", "tags", "status", "identities", "_id"])
def test_a_users_field_is_not_called_like_what_a_load_writes(out, field):
    with Database.open(out.storage) as database:
        with pytest.raises(ConfigError, match=f"{field.split('.')[0]!r} needs another name"):
            database.store_field(field, {"file:///a.jpg": 1})
        assert not database.has_mongo  # refused before a server is started


def test_all_modules_that_come_along_are_kept_from_questions():
    assert set(schema.RESERVED_NAMES["modules that come along"][1]) == set(MODULES)
