"""MongoDB as servers have it: users and rights, TLS, replica sets, SRV records; each refusal by its own name."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import dns.message
import dns.resolver
import dns.rrset
import pymongo
import pytest
from click.testing import CliRunner
from pymongo.errors import PyMongoError

from pixelbrain.cli.main import cli
from pixelbrain.errors import ConfigError, PixelbrainError, StoreError
from pixelbrain.stores.database import Database
from pixelbrain.stores.load import load
from pixelbrain.stores.mongo import connection
from pixelbrain.stores.mongo.connection import connect
from pixelbrain.stores.mongo.mongod import _free_port, _listens, find_mongod
from pixelbrain.stores.verify import verify
from tests.certificates import make_certificate
from tests.integration.stores.conftest import land_rows, make_image
from tests.integration.stores.loader import start_loading

PASSWORD = "p@ss/w:rd%s3cr3t"
LOCAL = "127.0.0.1"
SMALL = (
    *("--wiredTigerCacheSizeGB", "0.25", "--wiredTigerEngineConfigString", "log=(file_max=16MB)"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),  # which looks around each second
)


@contextlib.contextmanager
def running(folder: Path, *members: tuple[str, ...]) -> Iterator[list[int]]:
    """mongods with these options; their ports."""
    processes, ports = [], []
    try:
        for number, options in enumerate(members):
            (data := folder / str(number)).mkdir(parents=True)
            ports.append(_free_port())
            common = ("--bind_ip", LOCAL, "--port", str(ports[-1]), "--nounixsocket", "--quiet")
            with open(folder / f"{number}.log", "w") as log:
                command = [find_mongod(), "--dbpath", data, *common, *SMALL, *options]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        until = time.monotonic() + 60
        while not all(map(_listens, ports)):
            ended = [process.poll() for process in processes]
            assert ended == [None] * len(members) and time.monotonic() < until, (folder / "0.log").read_text()[-2000:]
            time.sleep(0.05)
        yield ports
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def told(uri: str, *, write: bool = True) -> str:
    """The one line that refuses a URI, which has no piece of a password."""
    with pytest.raises(PixelbrainError) as caught:
        connect(uri, write=write).client.close()
    said, error = str(caught.value), caught.value
    found = re.fullmatch(r"MongoDB at mongodb\S+?(?: does not answer)?: (.*)", said)
    assert found is not None, said
    while error is not None:
        assert not any(secret in f"{error}{error.args}" for secret in ("s3cr3t", "p@ss", quote_plus(PASSWORD)))
        error = error.__cause__ or error.__context__
    return found[1]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SERVER_SELECTION_TIMEOUT_MS", 700)


@dataclass(frozen=True)
class Guarded:
    """A mongod that wants TLS and a login."""

    port: int
    certificate: Path

    def uri(self, login: str = "", options: str = "authSource=admin") -> str:
        at = f"{login}:{quote_plus(PASSWORD)}@" if login else ""
        return f"mongodb://{at}{LOCAL}:{self.port}/photos?tls=true&tlsCAFile={self.certificate}&{options}".rstrip("&")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    both, certificate = make_certificate(folder)
    with running(folder, ("--auth", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(both))) as (port,):
        server = Guarded(port, certificate)
        with pymongo.MongoClient(server.uri(options="")) as client:  # the first user may be made without one
            client.admin.command("createUser", "root", pwd=PASSWORD, roles=["root"])
        with pymongo.MongoClient(server.uri("root")) as client:
            for user, roles in {"writer": ["readWrite"], "reader": ["read"], "nobody": []}.items():
                roles = [{"role": role, "db": "photos"} for role in roles]
                client.admin.command("createUser", user, pwd=PASSWORD, roles=roles)
        yield server


def test_a_user_who_may_read_and_write_is_enough_and_one_who_may_read_verifies(guarded, tmp_path, forked_load):
    landing = land_rows(tmp_path / "out", [make_image(number, faces=1) for number in range(5)])
    for _again in range(2):
        with Database.open(landing.storage.uri, mongo=guarded.uri("writer")) as database:
            assert load(landing, database, rebuild=_again > 0).images == 5
    photo = landing.index.image_id.to_pylist()[-1]
    words = ["forget", landing.storage.uri, "--photo", photo, "--yes", "--mongo", guarded.uri("writer")]
    forgotten = CliRunner().invoke(cli, words)
    assert forgotten.exit_code == 0 and forgotten.stderr.count("does not compact") == 1, forgotten.output
    assert "administrator can" in forgotten.stderr and "s3cr3t" not in forgotten.output
    landing.refresh()
    words = [landing.storage.uri, "--mongo", guarded.uri("reader")]
    verified = CliRunner().invoke(cli, ["verify", *words])
    assert verified.exit_code == 0, verified.output
    for command in ("load", "identify", "group"):
        refused = CliRunner().invoke(cli, [command, *words])
        (line,) = refused.output.splitlines()
        assert refused.exit_code == 1 and "s3cr3t" not in line
        assert (
            "user reader needs the role readWrite in the database photos, as grantRolesToUser gives it: it may not"
            in line
        )
        assert line.endswith("insert, update, remove, createIndex")
    told_later = pytest.raises(StoreError, match="the user needs the role readWrite in the database")
    with Database.open(landing.storage.uri, mongo=guarded.uri("reader")) as database, told_later:
        database.store_field("rating", {"file:///photos/000.jpg": 5})


def test_who_is_not_let_in_is_told_why(guarded, mongod):
    assert told(guarded.uri("nobody")).startswith("the user needs the role readWrite in the database photos")
    assert told(guarded.uri()).startswith("it wants a login: mongodb://USER:PASSWORD@HOST:27017/NAME?authSource=admin")
    asked = "is the password right, and was the user made there? ?authSource="
    for options in ("", "authSource=photos"):
        said = told(guarded.uri("writer", options=options))
        assert said == f"writer is not let in by the database photos: {asked}admin names another"
    said = told(guarded.uri("writer").replace("s3cr3t", "0ther"))
    assert said == f"writer is not let in by the database admin: {asked}photos names another"


def test_tls_and_no_tls_are_told_apart(guarded, mongod):
    plain = mongod.uri.replace("/?", "/photos?")
    joined = "&" if plain.partition("?")[2] else ""
    assert told(f"{plain}{joined}tls=true").endswith(": it speaks no TLS: tls=false")
    assert told(f"mongodb://{LOCAL}:{guarded.port}/photos").endswith(": it wants TLS: tls=true")
    untrusted = told(f"mongodb://{LOCAL}:{guarded.port}/photos?tls=true")
    assert "its certificate is not trusted, self-signed certificate: tlsCAFile=FILE names who signed it" in untrusted
    other_name = guarded.uri().replace(f"//{LOCAL}", "//localhost")
    assert "its certificate is not trusted, Hostname mismatch" in told(other_name)
    assert "tlscafile file is not readable" in told(guarded.uri().replace(str(guarded.certificate), "/nowhere"))


def test_what_does_not_answer_is_told_why():
    closed = _free_port()
    assert told(f"mongodb://{LOCAL}:{closed}/x") == (
        f"{LOCAL}:{closed}: connection refused: does MongoDB run there, on this port?"
    )
    assert told("mongodb://nobody.invalid/x").startswith("nobody.invalid:27017: there is no such host")
    with socket.create_server((LOCAL, 0)) as other:
        port = other.getsockname()[1]
        threading.Thread(target=_answer_as_http, args=(other,), daemon=True).start()
        assert told(f"mongodb://{LOCAL}:{port}/x").endswith(
            "what answers is no MongoDB, or it refuses connections: is the port right?"
        )


def _answer_as_http(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://h/x?retryWrite=false", "there is no option retryWrite; did you mean retryWrites?"),
        ("mongodb://h/x?replicaset0=r&w=1", "there is no option replicaset0; did you mean replicaSet?"),
        ("mongodb://me:s3cr3t@h/x?zz_pwd=s3cr3t", "there is no option zz_pwd; MongoDB's manual has them"),
        ("mongodb://h/x?tls=maybe", "The value of tls must be 'true' or 'false'"),
        ("mongodb://me@h/x", "A password is required"),
        ("mongodb+srv://h.a.b:27017/x", "mongodb+srv:// URIs must not include a port number"),
        ("mongodb+srv://127.0.0.1/x", "an IP address is not a valid hostname for 'mongodb+srv://'"),
        ("mongodb://h:s3cr3t/x", "Port contains non-digit characters"),
        ("mongodb://,/x", "Empty host"),
    ],
)
def test_a_uri_that_is_none_is_told_why_before_anyone_is_asked(uri, said):
    assert said in told(uri)
    with pytest.raises(ConfigError):
        connect(uri)


# --- replica sets ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three members of the replica set rs, by their addresses."""
    options = ("--replSet", "rs", "--oplogSize", "50")
    with running(tmp_path_factory.mktemp("set"), options, options, options) as ports:
        hosts = [f"{LOCAL}:{port}" for port in ports]
        with pymongo.MongoClient(hosts[0], directConnection=True) as client:
            assert "has not begun" in told(f"mongodb://{hosts[0]}/photos")
            settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300}
            listed = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
            client.admin.command("replSetInitiate", {"_id": "rs", "members": listed, "settings": settings})
        _primary(hosts)
        yield hosts


