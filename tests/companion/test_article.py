"""The article: its numbers are those of the rows, its words those of the tests; what is not there stops the build."""

import csv
import json
import re
import shutil
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion import article, report
from companion.__main__ import main
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = sorted((ROOT / "paper/sections").glob("*.typ"))

DEFINITIONS = {
    "0.2": "dropout of the published models",
    "256": "widths of the published models, and of ours",
    "128": "as above",
    "512": "as above",
    "64": "as above, and latents of the published β-VAE",
    "32": "latents of the published base VAE",
    "95": "per cent of an interval",
    "0.3": "a value of β",
    "0.1": "a value of β",
    "0.02": "the margin of equality",
    "16": "latents",
    "53": "columns",
    "155": "columns of FMA",
    "69": "columns of Indian music",
    "25": "tests of one family that ten seeds can decide",
    "0.5": "noise of the frozen model, in the name of its row",
}
"""Numbers that may stand in the source: what they define was decided and not measured."""


def pages_of(pdf):
    """Text of each page, without the spaces that kerning leaves out or puts in."""
    objects = {int(number): body for number, body in re.findall(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL)}

    def stream(number):
        head, data = objects[number].split(b"stream\n", 1)
        data = data.rsplit(b"\nendstream", 1)[0]
        return zlib.decompress(data) if b"FlateDecode" in head else data

    def reference(body, name):
        return int(re.search(rb"/" + name + rb" (\d+) 0 R", body)[1])

    def characters(font):
        table = stream(reference(objects[font], b"ToUnicode")).decode()
        return {
            int(code, 16): bytes.fromhex(text).decode("utf-16-be")
            for code, text in re.findall(r"^<(\w{4})> <(\w+)>$", table, re.MULTILINE)
        }

    def unescape(text):
        named = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
        octal = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
        return octal.sub(
            lambda found: bytes([int(found[1], 8)]) if found[1].isdigit() else named.get(found[1], found[1]), text
        )

    pages = []
    for body in objects.values():
        if not body.startswith(b"<</Type/Page/"):
            continue
        fonts = re.search(rb"/Font<<(.*?)>>", objects[reference(body, b"Resources")])
        tables = {name: characters(int(number)) for name, number in re.findall(rb"/(\w+) (\d+) 0 R", fonts[1])}
        text, table = "", {}
        plain = rb"(?:\\.|[^\\()])*"  # of a string, which may hold brackets in pairs
        marks = rb"/(\w+) [\d.]+ Tf|\((" + plain + rb"(?:\(" + plain + rb"\)" + plain + rb")*)\)|<([0-9A-Fa-f]+)>"
        content = re.sub(rb"<<.*?>>BDC", b"", stream(reference(body, b"Contents")), flags=re.DOTALL)  # tags
        for font, string, digits in re.findall(marks, content, re.DOTALL):
            if font:
                table = tables[font]
                continue
            codes = bytes.fromhex(digits.decode()) if digits else unescape(string)
            text += "".join(table.get(int.from_bytes(codes[at : at + 2], "big"), "�") for at in range(0, len(codes), 2))
        pages.append(re.sub(r"\s", "", text))
    return pages


@pytest.fixture(scope="module")
def built():
    return article.typeset()


@pytest.fixture(scope="module")
def pages(built):
    return pages_of(built[0])


@pytest.fixture(scope="module")
def claims():
    declared = tomllib.loads(article.CLAIMS.read_text(encoding="utf-8"))
    return declared, article.judge(declared, report.verdicts(report.PAPER))


@pytest.fixture
def judged(claims, monkeypatch):
    """Claims are not tested again where a test is about something else."""
    monkeypatch.setattr(article, "judge", lambda *_, **__: claims[1])


@pytest.fixture
def copied(tmp_path):
    """Results of the released run in a folder of their own, to spoil."""
    shutil.copytree(report.PAPER, tmp_path / "results", ignore=shutil.ignore_patterns("figures"))
    (tmp_path / "results/figures").symlink_to(report.PAPER / "figures")
    return tmp_path / "results"


def spoil(folder, notebook, change):
    path = folder / f"{notebook}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def picked(content, **where):
    (row,) = [row for row in content["rows"] if all(row[name] == value for name, value in where.items())]
    return row


VAE_NMI = {"model": "vae", "metric": "nmi", "subset": "all", "clusterer": "kmeans"}


def test_the_committed_article_is_what_its_source_gives_byte_by_byte(built):
    pdf, exhibits = built
    assert pdf == article.PDF.read_bytes(), "run `make paper` and commit paper/"
    with report.EXHIBITS.open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == exhibits, "run `make paper` and commit paper/"


