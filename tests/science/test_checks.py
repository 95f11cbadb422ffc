"""Checks: what is allowed passes unchanged, and every message names the argument, the value and what is allowed."""

import numpy as np
import pandas as pd
import pytest

from vae_lib import checks
from vae_lib.checks import ParameterError


def test_an_error_can_be_caught_as_the_value_error_it_is():
    with pytest.raises(ValueError, match="beta"):
        checks.in_range(-1, "beta", low=0)


def test_what_is_allowed_passes():
    for value in [0, 0.0, 1, np.float32(0.5), np.int64(1)]:
        assert checks.in_range(value, "beta", low=0, high=1) is value
    assert checks.in_range(1e-9, "rate", low=0, open_low=True) == 1e-9
    assert type(checks.count(np.int64(3), "k", high=3)) is int
    assert checks.count(0, "epochs", low=0) == 0
    assert checks.one_of("relu", "activation", (name for name in ["relu", "elu"])) == "relu"
    table = pd.DataFrame({"a": [1, 2], "b": [0.5, -1]})
    before = table.copy()
    np.testing.assert_array_equal(checks.matrix(table, "features", rows=2), [[1, 0.5], [2, -1]])
    pd.testing.assert_frame_equal(table, before)
    for values in [["b", "a", "b"], np.array([7, 3, 7]), pd.Series(["b", "a", "b"], dtype="category")]:
        np.testing.assert_array_equal(checks.labels(values, "labels", length=3), [1, 0, 1])


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan, np.inf, "1", None, True, 1j, [0.5]])
def test_numbers_out_of_range_are_refused(value):
    with pytest.raises(ParameterError, match=r"beta must be a number in \[0, 1\], got ") as caught:
        checks.in_range(value, "beta", low=0, high=1)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None, np.nan])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(ParameterError, match="k must be a whole number of at least 1, got"):
        checks.count(value, "k")


@pytest.mark.parametrize(
    ("check", "values", "options", "message"),
    [
        ("in_range", 0, {"low": 0, "open_low": True}, r"must be a number in \(0, inf\), got 0"),
        ("in_range", 2, {"high": 1}, r"must be a number in \(-inf, 1\], got 2"),
        ("count", 11, {"low": 2, "high": 10}, "must be a whole number from 2 to 10, got 11"),
        ("counts", "12", {}, "must be a list of whole numbers of at least 1, got '12'"),
        ("counts", [2, 0.5], {}, "must be a whole number of at least 1, got 0.5"),
        ("one_of", "tanh", {"allowed": ["relu", "elu"]}, "must be one of relu, elu, got 'tanh'"),
        ("matrix", [[1.0, "loud"]], {}, "must hold numbers only"),
        ("matrix", [1.0, 2.0], {}, r"must be a non-empty table \(rows, columns\), got shape \(2,\)"),
        ("matrix", np.empty((0, 3)), {}, r"got shape \(0, 3\)"),
        ("matrix", np.ones((3, 2)), {"rows": 4}, "must have 4 rows, got 3"),
        ("matrix", [[1, 2], [np.nan, np.inf]], {}, "2 value.* first in row 1, column 0"),
        ("matrix", pd.DataFrame({"a": [1.0], "tempo": [np.nan]}), {}, "1 value.* first in row 0, column 'tempo'"),
        ("labels", [], {}, "must be a non-empty list"),
        ("labels", [["a"], ["b"]], {}, r"got shape \(2, 1\)"),
        ("labels", ["a", "b"], {"length": 3}, "must have 3 labels, one per track, got 2"),
        ("labels", ["a", None, None], {}, "2 missing, the first in row 1"),
        ("labels", [1.0, np.nan], {}, "1 missing, the first in row 1"),
        ("labels", pd.Series(["a", None], dtype="category"), {}, "1 missing, the first in row 1"),
    ],
)
def test_what_is_not_allowed_is_named(check, values, options, message):
    with pytest.raises(ParameterError, match=f"this.*{message}"):
        getattr(checks, check)(values, "this", **options)
