"""Each attack that a page on this machine is open to: none of them sees or changes anything."""

from __future__ import annotations

import pytest

from pixelbrain.web.guard import MAX_UPLOAD
from tests.unit.web.visitor import ADDRESS, TOKEN, Visitor, key_of


@pytest.fixture
def stranger(out) -> Visitor:
    return Visitor(out, enter=False)


def events(visitor: Visitor) -> int:
    return len(visitor.desk.people.history())


@pytest.mark.parametrize("path", ["/", "/people", "/assets/work.js", "/changes", "/nothing", "/thumbnails/1"])
def test_without_the_token_nothing_is_shown(stranger, path):
    reply = stranger.client.get(path)
    assert reply.status_code == 401 and "person" not in reply.text
    assert stranger.client.get(path, params={"token": TOKEN[:-1]}).status_code == 401
    assert stranger.client.get(path, headers={"Cookie": "pixelbrain-8470=" + TOKEN}).status_code == 401
    assert stranger.client.post(path, headers={"Origin": ADDRESS}).status_code == 401


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_has(stranger):
    reply = stranger.client.get("/people", params={"token": TOKEN, "q": "a&b"})
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert 'content="0;url=/people?q=a%26b"' in reply.text and TOKEN not in reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert stranger.client.get("/people").status_code == 200


def test_the_way_on_from_the_token_never_leads_elsewhere(stranger):
    for path in ("//evil.example", "/%5cevil.example", '/"><script>'):
        reply = stranger.client.get(f"{ADDRESS}{path}?token={TOKEN}")
        assert "url=//" not in reply.text and "url=/\\" not in reply.text and "<script>" not in reply.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8470", "127.0.0.1@evil", ""])
def test_a_name_that_was_made_to_lead_here_shows_nothing(visitor, host):
    """DNS rebinding: the browser thinks that it is with the attacker, and sends what it has for that name."""
    reply = visitor.client.get("/people", headers={"Host": host})
    assert reply.status_code == 421 and "person" not in reply.text


@pytest.mark.parametrize("host", ["localhost:9000", "[::1]:8470", "127.0.0.1"])
def test_this_machine_has_several_names_and_ports_lead_through_tunnels(visitor, host):
    cookie = visitor.client.cookies["pixelbrain-8470"]
    port = host.rpartition(":")[2]
    name = f"pixelbrain-{port if port.isdigit() else 80}"
    assert visitor.client.get("/people", headers={"Host": host, "Cookie": f"{name}={cookie}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8470.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/undo", "/people/say", "/faces/say", "/review", "/photos/nearest", "/people/1/name"])
def test_a_form_of_another_page_changes_nothing(visitor, headers, path):
    reply = visitor.client.post(path, data={"back": "/"}, headers=headers)
    assert reply.status_code == 403 and events(visitor) == 0


def test_reading_changes_nothing(visitor):
    who = visitor.desk.people.list()[0].identity_id
    for path in (f"/people/{key_of(who)}/name?name=Eve", "/undo?number=1", f"/people/say?who={key_of(who)}&do=hide"):
        assert visitor.client.get(path).status_code in (404, 405)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert visitor.client.request(method, "/people", headers={"Origin": ADDRESS}).status_code == 405
    assert events(visitor) == 0


@pytest.mark.parametrize("path", ["/people", "/nothing", "/assets/work.js", "/undo"])
def test_every_reply_tells_the_browser_what_it_may_not_do(visitor, stranger, path):
    for reply in (visitor.client.get(path), stranger.client.get(path), visitor.client.get(path, headers={"Host": "x"})):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy and "base-uri 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "same-origin"  # with none, browsers send `Origin: null`
        assert "access-control-allow-origin" not in reply.headers and "server" not in reply.headers


@pytest.mark.parametrize(
    "path",
    [
        "/photos/..%2f..%2fetc%2fpasswd",
        "/photos/file:%2f%2f%2fetc%2fpasswd",
        "/thumbnails/%2e%2e",
        "/assets/..%2fapp.py",
    ]
    + ["/assets/layout.html", "/faces/0/crop", "/photos/ffffffffffffffff/large", "/people/person-1", "/thumbnails/%00"],
)
def test_no_address_is_a_path(visitor, path):
    reply = visitor.client.get(path)
    assert reply.status_code == 404 and b"root:" not in reply.content and b"import" not in reply.content


def test_what_is_sent_is_bounded_whatever_it_says_of_itself(visitor):
    big = {"Origin": ADDRESS, "Content-Type": "application/x-www-form-urlencoded"}
    assert visitor.client.post("/undo", content=b"a" * (2 << 20), headers=big).status_code == 413
    assert visitor.client.post("/undo", content=iter([b"a" * (1 << 20)] * 2), headers=big).status_code == 413
    claimed = visitor.client.post("/undo", content=b"", headers={**big, "Content-Length": str(MAX_UPLOAD + 1)})
    assert claimed.status_code == 413
    many = visitor.client.post("/faces/say", content=b"face=1&" * 6000, headers=big)
    assert many.status_code == 400 and events(visitor) == 0


def test_a_form_leads_back_to_pages_of_ours_alone(visitor):
    for back in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "evil",
        "/a\r\nb",
    ):
        to = visitor.post("/undo", back=back).headers["location"]
        assert to.startswith("/?note="), (back, to)
    assert visitor.post("/undo", back="/people?page=2&note=x").headers["location"].startswith("/people?page=2&note=")


def test_others_may_ask_by_an_address_but_by_no_name_of_theirs(out):
    anywhere = Visitor(out, hosts=["*"])
    name = anywhere.client.cookies["pixelbrain-8470"]
    for host, status in {"192.168.1.7:8470": 200, "[fe80::1]:8470": 200, "evil.example:8470": 421}.items():
        cookie = {"Host": host, "Cookie": f"pixelbrain-8470={name}"}
        assert anywhere.client.get("/people", headers=cookie).status_code == status
