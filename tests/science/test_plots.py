"""Figures carry what a reader needs: labelled axes, a legend that names every group, glyphs that exist."""

import warnings

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from vae_lib import features, plots
from vae_lib.checks import ParameterError
from vae_lib.metrics import Score


@pytest.fixture
def ax():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as a glyph that the font does not have
        figure, axes = plt.subplots()
        yield axes
        figure.canvas.draw()
    plt.close(figure)


def history():
    return pd.DataFrame(
        {"epoch": [1, 1, 2, 2], "seed": [0, 1, 0, 1], "kl": [4.0, 6.0, 1.0, 3.0], "active_units": [1, 2, 3, 4]}
    )


def test_training_curves_show_mean_and_range_over_seeds(ax):
    plots.training_curves(history(), "kl", ax, label="VAE")
    assert ax.lines[0].get_ydata().tolist() == [5.0, 2.0]
    low, high = ax.collections[0].get_paths()[0].get_extents().get_points()[:, 1]
    assert (low, high) == (1.0, 6.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "nats per track")


def test_divergences_are_sorted_within_each_seed(ax):
    plots.divergences(np.array([[0.0, 3.0, 1.0], [5.0, 1.0, 0.0]]), ax, title="VAE")
    assert [bar.get_height() for bar in ax.patches] == [4.0, 1.0, 0.0]


def test_scores_show_every_seed_the_mean_and_chance(ax):
    by_method = {
        name: Score("davies_bouldin", "native", np.array([1.0, 2.0, 3.0]) + shift, np.linspace(4, 5, 41))
        for shift, name in enumerate(["raw", "VAE"])
    }
    plots.scores(by_method, ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["raw", "VAE"]
    assert "lower is better" in ax.get_xlabel()
    drawn = [line.get_xdata() for line in ax.lines]
    assert any(np.array_equal(x, [2.0, 3.0, 4.0]) for x in drawn)
    assert any(np.allclose(x, 4.5) for x in drawn)


def test_scatter_names_every_group_and_tells_groups_apart_without_colour(ax):
    labels = np.repeat([f"genre {i}" for i in range(10)], 2)
    plots.scatter(np.random.default_rng(0).normal(size=(20, 2)), labels, ax, title="t-SNE", legend="genre")
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == sorted(set(labels))
    assert legend.get_title().get_text() == "genre"
    assert len({points.get_paths()[0].vertices.tobytes() for points in ax.collections}) == 10


def test_scatter_refuses_labels_of_another_length(ax):
    with pytest.raises(ParameterError, match="labels must have 3 labels, one per track, got 2"):
        plots.scatter(np.zeros((3, 2)), ["a", "b"], ax, title="map")


def test_colours_differ_up_to_many_groups():
    for count in (1, 10, 18):
        assert len(set(plots.palette(count))) == count


def test_counts_stack_a_second_label_and_name_it(ax):
    tracks = pd.DataFrame({"genre": ["pop", "pop", "rap"], "language": ["bn", "en", "en"]})
    plots.counts(tracks, ax, by="genre", hue="language")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["bn", "en"]
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 1), (0, 0), (1, 1), (0, 1)]


def test_features_over_time_show_every_group_over_the_length_of_the_track():
    y = np.sin(2 * np.pi * 440 * np.arange(2 * 22_050) / 22_050)
    figure, axes = plt.subplots(7, 1)
    plots.features_over_time(features.frame_features(y), axes, seconds=2)
    assert [ax.get_xlim() for ax in axes] == [(0, 2)] * 7
    assert [ax.get_ylabel() for ax in axes[:5]] == ["mel band", "chroma", "MFCC", "contrast", "Hz"]
    centroid = next(line for line in axes[4].lines if line.get_label() == "centroid")
    assert np.median(centroid.get_ydata()) == pytest.approx(440, rel=0.02)
    plt.close(figure)
    with pytest.raises(ParameterError, match="axes must be seven"):
        plots.features_over_time(features.frame_features(y), axes[:2], seconds=2)


def test_correlations_cover_minus_one_to_one(ax):
    plots.correlations(pd.DataFrame({"a": [1.0, 2, 3], "b": [3.0, 2, 1]}), ax)
    assert ax.collections[0].get_clim() == (-1, 1)
    assert ax.collections[0].get_array().tolist() == [[1, -1], [-1, 1]]


def test_differences_show_every_column_even_an_exact_one_and_the_limit(ax):
    plots.differences(pd.Series({"tempo": 0.0, "rms_mean": 1e-6}), ax, limit=0.01)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["tempo", "rms_mean"]
    assert (ax.lines[0].get_xdata() > 0).all()
    assert ax.lines[1].get_xdata()[0] == 0.01


def test_ablation_writes_every_score_and_hatches_what_is_chance(ax):
    mean = pd.DataFrame({"raw": [0.5, -0.001], "VAE": [0.25, 0.0]}, index=["audio", "lyrics"])
    plots.ablation(mean, ax, title="genre", sd=mean.abs(), found=mean > 0)
    assert [text.get_text() for text in ax.texts] == ["0.50\n± 0.50", "0.25\n± 0.25", "0.00\n± 0.00", "0.00\n± 0.00"]
    hatched = {tuple(patch.get_xy().min(axis=0)) for patch in ax.patches}
    assert hatched == {(0, 1), (1, 1)}


def test_a_value_is_placed_in_the_row_of_its_draws(ax):
    plots.placed({"raw": np.arange(101.0), "VAE": np.arange(101.0)}, {"VAE": 90.0}, ax, xlabel="silhouette")
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    assert [line.get_xydata().tolist() for line in diamonds] == [[[90.0, 1.0]]]
    assert ax.lines[1].get_xdata().tolist() == pytest.approx([2.5, 97.5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["raw", "VAE"]
    with pytest.raises(ParameterError, match="got AE"):
        plots.placed({"raw": np.arange(3.0)}, {"AE": 1.0}, ax, xlabel="silhouette")
