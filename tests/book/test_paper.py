"""The stored rows of the released run are what the library computes from the music, where it is at hand."""

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


@pytest.mark.slow
@pytest.mark.parametrize("model", [*SPACES, "yeo_johnson"])
def test_stored_rows_are_what_the_music_gives(model, data_home):
    rows = report.stored()
    about_all = (rows["subset"] == "all") & (rows["target"] == "genre") & (rows["clusterer"] == "kmeans")
    rows = rows[(rows["notebook"] == "easy") & (rows["model"] == model) & about_all]
    assert len(rows)
    for (name, n, k, seeds), some in rows.groupby(["corpus", "n", "k", "seeds"]):
        music = corpus.load(name, data_home=data_home)
        x = music.features[list(features.PUBLIC_COLUMNS)]
        if model == "yeo_johnson":
            space = PowerTransformer().fit_transform(x)
        else:
            space = SPACES[model](StandardScaler().fit_transform(x), 32)
        clusters = cluster.per_seed("kmeans", space, int(k), seeds=int(seeds))
        found = {score.metric: score for score in metrics.external_scores(music.tracks["genre"], clusters)}
        assert n == len(music)
        for row in some[some["metric"].isin(found)].itertuples():
            score = found[row.metric]
            assert score.mean == pytest.approx(row.mean, abs=TOLERANCE), f"{name}, {row.metric}"
            assert score.chance == pytest.approx(row.chance, abs=TOLERANCE), f"{name}, {row.metric}"
            np.testing.assert_allclose(np.sort(score.values), np.sort(row.values), atol=5 * TOLERANCE)
