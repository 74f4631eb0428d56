"""Secrets that are in no text."""

import json
from urllib.parse import quote, quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st

from ctl.ui.redact import MASK, Redactor

SECRET = 'p\u00e4ss "w\u00f6rd"/\'\\%\t+&'


def hiding(*values: str) -> Redactor:
    redactor = Redactor()
    redactor.hide(*values)
    return redactor


def test_without_secrets_a_text_stays_as_it_is():
    assert Redactor()("text") == "text"


def test_a_value_is_masked_wherever_it_is():
    assert hiding("hunter2")("hunter2 and a hunter2!") == "*** and a ***!"


def test_short_values_stay():
    assert hiding("yes", "")("yes") == "yes"


def test_the_longest_goes_first():
    assert hiding("hunter", "hunter2-long")("hunter2-long hunter") == "*** ***"


def test_its_quoted_forms_are_masked():
    redact = hiding(SECRET)
    for form in (
        SECRET,
        repr(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        urlencode({"key": SECRET}),
    ):
        assert "rd" not in redact(f"before {form} after"), form
        assert MASK in redact(form)


def test_each_line_of_a_key_is_a_secret():
    redact = hiding("-----BEGIN-----\nabcd\nxy\n")
    assert redact("alpha | abcd") == "alpha | ***"
    assert redact("xy") == "xy"


def test_values_for_json_are_masked_inside():
    value = {"a": ["hunter2", 1, None, {"b": "say hunter2"}], "c": ("hunter2",)}
    assert hiding("hunter2").inside(value) == {
        "a": ["***", 1, None, {"b": "say ***"}],
        "c": ["***"],
    }


def test_values_are_added():
    redact = hiding("first")
    redact.hide("second")
    assert redact("first second") == "*** ***"


@given(st.lists(st.text(min_size=4).filter(lambda text: "*" not in text), min_size=1), st.text())
def test_no_value_is_left(values, around):
    text = around.join(values)
    redacted = hiding(*values)(text)
    # What is left and right of a mask may happen to be a value with the mask between.
    assert all(value not in part for part in redacted.split(MASK) for value in values)
