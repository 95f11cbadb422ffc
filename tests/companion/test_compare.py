"""Two runs side by side: rows find their counterparts, differences are what they are, and nothing is hidden."""

import os
import re
import shutil
import sys
from pathlib import Path

import nbclient
import numpy as np
import pandas as pd
import pytest
from made import row
from nbformat.v4 import new_code_cell, new_notebook

from companion import compare, report
from companion.__main__ import main
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
BEFORE, AFTER = [0.1, 0.2, 0.3, 0.2, 0.1, 0.3], [0.3, 0.4, 0.5, 0.4, 0.3, 0.5]


def side_by_side(a="book", b="tweak", **options):
    return compare.compare(compare.read(a), compare.read(b), **options)


def test_a_changed_setting_is_compared_seed_by_seed(results):
    results("book", row(*BEFORE, params={"beta": 1.0}), row(0.3, 0.3, model="raw"), beta=1.0)
    results("tweak", row(*AFTER, params={"beta": 8.0}), row(0.3, 0.3, model="raw"), beta=8.0)
    found = side_by_side()
    vae, raw = found.table.to_dict("records")  # the larger difference first
    assert (vae["mean_a"], vae["mean_b"], vae["difference"]) == pytest.approx((0.2, 0.4, 0.2))
    assert vae["p_value"] == pytest.approx(2 / 2**6)  # of all flips of six signs, two are as far from zero
    assert (raw["difference"], raw["equal"]) == (0.0, True)
    assert np.isnan(raw["p_value"])
    assert found.notes == ["easy: beta 1 → 8."]
    assert found.only.empty


def test_p_values_are_corrected_for_the_number_of_lines(results):
    for build, values in (("book", BEFORE), ("tweak", AFTER)):
        results(build, row(*values), row(*values, metric="ami"))
    assert side_by_side().table["p_value"].tolist() == pytest.approx([2 * 2 / 2**6] * 2)
    assert side_by_side(measures=["ari"]).table["p_value"].tolist() == pytest.approx([2 / 2**6])


def test_runs_with_other_numbers_of_seeds_are_compared_as_two_groups(results):
    results("book", row(0.1, 0.11, 0.12, 0.13, 0.14))
    results("tweak", row(0.2, 0.21, 0.22))
    assert side_by_side().table["p_value"].tolist() == pytest.approx([2 / 56])  # 8 seeds, 3 of them in one group


def test_rows_that_one_run_has_alone_are_counted_and_named(results):
    results("book", row(0.1, 0.2), row(0.1, 0.2, model="pca"))
    results("tweak", row(0.1, 0.2, model="ae"), row(0.1, 0.2, model="ae", metric="ami"))
    found = side_by_side()
    assert found.table.empty
    assert found.only.to_numpy().tolist() == [
        ["A", "easy", "small: vae · public · kmeans", 1],
        ["A", "easy", "small: pca · public · kmeans", 1],
        ["B", "easy", "small: ae · public · kmeans", 2],
    ]
    text = compare.as_text(found)
    assert "0 rows are in both, 0 of them equal in every value; 2 are only in A, 2 only in B." in text
    assert "only A has 2 rows of easy: small: vae · public · kmeans; small: pca · public · kmeans" in text
    assert "ae · public" in compare.page(found)


def test_other_content_under_the_same_name_is_said_first_and_not_tested(results, small_corpus):
    results("book", row(0.1, 0.2, 0.3))
    results("tweak", row(0.3, 0.4, 0.5), music=small_corpus.select(np.arange(12) > 1))
    found = side_by_side()
    assert found.notes[0].startswith("easy: the corpus small has other content in book (")
    assert compare.as_text(found).splitlines()[1] == found.notes[0]
    assert found.table["difference"].tolist() == pytest.approx([0.2])
    assert found.table["p_value"].isna().all()


def test_undefined_scores_and_single_seeds_are_shown_without_a_test(results):
    for build, value in (("book", 0.2), ("tweak", 0.3)):
        pca = row(value, value + 0.1, metric="silhouette", space="native", model="pca")
        results(build, row(value, np.nan), row(value, model="raw"), pca)
    found = side_by_side()
    assert found.table["p_value"].isna().all()
    shown = compare.lines(found.table).set_index(["what", "metric"])
    raw, vae = (shown.loc[(f"small: {name} · public · kmeans, genre", "ARI ↑")] for name in ("raw", "vae"))
    assert raw[["A", "B", "B − A"]].tolist() == ["0.200", "0.300", "0.100"]
    assert vae[["A", "B", "B − A"]].tolist() == ["–", "–", "–"]
    assert shown.loc[("small: pca · public · kmeans, native", "Silhouette ↑"), "p (Holm)"] == "–"
    assert shown.index[-1][0] == "small: vae · public · kmeans, genre"  # what has no difference comes last
    assert "<svg" in compare.page(found)
    assert "nan" not in compare.as_text(found)


