"""The OUT that is worked on: read once, read again when its files change, and what was said to whom."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import PeopleError
from pixelbrain.identity.corrections.claims import Claims
from pixelbrain.identity.corrections.events import Event, active
from pixelbrain.identity.corrections.people import People
from pixelbrain.identity.corrections.suggest import Suggestion
from pixelbrain.landing.duplicates.choices import CHOICES
from pixelbrain.landing.forgotten.marks import FORGOTTEN
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import IMAGES
from pixelbrain.report.gallery.originals import OriginalReader
from pixelbrain.sources import read_bytes
from pixelbrain.stages.stages import Stages
from pixelbrain.web.data.beside import Beside
from pixelbrain.web.data.columns import Photos, key_of, read_photos
from pixelbrain.web.data.known import Known
from pixelbrain.web.data.maps import Maps
from pixelbrain.web.data.pictures import Pictures

if TYPE_CHECKING:
    from pixelbrain.apps.photo_search import Models

#: How long an edit waits for a run that works on OUT: somebody sits in front of it.
_WAIT_S = 3.0
#: How old what a listing said may be: of a disk it costs a millisecond, of S3 a request a folder.
_LOOK_S = {True: 0.5, False: 10.0}
#: A run lands parts all the time: reading them all again takes at most a fifth of the time.
_REST = 5.0
#: Pages wait for what changed where all was read as fast the last time; else they show what was, and say so.
_QUICK_S = 1.0
_NOTES = 1_000  # messages that are kept until their page is shown
_KEPT = 50  # searches by a photo whose results are kept, so that their pages can be gone back to
_CHOSEN = 16  # expressions whose photos are remembered: the pages of a long list look through all once
_SUGGESTIONS = 500  # found together; of those that are left, pages show one after another


@dataclass(frozen=True)
class View:
    """What pages are made of: photos and people that belong together."""

    photos: Photos
    known: Known
    stamp: str  # another one when OUT's files are others


@dataclass(frozen=True)
class Note:
    """What a page says of what was done last."""

    text: str
    good: bool = True
    undo: tuple[int, ...] = ()  # the events that can be taken back
    redo: bool = False  # that is, done again: they took something back themselves
    undo_at: str = "/undo"  # where


@dataclass
class _Queue:
    found: list[Suggestion] = field(default_factory=list)
    of: tuple[str, int] = ("", 0)  # the photos, and how many people there were: what makes new suggestions worth it
    answered: frozenset[int] = frozenset()  # the events by which some were not found: one taken back is a question
    why_not: str = ""


class Desk:
    """One OUT, for all browsers that work on it. Safe to share between threads.

    Args:
        stages: over the OUT.
        read_only: nothing is corrected.
    """

    def __init__(self, stages: Stages, *, read_only: bool = False) -> None:
        config, storage = stages.config, stages.storage
        self.stages, self.read_only, self.storage = stages, read_only, storage
        self.least = config.min_label_score
        self._landing = Landing(storage)
        self.people = People(
            Landing(storage), database=stages.context.unopened() if config.mongo else None, wait_s=_WAIT_S
        )  # with a landing of its own: it looks anew at each edit
        read = OriginalReader(functools.partial(read_bytes, s3_endpoint=config.s3_endpoint))
        self.pictures = Pictures(storage, read, max_pixels=config.max_megapixels * 1_000_000)
        self.maps = Maps(storage, lambda: self._landing)
        self._view: View | None = None
        self._reading = Beside("open", f"{storage.uri} cannot be read")
        self._lock = threading.RLock()  # of what is read of OUT
        self._choosing = threading.Lock()  # a MongoDB may be started for it: other pages do not wait
        self._looked = self._finished = float("-inf")
        self._took = 0.0
        self._stamps = ("", "", "")
        self._there: frozenset[tuple[str, str]] = frozenset()  # the files that photos were read of
        self._awaited = False  # whether pages wait for what is read
        self._notes: collections.OrderedDict[str, Note] = collections.OrderedDict()
        self._kept: collections.OrderedDict[str, Any] = collections.OrderedDict()
        self._chosen: collections.OrderedDict[tuple[str, str], np.ndarray] = collections.OrderedDict()
        self._queue, self._finding = _Queue(), Beside("review", "no questions were found")

    def start(self) -> None:
        """Begin to read, beside all else."""
        self._reading.start(self._read)

    # --- what is there -----------------------------------------------------------------------------------------------

    def view(self, *, wait_s: float | None = None) -> View | None:
        """What is there; None while it is read for the first time, for longer than that.

        Raises:
            LandingError: OUT cannot be read.
        """
        looked = time.monotonic() - self._looked < _LOOK_S[self.storage.is_local]
        if self._view is not None and not looked and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        if self._view is None:
            self._reading.start(self._read)
        if self._view is None or self._awaited:
            self._reading.join(wait_s)
        if self._view is None and self._reading.error is not None:
            raise self._reading.error
        return self._view

    def again(self) -> None:
        """Somebody corrected something: the next page has it."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        """Read what changed; photos beside the pages that are shown, unless some of them may be there no more."""
        landed, said, chosen = self._stamps_now()
        self._looked = time.monotonic()
        if landed != self._stamps[0] and self._view is not None:
            gone = not self._there <= self._files()  # forgotten, perhaps
            if gone:
                self._view = None
            if gone or time.monotonic() - self._finished > _REST * self._took:
                self._awaited = self._took < _QUICK_S
                self._reading.start(self._read)
        if said != self._stamps[1] and self._view is not None:
            self._landing.refresh()
            known = Known(self._landing, self._view.photos, self.maps)
            self._stamps = self._stamps[0], said, self._stamps[2]
            self._view = View(self._view.photos, known, "".join(self._stamps))
        if chosen != self._stamps[2] and self._view is not None:
            self._stamps = *self._stamps[:2], chosen
            self._view = replace(self._view, stamp="".join(self._stamps))

    def _read(self, _tell: object) -> None:
        began = time.monotonic()
        try:
            landing = Landing(self.storage)  # another one than pages read of
            stamps, there = self._stamps_now(), self._files()
            photos = read_photos(landing, self.least)
            known = Known(landing, photos, self.maps)
            self.pictures.look()
            with self._lock:
                self._landing, self._stamps, self._there = landing, stamps, there
                self._view = View(photos, known, "".join(stamps))
        finally:
            self._finished = time.monotonic()
            self._took = self._finished - began

    def _stamps_now(self) -> tuple[str, str, str]:
        """What changes when photos or answers do, when people or groups do, when duplicates do: listings alone tell."""
        answers = (f"answers/{name}" for name in self._landing.answer_log.fields())
        people, chosen = ["identities", "people", "people/events", "groups"], ["duplicates", CHOICES]
        folders = [[IMAGES, FORGOTTEN, *answers], people, chosen]
        told = [{one: sorted(self.storage.versions(one).items()) for one in some} for some in folders]
        first, second, third = (hashlib.sha256(json.dumps(one).encode()).hexdigest()[:16] for one in told)
        return first, second, third

    def _files(self) -> frozenset[tuple[str, str]]:
        """The files that hold photos, by name and version."""
        return frozenset(self.storage.versions(IMAGES).items())

    def chosen(self, view: View, text: str) -> np.ndarray:
        """bool (n,): the photos for which an expression of docs/filters.md is true, as the commands read it.

        Fields that users stored in MongoDB are as they were when it was first asked since OUT changed.

        Raises:
            ConfigError: it cannot be read, or has a name that is not known.
            StoreError: MongoDB is there, and cannot be asked for such a name.
        """
        from pixelbrain.landing.where.names import choose_images, read_where

        with self._choosing:
            key = (view.stamp, text)
            if key not in self._chosen:
                where = read_where(self._landing, text, self.stages.context.stored_field)
                ids = choose_images(self._landing, where)["image_id"]
                mask = np.asarray(pc.is_in(view.photos.image_id, ids.combine_chunks()))
                _remember(self._chosen, key, mask, _CHOSEN)
            return self._chosen[key]

    def row(self, image_id: str) -> pa.Table | None:
        """All that landed of one image, without its vectors, a row; None: it is there no more."""
        with self._lock:
            at = np.flatnonzero(np.asarray(pc.equal(self._landing.index.image_id, image_id)))
            tables = list(self._landing.iter_images(vectors=False, images=at))
        return tables[0] if tables and len(tables[0]) else None

    @property
    def landing(self) -> Landing:
        """What pages were read of last."""
        return self._landing

    # --- what was said -----------------------------------------------------------------------------------------------

    def note(self, note: Note) -> str:
        """Keep a message for the page that is shown next; returns what it is called in addresses."""
        with self._lock:
            return _remember(self._notes, secrets.token_urlsafe(9), note, _NOTES)

    def keep(self, found: Any) -> str:
        """Keep what was found, which nobody else could find again; returns what it is called in addresses."""
        with self._lock:
            return _remember(self._kept, secrets.token_urlsafe(9), found, _KEPT)

    def kept(self, name: str) -> Any:
        """What was found; None: it is not kept any more."""
        return self._kept.get(name)

    @functools.cached_property
    def models(self) -> Models:
        """The models of searches, which stay for some minutes."""
        from pixelbrain.apps.photo_search import Models

        return Models()

    @property
    def has_models(self) -> bool:
        """Whether a search finds its model loaded."""
        return "models" in self.__dict__ and self.models.loaded

    def noted(self, name: str) -> Note | None:
        """The message of that name."""
        return self._notes.get(name)

    def last(self) -> Event | None:
        """The last event that holds."""
        held = active(self.people.history())
        return held[-1] if held else None

    # --- what is worth a look ----------------------------------------------------------------------------------------

    def queue(self, view: View, *, wait_s: float | None = None) -> tuple[list[Suggestion], int, str | None]:
        """What is to be asked; how many questions were put off; and why there is nothing, None: it is looked for yet.

        Suggestions are found together, and those that what was said since has answered are left out: finding them looks
        at all people, beside the pages; `wait_s`: how long to wait for it. They are found anew when photos come, none
        is left, or an answer is taken back. Raises `LandingError`.
        """
        known, events = view.known, active(self.people.history())
        claims = Claims(events)
        with self._lock:
            fresh = (self._stamps[0], len(known.ids))
            back = not self._queue.answered <= {event.number for event in events}
            none = self._queue.of != fresh and not self._open(known, claims)
            if self._queue.of[0] != fresh[0] or back or none:
                answered = frozenset(event.number for event in events if event.kind in ("apart", "later"))
                self._finding.start(lambda _tell: self._find(_Queue(of=fresh, answered=answered)))
        self._finding.join(wait_s)
        if self._finding.error is not None:
            raise self._finding.error
        left, later = self._open(known, claims), sum(event.kind == "later" for event in events)
        return left, later, None if self._finding.busy else self._queue.why_not

    def _find(self, queue: _Queue) -> None:
        try:
            queue.found = [one for one in self.people.suggest(k=_SUGGESTIONS)]
        except PeopleError as error:
            queue.why_not = str(error)
        self._queue = queue

    def _open(self, known: Known, claims: Claims) -> list[Suggestion]:
        """Of what was found, what is still a question."""
        found, seen = [], set()
        answered = claims.kept_apart() | claims.put_off
        faces = {(ref.face_id, claims.root(who)) for ref, who in claims.not_asked}
        for one in self._queue.found:
            people = [known.registry.current(who) for who in one.people]
            if any(who not in known.place or who in known.registry.hidden for who in people):
                continue
            if one.kind == "same" and (len(set(people)) < 2 or frozenset(map(claims.root, people)) in answered):
                continue
            if one.face_id is not None:
                row = known.face_row(one.face_id)
                if row is None or known.how(row) in ("by_hand", "removed", "rejected"):
                    continue
                whose = known.person[row]
                if (one.kind == "whose") != (whose < 0) or (one.kind == "border" and known.ids[whose] != people[0]):
                    continue
                if (one.face_id, claims.root(people[0])) in faces:
                    continue
            told = (one.kind, frozenset(people), one.face_id)
            if told not in seen:
                seen.add(told)
                found.append(one)
        return found

    def suggestion(self, key: str) -> Suggestion | None:
        """The one that a page asked about."""
        return next((one for one in self._queue.found if suggestion_key(one) == key), None)


def _remember(things: collections.OrderedDict, name: Any, thing: Any, most: int) -> Any:
    """Keep a thing under a name, and of all the last ones; returns the name."""
    things[name] = thing
    while len(things) > most:
        things.popitem(last=False)
    return name


def suggestion_key(one: Suggestion) -> str:
    """What it is called on pages."""
    return key_of("\0".join((one.kind, *one.people, one.face_id or "")))
