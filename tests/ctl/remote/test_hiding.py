"""Secrets in the texts of a host."""

import json
from urllib.parse import quote, quote_plus

import pytest

from ctl.remote.hiding import Hiding

VALUE = "a \"key\" of 'two'\nlines: \\ 100 % ä/+&"


@pytest.mark.parametrize(
    "text",
    [
        repr(VALUE),
        repr(VALUE.encode()),
        ascii(VALUE),
        repr({"key": VALUE}),
        repr(f"{VALUE} and more"),
        repr(f"it's {VALUE}"),
        json.dumps(VALUE),
        json.dumps({"key": VALUE}, ensure_ascii=False),
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        *VALUE.split("\n"),
        repr(VALUE.split("\n")),
    ],
)
def test_no_form_of_a_secret_is_left(text):
    shown = Hiding({"KEY": VALUE})(text.encode()).decode()
    assert "[secret KEY]" in shown
    assert not any(word in shown for word in ("two", "lines", "100"))


def test_a_text_without_secrets_stays():
    assert Hiding({})(b"text") == b"text"
    assert Hiding({"PIN": "123"})(b"123") == b"123"


def test_a_secret_inside_of_the_name_of_another_stays():
    hiding = Hiding({"DB_PASSWORD": "PASSWORD1", "X": "secret", "Y": "DB_P"})
    assert hiding(b"PASSWORD1") == b"[secret DB_PASSWORD]"


def test_half_of_a_character():
    assert Hiding({"KEY": VALUE}).inside(f"\ud83d {VALUE}") == "? [secret KEY]\n[secret KEY]"


def test_lines_stay_lines():
    assert Hiding({"KEY": VALUE})(f"{VALUE}\n".encode()).count(b"\n") == 2


def test_bytes_that_are_no_text():
    value = b"caf\xe9 au lait".decode("utf-8", "surrogateescape")
    assert Hiding({"KEY": value})(b"a caf\xe9 au lait!") == b"a [secret KEY]!"
