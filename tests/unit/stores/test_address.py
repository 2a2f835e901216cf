"""Addresses: passwords are shown nowhere, and names that MongoDB does not take are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelbrain.config import RunConfig, mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.address import chroma_database, database_name, require_encoded, require_servers
from pixelbrain.stores.database import Database

SECRETS = [
    "mongodb://me:s3cr3t@host:27017/db?tls=true",
    "mongodb://me:s3cr3t@a:1,b:2,c:3/db?replicaSet=r",
    "mongodb+srv://me:s3cr3t@host/db",
    "mongodb://me:s3cr3t%40%2F%3A%3F@host/db",
    "mongodb://me:p@s3cr3t@host/db",
    "mongodb://me:p:s3cr3t@host/db",
    "mongodb://me:p/s3cr3t@host/db",
    "mongodb://me/x:s3cr3t@host/db",
    "mongodb://me:p?s3cr3t@host/db",
    "mongodb://me:p#s3cr3t@host/db",
    "mongodb://me:p\ns3cr3t@host/db",
    "mongodb://:s3cr3t@host/db",
    "mongodb://host/?tls=true&tlsCertificateKeyFilePassword=s3cr3t",
    "mongodb://host/?TLSCERTIFICATEKEYFILEPASSWORD=s3cr3t&tls=true",
    "mongodb://host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:s3cr3t",
    "http://me:s3cr3t@host:8000",
    "mongodb://host:s3cr3t/db",  # the @ was left out, perhaps
    "mongodb+srv://host:27017s3cr3t",
]


@pytest.mark.parametrize("uri", SECRETS)
def test_passwords_are_masked(uri):
    shown = mask_uri(uri)
    assert "s3cr3t" not in shown and "***" in shown
    assert shown.startswith(uri.split("//")[0]) and ("host" in shown or ",b:2" in shown)


@pytest.mark.parametrize(
    "uri", ["mongodb://host:27017/db", "mongodb://me@host/db?retryWrites=true", "http://[::1]:8000", "out/db", "/a/b"]
)
def test_addresses_without_a_password_stay(uri):
    assert mask_uri(uri) == uri


@pytest.mark.parametrize("uri", SECRETS)
def test_no_repr_shows_a_password(uri, tmp_path):
    given = {"chroma": uri} if uri.startswith("http") else {"mongo": uri}
    config = RunConfig(out=str(tmp_path), **given)
    assert "s3cr3t" not in repr(config) + str(config.as_dict())
    assert "s3cr3t" not in repr(Database.open(tmp_path, **given))


def test_an_endpoint_with_a_password_is_masked_too():
    config = RunConfig(s3_endpoint="https://me:s3cr3t@host")
    assert "s3cr3t" not in repr(config)
    with pytest.raises(ConfigError) as caught:
        RunConfig(s3_endpoint="ftp://me:s3cr3t@host")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("mongodb://host", "pixelbrain"),
        ("mongodb://host/", "pixelbrain"),
        ("mongodb://host/?tls=true", "pixelbrain"),
        ("mongodb://host:1,other:2/photos?replicaSet=r", "photos"),
        ("mongodb+srv://me:pw@host/photos-2026_b", "photos-2026_b"),
        ("mongodb://me:p@w/x@host/photos", "photos"),
        ("mongodb://host/f%C3%B6tos", "f\u00f6tos"),
    ],
)
def test_the_database_is_the_path_of_the_uri(uri, name):
    assert database_name(uri) == name


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a$b",
        "a.b",
        "a/b",
        "a%2Fb",
        "a%20b",
        'a"b',
        "a*b",
        "a<b",
        "a|b",
        "ab\n",
        "a%09b",
        "x" * 64,
        "\u00f6" * 32,
        "a%00b",
    ],
)
def test_bad_database_names_are_refused_before_anything_is_opened(name, tmp_path):
    with pytest.raises(ConfigError, match="cannot name a MongoDB database") as caught:
        Database.open(tmp_path, mongo=f"mongodb://me:s3cr3t@host/{name}")
    assert "s3cr3t" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["admin", "local", "config"])
def test_the_servers_own_databases_are_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="MongoDB's own"):
        Database.open(tmp_path, mongo=f"mongodb://host/{name}")


def test_what_is_no_uri_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a MongoDB URI"):
        Database.open(tmp_path, mongo="localhost:27017")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host:8000", None),
        ("http://host:8000/", None),
        ("https://host/photos", "photos"),
        ("http://[::1]:8000/photos-2026_b.c/", "photos-2026_b.c"),
        ("http://me:s3cr3t@host/photos?x=1", "photos"),
    ],
)
def test_the_chroma_database_is_the_path_of_the_address(url, name):
    assert chroma_database(url) == name


@pytest.mark.parametrize("path", ["ab", "a b c", "a%20b%20c", "photos/2026", "-photos", "f\u00f6tos", "x" * 513])
def test_bad_chroma_database_names_are_refused_before_anything_is_opened(path, tmp_path):
    with pytest.raises(ConfigError, match="cannot name a ChromaDB database") as caught:
        Database.open(tmp_path, chroma=f"http://me:s3cr3t@host/{path}")
    assert "s3cr3t" not in str(caught.value) and "\n" not in str(caught.value)
    assert "s3cr3t" not in str(pytest.raises(ConfigError, chroma_database, f"http://me:p/s3cr3t@host/{path}").value)


def test_what_is_no_address_of_chroma_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not an address of ChromaDB"):
        Database.open(tmp_path, chroma="http://[::1")


@pytest.mark.parametrize(
    "login",
    ["rw:p@ss/word", "rw:ss/word", "rw:ss?word", "rw:ss#word", "rw:ss:word", "rw:%ssword", "rw/x:ssword", "rw:ss@word"],
)
def test_a_password_that_is_not_percent_encoded_is_told_so_without_a_piece_of_it(login):
    for scheme in ("mongodb", "mongodb+srv", "http"):
        with pytest.raises(ConfigError, match="percent-encode it, as in %40 for @") as caught:
            require_encoded(f"{scheme}://{login}@host/photos")
        uri, said = str(caught.value).split(" has ")
        assert uri.startswith(f"{scheme}://rw") and not {"ss", "word"} & set(uri.replace("/", ":").split(":"))
        assert "ssword" not in uri and "password than letters" in said
        require_encoded(f"{scheme}://rw:p%40ss%2Fw%3Aord@host:1,[::1]:2/photos?tls=true")


MONGO, CHROMA = "mongodb://host/photos", "http://host:8000"


@pytest.mark.parametrize(
    ("nodes", "mongo", "chroma"),
    [(0, None, None), (1, None, None), (1, None, "folder"), (2, MONGO, CHROMA), (100, MONGO, "https://host/photos")],
)
def test_one_node_may_embed_and_several_may_use_servers(nodes, mongo, chroma):
    require_servers(nodes, mongo=mongo, chroma=chroma)


@pytest.mark.parametrize(
    ("mongo", "chroma", "said"),
    [
        (
            MONGO,
            None,
            "ChromaDB would be written to a folder, and the cluster has 3 nodes: start `chroma run --path DIR ",
        ),
        (
            MONGO,
            "/shared/chroma",
            "ChromaDB would be written to a folder, and the cluster has 3 nodes: start `chroma run",
        ),
        (MONGO, Path("chroma"), "and give --chroma http://HOST:8000"),
        (
            None,
            CHROMA,
            "MongoDB would be written to a folder, and the cluster has 3 nodes: give --mongo mongodb://HOST",
        ),
        (None, None, "MongoDB and ChromaDB would be written to a folder, and the cluster has 3 nodes: give --mongo"),
    ],
)
def test_several_nodes_embed_nothing(mongo, chroma, said):
    with pytest.raises(StoreError) as caught:
        require_servers(3, mongo=mongo, chroma=chroma)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert ("--mongo" in str(caught.value), "--chroma" in str(caught.value)) == (mongo is None, chroma != CHROMA)
