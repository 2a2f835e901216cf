"""What is still to be asked about what has landed, and what asking has cost so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.questions.where import Where, names_in, of_each_face, parse_where
from pixelbrain.asking.request.body import question_hash
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import ConfigError
from pixelbrain.landing.answers.log import FINAL_STATUSES, AnswerLog
from pixelbrain.landing.faces import own_fields
from pixelbrain.landing.landing import Landing


def pending_images(landing: Landing, settings: AskSettings, where: Where | None = None) -> Iterator[pa.Table]:
    """The images that are still to be asked about.

    An image that could not be read is not asked about. One that all questions were answered for (or that was refused,
    or whose answers could not be used) is done, until its file or a question changes.

    Yields:
        Tables with image_id, version, sha256, width and height.

    Raises:
        ConfigError: a question is called like a module of this OUT.
    """
    for question in settings.questions:
        schema.check_name("question", question.field, modules=landing.index.modules)
    open_questions = [_open_mask(landing, settings, question) for question in settings.questions]
    unanswered = np.logical_or.reduce(open_questions)
    start = 0
    for table in landing.iter_images(vectors=False):
        chosen = pc.equal(table["status"], schema.Status.OK.value).combine_chunks()
        chosen = pc.and_(chosen, pa.array(unanswered[start : start + len(table)]))
        start += len(table)
        if where is not None:
            chosen = pc.and_(chosen, where.mask(_with_columns(_known_columns(table), where.beside)))
        rows = table.select(["image_id", "version", "sha256", "width", "height"]).filter(chosen)
        if len(rows):
            yield rows


def read_where(
    landing: Landing, text: str | None, stored: Callable[[str], Mapping[str, Any]] = lambda _name: {}
) -> Where | None:
    """Check an expression over what has landed; None for none.

    Args:
        landing: what has landed.
        text: the expression.
        stored: image_id -> value of a field that users stored elsewhere; asked for the names that did not land.

    Raises:
        ConfigError: see `asking.questions.where`; or a stored field has values of several types.
    """
    if not text:
        return None
    known = _known_columns(next(landing.iter_images(vectors=False, batch_rows=1))).schema
    names = names_in(text) - set(known.names)
    beside = pa.table({"image_id": landing.index.image_id})
    for name, kind in _DERIVED.items():
        values = _derived(landing, name) if name in names else {}
        beside = _append(beside, name, values, kind)
    for name in sorted(names - _DERIVED.keys()):
        if found := stored(name):
            beside = _append(beside, name, found)
    where = parse_where(text, {field.name: field.type for field in [*known, *list(beside.schema)[1:]]})
    return dataclasses.replace(where, beside=beside.select(["image_id", *sorted(where.types.keys() & names)]))


#: What later stages say of an image: its people, each once, and the group that it looks like.
_DERIVED = {"identities": pa.list_(pa.string()), "group_id": pa.string()}


def _derived(landing: Landing, name: str) -> dict[str, Any]:
    of_people = name == "identities"
    column = "identity_id" if of_people else name
    table = landing.read_identities() if of_people else landing.read_groups()
    if table is None:
        return {}
    found = table.filter(pc.is_valid(table[column])).group_by("image_id").aggregate([(column, "distinct")])
    values = found[f"{column}_distinct"].to_pylist()
    return dict(
        zip(found["image_id"].to_pylist(), values if of_people else (group for (group,) in values), strict=True)
    )


def _append(beside: pa.Table, name: str, values: Mapping[str, Any], kind: pa.DataType | None = None) -> pa.Table:
    if not values:
        return beside.append_column(name, pa.nulls(len(beside), kind))
    try:
        column = pa.array([values.get(one) for one in beside["image_id"].to_pylist()], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        why = f"where: the stored field {name} has values of several types, and cannot be compared"
        raise ConfigError(why) from None
    return beside.append_column(name, column)


def _with_columns(table: pa.Table, beside: pa.Table) -> pa.Table:
    """The table with the columns of `beside` about the same images."""
    rows = pc.index_in(table["image_id"], beside["image_id"].combine_chunks())
    for name in beside.column_names[1:]:
        table = table.append_column(name, beside[name].take(rows))
    return table


def _known_columns(table: pa.Table) -> pa.Table:
    """What a `where` may use, as flat columns: base columns, label, label_score, n_faces, answers, `module.field`."""
    flat = {name: table[name] for name in ("image_id", "status", "width", "height")}
    kinds = {"label": pa.string(), "label_score": pa.float32(), "n_faces": pa.int32()}
    for name, path in schema.SHORT_NAMES.items():
        module, _, inner = path.partition(".")
        there = module in table.column_names
        flat[name] = pc.struct_field(table[module], inner) if there else pa.nulls(len(table), kinds[name])
    for column in table.schema:
        if column.name in ("resnet", "facenet") or not pa.types.is_struct(column.type):
            continue
        of_faces = own_fields(column.type)
        if of_faces:  # a list an image, of what is said of each face
            lists = pc.struct_field(table[column.name].combine_chunks(), "faces")
            for inner in of_faces:
                values = pc.struct_field(pc.list_flatten(lists), inner.name)
                flat[f"{column.name}.{inner.name}"] = _lists_of(values, lists)
        for inner in column.type:
            # an asked field goes by its own name
            name = column.name if inner.name == "answer" else f"{column.name}.{inner.name}"
            flat[name] = pc.struct_field(table[column.name], inner.name)
    return pa.table(flat)


def _lists_of(values: pa.Array, lists: pa.ListArray) -> pa.ListArray:
    """Values of the faces in lists, as lists."""
    ends = np.cumsum([0, *pc.fill_null(pc.list_value_length(lists), 0).to_pylist()])
    kind = of_each_face(values.type)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, kind, mask=pc.is_null(lists))


def _open_mask(landing: Landing, settings: AskSettings, question: Question) -> np.ndarray:
    """True for each image of the index that has no final answer to this question."""
    index = landing.index
    answers = landing.answer_log.read(question.field, ["image_id", "version", "question", "status"])
    if answers is None:
        return np.ones(len(index.image_id), bool)
    final = pc.is_in(answers["status"], pa.array(sorted(FINAL_STATUSES)))
    final = pc.and_(final, pc.equal(answers["question"], question_hash(settings, question)))
    return np.asarray(index.rows_in(answers.filter(final)).is_null())


def spent_usd(log: AnswerLog, fields: Sequence[str]) -> Decimal:
    """What these fields have cost so far: their answers, and requests that may have been paid for and were lost."""
    answers = sum((Decimal(r["cost_usd"] or 0) for r in log.records() if r["field"] in fields), start=Decimal(0))
    return answers + log.lost_usd(fields)
