"""Result rows arrive whole, can be found again, and say where they come from; tables show them on one line."""

import base64
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from made import row

import companion
from companion import pages, report
from vae_lib import metrics
from vae_lib.checks import ParameterError
from vae_lib.metrics import Score

SILHOUETTE = row(0.5, np.nan, metric="silhouette", space="native", null=(), reason="one cluster")

# Rows and their file.


def test_a_run_takes_its_parameters_and_its_name_from_the_page(monkeypatch):
    page = {"unrelated": 1}
    exec("profile: str = 'scratch'\nk: int = 10\nlimit: int | None = None\nother = 2", page)
    monkeypatch.setenv(companion.NOTEBOOK, "easy")
    run = companion.Run(page)
    assert (run.notebook, run.profile, run.parameters) == ("easy", "scratch", {"k": 10, "limit": None})
    monkeypatch.delenv(companion.NOTEBOOK)
    assert companion.Run(page | {"__session__": "book/medium.ipynb"}).notebook == "medium"
    assert companion.Run(page | {"__vsc_ipynb_file__": "/a/hard.ipynb", "__session__": "1"}).notebook == "hard"
    assert companion.Run(page, notebook="data").notebook == "data"
    with pytest.raises(ParameterError, match=r"not known here: say Run\(globals\(\), notebook=\"easy\"\)"):
        companion.Run(page | {"__session__": "a console"})
    with pytest.raises(ParameterError, match="finds no parameter profile"):
        companion.Run({"profile": "scratch"}, notebook="easy")


def test_what_is_written_is_read_back(results, small_corpus):
    run = results("scratch", write=False, epochs=3)
    evaluation = SimpleNamespace(
        rows=pd.DataFrame([row(0.25, 0.35, params={"latent_dim": np.int64(4)}), SILHOUETTE]),
        corpora={"small": {"hash": small_corpus.hash, "source": small_corpus.source}},
    )
    assert run.add(evaluation) is evaluation
    rows, provenance = report.read(run.write())
    assert list(rows.columns) == list(report.COLUMNS)
    ari, silhouette = (report.select(rows, metric=metric) for metric in ("ari", "silhouette"))
    assert (ari["notebook"], ari["mean"], ari["params"]) == ("easy", pytest.approx(0.3), {"latent_dim": 4})
    assert np.isnan(silhouette["mean"])
    np.testing.assert_array_equal(silhouette["values"], [0.5, np.nan])
    assert provenance["corpora"]["small"] == evaluation.corpora["small"]
    assert provenance["parameters"] == {"epochs": 3}


def test_a_file_without_a_single_defined_value_has_numbers_all_the_same(results):
    rows, _ = report.read(results("scratch", SILHOUETTE).path)
    for name in ("mean", "ci_low", "tracks_low", "chance", "p_value"):
        assert rows[name].dtype == float
        assert np.isnan(rows[name]).all()


def test_a_run_is_held_against_the_released_one_score_by_score(results):
    released = results("released", row(0.30), row(0.10, model="pca"), row(0.2, model="raw"), SILHOUETTE).path
    mine = results("scratch", row(0.31), row(0.15, model="pca"), row(0.2, model="of mine"), SILHOUETTE).path
    assert report.as_released(mine, released).startswith("1 of 2 scores that both runs have are within 0.02")


def test_verdicts_that_another_run_gives_otherwise_are_found():
    lines = {"notebook": "easy", "line": ["a", "b", "c"], "p_holm": [0.04, 0.2, 0.5]}
    first = pd.DataFrame(lines | {"verdict": ["above", "not decided", "not decided"]})
    second = first[:2].assign(p_holm=[0.06, 0.3], verdict=["not decided", "not decided"])
    turned = report.turned(first, second)
    assert turned.attrs["lines"] == 2
    assert turned[["line", "p_holm", "p_holm_second", "verdict_second"]].to_numpy().tolist() == [
        ["a", 0.04, 0.06, "not decided"]
    ]


def test_rows_that_are_none_are_refused(results):
    run = results("scratch", write=False)
    with pytest.raises(ParameterError, match="must have rows, a table with the columns corpus, n, features"):
        run.add([1, 2])
    with pytest.raises(ParameterError, match=r"a table with the columns metric$"):
        run.add(pd.DataFrame([row(0.1)]).drop(columns="metric"))
    with pytest.raises(ParameterError, match="corpus must say what the rows of small were measured on"):
        run.add(pd.DataFrame([row(0.1)]))
    with pytest.raises(ParameterError, match="'easy' has no rows"):
        run.write()


def test_the_provenance_is_that_of_the_whole_corpus_whatever_subsets_were_scored(results, small_corpus):
    part = small_corpus.select(np.arange(len(small_corpus)) < 6)
    run = results("scratch", write=False)
    for music, subset in ((part, "half"), (small_corpus, "all"), (part, "another half")):
        run.add(pd.DataFrame([row(0.1, n=len(music), subset=subset)]), corpus=music)
    rows, provenance = report.read(run.write())
    assert rows["n"].tolist() == [6, 12, 6]
    assert provenance["corpora"]["small"]["hash"] == small_corpus.hash


