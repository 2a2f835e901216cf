"""Why a MongoDB cannot be used, each cause by its own name and with its own way out; no password is in it."""

from __future__ import annotations

import difflib
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

import dns.resolver
import pymongo
from dns.exception import DNSException
from pymongo import common
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError
from pixelbrain.stores.address import DEFAULT_DATABASE, database_name, require_encoded

#: What a load does, and the collections it does it in; the role readWrite has it all.
_RIGHTS = ("find", "insert", "update", "remove", "createIndex")
_COLLECTIONS = ("images", "identities", "meta")
#: MongoDB's codes: Unauthorized; AuthenticationFailed, and the same of Atlas.
NO_RIGHT, _NOT_LET_IN = 13, (18, 8000)
_LOOK_S = 3.0

T = TypeVar("T")


def read_uri(uri: str, *, timeout_s: float) -> dict[str, Any]:
    """A URI as pymongo reads it: `nodelist`, `username`, `database`, `options` (names in small letters); asks DNS.

    Raises:
        ConfigError: it is none, or has an option that there is not; the message says which.
    """
    database_name(uri)
    require_encoded(uri)
    _require_known_options(uri)
    read = _named(uri, lambda: parse_uri(uri, connect_timeout=timeout_s))
    return {**read, "options": {name.lower(): value for name, value in read["options"].items()}}


def open_client(uri: str, options: Mapping[str, Any]) -> pymongo.MongoClient:
    """A client of a URI that `read_uri` read, not yet connected. Raises `ConfigError`, too."""
    return _named(uri, lambda: pymongo.MongoClient(uri, **options))


def _named(uri: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (PyMongoError, ValueError, OSError) as error:  # OSError: a certificate's file
        why = _why_not_read(uri, error)
    raise ConfigError(f"MongoDB at {mask_uri(uri)}: {why}")  # here, so that no traceback holds what pymongo quoted


def _why_not_read(uri: str, error: Exception) -> str:
    host = re.split("[/?#]", uri.partition("://")[2].rpartition("@")[2])[0]
    match error.__cause__:
        case dns.resolver.NXDOMAIN() | dns.resolver.NoAnswer():
            return (
                f"DNS knows no cluster {host} (an SRV record of _mongodb._tcp.{host}): is the name right? A server "
                "without such a record has mongodb:// in place of mongodb+srv://"
            )
        case DNSException():
            return f"DNS does not answer about {host}: is there a network, and a name server?"
    said = " ".join(str(error).split()) or type(error).__name__
    if any(secret in said for secret in _secrets(uri)):
        said = type(error).__name__
    return f"{said.rstrip('.')}; a URI looks like mongodb://USER:PASSWORD@HOST:27017/NAME?authSource=admin"


def _secrets(uri: str) -> set[str]:
    """What `mask_uri` hides, as it is and decoded."""
    login = uri.partition("://")[2].rpartition("@")[0].partition(":")[2]
    shown = dict(_options(mask_uri(uri)))
    hidden = [login, *(value for name, value in _options(uri) if shown.get(name) == "***")]
    return {text for one in hidden for text in (one, unquote(one)) if text}


def _options(uri: str) -> list[tuple[str, str]]:
    pairs = (one.partition("=") for one in re.split("[&;]", uri.partition("?")[2]))
    return [(name, value) for name, _, value in pairs if name]


def _require_known_options(uri: str) -> None:
    """pymongo leaves out what it does not know: a load that says retryWrites=false or replicaSet would not be so."""
    for name, _value in _options(uri):
        if name.lower() not in common.VALIDATORS:
            names = {known: known for known in common.VALIDATORS} | {known.lower(): known for known in _SPELT}
            near = difflib.get_close_matches(name.lower(), names, n=1)
            hint = f"did you mean {names[near[0]]}?" if near else "MongoDB's manual has them, under Connection String"
            raise ConfigError(f"MongoDB at {mask_uri(uri)}: there is no option {name}; {hint}")


_SPELT = (
    "appName", "authMechanism", "authMechanismProperties", "authSource", "compressors", "connectTimeoutMS",
    "directConnection", "journal", "maxPoolSize", "readPreference", "replicaSet", "retryReads", "retryWrites",
    "serverSelectionTimeoutMS", "socketTimeoutMS", "tls", "tlsAllowInvalidCertificates", "tlsCAFile",
    "tlsCertificateKeyFile", "w", "wTimeoutMS",
)  # fmt: skip


def why_not_let_in(error: OperationFailure, read: Mapping[str, Any]) -> str | None:
    """Of a login that failed, or that is missing; None: it is about something else."""
    user, name = read["username"], read["database"] or DEFAULT_DATABASE
    if error.code in _NOT_LET_IN:
        source = read["options"].get("authsource") or read["database"] or "admin"
        other = name if source == "admin" else "admin"
        return (
            f"{user} is not let in by the database {source}: is the password right, and was the user made there? "
            f"?authSource={other} names another"
        )
    if error.code == NO_RIGHT and user is None and "authmechanism" not in read["options"]:
        return "it wants a login: mongodb://USER:PASSWORD@HOST:27017/NAME?authSource=admin"
    return None


def no_right(name: str, user: object = None) -> str:
    """What a user without rights needs."""
    who = f"user {user}" if user else "the user"
    return f"{who} needs the role readWrite in the database {name}, as grantRolesToUser gives it"


def missing_rights(client: pymongo.MongoClient, name: str) -> str | None:
    """What the user of this client cannot do that a load does; None: nothing, or there are no users here."""
    found = client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not found["authenticatedUsers"]:
        return None
    privileges = found.get("authenticatedUserPrivileges", ())

    def may(action: str, collection: str) -> bool:
        return any(
            action in one["actions"]
            and (
                one["resource"].get("anyResource")
                or (one["resource"].get("db") in ("", name) and one["resource"].get("collection") in ("", collection))
            )
            for one in privileges
        )

    missing = [action for action in _RIGHTS if not all(may(action, collection) for collection in _COLLECTIONS)]
    user = found["authenticatedUsers"][0]["user"]
    return f"{no_right(name, user)}: it may not {', '.join(missing)}" if missing else None


def why_not_primary(client: pymongo.MongoClient, name: str) -> str | None:
    """Of a member of a replica set that was named alone, and is not its primary."""
    hello = client.admin.command("hello")
    if hello.get("isWritablePrimary", True):
        return None
    members = ",".join(hello.get("hosts", ()))
    return (
        f"it is not the primary of its replica set, and cannot be written: name them all, "
        f"mongodb://{members}/{name}?replicaSet={hello.get('setName')}, without directConnection"
    )


def why_no_answer(client: pymongo.MongoClient, read: Mapping[str, Any]) -> str | None:
    """Why no server was found that can be written; asks each for itself. None: by now they answer."""
    description, options = client.topology_description, read["options"]
    servers, seeds = description.server_descriptions(), [tuple(seed) for seed in read["nodelist"]]
    wanted = options.get("replicaset")
    if wanted and not servers:  # they are of another set
        return _why_no_member(seeds, wanted, options)
    if ghost := next((host for host, server in servers.items() if server.server_type_name == "RSGhost"), None):
        return f"{_address(ghost)} is in a replica set that has not begun: rs.initiate() in mongosh"
    unknown = [address for address, server in servers.items() if server.server_type_name == "Unknown"]
    whys = {address: _why_unreachable(address, options) for address in unknown}
    reasons = "; ".join(f"{_address(one)}: {why}" for one, why in whys.items() if why)
    if len(whys) < len(servers):
        down = f" ({reasons})" if reasons else ""
        return f"its replica set has no primary now{down}: when most members run, they elect one"
    if reasons and not set(whys) & set(seeds):
        return f"its replica set calls its members so: {reasons}; they must be names that work from here, too"
    return reasons or None


def _address(address: tuple[str, int | None]) -> str:
    host, port = address
    if port is None:  # a socket of this machine
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why_no_member(seeds: list[tuple[str, int]], wanted: str, options: Mapping[str, Any]) -> str:
    tls = {name: value for name, value in options.items() if name.startswith("tls")}
    for host, port in seeds:
        try:
            with pymongo.MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=3000, **tls) as one:
                found = one.admin.command("hello").get("setName")
        except PyMongoError:
            continue
        if found is None:
            return f"{host}:{port} is in no replica set: leave replicaSet={wanted} out"
        return f"{host}:{port} is in the replica set {found} and not in {wanted}: replicaSet={found}"
    return f"no member of the replica set {wanted} answers"


