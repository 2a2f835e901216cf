"""`pixelbrain load`, `identify` and `group` hand on what they are told."""

from __future__ import annotations

import contextlib

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.stages.stages import Stages


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["load"], {"rebuild": False}),
        (["load", "--rebuild"], {"rebuild": True}),
        (["identify", "--strategy", "dbscan", "--threshold", "0.5"], {"threshold": 0.5}),
        (["group"], {"threshold": None}),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_stage_is_told_over_one_database(words, told, landed, monkeypatch):
    heard = []
    monkeypatch.setattr(Stages, "database", lambda stages: contextlib.nullcontext(stages.config.strategy))
    monkeypatch.setattr(Stages, words[0], lambda _, database, **how: heard.append((database, how)))
    name, *options = words
    result = CliRunner().invoke(cli, [name, str(landed), *options])
    assert result.exit_code == 0, result.output
    assert heard == [("dbscan" if name == "identify" else "average", told)]
