"""Result rows arrive whole, can be found again, and say where they come from."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from vae_lib import report
from vae_lib.checks import ParameterError
from vae_lib.metrics import Score

SCORES = [
    Score("ari", "labels", np.array([0.25, 0.35]), np.array([0.0, 0.02, -0.02])),
    Score("silhouette", "native", np.array([0.5, np.nan]), np.array([])),
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
    assert provenance["corpora"]["small"]["hash"] == method["corpus"].hash
    assert provenance["parameters"] == {"epochs": 3}


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
