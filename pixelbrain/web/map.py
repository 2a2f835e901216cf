"""The map: all photos, or all faces, as points; a part of it is a search. It is made here, too, beside the pages."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pixelbrain.errors import ConfigError, MixedModelsError
from pixelbrain.identity.mapping.map import can_be_mapped
from pixelbrain.landing.digests import digest_versions
from pixelbrain.stages.display import Display
from pixelbrain.stages.stages import Stages
from pixelbrain.web.data.area import LONGEST
from pixelbrain.web.data.beside import Beside
from pixelbrain.web.data.colours import COLOURS, Coloured, colour_by, kinds
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Desk, Note, View
from pixelbrain.web.data.maps import Places
from pixelbrain.web.page import Links, Pages
from pixelbrain.web.say import Form

#: The colours of the legend, the others, and none: as in map.css, seen on light and on dark.
PALETTE = ("2f7fd6", "d95f1e", "2a9150", "a45bd0", "b07d0a", "db3d78", "0b93a5", "9a6a4a", "6674e0", "7a9412", "c24fb0",
           "7d7972", "a09c95")  # fmt: skip
_PICTURE = (1200, 800)  # pixels of the one without scripts
_CALLED = {"images": "Photos", "faces": "Faces"}


class MapPages:
    """The page, what its script asks for, and what a form says."""

    def __init__(self, pages: Pages) -> None:
        self._pages, self.making = pages, Beside("map", "no map was made")

    def shown(self) -> Mapping[str, Callable[[Request, View], Response]]:
        """By address."""
        return {"/map": self.page, "/map/points": self.points, "/map/picture": self.picture, "/map/about": self.about}

    def page(self, request: Request, view: View) -> Response:
        """The map that is asked for, or what to do where there is none."""
        query, desk = request.query_params, self._pages.desk
        there = desk.maps.versions()
        wrong, choices = "", dict.fromkeys(sorted(there, key=lambda name: (name != "images", name)))
        try:  # also those that are not made yet
            choices = dict.fromkeys([*choices, *can_be_mapped(desk.landing)])
        except MixedModelsError as error:
            wrong = str(error)
        name = query.get("of") or next(iter(choices), "")
        places = desk.maps.places(name, view.photos)
        colour = self._colour(request, view, places)
        coloured = colour_by(colour, places, view.known) if places is not None else None
        area = query.get("area", "")[:LONGEST]
        return self._pages.render(
            request, "map.html", view, here="map", places=places, coloured=coloured, name=name, wrong=wrong,
            choices={one: _CALLED.get(one, f"{one}") for one in choices}, kinds=kinds(view.photos), colour=colour,
            shown=query.getlist("show"), making=self.making, area=area, at=query.get("at", "")[:80],
            hidden=0 if coloured is None else int((~coloured.shown(query.getlist("show"))).sum()),
        )  # fmt: skip

    def points(self, request: Request, view: View) -> Response:
        """All places and their colours, little-endian.

        uint32 how many, float32 the corner's x and y and the side of the square they are in; float32 all x, all y;
        uint64 all keys, of a map of faces those of their photos, too; uint8 all colours.
        """
        places, coloured, colour = self._asked(request, view)
        tag = f'"{key_of(" ".join([places.name, places.version, view.stamp, colour]))}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        x, y = np.ascontiguousarray(places.points.T, "<f4")
        photos = view.photos
        images = _digests(photos)[places.photos_of(photos)]
        keys = [_face_digests(photos)[places.rows], images] if places.of_faces else [images]
        head = np.array([len(places)], "<u4"), np.array([*places.corner, places.side], "<f4")
        data = b"".join(one.tobytes() for one in (*head, x, y, *keys, coloured.codes))
        return Response(data, media_type="application/octet-stream", headers=headers)

    def picture(self, request: Request, view: View) -> Response:
        """The map as it stands still, for browsers without scripts; PNG."""
        from PIL import Image

        places, coloured, _colour = self._asked(request, view)
        shown = coloured.shown(request.query_params.getlist("show"))
        unit, codes = places.unit[shown], coloured.codes[shown]
        width, height = _PICTURE
        at = np.rint(unit * height + [(width - height) / 2, 0]).astype(np.int64)
        pixels = np.zeros((height, width, 4), np.uint8)
        colours = np.array([[*bytes.fromhex(one), 255] for one in PALETTE], np.uint8)[codes]
        radius = 5 if len(at) < 2_000 else 2 if len(at) < 30_000 else 1
        for dx in range(-radius, radius + 1):
            for dy in range(-radius, radius + 1):
                if dx * dx + dy * dy <= radius * radius + 1:
                    to = np.clip(at + [dx, dy], 0, [width - 1, height - 1])
                    pixels[to[:, 1], to[:, 0]] = colours
        out = io.BytesIO()
        Image.fromarray(pixels, "RGBA").save(out, "PNG")
        return Response(out.getvalue(), media_type="image/png", headers={"Cache-Control": "private, no-cache"})

    def about(self, request: Request, view: View) -> Response:
        """What a point is called."""
        key, known = request.query_params.get("key", ""), view.known
        if request.query_params.get("faces"):
            row = view.photos.face_by_key.find(key)
            if row is None:
                raise HTTPException(404)
            photo, face = known.pair(row)
            who = known.called(face.identity_id) if face.identity_id else "A face of nobody"
            return JSONResponse({"name": who, "text": photo.name, "picture": Links(view).face(photo, face)})
        row = view.photos.by_key.find(key)
        if row is None:
            raise HTTPException(404)
        photo = known.photo(row)
        people = [known.called(one) for one in dict.fromkeys(face.identity_id for face in photo.faces) if one]
        text = ", ".join(filter(None, [photo.label and photo.label.replace("_", " "), *people]))
        return JSONResponse({"name": photo.name, "text": text, "picture": Links(view).thumbnail(photo)})

    def make(self, desk: Desk, view: View, form: Form) -> Note:
        """Begin to make a map."""
        by = form.one.get("by", "")
        if by not in can_be_mapped(desk.landing):
            raise ConfigError(f"there are no vectors called {by!r} any more")
        stages = Stages(desk.stages.config, Display(quiet=True))  # with a landing of its own: pages read of the other
        if not self.making.start(lambda tell: stages.map(by=by, progress=tell), by):
            raise ConfigError("a map is made already: wait until it is done")
        return Note(f"The map of {_CALLED.get(by, by).lower()} is being made.")

    def _asked(self, request: Request, view: View) -> tuple[Places, Coloured, str]:
        maps = self._pages.desk.maps
        places = maps.places(request.query_params.get("of", ""), view.photos)
        if places is None:
            raise HTTPException(404)
        colour = self._colour(request, view, places)
        return places, colour_by(colour, places, view.known), colour

    @staticmethod
    def _colour(request: Request, view: View, places: Places | None) -> str:
        """What is asked for; else who it is, and of photos what they show where that is mostly known."""
        asked = request.query_params.get("colour", "")
        if asked in kinds(view.photos):
            return asked
        photos = view.photos
        sure = (photos.label >= 0) & (photos.label_score >= photos.least)
        known = view.known.ids and (places is None or places.of_faces or 2 * sure.sum() < len(photos))
        return "person" if known else "label"


@functools.lru_cache(maxsize=1)
def _digests(photos: Any) -> np.ndarray:
    """uint64 (n,): what photos are called in addresses."""
    return digest_versions(photos.image_id)


@functools.lru_cache(maxsize=1)
def _face_digests(photos: Any) -> np.ndarray:
    return digest_versions(photos.face_id)


assert len(PALETTE) == COLOURS + 2
