import pytest

import engine.operators as op

ITEMS = [("b", 1), ("a", 2), ("b", 3)]


def flat(chunks):
    return [item for chunk in chunks for item in chunk]


def append(acc, value):
    acc.append(value)
    return acc


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_emits_accumulators_sorted_by_key(run, batch_size):
    out = run(lambda s: op.fold_final("step", s, list, append), ITEMS, batch_size)
    assert out == [("a", [2]), ("b", [1, 3])]


def test_takes_items_that_the_sender_has_grouped(keyed):
    operator = keyed(lambda s: op.fold_final("step", s, list, append))
    assert flat(operator.on_groups([("b", [1, 3]), ("a", [2])])) == []
    flat(operator.on_groups([("b", [4])]))
    assert flat(operator.on_eof()) == [("a", [2]), ("b", [1, 3, 4])]


def test_builds_once_for_each_key_also_if_the_accumulator_is_none(keyed) -> None:
    built: list[None] = []

    def build():
        built.append(None)

    operator = keyed(lambda s: op.fold_final("step", s, build, lambda _, __: None))
    flat(operator.on_items(ITEMS))
    flat(operator.on_groups([("a", [1])]))
    assert len(built) == 2


def test_emits_nothing_of_nothing(run):
    assert run(lambda s: op.fold_final("step", s, list, append), []) == []


@pytest.mark.parametrize("item", [5, (1, 2), ([], 1)])
def test_refuses_an_item_without_a_str_key(fails, item):
    error = fails(lambda s: op.fold_final("step", s, list, append), [("a", 1), item])
    assert isinstance(error, TypeError)
    assert "see `key_on`" in str(error)


def test_passes_errors_of_the_folder_on(fails):
    for error in (TypeError("mine"), ValueError("mine"), KeyError("a"), StopIteration()):

        def folder(_acc, _value, error=error):
            raise error

        assert fails(lambda s, f=folder: op.fold_final("step", s, list, f), ITEMS) is error
