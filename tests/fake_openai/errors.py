"""The API's errors: a status, and the body that the real one sends."""

from __future__ import annotations

from typing import Any

__all__ = ["ApiError", "bad_request"]


class ApiError(Exception):
    """A response that is no answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The response's JSON."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400: the request itself is wrong, and sending it again will not help."""
    return ApiError(400, message, param=param, code=code)
