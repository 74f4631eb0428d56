"""Words of a command: texts as they are, and what only a host can fill in.

Which there are says `ctl.runtimes.base.Word`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fill_in(word: Any, place: Callable[[list[Any]], str]) -> str:
    """Give the text of a word.

    Args:
        word: A text, or an object with one of `join`, `python`, `home` and `place`.
        place: Gives the absolute path of a part of the root.
    """
    if isinstance(word, str):
        return word
    if "join" in word:
        return os.pathsep.join(fill_in(each, place) for each in word["join"])
    if "python" in word:
        return sys.executable
    if "home" in word:
        return str(Path(word["home"]).expanduser())
    return place(word["place"]) + str(word["then"])