def _why_unreachable(address: tuple[str, int | None], options: Mapping[str, Any]) -> str | None:
    """Why a server cannot be talked to, as seen by a plain connection; pymongo has but texts."""
    host, port = address
    try:
        if port is None:
            return _why_no_socket(host)
        with socket.create_connection((host, port), timeout=_LOOK_S):
            pass
    except socket.gaierror:
        return "there is no such host: is the name right, and can it be looked up from here?"
    except ConnectionRefusedError:
        return "connection refused: does MongoDB run there, on this port?"
    except TimeoutError:
        return f"nothing came in {_LOOK_S:g} s: does a firewall (of Atlas, its IP access list) let us through?"
    except OSError as error:
        return error.strerror or str(error)
    wants = bool(options.get("tls"))
    speaks = _shake_hands(host, port, _unverified()) is None
    if speaks and not wants:
        return "it wants TLS: tls=true"
    if wants and not speaks:
        return "it speaks no TLS: tls=false"
    if not wants:
        return "what answers is no MongoDB, or it refuses connections: is the port right?"
    if options.get("tlsallowinvalidcertificates") or options.get("tlsinsecure"):
        return "it wants a certificate of ours, perhaps: tlsCertificateKeyFile=FILE"
    context = ssl.create_default_context(cafile=options.get("tlscafile"))
    context.check_hostname = not options.get("tlsallowinvalidhostnames")
    if isinstance(error := _shake_hands(host, port, context), ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {error.verify_message}: tlsCAFile=FILE names who signed it"
    return "it wants a certificate of ours, perhaps: tlsCertificateKeyFile=FILE"


def _why_no_socket(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(_LOOK_S)
        try:
            one.connect(path)
        except FileNotFoundError:
            return "there is no such socket: does MongoDB run on this machine?"
    return "what answers is no MongoDB, or it refuses connections: is it the right socket?"


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _shake_hands(host: str, port: int | None, context: ssl.SSLContext) -> OSError | None:
    """What is wrong with a TLS connection; None: nothing."""
    try:
        with (
            socket.create_connection((host, port), timeout=_LOOK_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except OSError as error:
        return error