def _primary(hosts: list[str]) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for host in hosts:
            with contextlib.suppress(PyMongoError), pymongo.MongoClient(host, directConnection=True) as client:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return host
        time.sleep(0.1)
    raise AssertionError("no primary")


def test_a_step_down_in_the_middle_of_a_load_loses_and_doubles_nothing(members, tmp_path):
    landing = land_rows(tmp_path / "out", [make_image(number, faces=number % 2) for number in range(1_200)])
    # what URIs of Atlas have, and a member that may be behind asked first
    uri = f"mongodb://{members[0]}/photos?replicaSet=rs&retryWrites=false&w=1&readPreference=secondary"
    before = _primary(members)
    loading = start_loading(landing.storage.local, uri, hold=True)
    loading.go_on()
    with pymongo.MongoClient(before, directConnection=True) as client:
        client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=5)
    assert loading.outcome() == ""
    assert _primary(members) != before
    with Database.open(landing.storage.uri, mongo=uri) as database:
        found = verify(landing, database)
        assert found.ok, found.lines()
        assert (database.mongo["images"].count_documents({}), found.images) == (1_200, 1_200)
        assert load(landing, database).images_written == 0


def test_a_member_that_is_not_the_primary_and_another_sets_name_are_told(members, mongod):
    primary = _primary(members)
    secondary = next(host for host in members if host != primary)
    said = told(f"mongodb://{secondary}/photos?directConnection=true")
    assert said.startswith("it is not the primary of its replica set, and cannot be written: name them all, mongodb://")
    assert all(host in said for host in members) and "/photos?replicaSet=rs, without directConnection" in said
    assert told(f"mongodb://{primary}/x?replicaSet=other") == (
        f"{primary} is in the replica set rs and not in other: replicaSet=rs"
    )
    alone = mongod.uri.partition("://")[2].partition("/")[0]
    assert told(f"mongodb://{alone}/x?replicaSet=rs") == f"{alone} is in no replica set: leave replicaSet=rs out"


