"""Any ArcFace-class model as an ONNX file: faces aligned to 112 px by their five landmarks, in, and a vector out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelbrain.errors import ConfigError, ModuleError, WeightsError
from pixelbrain.modules.faces.align import CHIP_PX, align
from pixelbrain.modules.faces.detector import Face
from pixelbrain.modules.faces.embedders import FaceEmbedder
from pixelbrain.modules.weights.find import ModelFile, find_package


class OnnxEmbedder(FaceEmbedder):
    """An ONNX file of the user's own, run by onnxruntime; known by its bytes, whatever it is called.

    Input: float32 (n, 3, 112, 112), RGB, (x - 127.5) / 127.5. Output: float32 (n, d), the first of several. Raises
    `ConfigError`: no such file; `MissingExtraError`; `WeightsError`: not ONNX, or of other inputs or outputs.
    """

    def __init__(self, file: str | Path) -> None:
        """Reads the file, as the width of its vectors is in no other place."""
        path = Path(file).expanduser().absolute()
        if not path.is_file():
            raise ConfigError(f"--embedder onnx:{file}: there is no file {path}")
        self._file = path
        self.weights_files = (ModelFile("onnx", own=path),)
        self.check()
        sha256 = self.weights_files[0].sha256()
        self.model = f"onnx-{sha256[:12]}"
        self.dim = _width(str(path), sha256)

    def check(self) -> None:
        find_package("onnxruntime", "--embedder onnx", "'pixelbrain[onnx]'")

    def setup(self, device: str = "cpu") -> None:
        import torch

        # of this actor; its own default is the whole machine
        self._session = _open(self._file, device, threads=torch.get_num_threads())

    def _embed(self, faces: Sequence[Face]) -> np.ndarray:
        found = _run(self._session, np.stack([align(face.photo, face.photo_landmarks) for face in faces]))
        if found.shape != (len(faces), self.dim):
            raise ModuleError(
                f"{self._file}: vectors of shape {found.shape} for {len(faces)} faces, and of {self.dim} numbers "
                "each when it was looked at: its output has no fixed width"
            )
        return found


def _open(path: Path, device: str, *, threads: int) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what is wrong is said by the exception
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    cuda = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [one for one in (*cuda, "CPUExecutionProvider") if one in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no base of their own
        raise WeightsError(f"{path} is not a model that onnxruntime can read: {_first_line(error)}") from None
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    fits = len(shape) == 4 and all(
        not isinstance(is_, int) or is_ == wanted for is_, wanted in zip(shape[1:], (3, CHIP_PX, CHIP_PX), strict=True)
    )
    if not fits or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.name} {one.type} {list(one.shape)}" for one in inputs) or "none"
        raise WeightsError(f"{path}: its input is to be one of float32 (n, 3, {CHIP_PX}, {CHIP_PX}), and is {found}")
    return session


def _run(session: Any, chips: np.ndarray) -> np.ndarray:
    """uint8 (n, 112, 112, 3), RGB, to the model's own vectors, one by one where it takes no more at once."""
    tensor = np.ascontiguousarray(((chips.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2))
    (one,) = session.get_inputs()
    size = one.shape[0] if isinstance(one.shape[0], int) else len(tensor)
    if size not in (1, len(tensor)):  # exported for a batch of so many: the last ones are filled up
        tensor = np.concatenate([tensor, np.zeros((-len(tensor) % size, *tensor.shape[1:]), np.float32)])
    name = session.get_outputs()[0].name
    found = [session.run([name], {one.name: tensor[at : at + size]})[0] for at in range(0, len(tensor), size)]
    return np.concatenate(found)[: len(chips)]


@functools.lru_cache(maxsize=8)
def _width(path: str, sha256: str) -> int:
    """How long the vectors are: of one face and of two other ones, which are to be as long, and finite."""
    session = _open(Path(path), "cpu", threads=1)
    chips = np.random.default_rng(0).integers(0, 256, (3, CHIP_PX, CHIP_PX, 3)).astype(np.uint8)
    try:
        found = [_run(session, chips[:1]), _run(session, chips[1:])]
    except Exception as error:
        raise WeightsError(f"{path} cannot be run: {_first_line(error)}") from None
    shapes: list[tuple[int, ...]] = [one.shape for one in found]
    if not (len(shapes[0]) == 2 and shapes[0][1] > 0 and shapes == [(1, shapes[0][1]), (2, shapes[0][1])]):
        raise WeightsError(
            f"{path}: its output is to be (n, d), a vector a face of always the same length; of one face it is "
            f"{tuple(shapes[0])}, of two {tuple(shapes[1])}"
        )
    if not all(one.dtype.kind == "f" and np.isfinite(one).all() for one in found):
        raise WeightsError(f"{path}: it gives vectors that are no finite numbers")
    return int(shapes[0][1])


def _first_line(error: Exception) -> str:
    return " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
