"""What a module is: its name, what it needs, and that an image that fails costs its own row alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.decode import DecodedImage
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.weights.find import ModelFile


class Half(PipelineModule):
    """Half of a photo's width, where it has one; keeps the sizes of its batches."""

    name = "half"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def fields(self):
        return [pa.field("n", pa.int64())]

    def preprocess(self, image):
        if image.width == 1:
            raise ValueError("too narrow")
        return image.width

    def process_batch(self, inputs):
        self.batches.append(len(inputs))
        if any(width % 2 for width in inputs):
            raise RuntimeError("it is odd")
        return [{"n": width // 2} for width in inputs]


def photo(width: int) -> DecodedImage:
    return DecodedImage(image_id="", pixels=np.zeros((1, 1, 3), np.uint8), width=width, height=1, format="PNG")


def test_one_that_fails_costs_only_its_own_row():
    module = Half()
    assert module.run([photo(4), photo(1), photo(3), photo(6)]) == [
        {"n": 2},
        {"error_type": "ValueError", "error": "too narrow"},
        {"error_type": "RuntimeError", "error": "it is odd"},
        {"n": 3},
    ]
    assert module.batches == [3, 1, 1, 1]  # together, and one by one where that fails
    assert Half().run([]) == []


def test_without_a_batch_of_its_own_none_is_processed_twice():
    class Single(Half):
        process_batch = PipelineModule.process_batch

        def process(self, width):
            self.batches.append(width)
            if width % 2:
                raise RuntimeError("it is odd")
            return {"n": width // 2}

    module = Single()
    assert [row.get("n") for row in module.run([photo(4), photo(3), photo(6)])] == [2, None, 3]
    assert module.batches == [4, 3, 6]


def test_a_batch_that_comes_back_shorter_breaks_the_contract():
    class Short(Half):
        def process_batch(self, inputs):
            return []

    with pytest.raises(ModuleError, match="returned 0 rows for 1 images"):
        Short().run([photo(4)])


LETTERS, TAKEN = "a module's name is lower-case letters", "needs another name"


@pytest.mark.parametrize(
    ("wrong", "said"), [("Half", LETTERS), ("", LETTERS), ("a-b", LETTERS), ("image_id", TAKEN), ("null", TAKEN)]
)
def test_a_name_that_can_be_no_column_is_refused(wrong, said):
    with pytest.raises(ModuleError, match=said):
        type("Named", (PipelineModule,), {"name": wrong})


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"input_bytes": 0}])
def test_needs_that_cannot_work_are_refused_with_the_value(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is 0: it is 1 or more"):
        Resources(**wrong)


def test_a_modules_files_are_what_it_requires_and_prepares(tmp_path):
    own = tmp_path / "own.pth"
    module = Half()
    assert module.required_weights() == []
    module.weights_files = (ModelFile("resnet50"), ModelFile("resnet18", own=own))
    assert module.required_weights() == ["resnet50"]
    module.weights_files = module.weights_files[1:]
    with pytest.raises(ModuleError, match="there is no weights file"):
        module.prepare()
    own.write_bytes(b"")
    module.prepare()
