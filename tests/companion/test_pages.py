"""Marks and downloads of staged pages: what a reader is told of a number must be what it was computed from."""

import csv
import doctest
import importlib
import json
import re
from base64 import b64encode

import nbformat
import pytest
from made import row

from companion import pages, passports, report
from vae_lib.checks import ParameterError

TABLE = """<style>#T th {color: red}</style><table id="T"><caption>Scores &lt;all&gt;</caption>
<thead><tr><th class="blank">&nbsp;</th><th colspan="2">ARI ↑</th></tr></thead>
<tbody><tr><th rowspan="2">easy</th><td>0.1 ± 0.2<br>p 1</td><td>a, "b"</td></tr>
<tr><td>−1</td><td></td></tr></tbody></table>"""


def rows_file(folder, name, **provenance):
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "corpora": {"small": {"hash": "0123456789abcdef", "source": "made up"}},
        "parameters": {"seeds": 3},
        "commit": "abcdef012345",
        "seconds": 12.3,
    }
    of = dict.fromkeys(report.COLUMNS) | {"notebook": name, "n": 9, "k": 3, "subset": "all", "metric": "ari"}
    rows = [of | {"mean": 1 / 3, "params": {"β": 4}, "values": [0.1, None]}]
    content = {"provenance": about | provenance, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def page(build, name, cells, **parameters):
    (build / "executed").mkdir(parents=True, exist_ok=True)
    (build / "params").mkdir(exist_ok=True)
    (build / "params" / f"{name}.json").write_text(json.dumps(parameters), encoding="utf-8")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), build / "executed" / f"{name}.ipynb")


def cell(*data, name="c1", tags=(), **metadata):
    outputs = [nbformat.v4.new_output("display_data", data=each) for each in data]
    return nbformat.v4.new_code_cell("show()", id=name, outputs=outputs, metadata={"tags": list(tags), **metadata})


def glued(key, text):
    data = {f"{pages.RECORD}text/plain": text}
    return nbformat.v4.new_output("display_data", data=data, metadata={"scrapbook": {"name": key}})


@pytest.fixture
def build(tmp_path):
    rows_file(tmp_path / "build/results", "easy")
    numbers = cell(name="c2")
    numbers.outputs = [glued("easy_n", "100.0")]
    picture = b64encode(b"\x89PNG not really").decode()
    figure = {"figure": {"name": "fig-easy", "caption": "Two `lines` {cite}`vinh2010`. And more."}}
    drawn = cell({"image/png": picture, "image/svg+xml": "<svg>1</svg>"}, name="c3", mystnb=figure)
    text = nbformat.v4.new_markdown_cell("There are {glue:text}`easy.ipynb::easy_n:.0f` tracks.")
    page(tmp_path / "build", "easy", [cell({"text/html": TABLE}), numbers, drawn, text], profile="book", k=10)
    return tmp_path / "build"


def staged(build, **options):
    pages.stage(build, build.parent / "stage", **{"notebooks": ["easy"], **options})
    return nbformat.read(build.parent / "stage/book/easy.ipynb", as_version=4).cells


def test_a_table_is_read_as_it_is_shown_with_wide_cells_repeated():
    assert pages.table_cells(TABLE) == [
        [["", "ARI ↑", "ARI ↑"], ["easy", "0.1 ± 0.2\np 1", 'a, "b"'], ["easy", "−1", ""]],
    ]
    assert pages.table_cells("<p>no table</p>") == []


def test_headers_say_what_they_head_and_empty_ones_head_nothing():
    text = pages.accessible(TABLE, pages=["easy"])
    assert '<th colspan="2" scope="colgroup">ARI ↑</th>' in text
    assert '<th rowspan="2" scope="rowgroup"><a href="easy.html">easy</a></th>' in text
    assert '<td class="blank">' in text
    assert text.startswith("<style>#T th {color: red}</style>")


def test_a_mark_tells_where_an_output_comes_from(build):
    mark = staged(build)[2].source
    for told in ("small, content 0123456789ab", "k = 10", "0 to 2", "abcdef012345", "12 s for the page"):
        assert f"<dd>{told}</dd>" in mark
    assert '<a href="#cell-easy-c1">' in mark
    assert 'href="../tables/easy-c1.csv"' in mark
    assert 'href="../results/easy.json"' in mark
    assert "profile" not in mark
    assert "Scores &lt;all&gt;" in mark, "a caption is text, not HTML"
    assert "\n\n" not in mark, "a blank line would end the HTML"


