"""Which ChromaDB servers work with the client that we have: installs each version in a temporary folder, and loads.

    uv run python -m tests.chroma_versions 0.6.3 1.0.5 1.0.6 1.3.7 1.5.9

Not part of the test suite, as it downloads. docs/stores.md has what it printed last.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pixelbrain.errors import PixelbrainError
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.verify import verify
from tests.integration.stores.conftest import land_rows, make_image
from tests.integration.stores.test_servers import CHROMA, ChromaServer

# from 1.0.0 the server is one binary in the wheel, which needs none of chromadb's dependencies
_OLD = "import sys; from chromadb.cli.cli import app; sys.argv[:1] = ['chroma', 'run']; app()"


def _install(version: str, folder: Path) -> Path:
    alone = [] if version.startswith("0.") else ["--no-deps"]
    target = ["--target", str(folder), "--python", sys.executable]
    subprocess.run(["uv", "pip", "install", "-q", *alone, *target, f"chromadb=={version}"], check=True)
    return folder


def _try(out: Path, mongo: str, chroma: str) -> str:
    """Load, load what changed, verify, search, and load again from nothing: "works", or what a user is told."""
    rows = [make_image(number, faces=number % 2) for number in range(300)]
    try:
        with Database.open(out, mongo=mongo, chroma=chroma) as database:
            load(land_rows(out, rows), database)
            landing = land_rows(out, [make_image(n, faces=n % 2, version="2" if n < 20 else "1") for n in range(250)])
            report = load(landing, database)
            assert (report.image_vectors_written, report.image_vectors, report.face_vectors) == (20, 250, 125)
            assert verify(landing, database).ok
            ((match,),) = database.query_vector_field("images", np.array(rows[100]["resnet"]["embedding"]), 1)
            assert match.id == rows[100]["image_id"]
            load(landing, database, rebuild=True)
            assert verify(landing, database).ok
            database.delete()
    except PixelbrainError as error:
        return str(error)
    return "works"


def main(versions: list[str]) -> None:
    """Try each, and print a line."""
    with tempfile.TemporaryDirectory() as name, EmbeddedMongo(Path(name) / "mongo") as mongo:
        for version in versions:
            folder = Path(name) / version
            os.environ["PYTHONPATH"] = str(_install(version, folder / "package"))
            server = ChromaServer(folder / "server", _OLD if version.startswith("0.") else CHROMA)
            try:
                uri = mongo.uri.replace("/?", f"/v{version.replace('.', '-')}?")
                print(f"{version:8} {_try(folder / 'out', uri, f'{server.url}/photos')}", flush=True)
            finally:
                server.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
