"""Who gives what modules require, in which order they run, and what is said where nobody does."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.requires import Giver, resolve


def module(name: str, *requires: str, fields: tuple[str, ...] = ()) -> PipelineModule:
    """One that requires these, and has these fields."""
    having = [pa.field(one, pa.int64()) for one in fields]
    made = {"name": name, "requires": requires, "fields": lambda self: having, "process": lambda self, i, **given: {}}
    return type(name.title(), (PipelineModule,), made)()


LANDED = [
    Giver(name="facenet", fields=("n_faces", "faces")),
    Giver(name="glasses", fields=("faces",), requires=("facenet",)),
    Giver(name="resnet", fields=("label", "embedding")),
    Giver(name="scene", fields=("label",)),
]


def order(*modules: PipelineModule) -> tuple[list[str], dict]:
    ordered, stands_on = resolve(modules, lambda: LANDED)
    return [one.name for one in ordered], stands_on


def test_each_comes_after_what_it_stands_on_and_the_others_stay_where_they_are():
    a, b, c = module("a", "b"), module("b", "finder"), module("c")
    assert order(c, a, b, module("finder")) == (["c", "finder", "b", "a"], {"a": {"b": "b"}, "b": {"finder": "finder"}})
    assert order(a, module("d"), module("b"))[0] == ["b", "a", "d"]


def test_a_field_is_given_by_a_module_of_the_run_or_else_by_what_has_landed():
    finder = module("finder", fields=("faces",))
    assert order(module("age", "faces"), finder) == (["finder", "age"], {"age": {"faces": "finder"}})
    # what stands on faces does not give them, though its own field is called so
    others = module("hat", "faces", fields=("faces",)), module("beard", "finder", fields=("faces",))
    assert order(module("age", "faces"), *others, finder)[1]["age"] == {"faces": "finder"}
    assert order(module("age", "faces"))[1] == {"age": {"faces": "facenet"}}
    assert order(module("age", "glasses", "n_faces"))[1] == {"age": {"glasses": "glasses", "n_faces": "facenet"}}


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ([module("a", "b"), module("b", "c"), module("c", "a")], r"in a circle, .*: a -> b -> c -> a$"),
        ([module("a", "labels")], r"module a requires labels, .* did you mean label\?$"),
        ([module("a", "label")], r"module a requires label, which resnet and scene give: name one of them"),
        ([module("a", "hats")], r"run what gives it, such as --module package.file:Class, too, or over an OUT where"),
        ([module("a", "clip")], r"run it with --module clip, too, or over an OUT where that has landed$"),
        ([module("a", "a")], r"module a requires a, which is its own: it stands on others alone$"),
        ([module("a", "hue", fields=("hue",))], r"module a requires hue, which is its own: it stands on others alone$"),
    ],
)
def test_what_cannot_be_had_is_one_line(modules, said):
    with pytest.raises(ConfigError, match=said):
        order(*modules)


def test_faces_are_facenets_where_nothing_is_there():
    for own in (), ("faces",):  # as a FaceModule has a field that is called so
        with pytest.raises(ConfigError, match="run it with --module facenet, too"):
            resolve([module("age", "faces", fields=own)], lambda: [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"requires": "faces"}, r"requires is 'faces': a list of names, such as \['faces'\]"),
        ({"requires": [1]}, "a list of names"),
        ({"requires": ["a b"]}, "a list of names"),
        ({"requires": ["faces"], "process": lambda self, image: {}}, r"process does not take it: .* with faces=..."),
        ({"requires": ["faces"], "process_batch": lambda self, inputs, label: []}, "process_batch does not take it"),
    ],
)
def test_a_class_that_cannot_be_given_what_it_requires_is_refused(wrong, said):
    with pytest.raises(ModuleError, match=said):
        type("Wrong", (PipelineModule,), {"name": "wrong", **wrong})
