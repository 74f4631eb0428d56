"""Say what is wrong with the shape of something that user code gave or returned.

The fast paths of the operators do not look at shapes. They let Python fail and then, with
the functions here, find out whether the user's code or the shape is to blame.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from reprlib import Repr
from typing import Any, NoReturn, TypeVar

X = TypeVar("X")

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80
_BOOL = frozenset({bool})
_STR = frozenset({str})


def shown(value: object) -> str:
    """A value and its type in a few words; a `__repr__` that fails does no harm."""
    return f"the {type(value).__name__} {_repr.repr(value)}"


def called(what: str, function: object) -> str:
    """A user's function by its parameter and its own name."""
    name = getattr(function, "__qualname__", None) or _repr.repr(function)
    return f"{what} `{name}`"


def wrong_return(what: str, function: object, expected: str, got: object) -> TypeError:
    """The error for a user's function that returned something else than expected."""
    return TypeError(f"{called(what, function)} has to return {expected}, not {shown(got)}")


def current(items: list[X], rest: Iterator[X]) -> X:
    """The item of a list that its iterator gave last."""
    return items[-1 - length_hint(rest)]


def check_pair(item: Any) -> None:
    """Raise a TypeError unless an item is a `(key, value)` pair."""
    try:
        _, _ = item
    except (TypeError, ValueError):
        msg = f"items have to be (key, value) 2-tuples, not {shown(item)}; see `key_on`"
        raise TypeError(msg) from None


def check_key(key: object) -> None:
    """Raise a TypeError unless a key is a str."""
    if not isinstance(key, str):
        msg = f"a key has to be a str, not {shown(key)}; see `key_on`"
        raise TypeError(msg)


def check_keyed(item: Any) -> None:
    """Raise a TypeError unless an item is a `(key, value)` pair with a str key."""
    check_pair(item)
    key, _ = item
    check_key(key)


def check_keys(key: Callable[..., Any], keys: Iterable[object]) -> None:
    """Raise a TypeError unless a user's key function returned nothing but str."""
    if not _STR.issuperset(map(type, keys)):
        for each in keys:
            if not isinstance(each, str):
                error = wrong_return("the key function", key, "a str", each)
                raise error


def raise_not_bool(predicate: Callable[..., Any], got: object) -> NoReturn:
    """Raise the TypeError for a user's predicate that returned something else than a bool."""
    error = wrong_return("the predicate", predicate, "a bool", got)
    raise error


def check_bools(predicate: Callable[..., Any], holds: list[Any]) -> None:
    """Raise a TypeError unless a user's predicate returned nothing but bool."""
    if not _BOOL.issuperset(map(type, holds)):
        raise_not_bool(predicate, next(each for each in holds if type(each) is not bool))


def iterate(values: Any, wrong: Callable[[object], TypeError]) -> Iterator[Any]:
    """Iterate over values, or raise what `wrong` makes of them if they are no iterable."""
    try:
        return iter(values)
    except TypeError:
        # A TypeError of the user's own `__iter__` is not ours to replace.
        if hasattr(type(values), "__iter__") or hasattr(type(values), "__getitem__"):
            raise
    raise wrong(values)