@pytest.mark.parametrize(
    ("where", "digits"),
    [
        *(({"notebook": "easy", "metric": "ari", "model": model, "clusterer": "kmeans"}, 3)
          for model in ("standardised", "raw", "pca", "whitened", "untrained", "ae", "dae", "vae")),
        *(({"notebook": "ensembles", "metric": metric, "model": "all_vae", "clusterer": "vote"}, 3)
          for metric in ("ari", "nmi", "accuracy")),
        *(({"notebook": "ensembles", "metric": "ari", "model": model, "clusterer": "vote"}, 3)
          for model in ("features", "whitened", "ae", "vae", "all_whitened")),
        *(({"notebook": "hard", "corpus": "songs-bn-en", "metric": "ari", "model": model, "target": "language"}, 3)
          for model in ("raw", "vae", "cvae", "centred", "scaled")),
        ({"notebook": "audit", "corpus": "gtzan-mini", "metric": "ari", "model": "published_vae"}, 3),
        ({"notebook": "audit", "corpus": "noise", "metric": "ari", "model": "cvae"}, 3),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_headline_number_stands_in_the_pages_as_it_is_stored(where, digits, pages):
    row = report.select(report.stored(), subset="all", **where)
    told = f"{row['mean']:.{digits}f}±{row['sd']:.{digits}f}".replace("-", "−")
    assert told in "".join(pages[:9])


def test_figures_are_counted_among_noise_as_they_lie(pages):
    rows = report.stored().query("notebook == 'audit'")
    told, published = article.noise(rows), report.published()
    assert f"{told['inside']}ofits{told['total']}storedfigures" in pages[0]
    assert told["total"] == published.size == len(told["placed"])
    assert (told["sizes"], told["impossible"]) == ([100], 3), "what the digits of the stored ARIs say"
    placed = pd.DataFrame(told["placed"]).set_index(["reading", "metric"])
    one = placed.loc["features, k-means", "silhouette"]
    draws = np.array(report.select(rows, corpus="noise", model="raw", metric="silhouette", space="native")["values"])
    assert one["value"] == published.loc["raw", "silhouette"]
    assert one["below"] == np.mean(draws < one["value"])
    assert one["inside"] == (np.quantile(draws, 0.025) <= one["value"] <= np.quantile(draws, 0.975))


def test_content_fits_nine_pages_and_every_character_has_a_glyph(pages):
    (last,) = [number for number, text in enumerate(pages, start=1) if "References[1]" in text]
    assert last <= 9
    assert not any("�" in text for text in pages)
    assert not any(mark in text for text in pages for mark in "{}"), "a brace was left unresolved"


def test_who_cannot_see_it_is_told_what_is_shown(built):
    pdf, exhibits = built
    assert b"/StructTreeRoot" in pdf
    assert b"/Title" in pdf
    assert pdf.count(b"/S/Figure") >= len({shown["exhibit"] for shown in exhibits if "Figure" in shown["exhibit"]})


def test_what_no_verdict_covers_is_said_of_rows_that_have_it():
    rows = report.stored()

    def of(notebook, column, metric, **where):
        found = report.where(rows, notebook=notebook, metric=metric, **where)
        return found.set_index(column)["mean"]

    placed = pd.DataFrame(article.noise(rows)["placed"])
    outside = placed[~placed["inside"]].set_index("reading")["metric"]
    assert sorted(outside["features, k-means"]) == ["ari", "nmi", "purity"]
    assert outside["PCA, k-means"] == "calinski_harabasz"
    assert len(outside) == 4

    bound, agreement = (of("choice", "model", metric, subset="all") for metric in ("bound", "ari"))
    trained_on_it = bound[~bound.index.str.contains("β = 0.3")]
    assert trained_on_it["textbook"] < trained_on_it.drop("textbook").min() - 3, "last by far"
    assert agreement["textbook"] == agreement.min()
    weak = bound.index[bound.index.str.contains("β = 0.3")]
    assert bound[weak].min() < bound["textbook"] + 0.5
    assert agreement[weak].min() > of("easy", "model", "ari", subset="all", clusterer="kmeans")["raw"]

    native, common = (of("easy", "model", "silhouette", space=space) for space in ("native", "common"))
    assert list(native.sort_values().index) == list(common.sort_values(ascending=False).index) == ["raw", "pca", "vae"]

    elsewhere = report.where(rows, notebook="elsewhere", metric="ari")
    assert len({of.loc[of["mean"].idxmax(), "model"] for _, of in elsewhere.groupby("corpus")}) > 1, "no method is best"

    largest = report.where(rows, notebook="scaling", metric="seconds").groupby("model")["n"].max()
    assert set(largest[largest == largest.min()].index) == {"t-SNE", "UMAP"}
    pairs = {"Ward", "metrics of shape", "DBSCAN", "permutation test"}
    assert set(largest[largest < largest["VAE, one epoch"]].index) >= pairs


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
def test_no_semicolon_is_swallowed_by_what_stands_before_it(path):
    source = path.read_text(encoding="utf-8")
    assert not re.findall(r"#[\w.-]+\((?:[^()]|\([^()]*\))*\);", source), "it ends the expression and is not printed"


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
def test_no_measured_number_is_typed(path):
    source = re.sub(r"^\s*//.*$|\s// .*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    source = re.sub(r"\b\d+(\.\d+)?(pt|in|em|fr|%)", "", source)  # lengths
    typed = set(re.findall(r"(?<![\w.])(?:\d*\.\d+|\d{2,})(?![\w.]*\w)", source))
    assert typed <= set(DEFINITIONS), f"look up {', '.join(sorted(typed - set(DEFINITIONS)))}, or say what it defines"


def test_every_claim_is_what_its_page_found(claims):
    declared, judged = claims
    found = report.verdicts(report.PAPER).set_index(["notebook", "line"])
    assert len(judged) == sum(map(len, declared.values())) > 20
    for notebook, of in declared.items():
        for name, claim in of.items():
            line, told = found.loc[notebook, claim["line"]], judged[f"{notebook}.{name}"]
            assert line["verdict"].startswith(claim["verdict"])
            assert told["difference"] == line["difference"]
            assert (told["p"] <= 0.05) == (claim["verdict"] in ("above", "below"))


def test_a_claim_that_its_page_no_longer_supports_stops_the_build(copied):
    def reverse(content):
        (line,) = [of for of in content["verdicts"] if of["line"] == "all songs: features, Yeo-Johnson"]
        line["verdict"] = "not decided"

    spoil(copied, "easy", reverse)
    with pytest.raises(ParameterError, match=r"all-raw of claims\.toml says above, the page says not decided"):
        article.typeset(copied, own=False)


# What is missing or undefined stops the build, with its name and its place in the source.


def test_a_missing_row_is_named(copied, judged):
    spoil(copied, "easy", lambda content: content["rows"].remove(picked(content, **VAE_NMI)))
    with pytest.raises(article.ArticleError) as error:
        article.typeset(copied, own=False)
    assert '0 rows of easy have subset = "all"' in str(error.value)
    assert 'model = "vae"' in str(error.value)
    assert 'metric = "nmi"' in str(error.value)
    assert "paper/sections/results.typ" in str(error.value)


def test_a_row_that_is_there_twice_is_named(copied, judged):
    spoil(copied, "easy", lambda content: content["rows"].append(picked(content, **VAE_NMI)))
    with pytest.raises(article.ArticleError, match="2 rows of easy have"):
        article.typeset(copied, own=False)


def test_a_number_that_is_not_defined_is_named(copied, judged):
    spoil(copied, "easy", lambda content: picked(content, **VAE_NMI).update(mean=None))
    with pytest.raises(article.ArticleError, match="has NaN in mean") as error:
        article.typeset(copied, own=False)
    assert 'model = "vae"' in str(error.value)


def test_a_missing_line_of_a_claim_is_named(copied):
    spoil(copied, "easy", lambda content: content["verdicts"].clear())
    with pytest.raises(ParameterError, match=r"claim easy\.all-raw of claims\.toml: easy has no verdict 'all songs"):
        article.typeset(copied, own=False)


def test_a_brace_that_a_page_left_unresolved_is_named(copied):
    spoil(copied, "easy", lambda content: content["verdicts"][0].update(line="all songs: {target}"))
    with pytest.raises(ParameterError, match=r"a verdict is called 'all songs: \{target\}'"):
        article.typeset(copied, own=False)


def test_a_missing_file_is_named(copied):
    (copied / "medium.json").unlink()
    with pytest.raises(ParameterError, match="lacks the results of medium"):
        article.typeset(copied)


def test_a_corpus_of_two_contents_is_named(copied):
    spoil(copied, "easy", lambda content: content["provenance"]["corpora"]["gtzan"].update(hash="0" * 64))
    with pytest.raises(ParameterError, match=r"corpus gtzan has the content .*0{12} in easy\.json"):
        article.typeset(copied)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('#mean("easy", metric: "ari", model: "nothing")', '0 rows of easy have .*model = "nothing"'),
        ('#verdict("easy.nothing")', r"claims\.toml declares no claim easy\.nothing"),
        ('#param("easy", "nothing")', "ran with no parameter nothing"),
        ('#drawing("fig-easy-nothing", "Nothing", [], alt: "nothing")', "no figure fig-easy-nothing"),
        ('#drawing("fig-easy-maps", "Maps", [])', "figure “Maps” has no alt"),
        ('#against("easy", "nothing")', '0 verdicts of easy are called "nothing"'),
        ('#on-gtzan("vae") #on-gtzan("vae", digits: 1)', 'model = "vae".* is printed with 3 digits .* 1 elsewhere'),
        ('#results-table("Mixed", [], columns: 2, head: ([], []), on-gtzan("vae", show-as: cell), '
         'audited("noise", "raw", show-as: cell))', "table “Mixed” mixes rows of 2 corpus contents"),
        ('#drawing("fig-easy-maps", "Maps", [], alt: "maps", placement: none) '
         '#results-table("Table", [], columns: 1, head: ([],), made: (("easy", "no such cell"),), [])',
         "0 cells of easy.ipynb have 'no such cell'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_source_is_named_with_its_place(line, message, judged, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "paper", tmp_path / "paper", ignore=shutil.ignore_patterns("results", "*.pdf"))
    source = tmp_path / "paper/main.typ"
    imports = [f'#import "{name}.typ": *' for name in ("neurips", "results", "sections/words")]
    source.write_text("\n".join([*imports, line, ""]), encoding="utf-8")
    monkeypatch.setattr(article, "SOURCE", source)
    monkeypatch.setattr(article, "ROOT", Path("/"))  # so that the copy lies below the root of the compiler
    monkeypatch.setattr(article, "BOOK", ROOT / "book")
    with pytest.raises(article.ArticleError, match=message) as error:
        article.typeset()
    assert "main.typ" in str(error.value) or any(word in line for word in ("no such cell", "digits"))


def test_a_build_that_fails_leaves_the_last_article(copied, capsys):
    (copied / "medium.json").unlink()
    (copied.parent / "article.pdf").write_bytes(b"the last one")
    assert main(["article", "--results", str(copied)]) == 1
    assert "the article was not set; the last one is as it was" in capsys.readouterr().err
    assert (copied.parent / "article.pdf").read_bytes() == b"the last one"


# Other runs, and the way from the article to the book.


def test_the_article_of_another_run_says_so_on_every_page(smoke_book, tmp_path):
    before = article.PDF.read_bytes()
    shutil.copytree(smoke_book / "results", tmp_path / "results")  # the article goes beside them, and not into the book
    (tmp_path / "executed").symlink_to(smoke_book / "executed")
    assert main(["article", "--results", str(tmp_path / "results")]) == 0
    pages = pages_of((tmp_path / "article.pdf").read_bytes())
    assert all("yourownrun" in text for text in pages)
    assert "Yourownrun." in pages[0]
    row = report.select(
        report.collect(source=smoke_book / "results")[0],
        notebook="easy", metric="ari", model="vae", clusterer="kmeans", subset="all",
    )  # fmt: skip
    assert f"{row['mean']:.3f}" in pages[0]
    assert article.PDF.read_bytes() == before


def test_what_a_run_lacks_is_left_open_in_its_own_article_only(copied, judged):
    spoil(copied, "easy", lambda content: content["rows"].remove(picked(content, **VAE_NMI)))
    pdf, _ = article.typeset(copied, own=True)
    assert "–" in "".join(pages_of(pdf))


def test_the_book_shows_the_article_and_links_every_exhibit_to_its_cell(smoke_book):
    html = smoke_book / "html"
    assert (html / "neurips_2024.pdf").read_bytes() == article.PDF.read_bytes()
    page = (html / "book/article.html").read_text(encoding="utf-8")
    for address in re.findall(r'(?:data|href)="([^"]*neurips_2024\.pdf)["#]', page):
        assert (html / "book" / address).resolve() == (html / "neurips_2024.pdf").resolve()
    assert page.count("neurips_2024.pdf") >= 2
    with report.EXHIBITS.open(encoding="utf-8") as file:
        for exhibit in csv.DictReader(file):
            assert exhibit["exhibit"] in page
            target = re.search(r"\(#(fig-[\w-]+)\)", exhibit["made by"])
            address = f"{exhibit['notebook']}.html" + (f"#{target[1]}" if target else "")
            assert f'href="{address}"' in page, exhibit
