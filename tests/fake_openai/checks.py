"""The checks of a chat completion's body, as the real API makes them; what is left after them is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fake_openai.billing import Model, find_model
from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.parameters import PARAMETERS
from tests.fake_openai.strict_schema import check_response_format

__all__ = ["Checked", "ImagePart", "check_body", "check_model"]

_ROLES = ("system", "developer", "user", "assistant")
_DETAILS = ("low", "high", "auto")


@dataclass(frozen=True)
class ImagePart:
    """An image of a request, not looked at yet."""

    url: str
    detail: str


@dataclass
class Checked:
    """A body that is well formed."""

    model: Model
    max_tokens: int | None = None
    schema: dict[str, Any] | None = None
    json_object: bool = False
    texts: list[str] = field(default_factory=list)
    images: list[ImagePart] = field(default_factory=list)
    messages: int = 0


def check_model(body: Any) -> Model:
    """The model that a body names.

    Raises:
        ApiError: 404 model_not_found, or 400 when it names none.
    """
    if not isinstance(body, dict):
        raise bad_request("The JSON body of your request must be an object.")
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise bad_request("you must provide a model parameter")
    model = find_model(name)
    if model is None:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise ApiError(404, message, code="model_not_found")
    return model


def check_body(body: dict[str, Any]) -> Checked:
    """Check everything but the images' bytes.

    Raises:
        ApiError: 400 for the first thing that is wrong; 404 for an unknown model.
    """
    model = check_model(body)
    for name, value in body.items():
        if name not in PARAMETERS:
            raise bad_request(f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter")
        wrong = PARAMETERS[name](value)
        if wrong:
            raise bad_request(f"Invalid value for '{name}': {wrong}.", param=name, code="invalid_value")
    checked = Checked(model, max_tokens=_max_tokens(body, model))
    if model.reasoning and body.get("temperature") not in (None, 1):
        raise bad_request(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. Only the "
            "default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    if body.get("response_format") is not None:
        checked.schema = check_response_format(body["response_format"])
        checked.json_object = body["response_format"]["type"] == "json_object"
    _check_messages(body.get("messages"), checked)
    if checked.json_object and not any("json" in text.lower() for text in checked.texts):
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )
    return checked


def _max_tokens(body: dict[str, Any], model: Model) -> int | None:
    old, new = body.get("max_tokens"), body.get("max_completion_tokens")
    if old is not None and (model.reasoning or new is not None):
        raise bad_request(
            "Unsupported parameter: 'max_tokens' is not supported with this model or beside 'max_completion_tokens'. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    given = new if new is not None else old
    if given is not None and given > model.max_output_tokens:
        raise bad_request(
            f"max_tokens is too large: {given}. This model supports at most {model.max_output_tokens} completion "
            f"tokens, whereas you provided {given}.",
            param="max_completion_tokens" if new is not None else "max_tokens",
            code="invalid_value",
        )
    return given


def _check_messages(messages: Any, checked: Checked) -> None:
    if messages is None:
        raise bad_request(
            "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    if not isinstance(messages, list) or not messages:
        raise bad_request("Invalid 'messages': expected a list with at least one message.", param="messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        _check_keys(message, where, required=("role", "content"), optional=("name",))
        if message["role"] not in _ROLES:
            raise bad_request(
                f"Invalid value: {message['role']!r}. Supported values are: {', '.join(map(repr, _ROLES))}.",
                param=f"{where}.role",
                code="invalid_value",
            )
        content = message["content"]
        if isinstance(content, str):
            checked.texts.append(content)
        elif isinstance(content, list) and content:
            for storage, part in enumerate(content):
                _check_part(part, f"{where}.content[{storage}]", message["role"], checked)
        else:
            raise bad_request(
                f"Invalid type for '{where}.content': expected one of a string or array of objects, but got "
                f"{type(content).__name__} instead.",
                param=f"{where}.content",
                code="invalid_type",
            )
    checked.messages = len(messages)


def _check_part(part: Any, where: str, role: str, checked: Checked) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        _check_keys(part, where, required=("type", "text"))
        if not isinstance(part["text"], str):
            raise bad_request(f"Invalid type for '{where}.text': expected a string.", param=where, code="invalid_type")
        checked.texts.append(part["text"])
    elif kind == "image_url":
        _check_keys(part, where, required=("type", "image_url"))
        if role != "user":
            raise bad_request(
                f"Invalid '{where}'. Image URLs are only allowed for messages with role 'user', but this message "
                f"with role '{role}' contains an image URL.",
                param=where,
                code="invalid_value",
            )
        image = part["image_url"]
        _check_keys(image, f"{where}.image_url", required=("url",), optional=("detail",))
        if not isinstance(image["url"], str) or not image["url"]:
            raise bad_request(f"Invalid '{where}.image_url.url'.", param=f"{where}.image_url.url", code="invalid_type")
        detail = image.get("detail", "auto")
        if detail not in _DETAILS:
            raise bad_request(
                f"Invalid value: {detail!r}. Supported values are: {', '.join(map(repr, _DETAILS))}.",
                param=f"{where}.image_url.detail",
                code="invalid_value",
            )
        checked.images.append(ImagePart(image["url"], detail))
    else:
        raise bad_request(
            f"Invalid value: {kind!r}. Supported values are: 'text' and 'image_url'.", param=where, code="invalid_value"
        )


def _check_keys(value: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        message = f"Invalid type for '{where}': expected an object, but got a {type(value).__name__} instead."
        raise bad_request(message, param=where, code="invalid_type")
    for name in required:
        if name not in value:
            param = f"{where}.{name}"
            raise bad_request(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    for name in value:
        if name not in required and name not in optional:
            param = f"{where}.{name}"
            raise bad_request(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
