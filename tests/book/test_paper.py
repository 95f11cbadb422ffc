"""The stored rows of the paper run are what the library computes from the music: three of them, drawn at random."""

import random

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer, StandardScaler

from companion import report
from vae_lib import cluster, corpus, features, metrics

SPACES = {
    "raw": lambda x, components: x,
    "pca": lambda x, components: cluster.pca(x, min(components, *x.shape)),
}
TOLERANCE = 0.02
"""Of a mean over seeds: the starts of k-means may end elsewhere on another processor."""


def recomputable():
    """Rows of the Easy page that need no training: means over seeds of an agreement on all tracks."""
    rows = report.stored()
    chosen = rows[
        (rows["notebook"] == "easy")
        & rows["model"].isin([*SPACES, "yeo_johnson"])
        & (rows["clusterer"] == "kmeans")
        & (rows["subset"] == "all")
        & (rows["target"] == "genre")
    ]
    return [row for _, row in chosen.iterrows()]


def test_every_page_of_the_study_is_stored_with_its_provenance():
    rows, provenance = report.collect(source=report.PAPER)
    assert {"audit", "easy", "medium", "hard", "ensembles"} <= set(provenance)
    assert {"gtzan", "songs-en-de", "songs-bn-en", "lyrics-bn-en", "synthetic"} <= set(rows["corpus"])
    for name, about in provenance.items():
        assert about["commit"] != "unknown", name
        assert about["corpora"], name
    scores = rows[rows["metric"].isin(metrics.LABEL_METRICS) & ~rows["subset"].str.startswith("random")]
    assert scores["chance"].notna().all()
    assert (scores["seeds"] >= 10).all()


@pytest.mark.parametrize("draw", range(3))
def test_a_stored_row_is_what_the_music_gives(draw, data_home):
    rows = recomputable()
    row = random.choice(rows)
    music = corpus.load(row["corpus"], data_home=data_home)
    x = music.features[list(features.PUBLIC_COLUMNS)]
    if row["model"] == "yeo_johnson":
        space = PowerTransformer().fit_transform(x)
    else:
        space = SPACES[row["model"]](StandardScaler().fit_transform(x), 32)
    clusters = cluster.per_seed("kmeans", space, int(row["k"]), seeds=int(row["seeds"]))
    found = {score.metric: score for score in metrics.external_scores(music.tracks["genre"], clusters)}[row["metric"]]
    assert row["n"] == len(music)
    assert found.mean == pytest.approx(row["mean"], abs=TOLERANCE), f"{row['model']}, {row['metric']}"
    assert found.chance == pytest.approx(row["chance"], abs=TOLERANCE)
    np.testing.assert_allclose(np.sort(found.values), np.sort(row["values"]), atol=5 * TOLERANCE)