def test_nothing_but_undefined_scores_makes_a_page_without_a_figure(results):
    for build in ("book", "tweak"):
        results(build, row(np.nan, np.nan))
    assert "<svg" not in compare.page(side_by_side())


def grid(**settings):
    return {"n": 100, "k": 10.0, "params": settings}


def frame(*rows):
    return pd.DataFrame([dict.fromkeys(compare.WHAT, "same") | row for row in rows])


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        # One row each: whatever was changed, they belong together.
        ([grid(beta=1.0)], [grid(beta=8.0, epochs=3)], [(0, 0)]),
        # A sweep is matched by value, in whatever order, and a new value has no counterpart.
        ([grid(beta=1.0), grid(beta=4.0)], [grid(beta=4.0), grid(beta=8.0), grid(beta=1.0)], [(0, 2), (1, 0)]),
        # A number that was measured is no setting: it agrees nowhere, or by accident in one place.
        (
            [grid(beta=1.0, found=0.51), grid(beta=4.0, found=0.61)],
            [grid(beta=1.0, found=0.52), grid(beta=4.0, found=0.62)],
            [(0, 0), (1, 1)],
        ),
        (
            [grid(beta=1.0, found=0.5), grid(beta=4.0, found=0.61), grid(beta=8.0, found=0.7)],
            [grid(beta=1.0, found=0.5), grid(beta=4.0, found=0.62), grid(beta=8.0, found=0.8)],
            [(0, 0), (1, 1), (2, 2)],
        ),
        # k = 3 became 4, beside a row of k = 2.
        ([grid() | {"k": 3.0}, grid() | {"k": 2.0}], [grid() | {"k": 4.0}, grid() | {"k": 2.0}], [(0, 0), (1, 1)]),
        # Two candidates, and nothing to choose by.
        ([grid(beta=1.0)], [grid(beta=4.0), grid(beta=8.0)], []),
        # Other numbers of tracks are other measurements.
        ([grid() | {"n": 50}, grid()], [grid(), grid() | {"n": 300}], [(1, 0)]),
    ],
)
def test_rows_that_look_alike_are_matched_by_the_settings_that_both_runs_have(first, second, pairs):
    first, second = frame(*first), frame(*second)
    assert compare.match(first, second) == pairs
    assert compare.match(second, first) == sorted((b, a) for a, b in pairs)
    assert compare.match(first, first) == [(place, place) for place in range(len(first))]


def test_every_stored_row_of_the_paper_finds_itself_and_has_a_name_of_its_own():
    rows = report.stored()
    assert compare.match(rows, rows) == [(place, place) for place in range(len(rows))]
    assert not rows.assign(label=compare.labels(rows)).duplicated(["notebook", "label", "metric"]).any()


@pytest.mark.parametrize("run", ["nope", "", "../book", "_build"])
def test_a_run_that_is_not_there_is_one_error_with_the_builds_that_are(results, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results("book+beta=8", row(0.1, 0.2))
    with pytest.raises(ParameterError, match=r"(there are the builds book\+beta=8|has no result files)"):
        compare.read(run)


def test_a_folder_of_result_files_is_a_run_too(results, tmp_path):
    written = results("book", row(0.1, 0.2))
    for folder in (tmp_path / "_build/book", tmp_path / "_build/book/results"):
        assert len(compare.read(str(folder)).rows) == 1
    shutil.copytree(written.path.parent, tmp_path / "elsewhere")
    assert side_by_side(b=str(tmp_path / "elsewhere")).table["equal"].tolist() == [True]


def test_an_unknown_metric_names_those_that_are_there(results):
    for build in ("book", "tweak"):
        results(build, row(0.1, 0.2), row(0.1, 0.2, metric="kl"))
    assert side_by_side().table["metric"].tolist() == ["ari"]
    assert side_by_side(measures=["kl"]).table["metric"].tolist() == ["kl"]
    with pytest.raises(ParameterError, match="METRIC must be one of ari, kl, got 'airy'"):
        side_by_side(measures=["airy"])


def test_the_page_needs_no_other_file_shows_names_as_they_are_and_is_the_same_each_time(results):
    results("book", row(0.1, 0.2, model="<b>vae</b>"))
    results("tweak", row(0.1, 0.3, model="<b>vae</b>"), note="<script>")
    found = side_by_side()
    page = compare.page(found)
    assert page == compare.page(found)
    assert "&lt;b&gt;vae" in page
    assert "<b>vae" not in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]*", page.replace("xlink:href", "href"))


