"""The asker, with a server that is a function: what is asked, what is not, and what comes out."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

from pixelbrain.asking.cost.prices import cost_usd
from pixelbrain.asking.request.failures import RowFailed
from tests.unit.asking.online.asker_bench import PERSON, PRICE, SETTINGS, Bench, Server, reply, run


def test_one_request_answers_all_questions_and_its_cost_is_split_exactly():
    server = Server()
    bench = Bench(server)
    rows = run(bench, "1")
    assert len(rows) == 1 and len(rows[0]) == 2 and len(server.bodies) == 1
    person, count = rows[0]
    assert (person["status"], person["answer"], count["answer"]) == ("ok", True, 2)
    assert (person["field"], count["field"], person["model"]) == ("is_person", "people", "gpt-4o-mini-2024-07-18")
    assert (person["input_tokens"], count["input_tokens"]) == (1501, 1500)
    assert (person["output_tokens"], count["output_tokens"]) == (6, 5)
    total = cost_usd(PRICE, 3001, 11)
    assert Decimal(person["cost_usd"]) + Decimal(count["cost_usd"]) == total == bench.limiter.budget.spent_usd
    assert not person["remembered"] and person["raw"] is None and person["error"] is None
    assert bench.journal == rows[0]
    json.dumps(rows)


def test_records_have_one_shape_whatever_happened():
    bench = Bench(
        Server(lambda n: [reply(), reply(refusal="I will not."), RowFailed("no", error_type="BadRequest")][n])
    )
    rows = run(bench, "1", "2", "3", "missing", "1", concurrency=1)
    assert [[r["status"] for r in row] for row in rows] == [["ok"] * 2, ["refused"] * 2, ["failed"] * 2] + [
        ["failed"] * 2,
        ["ok"] * 2,
    ]
    assert len({tuple(record) for row in rows for record in row}) == 1
    assert rows[1][0]["raw"] == "I will not." and rows[2][0]["error_type"] == "BadRequest"
    assert (rows[3][0]["error_type"], rows[3][0]["error"], rows[3][0]["key"]) == ("ReadError", "no such file", None)
    assert [r["remembered"] for r in rows[4]] == [True, True]
    assert bench.journal == [record for row in rows for record in row]


def test_what_is_remembered_is_not_asked_and_costs_nothing():
    server = Server()
    bench = Bench(server)
    run(bench, "1")
    again = Bench(server)
    again.memory = {key: dict(record) for key, record in bench.memory.items() if record["field"] == "is_person"}
    again.asker.remembered = again.memory.get
    server.answer = lambda _number: reply(json.dumps({"people": 3}))
    rows = run(again, "1")
    assert server.fields() == ["people"] and len(server.bodies) == 2
    person, count = rows[0]
    assert (person["answer"], person["cost_usd"], person["input_tokens"], person["remembered"]) == (True, "0", 0, True)
    assert (count["answer"], count["remembered"], Decimal(count["cost_usd"])) == (3, False, cost_usd(PRICE, 3001, 11))


def test_the_same_picture_in_flight_is_paid_once():
    server = Server()
    bench = Bench(server)
    rows = run(bench, *["7"] * 20, concurrency=20)
    assert len(rows) == 20 and len(server.bodies) == 1
    assert sum(not record["remembered"] for row in rows for record in row) == 2
    assert {record["answer"] for row in rows for record in row} == {True, 2}
    assert sum(Decimal(record["cost_usd"]) for row in rows for record in row) == bench.limiter.budget.spent_usd


def test_a_duplicate_of_a_failed_request_is_asked_itself():
    server = Server(lambda n: RowFailed("no", error_type="BadRequest") if n == 0 else reply())
    rows = run(Bench(server), "7", "7", "7", concurrency=3)
    assert sorted(row[0]["status"] for row in rows) == ["failed", "ok", "ok"]
    assert len(server.bodies) == 2


def test_the_same_question_under_two_names_is_asked_once():
    twin = dataclasses.replace(PERSON, field="person_again")
    server = Server(lambda _n: reply(json.dumps({"is_person": True})))
    rows = run(Bench(server, dataclasses.replace(SETTINGS, questions=(PERSON, twin))), "1")
    assert server.fields() == ["is_person"] and len(server.bodies) == 1
    assert [(r["field"], r["answer"], r["remembered"]) for r in rows[0]] == [
        ("is_person", True, False),
        ("person_again", True, True),
    ]