def test_a_cluster_by_its_srv_record(members, monkeypatch):
    """As of Atlas: DNS names the members, and options; and what DNS does not know is told."""
    names = {f"node{number}.db.pixelbrain.test": int(host.rpartition(":")[2]) for number, host in enumerate(members)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOCAL, 0))
        threading.Thread(target=_serve_dns, args=(server, names), daemon=True).start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [LOCAL], server.getsockname()[1]
        monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
        look_up = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *args, **more: look_up(LOCAL if host in names else host, *args, **more)
        )
        database = connect("mongodb+srv://db.pixelbrain.test/photos?tls=false", write=True)
        assert database.client.topology_description.replica_set_name == "rs"  # the TXT record has it
        database.client.close()
        said = told("mongodb+srv://rw:s3cr3t@nobody.pixelbrain.test/photos")
        assert said.startswith("DNS knows no cluster nobody.pixelbrain.test (an SRV record of _mongodb._tcp.nobody.")
        with_tls = told("mongodb+srv://db.pixelbrain.test/photos")
        assert "it speaks no TLS: tls=false" in with_tls
    assert told("mongodb+srv://db.pixelbrain.test/x").startswith("DNS does not answer about db.pixelbrain.test")


def _serve_dns(server: socket.socket, names: dict[str, int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            asked, whom = server.recvfrom(2000)
            query = dns.message.from_wire(asked)
            answer, (question,) = dns.message.make_response(query), query.question
            if question.name.to_text() == "_mongodb._tcp.db.pixelbrain.test.":
                records = [f"0 0 {port} {name}." for name, port in names.items()]
                answer.answer.append(dns.rrset.from_text_list(question.name, 5, "IN", "SRV", records))
            elif question.name.to_text() == "db.pixelbrain.test.":
                answer.answer.append(
                    dns.rrset.from_text(question.name, 5, "IN", "TXT", '"replicaSet=rs&authSource=admin"')
                )
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(answer.to_wire(), whom)