def test_downloads_hold_what_is_shown(build):
    staged(build)
    extra = build.parent / "stage/extra"
    with (extra / "tables/easy-c1.csv").open(encoding="utf-8", newline="") as lines:
        assert list(csv.reader(lines)) == pages.table_cells(TABLE)[0]
    assert (extra / "figures/fig-easy.svg").read_text(encoding="utf-8") == "<svg>1</svg>"
    with (extra / "results/easy.csv").open(encoding="utf-8", newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert float(row["mean"]) == 1 / 3
    assert row["p_value"] == ""
    assert json.loads(row["params"]) == {"β": 4}
    assert json.loads(row["values"]) == [0.1, None]


def test_a_figure_without_a_description_gets_the_begin_of_its_caption(build):
    figure = next(cell for cell in staged(build) if cell.id == "c3")
    assert figure.metadata["mystnb"]["image"]["alt"] == "Two lines"
    assert "image/svg+xml" not in figure.outputs[0]["data"], "the page shows the PNG, whatever the size of the other"


def test_a_drawing_of_very_many_points_is_left_out(build):
    drawn = cell({"image/png": "AAAA", "image/svg+xml": "<svg>" + " " * pages.LARGEST_SVG + "</svg>"})
    page(build, "easy", [drawn])
    assert ".svg" not in staged(build)[2].source
    assert not (build.parent / "stage/extra/figures").exists()


def test_only_what_is_shown_has_a_mark_and_all_code_an_anchor(build):
    page(build, "easy", [cell(name="c1"), cell({"text/plain": "1"}, name="c2", tags=["remove-output"])])
    sources = [each.source for each in staged(build)]
    assert "(cell-easy-c1)=" in sources
    assert "(cell-easy-c2)=" in sources
    assert not any("<details" in source for source in sources)


def test_a_number_leads_to_its_cell(build, tmp_path):
    prose = tmp_path / "index.md"
    prose.write_text("# Book\n\nOn {glue:text}`easy.ipynb::easy_n:.0f` tracks.\n", encoding="utf-8")
    linked = "[{glue:text}`easy.ipynb::easy_n:.0f`](#cell-easy-c2)"
    assert f"There are {linked} tracks." in [each.source for each in staged(build, prose=[prose])]
    text = (tmp_path / "stage/book/index.md").read_text(encoding="utf-8")
    assert f"On {linked} tracks." in text
    assert pages.HEADING in text
    assert "| {doc}`easy` | [c2](#cell-easy-c2) | small, content 0123456789ab | abcdef012345 |" in text


def test_numbers_in_prose_and_tables_hold_the_passport_of_their_row(results, tmp_path):
    rows = [row(0.25, 0.35, model="cond_vae", chance=0.125), row(0.5, 0.7, model="raw", subset="one_per_artist")]
    run = results("book", *rows, epochs=3)
    build, (first, second) = run.path.parents[1], run.rows.to_dict("records")
    computed = cell({"text/html": report.table(run.rows, names={"cond_vae": "VAE told"}, caption="").to_html()})
    computed.execution_count = 2
    numbers = cell(name="c2")
    numbers.outputs = [glued("easy_first", repr(first["mean"])), glued("easy_n", "12.0")]
    text = nbformat.v4.new_markdown_cell("{glue:text}`easy.ipynb::easy_first:.2f` {glue:text}`easy.ipynb::easy_n:.0f`")
    page(build, "easy", [computed, numbers, text])
    content = json.loads(run.path.read_text(encoding="utf-8"))
    content["provenance"]["cells"] = [2, None]
    run.path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "glossary.md").write_text(
        "```{glossary}\nARI\n  Range.\n\n  Pairs of tracks. More.\n```\n", encoding="utf-8"
    )
    cells = staged(build, prose=[tmp_path / "glossary.md"], paper=run.path.parent)
    key, other = report.key(first), report.key(second)
    linked = f'<span class="{key}">[{{glue:text}}`easy.ipynb::easy_first:.2f`](#cell-easy-c1)</span> [{{glue'
    assert any(linked in each.source for each in cells), "a score leads to where it was computed; a count has no row"
    shown = next(each for each in cells if each.id == "c1").outputs[0]["data"]["text/html"]
    assert f'class="data row0 col0 {key}"' in shown
    (script,) = [each.source for each in cells if 'id="passports"' in each.source]
    held = json.loads(re.search(">(.*)</script>", script)[1])
    assert list(held) == [key], "of what the page shows, no more"
    expected = ["<strong>ARI</strong> VAE told: <b>0.300 ± 0.071</b>", "<p>Pairs of tracks.</p>", "<dd>0.125</dd>"]
    expected += ["small, 12 tracks", "k-means, k = 3", "2, 0.250 to 0.350", '<a href="#cell-easy-c1">']
    expected += ["<dt>released run</dt><dd>0.300 ± 0.071</dd>", "make book P=&quot;easy.epochs=6&quot;"]
    assert [told for told in expected if told not in held[key]] == []
    assert held[key].count("<circle") == 2
    everything = passports.collect({"easy": content}, {}, {})
    assert "one per artist" in passports.card(everything[other], page="easy", told={})
    assert "features" in passports.card(everything[other], page="easy", told={})


