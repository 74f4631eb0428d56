import pytest

from engine.shapes import check_key, check_keyed, check_pair, current, iterate, shown, wrong_return


class Broken:
    def __repr__(self):
        msg = "no"
        raise ValueError(msg)


def test_shows_any_value_in_few_words():
    assert shown(5) == "the int 5"
    assert shown(Broken()).startswith("the Broken <Broken instance at ")
    assert len(shown("x" * 10_000)) < 100
    assert len(shown(list(range(10_000)))) < 100


def test_names_any_function():
    assert "the mapper `len` has" in str(wrong_return("the mapper", len, "a str", 1))
    assert "the mapper `5` has" in str(wrong_return("the mapper", 5, "a str", 1))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_finds_the_item_that_an_iterator_gave_last(stop):
    items = ["a", "b", "c"]
    rest = iter(items)
    for _ in range(stop):
        next(rest)
    assert current(items, rest) == items[stop - 1]


def test_accepts_what_can_be_unpacked_in_two():
    check_pair(("a", 1))
    check_pair(["a", 1])
    check_keyed(("a", 1))


@pytest.mark.parametrize("item", [5, None, (), ("a",), ("a", 1, 2), "abc"])
def test_refuses_other_items(item):
    with pytest.raises(TypeError, match="items have to be"):
        check_keyed(item)


@pytest.mark.parametrize("key", [5, None, b"a"])
def test_refuses_other_keys(key):
    with pytest.raises(TypeError, match="a key has to be a str"):
        check_key(key)


def test_iterates_as_python_does():
    class Old:
        def __getitem__(self, index):
            return "ab"[index]

    assert list(iterate(Old(), TypeError)) == ["a", "b"]
    with pytest.raises(TypeError, match="5"):
        iterate(5, TypeError)
