"""An OUT of made-up faces that grows and shrinks: faces of some people, one or two a photo, landed and identified."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np

from pixelbrain.identity.corrections.people import People
from pixelbrain.identity.people import IdentityReport, PeopleIdentifierModule
from pixelbrain.landing.derived import IDENTITIES
from tests.unit.identity.conftest import VectorTable
from tests.unit.landed_out import land_faces

GOOD = {"score": 0.999, "width_px": 90.0, "sharpness": 200.0}


class World:
    """`World(out, people=5).add(30)`: thirty faces more; `identify()`, and then `people` is a `People` over OUT."""

    def __init__(self, out: Path, *, people: int = 5, noise: float = 0.5, seed: int = 0, dim: int = 32) -> None:
        self.out, self.noise, self.dim = out, noise, dim
        self.rng = np.random.default_rng(seed)
        self.centres = np.linalg.qr(self.rng.standard_normal((dim, people)))[0].T
        self.vectors: dict[str, np.ndarray] = {}
        self.truth: dict[str, int] = {}
        self.generation = 0
        self.people = People(out, by="tester")

    def copied(self, out: Path) -> World:
        """The same in another OUT: identified already, for less than a fifth of what that takes."""
        world = copy.copy(self)
        world.out, world.rng, world.people = (
            shutil.copytree(self.out, out),
            copy.deepcopy(self.rng),
            People(out, by="tester"),
        )
        world.vectors, world.truth = dict(self.vectors), dict(self.truth)
        return world

    def add(self, count: int, *, who: int | None = None, prefix: str = "p") -> list[str]:
        """More faces, of everybody in turn by chance, or of one."""
        new = []
        for _ in range(count):
            number = len(self.truth)
            person = int(self.rng.integers(len(self.centres))) if who is None else who
            name = f"file:///{prefix}{number:05}.jpg#0"
            vector = self.centres[person] + self.rng.standard_normal(self.dim) * self.noise / np.sqrt(self.dim)
            self.vectors[name], self.truth[name] = (vector / np.linalg.norm(vector)).astype(np.float32), person
            new.append(name)
        return new

    def identify(
        self, *, threshold: float = 0.55, shuffle: int | None = None, min_faces: int = 2, rebuild: bool = False
    ) -> IdentityReport:
        """Land what there is, and find people in it."""
        ids = list(self.vectors)
        if shuffle is not None:
            np.random.default_rng(shuffle).shuffle(ids)
        self.generation += 1
        vectors = np.stack([self.vectors[one] for one in ids])
        metadata = [{"image_id": one.partition("#")[0], **GOOD} for one in ids]
        table = VectorTable(self.out, ids, vectors, metadata, "facenet-vggface2")
        gone = [one.partition("#")[0] for one in self.truth if one not in self.vectors]
        table.landing = land_faces(
            self.out, [*ids, *gone], generation=self.generation, embeddings=self.vectors, x1=-87.0
        )
        self.table = table
        module = PeopleIdentifierModule(threshold=threshold, min_faces=min_faces)
        return module.run(table, rebuild=rebuild)  # type: ignore[arg-type]

    def who(self) -> dict[str, str | None]:
        """face_id -> identity_id, as others read it."""
        table = self.people.landing
        table.refresh()
        rows = IDENTITIES.read(table).rows
        return dict(zip(rows["face_id"].to_pylist(), rows["identity_id"].to_pylist(), strict=True))

    def faces_of(self, identity_id: str) -> list[str]:
        """Of somebody, by name."""
        return sorted(one for one, who in self.who().items() if who == identity_id)


def four_people(out: Path) -> World:
    """Six faces of each of four people, identified; the world has a fifth, of whom there is none yet."""
    world = World(out, people=5)
    for who in range(4):
        world.add(6, who=who)
    world.identify()
    return world
