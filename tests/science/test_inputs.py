"""Arrays to tensors: a column scaled wrongly, or a missing track taken for one of zeros, would move every latent."""

import numpy as np
import pandas as pd
import pytest
import torch

from vae_lib.checks import ParameterError
from vae_lib.models import inputs

GAUSSIAN = {"audio": "gaussian", "lyrics": "gaussian"}


def table(n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 10.0 ** np.arange(-3, d - 3) + np.arange(d)


def images(n=30):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 3, 5)) * np.array([0.1, 1.0, 50.0])[:, None] - np.array([80.0, 0.0, 3.0])[:, None]


def holed(row, column):
    array = table()
    array[row, column] = np.nan
    return array


def ready(arrays, errors=GAUSSIAN):
    tables = inputs.check(arrays)
    return inputs.prepare(tables, inputs.scalings(tables, errors))


def test_columns_and_bands_get_a_mean_of_zero_and_a_deviation_of_one_and_are_restored():
    for raw, axes in ((table(), 0), (images(), (0, 2))):
        tables = inputs.check(raw)
        scaling = inputs.scalings(tables, GAUSSIAN)
        x = inputs.prepare(tables, scaling).tensors["audio"].numpy()
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=axes), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=axes), 1, atol=1e-5)
        np.testing.assert_allclose(inputs.restore(x, scaling["audio"]), raw, rtol=1e-4, atol=1e-3)
        # Other songs get the scaling of the training: by themselves, ten loud ones would look like ordinary ones.
        others = inputs.prepare(inputs.check(raw[:10] + 5.0), scaling).tensors["audio"].numpy()
        spread = raw.std(axis=axes, keepdims=True)
        np.testing.assert_allclose(others, x[:10] + 5.0 / spread, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e9, 1e-20])
def test_a_column_that_never_changes_becomes_zero_not_noise_and_one_that_changes_little_does_not(constant):
    raw = table(n=1001)
    raw[:, 2], raw[:, 0] = constant, 1e-12 * raw[:, 1]
    x = ready(raw).tensors["audio"]
    assert x[:, 2].abs().max() <= 1e-5
    torch.testing.assert_close(x[:, 0], x[:, 1])


