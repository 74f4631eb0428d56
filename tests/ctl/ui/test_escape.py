"""Text from elsewhere that must not drive a terminal."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ctl.ui.escape import escape, plain


def test_plain_text_stays_as_it_is():
    assert escape("Wörter\tund →") == "Wörter\tund →"


def test_control_characters_are_shown():
    assert escape("a\x1b[2Jb\x07\r\x7f\x9b31m") == "a\\x1b[2Jb\\x07\\x0d\\x7f\\x9b31m"


def test_colours_pass_and_end_with_the_line():
    assert escape("\x1b[1;31mred") == "\x1b[1;31mred\x1b[0m"


def test_a_text_of_several_lines_keeps_them_and_loses_its_colours():
    assert plain("a\tb\n\x1b[31mc\r\n") == "a\tb\n\\x1b[31mc\\x0d\n"


controls = st.text(st.characters(max_codepoint=0x100))


@given(controls)
def test_nothing_but_colours_is_left(text):
    rest = re.sub("\x1b\\[[0-9;:]*m", "", escape(text))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", rest)


@given(controls)
def test_nothing_is_left_in_prose(text):
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", plain(text))
