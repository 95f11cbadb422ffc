"""Checks: what is allowed passes unchanged, and every message names the argument, the value and what is allowed."""

import numpy as np
import pandas as pd
import pytest

from vae_lib import checks
from vae_lib.checks import ParameterError


def test_an_error_can_be_caught_as_the_value_error_it_is():
    with pytest.raises(ValueError, match="beta"):
        checks.in_range(-1, "beta", low=0)


@pytest.mark.parametrize("value", [0, 0.0, 1, np.float32(0.5), np.int64(1)])
def test_numbers_in_range_pass(value):
    assert checks.in_range(value, "beta", low=0, high=1) is value


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan, np.inf, "1", None, True, 1j, [0.5]])
def test_numbers_out_of_range_are_refused(value):
    with pytest.raises(ParameterError, match=r"beta must be a number in \[0, 1\], got ") as caught:
        checks.in_range(value, "beta", low=0, high=1)
    assert repr(value) in str(caught.value)


def test_open_and_missing_bounds_are_shown_as_such():
    assert checks.in_range(1e-9, "rate", low=0, open_low=True) == 1e-9
    with pytest.raises(ParameterError, match=r"rate must be a number in \(0, inf\), got 0"):
        checks.in_range(0, "rate", low=0, open_low=True)
    with pytest.raises(ParameterError, match=r"shift must be a number in \(-inf, 1\], got 2"):
        checks.in_range(2, "shift", high=1)


def test_counts_become_plain_integers():
    assert type(checks.count(np.int64(3), "k")) is int
    assert checks.count(0, "epochs", low=0) == 0


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None, np.nan])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(ParameterError, match="k must be a whole number of at least 1, got"):
        checks.count(value, "k")


def test_a_count_above_its_limit_is_refused():
    assert checks.count(10, "k", high=10) == 10
    with pytest.raises(ParameterError, match="k must be a whole number from 2 to 10, got 11"):
        checks.count(11, "k", low=2, high=10)


def test_one_of():
    assert checks.one_of("relu", "activation", ["relu", "elu"]) == "relu"
    with pytest.raises(ParameterError, match="activation must be one of relu, elu, got 'tanh'"):
        checks.one_of("tanh", "activation", (name for name in ["relu", "elu"]))


def test_a_table_becomes_a_matrix_and_stays_as_it_was():
    table = pd.DataFrame({"a": [1, 2], "b": [0.5, -1]})
    before = table.copy()
    values = checks.matrix(table, "features", rows=2)
    assert values.dtype == float
    np.testing.assert_array_equal(values, [[1, 0.5], [2, -1]])
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([[1.0, "loud"]], {}, "features must hold numbers only"),
        ([1.0, 2.0], {}, r"features must be a non-empty table \(rows, columns\), got shape \(2,\)"),
        (np.empty((0, 3)), {}, r"got shape \(0, 3\)"),
        (np.ones((3, 2)), {"rows": 4}, "features must have 4 rows, got 3"),
        ([[1, 2], [np.nan, np.inf]], {}, "2 value.* first in row 1, column 0"),
        (pd.DataFrame({"a": [1.0], "tempo": [np.nan]}), {}, "1 value.* first in row 0, column 'tempo'"),
    ],
)
def test_what_is_no_finite_matrix_is_refused(values, options, message):
    with pytest.raises(ParameterError, match=message):
        checks.matrix(values, "features", **options)


@pytest.mark.parametrize(
    "values",
    [["b", "a", "b"], np.array([7, 3, 7]), pd.Series(["b", "a", "b"], dtype="category"), pd.Series(["b", "a", "b"])],
)
def test_labels_become_codes_from_zero(values):
    np.testing.assert_array_equal(checks.labels(values, "labels", length=3), [1, 0, 1])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "labels must be a non-empty list"),
        ([["a"], ["b"]], {}, r"got shape \(2, 1\)"),
        (["a", "b"], {"length": 3}, "labels must have 3 labels, one per track, got 2"),
        (["a", None, None], {}, "2 missing, the first in row 1"),
        ([1.0, np.nan], {}, "1 missing, the first in row 1"),
        (pd.Series(["a", None], dtype="category"), {}, "1 missing, the first in row 1"),
        (pd.Series(["a", None], dtype=str), {}, "1 missing, the first in row 1"),
    ],
)
def test_labels_that_are_missing_or_misshapen_are_refused(values, options, message):
    with pytest.raises(ParameterError, match=message):
        checks.labels(values, "labels", **options)
