"""The fake's Files and Batches endpoints, through the real SDK."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import SCHEMA, plain_image, request_body

IMAGES = [plain_image((index * 25, 0, 0), (40 + index, 30)) for index in range(8)]


def _line(number: int, **changes: Any) -> dict[str, Any]:
    body = request_body(IMAGES[number % len(IMAGES)])
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


@pytest.fixture
def submit(client: openai.OpenAI) -> Callable[..., Any]:
    """Upload lines and make a batch of them."""

    def send(lines: list[Any]) -> Any:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        uploaded = client.files.create(file=("in.jsonl", io.BytesIO(text.encode())), purpose="batch")
        return client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"part": "1"}
        )

    return send


@pytest.fixture
def finish(client: openai.OpenAI) -> Callable[[Any], Any]:
    """Wait until a batch has ended."""

    def wait(batch: Any) -> Any:
        deadline = time.monotonic() + 20
        while batch.status not in ("failed", "completed", "expired", "cancelled"):
            assert time.monotonic() < deadline, batch
            time.sleep(0.02)
            batch = client.batches.retrieve(batch.id)
        return batch

    return wait


def _read(client: openai.OpenAI, file_id: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    found = {line["custom_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def test_a_batch_answers_each_line_at_half_the_price(
    fake: FakeOpenAI, client: openai.OpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    batch = submit([_line(number) for number in range(8)])
    assert (batch.status, batch.request_counts.total, batch.metadata) == ("validating", 0, {"part": "1"})
    batch = finish(batch)
    assert (batch.status, batch.error_file_id, batch.model) == ("completed", None, "gpt-4o-mini")
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (8, 8, 0)
    output = _read(client, batch.output_file_id)
    assert len(output) == 8
    assert list(output) != [f"c{number}" for number in range(8)]  # not in the order of the input
    for number in range(8):
        response = output[f"c{number}"]["response"]
        content = response["body"]["choices"][0]["message"]["content"]
        assert (response["status_code"], json.loads(content)) == (200, expected_answer(IMAGES[number], SCHEMA))
    usage = batch.usage
    price = (usage.input_tokens * Decimal("0.15") + usage.output_tokens * Decimal("0.60")) / 2_000_000
    assert Decimal(fake.stats()["billed_usd"]) == price
    assert fake.stats()["batch_lines"] == 8


def test_lines_with_errors_come_in_a_file_of_their_own(
    fake: FakeOpenAI, client: openai.OpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    fake.control(faults=[{"kind": "500", "count": 1}, {"kind": "refusal", "count": 1}])
    broken = _line(3, body=request_body(IMAGES[0][:100]))
    batch = finish(submit([_line(0), _line(1), _line(2), broken]))
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 2)
    output, errors = _read(client, batch.output_file_id), _read(client, batch.error_file_id)
    assert (sorted(output), sorted(errors)) == (["c1", "c2"], ["c0", "c3"])
    assert errors["c0"]["response"]["status_code"] == 500
    assert errors["c3"]["response"]["body"]["error"]["code"] == "invalid_image_format"
    assert output["c1"]["response"]["body"]["choices"][0]["message"]["refusal"]


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([_line(0), _line(0)], "duplicate_custom_id", 2),
        ([_line(0), "{"], "invalid_json_line", 2),
        ([_line(0, method="GET")], "invalid_method", 1),
        ([_line(0, url="/v1/embeddings")], "mismatched_endpoint", 1),
        ([_line(0, more=1)], "unknown_parameter", 1),
        ([_line(0, body=request_body(IMAGES[0], model="gpt-9"))], "model_not_found", 1),
        ([_line(0), _line(1, body=request_body(IMAGES[0], model="gpt-4o"))], "mismatched_model", None),
        ([""], "empty_file", None),
        ([_line(number) for number in range(4)], "too_many_tasks", None),
    ],
)
def test_a_wrong_file_fails_the_batch(
    fake: FakeOpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any], lines: list[Any], code: str, number: Any
) -> None:
    fake.control(max_batch_lines=3)
    batch = finish(submit(lines))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert [(error.code, error.line) for error in batch.errors.data] == [(code, number)]
    assert fake.stats()["batch_lines"] == 0


def test_tokens_in_unfinished_batches_have_a_limit(
    fake: FakeOpenAI, client: openai.OpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    fake.control(enqueued_tokens=8 * 2_000, batch_line_s=1)  # room for four lines of 2,900 tokens, not for eight
    first = submit([_line(number) for number in range(4)])
    while client.batches.retrieve(first.id).status == "validating":
        time.sleep(0.02)
    second = finish(submit([_line(number) for number in range(4)]))
    assert second.status == "failed"
    assert [error.code for error in second.errors.data] == ["token_limit_exceeded"]
    fake.control(batch_line_s=0)
    assert finish(first).status == "completed"
    assert finish(submit([_line(number) for number in range(4)])).status == "completed"


def test_an_expired_batch_keeps_and_bills_what_was_done(
    fake: FakeOpenAI, client: openai.OpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    fake.control(faults=[{"kind": "batch_expire", "count": 1, "after_lines": 3}])
    batch = finish(submit([_line(number) for number in range(8)]))
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("expired", 3, 5)
    output, errors = _read(client, batch.output_file_id), _read(client, batch.error_file_id)
    assert (sorted(output), len(errors)) == (["c0", "c1", "c2"], 5)
    assert {line["error"]["code"] for line in errors.values()} == {"batch_expired"}
    assert all(line["response"] is None for line in errors.values())
    assert fake.stats()["answered"] == 3
    assert finish(submit([_line(5)])).status == "completed"  # the order was for one batch


def test_a_batch_can_fail_as_a_whole(
    fake: FakeOpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    fake.control(faults=[{"kind": "batch_fail", "code": "internal_error"}])
    batch = finish(submit([_line(0)]))
    assert (batch.status, batch.errors.data[0].code) == ("failed", "internal_error")


def test_a_cancelled_batch_keeps_what_was_done(
    fake: FakeOpenAI, client: openai.OpenAI, submit: Callable[..., Any], finish: Callable[[Any], Any]
) -> None:
    fake.control(batch_line_s=0.3)
    batch = submit([_line(number) for number in range(8)])
    while not client.batches.retrieve(batch.id).request_counts.completed:
        time.sleep(0.02)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = finish(batch)
    assert batch.status == "cancelled"
    output, errors = _read(client, batch.output_file_id), _read(client, batch.error_file_id)
    assert len(output) + len(errors) == 8
    assert {line["error"]["code"] for line in errors.values()} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_files_are_checked_listed_and_deleted(fake: FakeOpenAI, client: openai.OpenAI) -> None:
    def upload(name: str = "a.jsonl", data: bytes = b"{}\n", purpose: Any = "batch") -> Any:
        return client.files.create(file=(name, io.BytesIO(data)), purpose=purpose)

    with pytest.raises(openai.BadRequestError, match="purpose"):
        upload(purpose="vision")
    with pytest.raises(openai.BadRequestError, match=r"\.jsonl"):
        upload("a.txt")
    fake.control(max_file_mb=0.001)
    with pytest.raises(openai.APIStatusError, match="too large"):
        upload(data=b"x" * 1001)
    before = len(client.files.list().data)
    stored = upload(data=b"x" * 1000)
    assert (stored.bytes, stored.filename, stored.purpose) == (1000, "a.jsonl", "batch")
    assert [one.id for one in client.files.list()][0] == stored.id
    assert len(client.files.list().data) == before + 1
    assert client.files.content(stored.id).read() == b"x" * 1000
    assert client.files.delete(stored.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(stored.id)
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_batches_are_listed_in_pages(client: openai.OpenAI, submit: Callable[..., Any]) -> None:
    made = [submit([_line(0)]).id for _ in range(3)]
    page = client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == [made[2], made[1]]
    assert page.has_more
    assert client.batches.list(limit=2, after=made[1]).data[0].id == made[0]
    assert [batch.id for batch in client.batches.list(limit=2)][:3] == made[::-1]
