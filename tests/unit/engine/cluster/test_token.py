"""Ray's token: looked for where Ray does, made where there is none, shown nowhere."""

from __future__ import annotations

import stat

import pytest

from pixelbrain.engine.cluster.token import Token, ensure_token, find_token, refused
from pixelbrain.errors import EngineError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_is_looked_for_in_the_order_of_rays(home, monkeypatch):
    assert find_token() is None
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("of the home\n")
    assert find_token() == Token("of the home", "~/.ray/auth_token")
    (home / "elsewhere").write_text("of a file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "elsewhere"))
    assert find_token() == Token("of a file", f"RAY_AUTH_TOKEN_PATH, {home / 'elsewhere'}")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the variable")
    assert find_token() == Token("of the variable", "RAY_AUTH_TOKEN")


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_path_that_leads_to_none(home, monkeypatch, text):
    if text is not None:
        (home / "token").write_text(text)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "token"))
    with pytest.raises(EngineError, match=r"RAY_AUTH_TOKEN_PATH is .*: no such file, or it is empty"):
        find_token()


def test_a_new_one_is_for_this_user_alone_and_stays(home):
    ensure_token()
    file = home / ".ray" / "auth_token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = file.read_text()
    assert len(first) == 64
    ensure_token()
    assert file.read_text() == first


def test_errors_name_the_variables_and_not_the_token():
    for token in (None, Token("a secret", "RAY_AUTH_TOKEN")):
        said = str(refused("http://h:8265", token))
        assert "RAY_AUTH_TOKEN_PATH" in said and "a secret" not in said and "\n" not in said
    assert "a secret" not in repr(Token("a secret", "RAY_AUTH_TOKEN"))
