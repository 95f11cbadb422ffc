"""How a step grows: the exponents are those of the work, and what would cost too much is not run."""

import time

import numpy as np
import pandas as pd
import pytest

from vae_lib import scaling
from vae_lib.checks import ParameterError


def rows(n, seconds):
    return pd.DataFrame({"n": n, "seconds": seconds, "mebibytes": np.array(seconds) * 10})


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_is_the_exponent_and_predicts_the_next_size(power):
    n = np.array([100, 300, 1000, 3000])
    table = rows(n, 1e-5 * n.astype(float) ** power * 1000)
    assert scaling.slope(table, "seconds") == pytest.approx(power)
    assert scaling.predict(table, "seconds", 9000) == pytest.approx(1e-2 * 9000.0**power)
    assert scaling.predict(table, "mebibytes", 9000) == pytest.approx(0.1 * 9000.0**power)


def test_the_start_of_a_curve_does_not_hide_its_end():
    table = rows([10, 20, 40, 80], [1.0, 1.0, 4.0, 16.0])
    assert scaling.slope(table, "seconds") == pytest.approx(2.0)


def test_memory_and_time_of_a_step_are_seen():
    work = lambda n: (np.ones((n, 2**20 // 8)), time.sleep(0.05))  # noqa: E731
    # A process keeps small blocks for later use; arrays of this size are asked for and given back each time.
    table = scaling.measure({"rows": work}, [64, 160], seconds=10, mebibytes=1e4)
    assert table["mebibytes"].to_numpy() == pytest.approx([64, 160], abs=8)
    assert (table["seconds"] >= 0.05).all()


def test_a_step_is_stopped_before_it_costs_too_much():
    ran = []
    stages = {"slow": lambda n: (ran.append(n), time.sleep(n / 1000)), "fast": lambda n: None}
    table = scaling.measure(stages, [10, 20, 40, 80, 10_000], seconds=0.3, mebibytes=100)
    assert 10_000 not in ran
    assert table[table["stage"] == "slow"]["n"].tolist() == [10, 20, 40, 80]
    assert table[table["stage"] == "fast"]["n"].tolist() == [10, 20, 40, 80, 10_000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [20, 10]}, "sizes must ascend"),
        ({"sizes": [1]}, "sizes must be a whole number of at least 2"),
        ({"seconds": 0}, "seconds must be a number"),
        ({"mebibytes": -1}, "mebibytes must be a number"),
    ],
)
def test_bad_input_is_one_clear_error(change, message):
    options = {"sizes": [10, 20], "seconds": 1, "mebibytes": 1} | change
    with pytest.raises(ParameterError, match=message):
        scaling.measure({"none": lambda n: None}, **options)
