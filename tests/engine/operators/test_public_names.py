import engine.operators as op

OPERATORS = """
    input output map map_value flat_map flat_map_batch flat_map_value flatten filter filter_value
    filter_map filter_map_value key_on key_rm branch merge redistribute raises inspect
    inspect_debug stateful_batch stateful stateful_map stateful_flat_map fold_final reduce_final
    count_final max_final min_final collect
"""
TYPES = "BranchOut KeyedStream StatefulBatchLogic StatefulLogic"


def test_all_public_names_are_there():
    assert sorted(op.__all__) == sorted([*OPERATORS.split(), *TYPES.split()])


def test_no_module_hides_an_operator():
    assert all(callable(getattr(op, name)) for name in OPERATORS.split())