def test_directions_get_a_length_of_one_each_by_itself():
    raw = table()
    x = ready({"lyrics": raw}, {"lyrics": "cosine"}).tensors["lyrics"].numpy()
    np.testing.assert_allclose(x, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(inputs.restore(np.array([[3.0, 4.0], [0.0, 0.0]]), None), [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize("error", ["gaussian", "cosine"])
def test_missing_tracks_hold_zeros_and_are_marked_and_do_not_count_in_the_scaling(error):
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    assert ready(arrays).present is None
    arrays["lyrics"][[0, 7]] = np.nan
    before = arrays["lyrics"].copy()
    data = ready(arrays, {"audio": "gaussian", "lyrics": error})
    there = np.setdiff1d(np.arange(30), [0, 7])
    assert data.present["lyrics"].tolist() == [0.0 if row in (0, 7) else 1.0 for row in range(30)]
    assert data.present["audio"].all()
    assert not data.tensors["lyrics"][[0, 7]].any()
    alone = ready({"lyrics": before[there]}, {"lyrics": error})
    torch.testing.assert_close(data.tensors["lyrics"][there], alone.tensors["lyrics"])
    np.testing.assert_array_equal(arrays["lyrics"], before)


def test_a_trained_model_takes_tracks_without_one_modality_and_leaves_out_what_it_does_not_know():
    checked = inputs.check({"audio": table(n=2), "sound": table(n=9)}, shapes={"audio": (4,), "lyrics": (3,)})
    assert list(checked) == ["audio", "lyrics"]
    assert checked["lyrics"].shape == (2, 3)
    assert np.isnan(checked["lyrics"]).all()
    assert list(inputs.check(table(), shapes={"lyrics": (4,)})) == ["lyrics"]


def test_rows_and_batches_take_the_same_tracks_of_everything():
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    arrays["lyrics"][7] = np.nan
    tables = inputs.check(arrays)
    context = inputs.indicators(list("ab" * 15), ("a", "b"), n=30)
    data = inputs.prepare(tables, inputs.scalings(tables, GAUSSIAN), context)
    batches = list(data.rows(torch.arange(29, -1, -1)).batches(16))
    assert [len(batch) for batch in batches] == [16, 14]
    assert torch.equal(batches[1].tensors["audio"][0], data.tensors["audio"][13])
    assert batches[1].present["lyrics"].tolist() == [0.0 if row == 7 else 1.0 for row in range(13, -1, -1)]
    assert batches[1].context[0].tolist() == [0.0, 1.0]
    assert torch.equal(data.to(torch.device("cpu")).tensors["audio"], data.tensors["audio"])


def test_labels_become_one_column_each_in_the_order_of_the_categories():
    for form in (list, pd.Categorical, lambda x: pd.Series(x, index=range(9, 6, -1))):
        found = inputs.indicators(inputs.labels(form(["en", "bn", "en"])), ("bn", "en", "de"), n=3)
        assert found.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert inputs.labels(np.array([1, 0])) == ["1", "0"]
    assert inputs.indicators([], (), n=3) is None


@pytest.mark.parametrize(
    ("condition", "categories", "message"),
    [
        (None, ("bn", "en"), "condition must give one of bn, en per track, got none"),
        (["en"] * 3, (), "condition must be left out: the recipe is not a conditional one"),
        (["en"] * 2, ("bn", "en"), "condition must have 3 entries, one per track, got 2"),
        (["en", "fr", "en"], ("bn", "en"), "condition must be one of bn, en, got 'fr' in row 1"),
        (["en", None, pd.NA], ("bn", "en"), "condition must have a label for every track: 2 missing, the first in row"),
        ("eng", ("e", "n", "g"), "condition must be a list of labels, one per track, got 'eng'"),
    ],
)
def test_wrong_labels_are_one_clear_error(condition, categories, message):
    with pytest.raises(ParameterError, match=message):
        inputs.indicators(inputs.labels(condition), categories, n=3)


MISSING = np.full((30, 3), np.nan)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "arrays must hold at least one modality, got none"),
        (3.0, r"arrays\['audio'\] must have shape \(n, d\) or \(n, height, width\), got \(\)"),
        ([["a"]], r"arrays\['audio'\] must hold numbers only"),
        (pd.DataFrame(holed(3, 2), columns=[*"wxyz"]), r"arrays\['audio'\].* 1 value\(s\) .* row 3, column 'y'"),
        (np.where(np.eye(30, 4), np.inf, 0), r"arrays\['audio'\] must be finite: 4 value\(s\)"),
        (np.where(np.arange(30)[:, None] == 2, np.nan, table()), r"arrays\['audio'\] must be finite: 4 val"),
        ({"audio": table(), "lyrics": holed(9, 1)}, r"arrays\['lyrics'\] must be finite: 1 value.* row 9, column 1"),
        ({"audio": table(), "lyrics": table(n=29)}, r"arrays\['lyrics'\] must have 30 rows, got 29"),
        ({"audio": table(), "lyrics": MISSING}, r"arrays\['lyrics'\] is missing for every track: leave the modality"),
        (
            dict.fromkeys("ab", np.where(np.arange(30)[:, None] == 5, np.nan, table())),
            "arrays must hold each track in one modality at least; row 5 is in none",
        ),
    ],
)
def test_arrays_that_will_not_do_are_one_clear_error(arrays, message):
    with pytest.raises(ParameterError, match=message):
        inputs.check(arrays)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (images(), r"arrays\['audio'\] must have shape \(n, 4\) as in training, got \(n, 3, 5\)"),
        ({"lyrics": table()}, "arrays must hold audio as in training, got lyrics"),
    ],
)
def test_arrays_unlike_those_of_the_training_are_one_clear_error(arrays, message):
    with pytest.raises(ParameterError, match=message):
        inputs.check(arrays, shapes={"audio": (4,)})


def test_a_direction_without_length_is_named():
    arrays = {"lyrics": table()}
    arrays["lyrics"][[4, 6]] = 0.0
    with pytest.raises(ParameterError, match=r"arrays\['lyrics'\] must have directions; row 4 is all zeros"):
        ready(arrays, {"lyrics": "cosine"})
