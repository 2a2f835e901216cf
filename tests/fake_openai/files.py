"""The Files endpoints: upload, look at, download, list, delete; kept in a temporary folder while the server runs."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.settings import Settings

__all__ = ["Files", "StoredFile", "page"]

_FIELDS = ("purpose", "file", "expires_after[anchor]", "expires_after[seconds]")


@dataclass
class StoredFile:
    """A file, and where its bytes are."""

    id: str
    filename: str
    purpose: str
    created_at: int
    path: Path

    def body(self) -> dict[str, Any]:
        """The File object's JSON."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.path.stat().st_size,
            "created_at": self.created_at,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files of the account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="fake-openai-"))
        self._files: dict[str, StoredFile] = {}

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, filename: str, purpose: str) -> StoredFile:
        """A new file, empty."""
        file_id = f"file-{secrets.token_hex(12)}"
        path = self._folder / file_id
        path.touch()
        stored = self._files[file_id] = StoredFile(file_id, filename, purpose, int(time.time()), path)
        return stored

    def get(self, file_id: str, *, param: str = "id") -> StoredFile:
        """Raises a 404 for a file that is not there."""
        if file_id not in self._files:
            raise ApiError(404, f"No such File object: {file_id}", param=param)
        return self._files[file_id]

    async def upload(self, request: web.Request) -> web.Response:
        """POST /v1/files, multipart, purpose batch only."""
        if request.content_type != "multipart/form-data":
            raise bad_request("Invalid content type: expected multipart/form-data.")
        purpose, stored = None, None
        try:
            async for part in await request.multipart():
                if part.name not in _FIELDS:
                    raise bad_request(f"Unknown parameter: '{part.name}'.", param=part.name, code="unknown_parameter")
                if part.name == "file":
                    stored = self.create(part.filename or "", "batch")
                    await self._receive(part, stored.path)
                elif part.name == "purpose":
                    purpose = await part.text()
            if stored is None:
                raise bad_request("'file' is a required property", param="file")
            if purpose != "batch":
                raise bad_request(f"'{purpose}' is not one of ['batch'] - 'purpose'", param="purpose")
            if not stored.filename.endswith(".jsonl"):
                raise bad_request("Invalid file format for Batch API. Must be .jsonl", param="file")
        except (ApiError, ValueError, OSError):  # cut off while uploading: there is no file, then
            if stored is not None:
                self._remove(stored)
            raise
        return web.json_response(stored.body())

    async def _receive(self, part: Any, path: Path) -> None:
        most, size = self._settings.max_file_mb * 1_000_000, 0
        with path.open("wb") as target:
            while chunk := await part.read_chunk(1 << 18):
                size += len(chunk)
                if size > most:
                    raise ApiError(413, f"File is too large. Maximum file size is {most / 1e6:g} MB.", param="file")
                target.write(chunk)

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/files, newest first."""
        purpose = request.query.get("purpose")
        found = [one.body() for one in reversed(self._files.values()) if purpose in (None, one.purpose)]
        return web.json_response(page(found, request, most=10_000))

    async def retrieve(self, request: web.Request) -> web.Response:
        """GET /v1/files/{id}."""
        return web.json_response(self.get(request.match_info["id"]).body())

    async def content(self, request: web.Request) -> web.Response:
        """GET /v1/files/{id}/content."""
        stored = self.get(request.match_info["id"])
        return web.Response(body=stored.path.read_bytes(), content_type="application/octet-stream")

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/files/{id}."""
        stored = self.get(request.match_info["id"])
        self._remove(stored)
        return web.json_response({"id": stored.id, "object": "file", "deleted": True})

    def _remove(self, stored: StoredFile) -> None:
        del self._files[stored.id]
        stored.path.unlink()


def page(objects: list[dict[str, Any]], request: web.Request, *, most: int) -> dict[str, Any]:
    """A list's JSON: `limit` objects from behind `after`."""
    try:
        limit = int(request.query.get("limit", min(20, most) if most <= 100 else most))
    except ValueError as error:
        raise bad_request("Invalid 'limit': expected an integer.", param="limit") from error
    if not 1 <= limit <= most:
        raise bad_request(f"Invalid 'limit': expected a value from 1 to {most}.", param="limit")
    after = request.query.get("after")
    ids = [one["id"] for one in objects]
    if after is not None and after not in ids:
        raise bad_request(f"Invalid 'after': no object {after!r}.", param="after")
    begin = ids.index(after) + 1 if after is not None else 0
    shown = objects[begin : begin + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": begin + limit < len(objects),
    }
