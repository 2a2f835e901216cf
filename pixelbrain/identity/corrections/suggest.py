"""What is most worth a look: people who may be one, and faces nearest to a border."""

from __future__ import annotations

import collections
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pixelbrain.errors import PeopleError
from pixelbrain.identity.corrections.state import State, called
from pixelbrain.identity.corrections.why import means, threshold_of
from pixelbrain.shown import Shown

#: How far beyond the threshold two people, or a face and a person, may be one: times its cosine distance.
BEYOND = 1.3
#: From where a face is near the border of its own person.
_INSIDE = 0.85
_AT_ONCE = 2048  # people compared with all others together


Kind = Literal["same", "whose", "border"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Suggestion(Shown):
    """Something to look at, and what to say of it."""

    kind: Kind  # two people may be one; a face may be a person's; or not its person's
    people: tuple[str, ...]
    face_id: str | None  # of whose and border
    distance: float  # mean cosine distance between their faces, 0 to 2
    threshold: float  # the same, at which they would be one
    together: int  # of same: photos in which both are
    value: float  # higher is more worth a look

    def faces(self, state: State) -> list[str]:
        """face_ids to be looked at: the face that it is about, and some of each person."""
        some = [ref.face_id for who in self.people for refs in state.stand_for(who).values() for ref in refs[:4]]
        return [*([self.face_id] if self.face_id else []), *some]


def describe(one: Suggestion, state: State) -> str:
    """On one line, with the command that says so."""
    out = state.landing.storage.uri
    names = [called(state.registry, who) for who in one.people]
    at, face = f"{one.distance:.3f}, one below {one.threshold:.3f}", one.face_id or ""
    if one.kind == "same":
        say, words = f"{' and '.join(names)} may be one", ["merge", out, *names]
    elif one.kind == "whose":
        say, words = f"a face may be {names[0]}'s", ["assign", out, names[0], face]
    else:
        say, words = f"a face may not be {names[0]}'s", ["unassign", out, face]
    return f"{say} ({at}): pixelbrain people {shlex.join(words)}"


def suggestions(state: State, *, k: int = 20) -> list[Suggestion]:
    """The `k` most worth a look, first the one that says most.

    Hidden people, rejected faces, people who are said not to be one, and what was put off are left out. The more faces
    would move, and the nearer they are to the threshold, the more it is worth. `state` is one with sums.

    Raises:
        PeopleError: the people's vectors are not known.
    """
    look = _Look(state)
    found = [*look.same(), *look.whose(), *look.border()]
    return sorted(found, key=lambda one: (-one.value, one.people, one.face_id or ""))[:k]


class _Look:
    """All people whose vectors are known, compared with each other and with faces. Raises `PeopleError`."""

    def __init__(self, state: State) -> None:
        known = state.registry
        self.state = state
        self.ids, self.directions, self.counts = means(known)
        threshold = threshold_of(known)
        if not self.ids or threshold is None:
            uri = state.landing.storage.uri
            raise PeopleError(f"{uri} has no people whose vectors are known: `pixelbrain identify {uri}` finds them")
        self.limit = 1 - threshold
        place = {one: row for row, one in enumerate(known.ids)}
        sums = [known.table["sum"][place[one]].values.to_numpy() for one in self.ids]
        # a sum's length says how alike a person's faces are: with it, a product is the mean over all pairs of faces
        self.inner = np.array([float(np.linalg.norm(total)) for total in sums]) / self.counts
        self.shown = np.array([one not in known.hidden for one in self.ids])
        self.asked_no_more = state.pairs(state.claims.not_asked)  # by row of a face, whose it is not

    def same(self) -> Iterator[Suggestion]:
        """People who may be one."""
        ids, inner, shown = self.ids, self.inner, self.shown
        apart = self.state.claims.kept_apart() | self.state.claims.put_off
        pairs = []
        for start in range(0, len(ids), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            distance = 1 - (self.directions[some] @ self.directions.T) * inner[some, None] * inner[None, :]
            near = (distance <= BEYOND * self.limit) & shown[some, None] & shown[None, :]
            pairs += [(start + int(a), int(b), float(distance[a, b])) for a, b in np.argwhere(near) if start + a < b]
        images = collections.defaultdict(set)
        wanted = {ids[at] for a, b, _distance in pairs for at in (a, b)}
        for who, image in zip(self.state.person.tolist(), self.state.faces["image_id"].to_pylist(), strict=True):
            if who in wanted:
                images[who].add(image)
        for a, b, distance in pairs:
            if frozenset((ids[a], ids[b])) not in apart:
                together = len(images[ids[a]] & images[ids[b]])
                faces = int(min(self.counts[a], self.counts[b]))
                value = _value(distance / self.limit, faces, together)
                yield self._suggestion("same", (ids[a], ids[b]), None, distance, value, together)

    def whose(self) -> Iterator[Suggestion]:
        """Faces of nobody, by their nearest person."""
        faces = self.state.faces
        rows = np.flatnonzero(np.array(faces["assigned"].to_pylist(), object) == "single")
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            units = self.state.vectors(some)
            if units.shape[1] != self.directions.shape[1]:
                break
            distance = 1 - (units @ self.directions.T) * self.inner
            distance[:, ~self.shown] = np.inf
            for at in np.flatnonzero(np.isin(some, list(self.asked_no_more))).tolist():
                distance[at, [one in self.asked_no_more[int(some[at])] for one in self.ids]] = np.inf
            distance = np.nan_to_num(distance, nan=np.inf)
            best, least = distance.argmin(axis=1), distance.min(axis=1)
            for at in np.flatnonzero(least <= BEYOND * self.limit).tolist():
                name, far = faces["face_id"][int(some[at])].as_py(), float(least[at])
                yield self._suggestion("whose", (self.ids[best[at]],), name, far, _value(far / self.limit, 1, 0))

    def border(self) -> Iterator[Suggestion]:
        """Faces that are hardly their person's: of the mean over pairs, without the face itself."""
        place = {one: at for at, one in enumerate(self.ids)}
        columns = ["face_id", "identity_id", "distance", "assigned"]
        rows: list[dict[str, Any]] = self.state.faces.select(columns).to_pylist()
        for number, row in enumerate(rows):
            who, far = row["identity_id"], row["distance"]
            at = place.get(who)
            if at is None or who in self.asked_no_more.get(number, ()) or not self.shown[at]:
                continue
            if far is None or row["assigned"] == "by_hand" or (count := self.counts[at]) < 3:
                continue
            distance = 1 - ((1 - far) * self.inner[at] * count - 1) / (count - 1)
            if distance >= _INSIDE * self.limit:
                value = round(min(distance / self.limit, BEYOND) / BEYOND, 4)
                yield self._suggestion("border", (who,), row["face_id"], distance, value)

    def _suggestion(
        self, kind: Kind, people: tuple[str, ...], face_id: str | None, distance: float, value: float, together: int = 0
    ) -> Suggestion:
        return Suggestion(
            kind=kind, people=people, face_id=face_id, distance=round(distance, 4), threshold=round(self.limit, 4),
            together=together, value=value,
        )  # fmt: skip


def _value(times: float, faces: int, together: int) -> float:
    """1 for one face at the threshold, 0 at the end; more for more faces, and less for people who meet in photos."""
    return round(max(0.0, (BEYOND - times) / (BEYOND - 1)) * math.log2(1 + faces) / (1 + together), 4)
