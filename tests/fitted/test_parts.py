"""What an object is to be made of is what it declares."""

from typing import Any, Literal

import numpy as np
import pytest

from skvae.fitted.parts import check_parts, is_of
from skvae.fitted.stored_rows import StoredRows
from skvae.model.networks import MLP, Architecture

RIGHT = [
    (1, int), (np.int64(1), int), (1, float), (np.float32(1), float), (True, bool), ("x", str),
    (None, int | None), ((1, 2), tuple[int, ...]), ((), tuple[int, ...]),
    ((1, "x"), tuple[int, str]), ([1.0], list[float]), ({"a": 1}, dict[str, int]),
    (np.ones(2), np.ndarray), (MLP(), Architecture), ("x", Any), ("x", object), ("a", Literal["a"]),
]  # fmt: skip
WRONG = [
    (True, int), (1.0, int), ("1", float), (False, float), (1, bool), (1, str), (None, int),
    ("x", int | None), ([1], tuple[int, ...]), ((1, "x"), tuple[int, ...]), ((1,), tuple[int, str]),
    (("x", 1), tuple[int, str]), (["x"], list[float]), ((1.0,), list[float]),
    ({1: 1}, dict[str, int]), ({"a": "x"}, dict[str, int]),
    ([1], dict), ([1.0], np.ndarray), (print, Architecture),
    ("mlp", Architecture), ("b", Literal["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "hint"), RIGHT, ids=str)
def test_a_value_is_of_its_type(value, hint):
    assert is_of(value, hint)


@pytest.mark.parametrize(("value", "hint"), WRONG, ids=str)
def test_a_value_is_of_no_other_type(value, hint):
    assert not is_of(value, hint)


def test_parts_are_those_that_are_declared():
    parts = {"values": np.ones((2, 2)), "weight": None, "seed": 0}
    check_parts(StoredRows, parts)
    for wrong in ({"more": 1}, {"seed": "x"}, {"values": [1.0]}):
        with pytest.raises(ValueError, match="StoredRows"):
            check_parts(StoredRows, parts | wrong)
    with pytest.raises(ValueError, match="'seed'"):
        check_parts(StoredRows, {"values": np.ones((2, 2)), "weight": None})


def test_options_of_components_are_their_own():
    options = MLP().get_params()
    check_parts(MLP, options | {"dropout": "anything"})
    with pytest.raises(ValueError, match="'more'"):
        check_parts(MLP, options | {"more": 1})


def test_what_was_added_since_has_its_default():
    options = MLP().get_params()
    options.pop("residual")
    check_parts(MLP, options)
