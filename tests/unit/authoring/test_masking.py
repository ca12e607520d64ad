"""What is secret is shown as stars, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind import mask_secret
from tradewind.authoring.connection import Connection
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.masking import SecretsMasker, is_sensitive, masked_text, masker, redact
from tradewind.authoring.variable import Variable


@pytest.fixture(autouse=True)
def knows_nothing() -> Iterator[None]:
    masker.forget()
    yield
    masker.forget()


def test_names_of_secrets() -> None:
    assert all(is_sensitive(name) for name in ("password", "DB_PASSWORD", "my_api_key", "Authorization", "token2"))
    assert not any(is_sensitive(name) for name in (None, "", "user", "host", "passion"))
    with use_defaults(AuthoringDefaults(sensitive_names=("passion",))):
        assert is_sensitive("My_Passion")
    with use_defaults(AuthoringDefaults(hide_sensitive=False)):
        assert not is_sensitive("password")
        mask_secret("open sesame")
    assert masked_text("open sesame") == "open sesame"


def test_texts_and_what_holds_them() -> None:
    mask_secret("open sesame")
    mask_secret({"login": "me", "password": "simsalabim", "deep": [{"token": "abracadabra"}]})
    mask_secret("visible", name="host")
    text = "me: open sesame, simsalabim and abracadabra, visible"
    assert masked_text(text) == "me: ***, *** and ***, visible"
    assert masked_text("http://h/open%20sesame") == "http://h/***", "as it stands in addresses, too"
    assert redact({"a": ["open sesame"], "password": "anything", "n": 1}) == {"a": ["***"], "password": "***", "n": 1}
    assert redact(("x open sesame", 3)) == ("x ***", 3)
    mask_secret("ab")
    assert masked_text("about") == "about", "short texts would blot out everything"


def test_longer_secrets_come_first() -> None:
    mask_secret("secret")
    mask_secret("secret-and-more")
    assert masked_text("my secret-and-more") == "my ***"


def test_look_ups_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://me:simsala%3Abim@h?private_key=abracadabra&sslmode=require")
    monkeypatch.setenv("AIRFLOW_VAR_API_TOKEN", '{"value": "open sesame"}')
    monkeypatch.setenv("AIRFLOW_VAR_TEAM", "blue team")
    found = Connection.get("db")
    Variable.get("api_token", deserialize_json=True)
    Variable.get("team")
    assert (
        masked_text("simsala:bim, abracadabra, require, open sesame, blue team") == "***, ***, require, ***, blue team"
    )
    assert masked_text(found.get_uri()) == "postgres://me:***@h/?private_key=***&sslmode=require"


@given(secret=st.text(min_size=3).filter(lambda text: len(text.strip()) >= 3 and "*" not in text), around=st.text())
def test_no_secret_is_left(secret: str, around: str) -> None:
    known = SecretsMasker()
    known.learn(secret)
    assert secret not in known.text(f"{around}{secret}{around}").replace("***", "\0" if "\0" not in secret else "\1")
