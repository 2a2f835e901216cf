"""The application: which address shows or says what, and errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pixelbrain.errors import OutLockedError, PixelbrainError
from pixelbrain.stages.stages import Stages
from pixelbrain.web import people, review, run, say
from pixelbrain.web.data.desk import Desk, Note, View
from pixelbrain.web.duplicates import page as duplicates
from pixelbrain.web.duplicates import say as choosing
from pixelbrain.web.duplicates.alike import Alike
from pixelbrain.web.guard import Guard, TooLarge
from pixelbrain.web.history import history_page
from pixelbrain.web.map import MapPages
from pixelbrain.web.page import Pages, asset
from pixelbrain.web.photos.listing import list_file, photos_page
from pixelbrain.web.photos.nearest import like_page, nearest_page, search_by_photo
from pixelbrain.web.photos.one import photo_page
from pixelbrain.web.photos.pictures import picture

logger = logging.getLogger(__name__)

#: Of a form: the largest one picks all faces of a page.
_FIELDS = 5_000

Say = Callable[[Desk, View, say.Form], Note]


def make_app(stages: Stages, *, token: str, hosts: Collection[str] = (), read_only: bool = False) -> ASGIApp:
    """The pages over an OUT; see `Guard` for who may ask. Reading begins at once, beside the first request."""
    desk = Desk(stages, read_only=read_only)
    pages, alike = Pages(desk, run.title_of(stages)), Alike(desk)
    on_map = MapPages(pages)
    shown: dict[str, Callable[[Request, View], Response]] = {
        "/": run.front_page(pages),
        "/people": people.people_page(pages),
        "/people/{key}": people.person_page(pages),
        "/faces": people.faces_page(pages),
        "/faces/{key}/crop": picture(pages, "face"),
        "/thumbnails/{key}": picture(pages, "thumbnail"),
        "/photos": photos_page(pages),
        "/photos/list.txt": list_file(pages, "txt"),
        "/photos/list.csv": list_file(pages, "csv"),
        "/photos/like": like_page(pages),
        "/photos/nearest": nearest_page(pages),
        "/photos/{key}": photo_page(pages),
        "/photos/{key}/full": picture(pages, "full"),
        "/photos/{key}/large": picture(pages, "large"),
        "/review": review.review_page(pages),
        "/history": history_page(pages, alike),
        "/duplicates": duplicates.groups_page(pages, alike, "duplicates"),
        "/duplicates/list.csv": duplicates.list_file(pages, "duplicates", "csv"),
        "/duplicates/list.txt": duplicates.list_file(pages, "duplicates", "txt"),
        "/duplicates/{key}": duplicates.compare_page(pages, alike, "duplicates"),
        "/lookalikes": duplicates.groups_page(pages, alike, "lookalikes"),
        "/lookalikes/list.csv": duplicates.list_file(pages, "lookalikes", "csv"),
        "/lookalikes/list.txt": duplicates.list_file(pages, "lookalikes", "txt"),
        "/lookalikes/{key}": duplicates.compare_page(pages, alike, "lookalikes"),
        "/run": run.run_page(pages),
        "/changes": _changes(pages),
        **on_map.shown(),
    }
    said: dict[str, Say] = {
        "/people/say": say.say_of_people,
        "/faces/say": say.say_of_faces,
        "/review": say.answer,
        say.UNDO: say.undo,
        "/map/make": on_map.make,
        "/duplicates/say": lambda _desk, view, form: choosing.choose(alike, view, form),
        choosing.UNDO: lambda _desk, _view, form: choosing.undo(alike, form),
        "/duplicates/look": lambda _desk, _view, _form: choosing.look(alike),
    }
    routes = [
        Route("/assets/{name}", _asset),
        Route("/people/{key}/name", _posted(pages, None), methods=["POST"]),
        *(Route(path, _posted(pages, one), methods=["POST"]) for path, one in said.items()),
        Route("/photos/nearest", _nearest(pages), methods=["POST"]),
        *(Route(path, _shown(pages, one), methods=["GET"]) for path, one in shown.items()),
    ]
    handlers = {
        TooLarge: lambda request, error: pages.error(request, str(error), 413),
        PixelbrainError: lambda request, error: pages.error(request, str(error), 500),
        HTTPException: lambda request, error: pages.error(request, error.detail, error.status_code),
        Exception: _unforeseen(pages),
    }
    app = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    app.state.desk, app.state.alike, app.state.making = desk, alike, on_map.making
    desk.start()
    return Guard(app, token=token, hosts=hosts)


def _shown(pages: Pages, make: Callable[[Request, View], Response]) -> Callable[[Request], Response]:
    return lambda request: pages.shown(request, make)


def _posted(pages: Pages, act: Say | None) -> Callable:
    """A form that corrects something: done, and back to where it was sent from, which says so, or why not.

    `act` None: a name, after which a question may come.
    """

    def done(request: Request, form: say.Form) -> Response:
        desk, back = pages.desk, form.one.get("back", "/")
        try:
            view = desk.view()
            assert view is not None
            if act is not None:
                note = act(desk, view, form)
            else:
                found = say.name_person(desk, view, request.path_params["key"], form)
                if isinstance(found, say.Question):
                    covers = [view.known.pair(int(view.known.faces_of(view.known.place[one])[0])) for one in
                              (found.who, *found.others)]  # fmt: skip
                    return pages.render(request, "question.html", view, asked=found, covers=covers, back=back, here="")
                note = found
            desk.again()
        except OutLockedError as error:
            note = Note(f"Nothing was changed, as something else is at work here: {error}. Try again then.", good=False)
        except PixelbrainError as error:
            note = Note(f"Nothing was changed: {error}.", good=False)
        return pages.after(back, note)

    async def endpoint(request: Request) -> Response:
        if pages.desk.read_only:
            return pages.error(request, "Here is only looked: `pixelbrain open` was given --read-only.", 403)
        async with request.form(max_files=0, max_fields=_FIELDS) as form:
            texts = {name: value for name, value in form.items() if isinstance(value, str)}
            lists = [[one for one in form.getlist(name) if isinstance(one, str)] for name in ("who", "face")]
        return await run_in_threadpool(done, request, say.Form(texts, *lists))

    return endpoint


def _nearest(pages: Pages) -> Callable:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=10) as form:
            file, by = form.get("photo"), str(form.get("by", "faces"))
            data = await file.read() if isinstance(file, UploadFile) else b""
            name = (file.filename or "") if isinstance(file, UploadFile) else ""

        def found() -> Response:
            try:
                return search_by_photo(pages, data, name, by)
            except PixelbrainError as error:
                return pages.after("/photos", Note(str(error), good=False))

        return await run_in_threadpool(found)

    return endpoint


def _changes(pages: Pages) -> Callable[[Request, View], Response]:
    """What others said, or landed, since a page was made."""

    def show(request: Request, view: View) -> Response:
        since = request.query_params.get("since", "")
        landed = bool(since) and since[:16] != view.stamp[:16]
        now, text = view.stamp[: len(since) or None], ""
        if since != now and since[:32] == now[:32]:
            text = "Something changed: duplicates were looked for, or chosen among."
        elif since != now:
            events = pages.desk.people.history()
            last = say.told(events[-1], view.known) if events else "people were found anew"
            text = "More has landed here." if landed else f"Something changed: {last}."
        return JSONResponse({"stamp": now, "text": text})

    return show


def _asset(request: Request) -> Response:
    found = asset(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, no-cache"})


def _unforeseen(pages: Pages) -> Callable[[Request, Exception], Response]:
    def show(request: Request, error: Exception) -> Response:
        return pages.error(request, "This could not be shown; the terminal says why.", 500)

    return show
