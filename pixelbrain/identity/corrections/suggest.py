"""What is most worth a look: people who may be one, and faces nearest to a border."""

from __future__ import annotations

import collections
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pixelbrain.errors import PeopleError
from pixelbrain.identity.corrections.state import State, called, landed_vectors
from pixelbrain.identity.corrections.why import means, threshold_of
from pixelbrain.shown import Shown

#: How far beyond the threshold two people, or a face and a person, may be one: times its cosine distance.
BEYOND = 1.3
#: From where a face is near the border of its own person.
_INSIDE = 0.85
_AT_ONCE = 2048  # people compared with all others together


@dataclass(frozen=True, kw_only=True, repr=False)
class Suggestion(Shown):
    """Something to look at, and what to say of it."""

    kind: Literal["same", "whose", "border"]  # two people may be one; a face may be a person's; or not its person's
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
    would move, and the nearer they are to the threshold, the more it is worth.

    Args:
        state: with sums.
        k: how many.

    Raises:
        PeopleError: the people's vectors are not known.
    """
    known, claims = state.registry, state.claims
    ids, directions, counts = means(known)
    threshold = threshold_of(known)
    if not ids or threshold is None:
        uri = state.landing.storage.uri
        raise PeopleError(f"{uri} has no people whose vectors are known: `pixelbrain identify {uri}` finds them")
    limit = 1 - threshold
    place = {one: row for row, one in enumerate(known.ids)}
    sums = [known.table["sum"][place[one]].values.to_numpy() for one in ids]
    # a sum's length says how alike a person's faces are: with it, a product is the mean over all pairs of faces
    inner = np.array([float(np.linalg.norm(total)) for total in sums]) / counts
    shown = np.array([one not in known.hidden for one in ids])
    apart = claims.kept_apart() | claims.put_off
    asked_no_more = state.pairs(claims.not_asked)
    found = [
        *_same(ids, directions, inner, counts, shown, limit, apart, state),
        *_whose(ids, directions, inner, shown, limit, state, asked_no_more),
        *_border(ids, inner, counts, shown, limit, state, asked_no_more),
    ]
    return sorted(found, key=lambda one: (-one.value, one.people, one.face_id or ""))[:k]


def _same(
    ids: list[str],
    directions: np.ndarray,
    inner: np.ndarray,
    counts: np.ndarray,
    shown: np.ndarray,
    limit: float,
    apart: set[frozenset[str]],
    state: State,
) -> list[Suggestion]:
    pairs = []
    for start in range(0, len(ids), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        distance = 1 - (directions[some] @ directions.T) * inner[some, None] * inner[None, :]
        near = (distance <= BEYOND * limit) & shown[some, None] & shown[None, :]
        pairs += [(start + int(a), int(b), float(distance[a, b])) for a, b in np.argwhere(near) if start + a < b]
    images = collections.defaultdict(set)
    wanted = {ids[at] for a, b, _distance in pairs for at in (a, b)}
    for who, image in zip(state.person.tolist(), state.faces["image_id"].to_pylist(), strict=True):
        if who in wanted:
            images[who].add(image)
    return [
        Suggestion(
            kind="same",
            people=(ids[a], ids[b]),
            face_id=None,
            distance=round(distance, 4),
            threshold=round(limit, 4),
            together=len(images[ids[a]] & images[ids[b]]),
            value=_value(distance / limit, int(min(counts[a], counts[b])), len(images[ids[a]] & images[ids[b]])),
        )
        for a, b, distance in pairs
        if frozenset((ids[a], ids[b])) not in apart
    ]


def _whose(
    ids: list[str],
    directions: np.ndarray,
    inner: np.ndarray,
    shown: np.ndarray,
    limit: float,
    state: State,
    asked_no_more: Mapping[int, set[str]],
) -> list[Suggestion]:
    """Faces of nobody, by their nearest person."""
    assigned = np.array(state.faces["assigned"].to_pylist(), object)
    rows = np.flatnonzero(assigned == "single")
    found = []
    read = landed_vectors(state.landing, state.faces)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        units = read(some)
        if units.shape[1] != directions.shape[1]:
            break
        distance = 1 - (units @ directions.T) * inner
        distance[:, ~shown] = np.inf
        for at in np.flatnonzero(np.isin(some, list(asked_no_more))).tolist():
            distance[at, [one in asked_no_more[int(some[at])] for one in ids]] = np.inf
        distance = np.nan_to_num(distance, nan=np.inf)
        best = distance.argmin(axis=1)
        found += [
            (int(some[at]), ids[to], float(distance[at, to]))
            for at, to in enumerate(best.tolist())
            if distance[at, to] <= BEYOND * limit
        ]
    names = state.faces["face_id"].take(pa.array([row for row, _who, _distance in found], pa.int64())).to_pylist()
    return [
        Suggestion(kind="whose", people=(who,), face_id=name, distance=round(distance, 4), threshold=round(limit, 4),
                   together=0, value=_value(distance / limit, 1, 0))
        for name, (_row, who, distance) in zip(names, found, strict=True)
    ]  # fmt: skip


def _border(
    ids: list[str],
    inner: np.ndarray,
    counts: np.ndarray,
    shown: np.ndarray,
    limit: float,
    state: State,
    asked_no_more: Mapping[int, set[str]],
) -> list[Suggestion]:
    """Faces that are hardly their person's: of the mean over pairs, without the face itself."""
    place = {one: at for at, one in enumerate(ids)}
    rows: list[dict[str, Any]] = state.faces.select(["face_id", "identity_id", "distance", "assigned"]).to_pylist()
    found = []
    for number, row in enumerate(rows):
        at = place.get(row["identity_id"])
        if row["identity_id"] in asked_no_more.get(number, ()):
            continue
        if at is None or not shown[at] or row["distance"] is None or row["assigned"] == "by_hand" or counts[at] < 3:
            continue
        mean = ((1 - row["distance"]) * inner[at] * counts[at] - 1) / (counts[at] - 1)
        if 1 - mean >= _INSIDE * limit:
            value = min((1 - mean) / limit, BEYOND) / BEYOND
            found.append(
                Suggestion(kind="border", people=(ids[at],), face_id=row["face_id"], distance=round(1 - mean, 4),
                           threshold=round(limit, 4), together=0, value=round(value, 4))
            )  # fmt: skip
    return found


def _value(times: float, faces: int, together: int) -> float:
    """1 for one face at the threshold, 0 at the end; more for more faces, and less for people who meet in photos."""
    return round(max(0.0, (BEYOND - times) / (BEYOND - 1)) * math.log2(1 + faces) / (1 + together), 4)