def test_the_file_is_strict_json_and_a_value_measured_twice_leaves_the_last_one(results, small_corpus, tmp_path):
    run = results("scratch", row(0.1, 0.2), SILHOUETTE)
    assert run.path == tmp_path / "_build/scratch/results/easy.json"
    before = run.path.read_text()
    json.loads(before, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    run.add(pd.DataFrame([row(0.3, 0.4)]))
    with pytest.raises(ParameterError, match=r"1 row\(s\) were added twice"):
        run.write()
    assert run.path.read_text() == before


def test_the_parameter_hash_follows_the_parameters_and_nothing_else(results):
    def digest(**parameters):
        return report.read(results("scratch", row(0.1), **parameters).path)[1]["parameter_hash"]

    assert digest(epochs=3, beta=1.0) == digest(beta=1.0, epochs=3) != digest(epochs=4, beta=1.0)


def test_an_unwritable_folder_is_one_clear_error(results, tmp_path):
    (tmp_path / "_build").write_text("in the way")
    with pytest.raises(ParameterError, match=r"cannot write .*easy\.json"):
        results("scratch", row(0.1))


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


def test_all_result_files_of_a_build_are_collected_and_what_is_missing_is_named(results, tmp_path):
    with pytest.raises(ParameterError, match=r"scratch/results has no result files; execute the notebooks first"):
        report.collect("scratch")
    folder = results("scratch", row(0.1), SILHOUETTE, epochs=3).path.parent
    results("scratch", row(0.2), notebook="medium", epochs=9)
    for found in (report.collect("scratch"), report.collect(source=str(folder), notebooks=["easy", "medium"])):
        rows, provenance = found
        assert rows["notebook"].tolist() == ["easy", "easy", "medium"]
        assert rows.index.tolist() == [0, 1, 2]
        assert {name: of["parameters"]["epochs"] for name, of in provenance.items()} == {"easy": 3, "medium": 9}
    assert set(report.collect(source=folder, notebooks=["medium"])[1]) == {"medium"}
    with pytest.raises(ParameterError, match=r"lacks the results of hard, it has those of easy, medium"):
        report.collect("scratch", notebooks=["easy", "hard"])
    for arguments in ({}, {"profile": "scratch", "source": tmp_path}):
        with pytest.raises(ParameterError, match="give either profile or source"):
            report.collect(**arguments)


def test_select_insists_on_one_row(results):
    rows = results("scratch", row(0.1), SILHOUETTE).rows
    with pytest.raises(ParameterError, match=r"0 rows have model='pca'; there must be exactly one"):
        report.select(rows, model="pca")
    with pytest.raises(ParameterError, match="2 rows have model='vae'"):
        report.select(rows, model="vae")
    with pytest.raises(ParameterError, match=r"column must be one of .*got 'colour'"):
        report.select(rows, colour="red")


def test_published_figures_have_all_digits_and_those_of_the_readme_stay_apart():
    stored, readme = report.published(), report.published(readme=True)
    assert list(stored.index) == list(report.PLACED)
    assert stored.notna().all(axis=None)
    assert {*readme.index} < {*stored.index}
    assert (stored.loc["raw", "ari"], readme.loc["raw", "ari"]) == (0.03742084052964882, 0.037)


def test_only_a_hundred_tracks_can_have_all_the_stored_aris():
    counts = report.solutions()
    assert counts.columns[(counts > 0).all()].tolist() == [100]
    assert not counts[[200, 500]].any(axis=None)
    assert (counts[1000] == 0).sum() == 3


def test_methods_are_compared_seed_by_seed_from_a_result_file(results):
    better, worse = [0.5, 0.6, 0.8], [0.2, 0.5, 0.6]
    run = results("scratch", row(*better), row(*worse, model="raw"), row(*worse, model="raw", target="language"))
    rows, _ = report.read(run.path)
    vae, raw = (report.select(rows, model=model, target="genre") for model in ("vae", "raw"))
    scores = [Score("ari", "labels", np.array(values), np.array([])) for values in (better, worse)]
    for paired in (True, False):
        assert report.compare(vae, raw, paired=paired) == metrics.compare(*scores, paired=paired)
    with pytest.raises(ParameterError, match="these differ in target: 'genre' and 'language'"):
        report.compare(vae, report.select(rows, target="language"))


# What readers see.


def shown(results, *rows, **options):
    return report.table(results("scratch", *rows, write=False).rows, caption="Scores.", **options)


def test_a_table_has_a_line_per_score_chance_once_and_the_rest_on_hovering(results):
    null = tuple(np.linspace(-0.02, 0.02, 99))
    rows = [row(0.4, 0.44, model=model, null=null) for model in ("vae", "raw")] + [row(0.0, -0.004, model="pca")]
    table = shown(results, *rows, names={"raw": "features", "vae": "base VAE", "pca": "PCA"})
    assert table.data["ARI ↑"].to_dict() == {
        "features": ".42 ± .03 ●", "base VAE": ".42 ± .03 ●", "PCA": ".00 ± .00", "chance": ".00",
    }  # fmt: skip
    html = table.to_html()
    assert "Scores. ● above chance, p ≤ 0.05 over this table (Holm)." in html
    assert "mean 0.420, sd 0.028, 95 % over seeds" in html
    assert "p 0.030 (Holm), seeds 2" in html, "a hundredth, three times"
    assert "nan" not in html.lower()
    cells = pages.table_cells(html)[0]
    assert cells[0] == ["", "ARI ↑", "ARI ↑, in full"]
    assert cells[1][2].startswith("mean 0.420, sd 0.028"), "the CSV has it too"


def test_a_table_shows_undefined_scores_single_seeds_large_ones_and_what_has_no_chance(results):
    rows = [row(134.2, 138.2, metric="calinski_harabasz", space="common", null=()), SILHOUETTE | {"space": "common"}]
    table = shown(results, *rows, space="common", by="corpus")
    assert table.data.to_dict("index") == {"small": {"Silhouette ↑": "–", "Calinski-Harabasz ↑": "136 ± 3"}}
    assert shown(results, row(0.5, metric="mig")).data.loc["vae", "MIG ↑"] == ".50"
    assert (
        shown(results, row(0.5, null=(0.1,)), row(0.5, model="b", null=(0.2,))).data.loc["chance"].item()
        == ".10 to .20"
    )


def test_a_table_of_two_targets_has_a_column_for_each_and_a_dash_where_there_is_no_row(results):
    rows = [row(0.4), row(0.1, target="language"), row(0.3, model="raw")]
    table = shown(results, *rows).data
    assert table.drop("chance").to_dict("index") == {
        "vae": {"ARI ↑ genre": ".40", "ARI ↑ language": ".10"}, "raw": {"ARI ↑ genre": ".30", "ARI ↑ language": "–"},
    }  # fmt: skip
    with pytest.raises(ParameterError, match="model must be one of"):
        shown(results, *rows, names={"vea": "VAE"})


def test_verdicts_have_marks():
    found = pd.DataFrame(
        {"difference": [0.2, -0.0001, 0.1], "low": [0.1, -0.01, np.nan], "high": [0.3, 0.01, np.nan],
         "p_holm": [0.01, 0.8, np.nan], "verdict": ["above", "equal within ±.02", "not decided"]},
        index=["a", "b", "c"],
    )  # fmt: skip
    data = report.verdict_table(found, caption="Verdicts.").data
    assert data["verdict"].tolist() == ["▲ above", "= equal within ±.02", "? not decided"]
    assert data.loc["b"].tolist()[:3] == ["0.000", "−0.010 to 0.010", "0.800"]
    assert data.loc["c", ["95 % interval", "p (Holm)"]].tolist() == ["–", "–"]


def test_equal_tables_give_equal_html():
    frame = pd.DataFrame({"a": ["x" * 300]})
    first, second = (report.styled(frame, caption="c").to_html() for _ in range(2))
    assert first == second
    assert "x" * 300 in first  # not cut short


def test_the_provenance_table_tells_where_a_number_comes_from(results, small_corpus):
    text = " ".join(report.provenance_table(results("scratch", row(0.1), epochs=3).path).data.iloc[:, 0])
    for told in (small_corpus.hash[:12], "epochs = 3", f"pandas {pd.__version__}"):
        assert told in text
    run = results("scratch", row(0.1, corpus="<b>mine"), music=replace(small_corpus, name="<b>mine"))
    assert "<b>" not in report.provenance_table(run.path).to_html()


def test_a_page_names_what_it_makes_of_the_article():
    made = report.exhibits("easy")
    assert re.fullmatch(r"(Table|Figure) \d+(, (Table|Figure) \d+)*", made)
    assert report.provenance_table(report.PAPER / "easy.json").data.loc["in the article", "easy"] == made


def test_the_overview_tells_what_a_corpus_holds_and_what_not(small_corpus):
    tracks = small_corpus.tracks.assign(fault_filtered=["train", None] * 6, seconds=["30.00"] * 12)
    overview = report.overview([replace(small_corpus, tracks=tracks)])["small"]
    told = {"in the fault-filtered split": "6", "seconds per track": "30", "tracks": "12", "genres": "3"}
    told |= {"log-mel image": "4 × 6", "lyric dimensions": "–"}
    assert overview[[*told]].to_dict() == told


def test_the_player_holds_the_sound_and_says_what_it_is():
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    page = report.player(y, sample_rate=22_050, caption='A "tone" <440 Hz>').data
    assert 'aria-label="A &quot;tone&quot; &lt;440 Hz&gt;"' in page
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(page.split("base64,")[1].split('"')[0])))
    assert rate == 22_050
    assert np.argmax(np.abs(np.fft.rfft(sound[:22_050]))) == pytest.approx(440, abs=2)
