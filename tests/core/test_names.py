"""The names of entries, by which they are invalidated."""

from fastapi_caching_route._core.names import EVERYTHING, MAX_SEGMENTS, _ancestors, below_path_name

DEEP = '/a' * 100


def test_an_entry_has_a_name_for_no_more_than_so_many_segments_of_its_path():
    assert len(_ancestors(DEEP)) == MAX_SEGMENTS
    assert len(_ancestors('/a' * 500)) == MAX_SEGMENTS


def test_what_is_below_a_deep_path_is_invalidated_with_what_is_below_its_first_segments():
    for depth in range(1, 40):
        assert below_path_name('/a' * depth) in _ancestors(DEEP)
    assert below_path_name(DEEP) == below_path_name('/a' * MAX_SEGMENTS)
    assert below_path_name('/') == EVERYTHING
