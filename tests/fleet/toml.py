"""Write TOML, which the standard library only reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def table(header: str, keys: Mapping[str, object]) -> str:
    """A table such as `[deployment]` or `[[hosts]]`."""
    return "\n".join([header, *(f"{key} = {_value(value)}" for key, value in keys.items()), ""])


def _value(value: object) -> str:
    match value:
        case str() | Path():
            # TOML reads JSON's escapes, but not halves of characters.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool() | int() | float():
            return json.dumps(value)
        case Mapping():
            pairs = (f"{_value(str(key))} = {_value(each)}" for key, each in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case Sequence():
            return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"{value!r} is nothing that an inventory holds")
