"""Whether the expressions of a run have names that will be known when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pixelbrain import schema

if TYPE_CHECKING:
    from pixelbrain.asking.questions.question import Question
    from pixelbrain.stages.context import Context


def check_filters(context: Context) -> None:
    """Whether each expression of a run has names that will be known when it is asked for, before hours of work.

    Raises:
        ConfigError: see `landing.where.names.read_where`.
    """
    modules, coming = context.modules(), list[pa.Field]()
    for where in dict.fromkeys(context.behind.get(module.name) for module in modules):
        if where is not None:
            context.read_coming(where, coming)
        own = [module for module in modules if context.behind.get(module.name) == where]
        coming += [pa.field(module.name, schema.as_landed(module.struct_type())) for module in own]
    for asking in context.asking():
        if asking.where is not None:
            context.read_coming(asking.where, coming)
        coming += [pa.field(question.field, _answered(question)) for question in asking.settings.questions]


def _answered(question: Question) -> pa.DataType:
    return pa.struct(
        {
            "answer": question.answer.arrow_type(),
            **dict.fromkeys(("status", "model", "error_type", "error"), pa.string()),
        }
    )
