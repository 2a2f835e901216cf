"""The people of OUT against labels: scores, who is mixed with whom, and who is in pieces."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pixelbrain.errors import ConfigError
from pixelbrain.identity.evaluate import ClusterScores, score_clusters
from pixelbrain.identity.evaluation.labels import LabelledFaces
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.shown import Shown


@dataclass(frozen=True, kw_only=True)
class TruePerson:
    """One of the labelled people, and what became of their faces."""

    name: str
    labelled: int  # faces
    largest: int  # of them in one found person
    found_as: str | None  # that person's id; None: nobody was found
    pieces: int  # found people that have faces of theirs
    alone: int  # faces that were given to nobody
    not_found: int  # of them, those where no face was detected

    @property
    def share(self) -> float:
        """Of the faces, how much is in one found person, 0 to 1."""
        return self.largest / self.labelled


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Shown):
    """How well the people of an OUT match the labelled ones."""

    faces: int  # labelled
    people: int  # labelled
    people_found: int  # that have a labelled face
    #: Of them, those with faces of several labelled people, by id: how many of whom. It is what a user sees first.
    mixed: dict[str, dict[str, int]]
    scores: ClusterScores
    of_people: tuple[TruePerson, ...]  # the worst first
    not_in_out: int  # labelled photos that did not land

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def evaluate(landing: Landing, labelled: LabelledFaces) -> Evaluation:
    """Compare the people that `identify` found with the labels. Raises `ConfigError` before an `identify`."""
    table = IDENTITIES.read(landing).rows
    if table is None:
        raise ConfigError(
            f"nobody was identified in {landing.storage.uri} yet: pixelbrain identify {landing.storage.uri}"
        )
    whose = {
        face: who
        for face, who in zip(table["face_id"].to_pylist(), table["identity_id"].to_pylist(), strict=True)
        if who
    }
    found = labelled.found(whose)
    people = set(whose.values())
    by_found: dict[str, Counter[str]] = {}
    by_person: dict[str, Counter[str]] = {}
    missed: Counter[str] = Counter()
    for person, who, face in zip(labelled.person.tolist(), found.tolist(), labelled.face.tolist(), strict=True):
        by_person.setdefault(person, Counter())[who] += 1
        missed[person] += face < 0
        if who in people:
            by_found.setdefault(who, Counter())[person] += 1
    mixed = {who: dict(counts.most_common()) for who, counts in sorted(by_found.items()) if len(counts) > 1}
    rows = [_true_person(name, counts, people, missed[name]) for name, counts in by_person.items()]
    return Evaluation(
        faces=len(found),
        people=len(rows),
        people_found=len(by_found),
        mixed=mixed,
        scores=score_clusters(labelled.person.astype(str), found.astype(str)),
        of_people=tuple(sorted(rows, key=lambda row: (row.share, row.name))),
        not_in_out=len(labelled.not_in_out),
    )


def _true_person(name: str, counts: Counter[str], people: set[str], not_found: int) -> TruePerson:
    pieces = Counter({who: count for who, count in counts.items() if who in people})
    found_as, largest = min(pieces.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
    labelled = counts.total()
    return TruePerson(
        name=name, labelled=labelled, largest=largest, found_as=found_as, pieces=len(pieces),
        alone=labelled - pieces.total(), not_found=not_found,
    )  # fmt: skip
