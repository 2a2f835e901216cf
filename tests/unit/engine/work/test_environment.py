"""The driver's keys for other nodes: which go along, and that nobody sees them on their way."""

from __future__ import annotations

import dataclasses
import os
import pickle

import pytest

from pixelbrain.engine.work.environment import DriverEnvironment
from pixelbrain.sources import cloud

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-of-forty"}
PLACES = {"AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL_S3": "http://localhost:9000"}
OTHERS = {"AWS_PROFILE": "ann", "AWS_SHARED_CREDENTIALS_FILE": "/home/ann/keys", "HOME": "/home/ann"}
OPENAI = {"OPENAI_API_KEY": "sk-of-ann", "OPENAI_BASE_URL": "http://localhost:1"}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a node that has keys of its own."""
    for name in (*KEYS, *PLACES, *OPENAI, "AWS_PROFILE"):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)
    for name, value in {"AWS_ACCESS_KEY_ID": "NODE", "AWS_SECRET_ACCESS_KEY": "n", "AWS_SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    return os.environ


def test_keys_go_along_and_profiles_and_files_stay(node):
    DriverEnvironment(asking=True, environ={**KEYS, **PLACES, **OTHERS, **OPENAI}).apply()
    assert {name: node[name] for name in (*KEYS, *PLACES, *OPENAI)} == {**KEYS, **PLACES, **OPENAI}
    assert "AWS_PROFILE" not in node and "AWS_SESSION_TOKEN" not in node  # a token of other keys


def test_a_driver_with_a_role_leaves_a_node_its_own(node):
    DriverEnvironment(environ={**PLACES, "AWS_SECRET_ACCESS_KEY": "half of a pair", **OPENAI}).apply()
    assert (node["AWS_ACCESS_KEY_ID"], node["AWS_SESSION_TOKEN"]) == ("NODE", "t")
    assert node["AWS_REGION"] == "eu-central-1" and "OPENAI_API_KEY" not in node


def test_keys_of_other_clouds_go_along(monkeypatch):
    keys = {"GOOGLE_SERVICE_ACCOUNT_KEY": "{}", "AZURE_STORAGE_ACCOUNT_NAME": "ann", "AZURE_STORAGE_ACCOUNT_KEY": "a=="}
    stay = {"GOOGLE_APPLICATION_CREDENTIALS": "/home/ann/key.json", "AZURE_OPENAI_API_KEY": "sk-of-ann"}
    for name in (*keys, *stay):
        monkeypatch.setenv(name, "bm9kZQ==")
    cloud._store("az://photos")
    DriverEnvironment(environ={**keys, **stay}).apply()
    assert {name: os.environ[name] for name in (*keys, *stay)} == {**keys, **dict.fromkeys(stay, "bm9kZQ==")}
    assert not cloud._store.cache_info().currsize  # one that has been opened has the node's keys


def test_nobody_sees_it_on_its_way():
    """Ray Data's log of what it runs looks into dataclasses and mappings, and takes the text of everything else."""
    from ray.data._internal.metadata_exporter import sanitize_for_struct

    environment = DriverEnvironment(asking=True, environ={**KEYS, **OPENAI})

    @dataclasses.dataclass
    class Order:
        environment: DriverEnvironment

    shown = f"{environment} {environment!r} {sanitize_for_struct({'args': ([Order(environment)], environment)})}"
    assert "OPENAI_API_KEY" in shown and not any(value in shown for value in (*KEYS.values(), *OPENAI.values()))
    assert pickle.loads(pickle.dumps(environment))._values == {**KEYS, **OPENAI}
