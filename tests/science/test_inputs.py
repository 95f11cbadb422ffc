"""Arrays to tensors: a column scaled wrongly, or a missing track taken for one of zeros, would move every latent."""

import numpy as np
import pandas as pd
import pytest
import torch

from vae_lib import inputs
from vae_lib.checks import ParameterError

GAUSSIAN, BOTH = {"audio": "gaussian"}, {"audio": "gaussian", "lyrics": "cosine"}


def table(n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 10.0 ** np.arange(-3, d - 3) + np.arange(d)


def images(n=30):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 3, 5)) * np.array([0.1, 1.0, 50.0])[:, None] - np.array([80.0, 0.0, 3.0])[:, None]


def ready(arrays, errors, **options):
    arrays = inputs.check(arrays)
    return inputs.prepare(arrays, inputs.scalings(arrays, errors), **options)


# Scaling


def test_every_column_gets_a_mean_of_zero_and_a_deviation_of_one():
    x = ready({"audio": table()}, GAUSSIAN).tensors["audio"]
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(4), atol=1e-5, rtol=0)


def test_every_band_of_an_image_is_scaled_as_one_so_that_its_course_in_time_is_kept():
    raw = images()
    x = ready({"log_mel": raw}, {"log_mel": "gaussian"}).tensors["log_mel"].numpy()
    np.testing.assert_allclose(x.mean(axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=(0, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(np.corrcoef(x[4, 1], raw[4, 1])[0, 1], 1.0)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e9, 1e-20])
def test_a_column_that_never_changes_becomes_zero_not_noise(constant):
    raw = table(n=1001)
    raw[:, 2] = constant
    x = ready({"audio": raw}, GAUSSIAN).tensors["audio"]
    assert x[:, 2].abs().max() <= 1e-5
    assert x.isfinite().all()


def test_a_column_that_changes_little_is_scaled_like_any_other():
    raw = table()
    raw[:, 0] = 1e-12 * raw[:, 1]
    x = ready({"audio": raw}, GAUSSIAN).tensors["audio"]
    torch.testing.assert_close(x[:, 0], x[:, 1])


def test_directions_get_a_length_of_one_each_by_itself():
    raw = table()
    x = ready({"lyrics": raw}, {"lyrics": "cosine"}).tensors["lyrics"].numpy()
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(x, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5)


def test_other_songs_get_the_scaling_of_the_training():
    # Scaled by themselves, ten loud songs would look like ten ordinary ones.
    training, others = inputs.check({"audio": table()}), inputs.check({"audio": table(seed=1) + 5.0})
    scaling = inputs.scalings(training, GAUSSIAN)
    x = inputs.prepare(others, scaling).tensors["audio"].numpy()
    expected = (others["audio"] - training["audio"].mean(0)) / training["audio"].std(0)
    np.testing.assert_allclose(x, expected, rtol=1e-5)


@pytest.mark.parametrize("raw", [table(), images()])
def test_restoring_undoes_preparing(raw):
    arrays = inputs.check({"audio": raw})
    scaling = inputs.scalings(arrays, GAUSSIAN)
    x = inputs.prepare(arrays, scaling).tensors["audio"].numpy()
    np.testing.assert_allclose(inputs.restore(np.stack([x, x]), scaling["audio"])[1], raw, rtol=1e-4, atol=1e-3)


def test_a_restored_direction_has_a_length_of_one_and_none_stays_none():
    restored = inputs.restore(np.array([[[3.0, 4.0], [0.0, 0.0]]]), None)
    np.testing.assert_allclose(restored, [[[0.6, 0.8], [0.0, 0.0]]])


def test_the_arrays_given_are_left_as_they_are():
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    arrays["lyrics"][3] = np.nan
    before = {name: array.copy() for name, array in arrays.items()}
    ready(arrays, BOTH)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


# Missing tracks


@pytest.mark.parametrize("error", ["gaussian", "cosine"])
def test_missing_tracks_hold_zeros_and_are_marked_and_do_not_count_in_the_scaling(error):
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    arrays["lyrics"][[0, 7]] = np.nan
    data = ready(arrays, {"audio": "gaussian", "lyrics": error})
    there = np.setdiff1d(np.arange(30), [0, 7])
    assert data.present["lyrics"].tolist() == [0.0 if row in (0, 7) else 1.0 for row in range(30)]
    assert data.present["audio"].all()
    assert not data.tensors["lyrics"][[0, 7]].any()
    alone = ready({"lyrics": arrays["lyrics"][there]}, {"lyrics": error})
    torch.testing.assert_close(data.tensors["lyrics"][there], alone.tensors["lyrics"])


def test_nothing_is_marked_where_nothing_is_missing():
    assert ready({"audio": table(), "lyrics": table(seed=2)}, BOTH).present is None


def test_a_trained_model_may_be_given_a_track_or_a_corpus_without_one_modality():
    shapes = {"audio": (4,), "lyrics": (3,)}
    checked = inputs.check({"audio": table(n=1)}, shapes=shapes)
    assert checked["lyrics"].shape == (1, 3)
    assert np.isnan(checked["lyrics"]).all()
    missing = inputs.check({"audio": table(n=1), "lyrics": np.full((1, 3), np.nan)}, shapes=shapes)
    assert np.isnan(missing["lyrics"]).all()


def test_a_modality_that_a_trained_model_does_not_know_is_left_out():
    checked = inputs.check({"lyrics": table(n=2), "audio": table()}, shapes={"audio": (4,)})
    assert list(checked) == ["audio"]


# Forms in which arrays come


@pytest.mark.parametrize(
    "form",
    [pd.DataFrame, np.ndarray.tolist, lambda x: x.astype(np.float32), lambda x: x.astype(object), np.asfortranarray],
)
def test_any_table_of_numbers_will_do(form):
    expected = ready({"audio": table()}, GAUSSIAN).tensors["audio"]
    torch.testing.assert_close(
        ready({"audio": form(table())}, GAUSSIAN).tensors["audio"], expected, rtol=1e-3, atol=1e-3
    )


def test_the_order_in_which_modalities_are_given_does_not_matter():
    one, other = inputs.check({"b": table(), "a": images()}), inputs.check({"a": images(), "b": table()})
    assert list(one) == list(other) == ["a", "b"]


def test_rows_are_taken_alike_from_everything_and_members_see_their_own():
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    arrays["lyrics"][7] = np.nan
    data = ready(arrays, BOTH, condition=list("ab" * 15), categories=("a", "b"))
    batch = data.rows(torch.tensor([[7, 1], [0, 7]]))
    assert len(data) == 30
    assert torch.equal(batch.tensors["audio"][1, 0], data.tensors["audio"][0])
    assert batch.present["lyrics"].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert batch.context.tolist() == [[[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]
    assert torch.equal(data.to(torch.device("cpu")).tensors["audio"], data.tensors["audio"])


# Labels


@pytest.mark.parametrize(
    "form", [list, np.array, pd.Series, pd.Categorical, lambda x: pd.Series(x, index=range(9, 6, -1)), tuple]
)
def test_labels_become_one_column_each_in_the_order_of_the_categories(form):
    found = inputs.context(form(["en", "bn", "en"]), ("bn", "en", "de"), n=3)
    assert found.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_labels_of_numbers_are_taken_by_their_name():
    assert inputs.context(np.array([1, 0]), ("0", "1"), n=2).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_no_labels_and_no_categories_are_no_context():
    assert inputs.context(None, (), n=3) is None


@pytest.mark.parametrize(
    ("condition", "categories", "message"),
    [
        (None, ("bn", "en"), "condition must give one of bn, en per track, got none"),
        (["en"] * 3, (), "condition must be left out: the recipe is not a conditional one"),
        (["en"] * 2, ("bn", "en"), "condition must have 3 entries, one per track, got 2"),
        (["en", "fr", "en"], ("bn", "en"), "condition must be one of bn, en, got 'fr' in row 1"),
        (
            ["en", None, "bn"],
            ("bn", "en"),
            "condition must have a label for every track: 1 missing, the first in row 1",
        ),
        (
            pd.Series([np.nan, "en", np.nan]),
            ("bn", "en"),
            "condition must have a label .* 2 missing, the first in row 0",
        ),
        (["en", pd.NA, "bn"], ("<NA>", "bn", "en"), "condition must have a label for every track: 1 missing"),
        ("eng", ("e", "n", "g"), "condition must be a list of labels, one per track, got 'eng'"),
    ],
)
def test_wrong_labels_are_one_clear_error(condition, categories, message):
    with pytest.raises(ParameterError, match=message):
        inputs.context(condition, categories, n=3)


# The hash that says whether a checkpoint is of the same data


def test_the_hash_changes_with_anything_a_model_is_given():
    def made(audio=0.0, lyrics=0.0, missing=7, label="a", name="lyrics"):
        tensors = {"audio": torch.zeros(30, 2), name: torch.zeros(30, 3)}
        tensors["audio"][4, 1], tensors[name][4, 1] = audio, lyrics
        present = {"audio": torch.ones(30), name: torch.ones(30)}
        if missing is not None:
            present[name][missing] = 0.0
        context = inputs.context([label] + ["b"] * 29, ("a", "b"), n=30)
        return inputs.Inputs(tensors, present if missing is not None else None, context).hash

    other = [made(audio=1e-6), made(lyrics=1e-6), made(missing=8), made(missing=None), made(label="b"), made(name="m")]
    assert made() == made()
    assert len({made(), *other}) == len(other) + 1
    plain = inputs.Inputs({"audio": torch.zeros(4, 6)}, None, None)
    assert plain.hash != inputs.Inputs({"audio": torch.zeros(6, 4)}, None, None).hash


def test_the_hash_does_not_depend_on_the_order_of_modalities():
    one = ready({"lyrics": table(seed=2), "audio": table()}, BOTH)
    other = ready({"audio": table(), "lyrics": table(seed=2)}, BOTH)
    assert one.hash == other.hash


# Errors


def holed(row, column):
    array = table()
    array[row, column] = np.nan
    return array


MISSING = np.full((30, 3), np.nan)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "arrays must hold at least one modality, got none"),
        (table(), "arrays must hold at least one modality, got none"),
        ({"audio": 3.0}, r"arrays\['audio'\] must have shape \(n, d\) or \(n, height, width\), got \(\)"),
        ({"audio": np.zeros(5)}, r"arrays\['audio'\] must have shape \(n, d\) or .*, got \(5,\)"),
        ({"audio": np.zeros((0, 5))}, r"arrays\['audio'\] must have shape .*, got \(0, 5\)"),
        ({"audio": np.zeros((2, 2, 2, 2))}, r"arrays\['audio'\] must have shape .*, got \(2, 2, 2, 2\)"),
        ({"audio": [["a"]]}, r"arrays\['audio'\] must hold numbers only"),
        ({"audio": holed(3, 2)}, r"arrays\['audio'\] must be finite: 1 value\(s\) are NaN.* row 3, column 2"),
        ({"audio": pd.DataFrame(holed(3, 2), columns=[*"wxyz"])}, r"arrays\['audio'\].* row 3, column 'y'"),
        ({"audio": np.where(np.eye(30, 4), np.inf, 0)}, r"arrays\['audio'\] must be finite: 4 value\(s\)"),
        ({"audio": np.where(np.arange(30)[:, None] == 2, np.nan, table())}, r"arrays\['audio'\] must be finite: 4 val"),
        ({"audio": table(), "lyrics": table(n=29)}, r"arrays\['lyrics'\] must have 30 rows, got 29"),
        ({"audio": table(), "lyrics": MISSING}, r"arrays\['lyrics'\] is missing for every track: leave the modality"),
        ({"audio.mfcc": table()}, "arrays must name its modalities by words such as 'audio', got 'audio.mfcc'"),
        ({"keys": table()}, "arrays must name its modalities by words such as 'audio', got 'keys'"),
        ({"": table()}, "arrays must name its modalities by words such as 'audio', got ''"),
        ({1: table()}, "arrays must name its modalities by words such as 'audio', got 1"),
    ],
)
def test_arrays_that_will_not_do_are_one_clear_error(arrays, message):
    with pytest.raises(ParameterError, match=message):
        inputs.check(arrays)


