"""Result rows arrive whole, can be found again, and say where they come from."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from companion import report
from vae_lib import metrics
from vae_lib.checks import ParameterError
from vae_lib.metrics import Comparison, Score

SCORES = [
    Score("ari", "labels", np.array([0.25, 0.35]), np.array([0.0, 0.02, -0.02]), (0.2, 0.4)),
    Score("silhouette", "native", np.array([0.5, np.nan]), np.array([]), reason="one cluster"),
]
METHOD = {"model": "vae", "features": "public", "clusterer": "kmeans", "k": 3, "target": "genre", "seconds": 1.5}


@pytest.fixture
def method(small_corpus):
    return METHOD | {"corpus": small_corpus}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    return report.Run("easy", profile="scratch", epochs=3)


def test_what_is_written_is_read_back(run, method):
    run.add(SCORES, **method, params={"latent_dim": np.int64(4)})
    rows, provenance = report.read(run.write())
    assert list(rows.columns) == list(report.COLUMNS)
    ari = report.select(rows, metric="ari")
    assert (ari["mean"], ari["chance"], ari["seeds"], ari["target"]) == (pytest.approx(0.3), 0.0, 2, "genre")
    assert ari["params"] == {"latent_dim": 4}
    assert np.isnan(report.select(rows, metric="silhouette")["mean"])
    assert report.select(rows, metric="silhouette")["target"] == "none"
    assert (ari["tracks_low"], ari["tracks_high"]) == (0.2, 0.4)
    assert (ari["values"], ari["reason"]) == ([0.25, 0.35], "")
    silhouette = report.select(rows, metric="silhouette")
    np.testing.assert_array_equal(silhouette["values"], [0.5, np.nan])
    assert silhouette["reason"] == "one cluster"
    assert (rows["noise"].tolist(), rows["coverage"].tolist()) == (["none"] * 2, [1.0] * 2)
    assert provenance["corpora"]["small"]["hash"] == method["corpus"].hash
    assert provenance["parameters"] == {"epochs": 3}


def test_a_file_without_a_single_defined_value_has_numbers_all_the_same(run, method):
    run.add(SCORES[1:], **method)
    rows, _ = report.read(run.write())
    for name in ("mean", "ci_low", "tracks_low", "chance", "p_value"):
        assert rows[name].dtype == float
        assert np.isnan(rows[name]).all()


def test_a_clustering_with_noise_has_a_row_for_each_way_to_count_it(run, method):
    for noise in ("singletons", "cluster"):
        run.add(SCORES[:1], **method, noise=noise, coverage=0.6)
    rows, _ = report.read(run.write())
    assert report.select(rows, noise="singletons")["coverage"] == 0.6
    with pytest.raises(
        ParameterError, match="noise must say what the tracks without a cluster count as: coverage is 0"
    ):
        run.add(SCORES, **method, coverage=0.6)
    with pytest.raises(ParameterError, match="noise must be one of none, singletons, cluster, got 'dropped'"):
        run.add(SCORES, **method, noise="dropped", coverage=0.6)


def test_all_result_files_of_a_build_are_collected_with_their_provenance(run, method, tmp_path):
    run.add(SCORES, **method)
    run.write()
    other = report.Run("medium", profile="scratch", epochs=9)
    other.add(SCORES[1:], **method)
    copied = other.write().parent.rename(tmp_path / "results")
    for found in (report.collect(source=copied), report.collect(source=str(copied), notebooks=["easy", "medium"])):
        rows, provenance = found
        assert rows["notebook"].tolist() == ["easy", "easy", "medium"]
        assert rows.index.tolist() == [0, 1, 2]
        assert rows["mean"].dtype == float
        assert {name: of["parameters"]["epochs"] for name, of in provenance.items()} == {"easy": 3, "medium": 9}
    assert set(report.collect(source=copied, notebooks=["medium"])[1]) == {"medium"}
    run.write()
    assert report.collect("scratch")[0]["notebook"].tolist() == ["easy", "easy"]


def test_what_cannot_be_collected_is_named(run, method, tmp_path):
    with pytest.raises(ParameterError, match=r"scratch/results has no result files; execute the notebooks first"):
        report.collect("scratch")
    run.add(SCORES, **method)
    run.write()
    with pytest.raises(ParameterError, match=r"lacks the results of medium, hard, it has those of easy"):
        report.collect("scratch", notebooks=["easy", "medium", "hard"])
    with pytest.raises(ParameterError, match="give either profile or source, got profile=None and source=None"):
        report.collect()
    with pytest.raises(ParameterError, match="give either profile or source"):
        report.collect("scratch", source=tmp_path)
    run.path.with_name("broken.json").write_text("{")
    with pytest.raises(ParameterError, match=r"broken\.json is not a result file"):
        report.collect("scratch")


def test_methods_are_compared_seed_by_seed_from_a_result_file(run, method):
    better, worse = (SCORES[0]._replace(values=np.array(values)) for values in ([0.5, 0.6, 0.8], [0.2, 0.5, 0.6]))
    run.add([better], **method)
    run.add([worse], **method | {"model": "raw"})
    run.add([worse], **method | {"model": "raw", "target": "language"})
    rows, _ = report.read(run.write())
    vae, raw = (report.select(rows, model=model, target="genre") for model in ("vae", "raw"))
    assert report.compare(vae, raw) == metrics.compare(better, worse)
    assert report.compare(vae, raw, paired=False) == metrics.compare(better, worse, paired=False)
    with pytest.raises(ParameterError, match="these differ in target: 'genre' and 'language'"):
        report.compare(vae, report.select(rows, target="language"))


def test_claims_are_shown_with_what_speaks_for_them():
    def claim(difference, p_value):
        return Comparison("ari", "labels", difference, difference - 0.1, difference + 0.1, p_value, 0.9, (10, 10))

    claims = {
        "up": claim(0.2, 0.01),
        "down": claim(-0.2, 0.002),
        "maybe": claim(0.05, 0.04),
        "constant": claim(0.2, np.nan),
    }
    table = report.claims_table(claims, caption="Claims.").data
    assert table["verdict"].to_dict() == {
        "up": "supported", "down": "the reverse holds", "maybe": "supported", "constant": "not testable",
    }  # fmt: skip
    assert table["p (Holm)"].tolist() == ["0.020", "0.006", "0.040", "–"]
    assert table.loc["down", ["metric", "difference", "95 % interval", "superiority"]].tolist() == [
        "ARI", "−0.200", "−0.300 to −0.100", "90%",
    ]  # fmt: skip
    more = report.claims_table(claims | {"another": claim(0.1, 0.04)}, caption="Claims.").data
    assert more.loc["maybe", "verdict"] == "not decided"  # the more is claimed, the more each claim must show
    with pytest.raises(ParameterError, match="claims must have at least one comparison"):
        report.claims_table({}, caption="Claims.")


def test_the_file_is_strict_json_in_the_folder_of_its_build(run, method, tmp_path):
    run.add(SCORES, **method)
    path = run.write()
    assert path == tmp_path / "_build" / "scratch" / "results" / "easy.json"
    json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_the_parameter_hash_follows_the_parameters_and_nothing_else(run, method):
    def digest(**parameters):
        other = report.Run("easy", profile="scratch", **parameters)
        other.add(SCORES, **method)
        return report.read(other.write())[1]["parameter_hash"]

    assert digest(epochs=3, beta=1.0) == digest(beta=1.0, epochs=3) != digest(epochs=4, beta=1.0)


def test_a_value_measured_twice_is_refused_and_the_last_file_stays(run, method):
    run.add(SCORES, **method)
    before = run.write().read_text()
    run.add(SCORES[:1], **method)
    with pytest.raises(ParameterError, match=r"1 row\(s\) were added twice"):
        run.write()
    assert run.path.read_text() == before


def test_an_unwritable_folder_is_one_clear_error(run, method, tmp_path):
    (tmp_path / "_build").write_text("in the way")
    run.add(SCORES, **method)
    with pytest.raises(ParameterError, match=r"cannot write .*easy\.json"):
        run.write()


def test_no_rows_is_an_error(run):
    with pytest.raises(ParameterError, match="'easy' has no rows"):
        run.write()


@pytest.mark.parametrize("profile", ["", "../elsewhere", "a/b", ".hidden", "/root"])
def test_a_profile_cannot_lead_out_of_the_build_folder(profile):
    with pytest.raises(ParameterError, match="profile must be a plain name"):
        report.results_path("easy", profile=profile)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "not a result file"), ("[]", "not a result file"),
     ('{"rows": [{"mean": 1}], "provenance": {}}', "lacks the columns notebook")],
)  # fmt: skip
def test_a_broken_result_file_is_named(tmp_path, content, message):
    path = tmp_path / "easy.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ParameterError, match=message) as error:
        report.read(path)
    assert str(path) in str(error.value)


def test_select_insists_on_one_row(run, method):
    run.add(SCORES, **method)
    with pytest.raises(ParameterError, match=r"0 rows have model='pca'; there must be exactly one"):
        report.select(run.rows, model="pca")
    with pytest.raises(ParameterError, match="2 rows have model='vae'"):
        report.select(run.rows, model="vae")
    with pytest.raises(ParameterError, match=r"column must be one of .*got 'colour'"):
        report.select(run.rows, colour="red")


def test_the_table_shows_score_chance_and_corrected_p_in_the_order_asked_for(run, method):
    for model in ("vae", "raw"):
        run.add(SCORES[:1], **method | {"model": model})
    table = report.table(run.rows, space="labels", names={"raw": "features", "vae": "base VAE"}, caption="Agreement.")
    assert list(table.data.index) == ["features", "base VAE"]
    # p is 1/4 alone, and twice that as one of two
    assert table.data.loc["base VAE", "ARI ↑"] == "0.300 ± 0.071\nchance 0.000\np 0.500"
    assert "Agreement." in table.to_html()


def test_the_table_shows_measures_of_latents_too(run, method):
    mig = Score("mig", "labels", np.array([0.2, 0.4]), np.array([0.01, 0.03]))
    run.add([mig, SCORES[0]], **method)
    table = report.table(run.rows, space="labels", caption="c")
    assert list(table.data.columns) == ["ARI ↑", "MIG ↑"]


def test_equal_tables_give_equal_html():
    frame = pd.DataFrame({"a": ["x" * 300]})
    first, second = (report.styled(frame, caption="c").to_html() for _ in range(2))
    assert first == second
    assert "x" * 300 in first  # not cut short


def test_the_provenance_table_tells_where_a_number_comes_from(run, method):
    run.add(SCORES, **method)
    table = report.provenance_table(run.write())
    text = " ".join(table.data.iloc[:, 0])
    assert method["corpus"].hash[:12] in text
    assert "epochs = 3" in text
    assert f"pandas {pd.__version__}" in text


def test_a_table_has_a_line_per_corpus_where_asked(run, method):
    run.add(SCORES[:1], **method)
    table = report.table(run.rows, space="labels", by="corpus", caption="c")
    assert list(table.data.index) == ["small"]


def test_the_provenance_is_that_of_the_whole_corpus_whatever_subsets_were_scored(run, method):
    part = method["corpus"].select(np.arange(len(method["corpus"])) < 6)
    for change in ({"corpus": part, "subset": "half"}, {}, {"corpus": part, "subset": "another half"}):
        run.add(SCORES[:1], **method | change)
    rows, provenance = report.read(run.write())
    assert rows["n"].tolist() == [6, 12, 6]
    assert provenance["corpora"]["small"]["hash"] == method["corpus"].hash


def test_the_overview_tells_what_a_corpus_holds_and_what_not(small_corpus):
    tracks = small_corpus.tracks.assign(fault_filtered=["train", None] * 6, seconds=["30.00"] * 12)
    overview = report.overview([replace(small_corpus, tracks=tracks)])["small"]
    assert overview["in the fault-filtered split"] == "6"
    assert overview["seconds per track"] == "30"
    assert overview["tracks"] == "12"
    assert overview["genres"] == "3"
    assert overview["log-mel image"] == "4 × 6"
    assert overview["lyric dimensions"] == "–"


def test_the_player_holds_the_sound_and_says_what_it_is():
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    page = report.player(y, sample_rate=22_050, caption='A "tone" <440 Hz>').data
    assert 'aria-label="A &quot;tone&quot; &lt;440 Hz&gt;"' in page
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(page.split("base64,")[1].split('"')[0])))
    assert rate == 22_050
    assert np.argmax(np.abs(np.fft.rfft(sound[:22_050]))) == pytest.approx(440, abs=2)