def test_the_command_prints_a_table_and_the_path_of_the_page(results, capsys, tmp_path):
    results("book", row(0.1, 0.2))
    results("book+beta=8", row(0.4, 0.6))
    assert main(["compare", "book", "book+beta=8", "--metric", "ari"]) == 0
    output = capsys.readouterr().out
    assert "0.150 ± 0.071 0.500 ± 0.141 0.350" in output
    assert output.endswith("The page: _build/compare/book--book+beta=8.html\n")
    assert (tmp_path / "_build/compare/book--book+beta=8.html").is_file()
    assert main(["compare", "book", "nope"]) == 2
    assert capsys.readouterr().err.startswith("error: A and B must each be a build or a folder of result files")


# At the end of a notebook.


def test_a_run_by_hand_shows_its_scores_beside_those_of_the_book_and_the_paper(results, tmp_path):
    results("book", row(0.1, 0.2), row(0.3, 0.3, model="raw"), beta=1.0)
    shutil.copytree(results("stored", row(0.2, 0.2)).path.parent, tmp_path / "paper/results")
    run = results("scratch", row(0.3, 0.3, model="raw"), row(0.6, 0.7), beta=8.0)
    table = run.beside()
    assert table.data.to_numpy().tolist() == [
        ["small: vae · public · kmeans, genre", "ARI ↑", "0.650 ± 0.071", "0.150 ± 0.071", "0.500", "0.200 ± 0.000"],
        ["small: raw · public · kmeans, genre", "ARI ↑", "0.300 ± 0.000", "0.300 ± 0.000", "0.000", "–"],
    ]
    assert list(table.data.columns) == ["what", "metric", "this run", "book", "difference", "released run"]
    assert "easy: beta 1 → 8." in table.to_html()
    assert len(compare.beside(run, most=1).data) == 1


def test_only_a_variation_or_a_run_by_hand_stands_beside_another(results):
    for build in ("book", "smoke", "own-songs-01234567"):
        assert results(build, row(0.1, 0.2)).beside() is None
    table = results("smoke+beta=8", row(0.1, 0.3)).beside()
    assert list(table.data.columns) == ["what", "metric", "this run", "smoke", "difference"]
    assert "There are no rows of the released run" in table.to_html()


def test_a_run_that_has_nothing_to_stand_beside_says_so(results):
    run = results("scratch", row(0.1, 0.2))
    told = "There are no rows of the book to put beside it. There are no rows of the released run to put beside it."
    assert run.beside().data == told
    results("book", row(0.1, 0.2, model="other"))
    assert run.beside().data.startswith("The book has no such rows, it is of other corpora or methods.")


@pytest.mark.slow
def test_a_notebook_that_is_run_by_hand_from_its_own_folder_ends_with_its_scores_beside_the_stored_ones(tmp_path):
    for name in ("vae_lib", "book/companion", "paper/results"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = [
        "profile: str = 'scratch'\nk: int = 4",
        "import companion\nfrom companion import report\nrun = companion.Run(globals())\n"
        "rows = report.collect(source=report.PAPER, notebooks=['easy'])[0]\n"
        "class evaluation:\n    pass\n"
        "evaluation.rows = rows\n"
        "evaluation.corpora = {name: {'hash': '0' * 64, 'source': ''} for name in rows['corpus']}\n"
        "run.add(evaluation)\nrun.write()\nrun.beside()",
    ]
    document = new_notebook(cells=[new_code_cell(source) for source in code])
    client = nbclient.NotebookClient(
        document, kernel_name="python3", resources={"metadata": {"path": tmp_path / "book"}}
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    by_hand = {"PATH": path, "PYTHONPATH": f"{tmp_path / 'book'}:{tmp_path}", "JPY_SESSION_NAME": "book/easy.ipynb"}
    ran = client.execute(env=os.environ | by_hand | {"JUPYTER_PREFER_ENV_PATH": "1"})
    assert (tmp_path / "_build/scratch/results/easy.json").is_file()
    shown = ran.cells[-1].outputs[0]["data"]["text/html"]
    assert "There are no rows of the book to put beside it." in shown
    assert "k 10 → 4" in shown