def test_a_corpus_may_have_any_name(build, tmp_path):
    rows_file(build / "results", "easy", corpora={"<b>a|b*": {"hash": "0" * 64, "source": ""}})
    prose = tmp_path / "index.md"
    prose.write_text("On {glue:text}`easy.ipynb::easy_n:.0f` tracks.\n", encoding="utf-8")
    assert "<dd>&lt;b&gt;a|b*, content" in staged(build, prose=[prose])[2].source
    text = (tmp_path / "stage/book/index.md").read_text(encoding="utf-8")
    assert r"| \<b\>a\|b\*, content 000000000000 |" in text


def test_prose_without_numbers_stays_as_it_is(build, tmp_path):
    prose = tmp_path / "references.md"
    prose.write_text("# References\n", encoding="utf-8")
    staged(build, prose=[prose])
    assert (tmp_path / "stage/book/references.md").read_text(encoding="utf-8") == "# References\n"


def test_prose_shows_a_figure_with_its_description_and_its_mark(build, tmp_path):
    prose = tmp_path / "index.md"
    prose.write_text("```{figure} figures/fig-easy.png\n:name: fig-front\n\nTwo.\n```\n", encoding="utf-8")
    staged(build, prose=[prose])
    text = (tmp_path / "stage/book/index.md").read_text(encoding="utf-8")
    assert ":alt: Two lines\n:name: fig-front\n\nTwo.\n```\n\n<details" in text
    assert '<a href="easy.html#cell-easy-c3">' in text
    assert (tmp_path / "stage/book/figures/fig-easy.png").read_bytes() == b"\x89PNG not really"


def test_a_cell_of_stored_rows_tells_of_the_run_that_made_them(build, tmp_path):
    rows_file(tmp_path / "paper", "easy", commit="fedcba543210")
    shown = [cell({"text/html": TABLE}, name=f"c{i}", tags=tags) for i, tags in enumerate([[], ["rows:paper"]])]
    shown.append(cell({"text/html": TABLE}, name="c2", tags=["rows:paper", "rows:build"]))
    page(build, "results", shown, notebooks=["easy"])
    pages.stage(build, tmp_path / "stage", notebooks=["results"], paper=tmp_path / "paper")
    cells = nbformat.read(tmp_path / "stage/book/results.ipynb", as_version=4).cells
    commits = [
        ("abcdef012345" in each.source, "fedcba543210" in each.source) for each in cells if "<details" in each.source
    ]
    assert commits == [(True, False), (False, True), (True, True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{glue:text}`easy.ipynb::nothing:.0f`", "takes 'nothing' of easy.ipynb"),
        ("```{glue:any} nothing\n:doc: easy.ipynb\n```\n", "takes 'nothing' of easy.ipynb"),
        ("```{figure} figures/fig-none.png\n:name: x\n\n```\n", "'fig-none', which no notebook draws"),
    ],
)
def test_prose_that_shows_what_is_not_there_is_an_error(text, message, build, tmp_path):
    (tmp_path / "index.md").write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=message):
        staged(build, prose=[tmp_path / "index.md"])


def test_what_is_missing_or_broken_is_named(build):
    with pytest.raises(ParameterError, match=r"executed/hard\.ipynb.*execute its notebook first"):
        staged(build, notebooks=["easy", "hard"])
    (build / "results/easy.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"easy\.json is not a result file"):
        staged(build)


@pytest.mark.parametrize(
    "name", ["pages", "parameters", "passports", "reference", "text"]
)  # those of no page of the reference
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(f"companion.{name}"))
    assert result.attempted
    assert not result.failed


def test_trimming_leaves_what_pages_load(tmp_path):
    kept = ["_static/mathjax/tex-chtml.js", "_static/mathjax/output/chtml/fonts/a.woff", "_static/theme.css"]
    gone = ["_static/mathjax/sre/speech.js", "_static/theme.css.map"]
    for name in [*kept, *gone, "_sources/book/easy.ipynb", "book/references.html"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('<div role="list" class="citation-list"><p role="list">', encoding="utf-8")
    (tmp_path / "easy.ipynb").write_text("clean", encoding="utf-8")
    pages.trim(tmp_path, sources=[tmp_path / "easy.ipynb"])
    assert all((tmp_path / name).exists() for name in kept)
    assert not any((tmp_path / name).exists() for name in gone)
    assert (tmp_path / "_sources/book/easy.ipynb").read_text(encoding="utf-8") == "clean"
    assert '<div class="citation-list"><p role="list">' in (tmp_path / "book/references.html").read_text(
        encoding="utf-8"
    )


def test_no_cell_of_a_download_is_a_formula(tmp_path):
    cells = ["=1+1", "@a", "-a", "+a", "-0.2", "+2.0", "−1", "a=b", 3, None]
    pages._write_csv(tmp_path / "table.csv", [cells])
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as lines:
        assert next(csv.reader(lines)) == ["'=1+1", "'@a", "'-a", "'+a", "-0.2", "+2.0", "−1", "a=b", "3", ""]