def test_the_row_of_a_bad_value_is_counted_with_the_missing_tracks():
    lyrics = table(seed=2)
    lyrics[:3], lyrics[9, 1] = np.nan, np.nan
    with pytest.raises(ParameterError, match=r"arrays\['lyrics'\] must be finite: 1 value.* row 9, column 1"):
        inputs.check({"audio": table(), "lyrics": lyrics})


def test_a_track_that_is_nowhere_is_named():
    arrays = {"audio": table(), "lyrics": table(seed=2)}
    for array in arrays.values():
        array[5] = np.nan
    with pytest.raises(ParameterError, match="arrays must hold each track in one modality at least; row 5 is in none"):
        inputs.check(arrays)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"audio": table(d=3)}, r"arrays\['audio'\] must have shape \(n, 4\) as in training, got \(n, 3\)"),
        ({"audio": images()}, r"arrays\['audio'\] must have shape \(n, 4\) as in training, got \(n, 3, 5\)"),
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


def test_another_number_of_columns_than_the_scaling_has_is_an_error():
    scaling = inputs.scalings(inputs.check({"audio": table()}), GAUSSIAN)
    with pytest.raises(ParameterError, match=r"arrays\['audio'\] must have 4 columns or bands as in training, got 3"):
        inputs.prepare(inputs.check({"audio": table(d=3)}), scaling)
