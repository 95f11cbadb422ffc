"""Every page of the small book: whole, light, without a network, and each number traced, downloadable and readable.

The pages are parsed once; what needs a browser is in test_browser.py.
"""

import csv
import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from companion.pages import LARGEST_SVG

ROOT = Path(__file__).resolve().parents[2]
PAGES = re.findall(r"(?:file|root): *book/(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
NOTEBOOKS = [name for name in PAGES if (ROOT / f"book/{name}.ipynb").exists()]
MIB = 2**20

page = pytest.mark.parametrize("name", PAGES)
notebook = pytest.mark.parametrize("name", NOTEBOOKS)


@pytest.fixture(scope="module")
def parsed(html):
    """A function that parses a file of the book, once."""
    found = {}

    def parse(path):
        path = path.resolve()
        if path not in found:
            found[path] = BeautifulSoup(path.read_bytes(), "html.parser")
        return found[path]

    return parse


@pytest.fixture(scope="module")
def pages(html, parsed):
    """Every page by its name."""
    return {name: parsed(html / f"book/{name}.html") for name in PAGES}


def marked_cells(soup):
    """Pairs of a cell that shows a table or a figure, and its mark."""
    cells = [cell for cell in soup.select("div.cell") if cell.select("div.cell_output table, div.cell_output img")]
    assert cells, "the page shows nothing"
    return [(cell, cell.find_next_sibling()) for cell in cells]


def told_by(mark):
    return {term.text: term.find_next_sibling("dd") for term in mark.select("dt")}


@cache
def ids(path):
    return set(re.findall(r'\bid="([^"]*)"', path.read_text(encoding="utf-8")))


# Whole, and from disk.


@notebook
def test_a_page_shows_every_figure_and_table_of_its_notebook(name, html, pages, smoke_book):
    local = [image["src"] for image in pages[name].select("img") if not image["src"].startswith("data:")]
    for image in (image for image in local if not image.endswith(".svg")):
        with Image.open(html / "book" / image) as picture:
            picture.load()
            assert min(picture.size) > 1
    cells = nbformat.read(smoke_book / f"executed/{name}.ipynb", as_version=4).cells
    shown = [
        output.get("data", {})
        for cell in cells
        for output in cell.get("outputs", [])
        if "remove-output" not in cell.metadata.get("tags", [])
    ]
    drawn = [image for image in local if not image.endswith(".svg")]
    assert len(drawn) == sum("image/png" in data for data in shown) > 0
    tables = sum(data.get("text/html", "").count("<table") for data in shown)
    assert len(pages[name].select("table")) >= tables > 0


@pytest.mark.parametrize("name", [*(f"book/{name}" for name in PAGES), "index", "search", "genindex"])
def test_a_page_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(name, html, parsed):
    path = html / f"{name}.html"
    soup = parsed(path)
    loads = [item.get("src") for item in soup.select("script, img, iframe, source, audio, video, embed")]
    loads += [item.get("href") for item in soup.select("link:not([rel=canonical])")]
    for target in filter(None, loads):
        assert not re.match(r"(https?:)?//", target), target
        if not target.startswith("data:"):
            assert (path.parent / re.split("[?#]", target)[0]).exists(), target
    for target in {link.get("href") for link in soup.select("a")} - {None}:
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            linked = path.parent / file.partition("?")[0] if file else path
            assert linked.exists(), target
            if anchor and linked.suffix == ".html":
                assert anchor in ids(linked), target
    scripts = "".join(script.text for script in soup.select("script:not([src])"))
    assert "//unpkg.com" not in scripts
    assert "//cdn" not in scripts


@page
def test_a_page_is_light(name, html, pages):
    path = html / f"book/{name}.html"
    shown = {item["src"] for item in pages[name].select("article :is(img, audio, video, source, iframe)[src]")}
    files = {path.parent / source for source in shown if not re.match(r"[a-z]+:", source)}
    assert path.stat().st_size + sum(file.stat().st_size for file in files) < 3 * MIB


def test_the_book_is_light(html):
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) < 40 * MIB
    assert not list(html.rglob("*.map")), "maps of minified code are for those who change the theme"


@pytest.mark.make
def test_a_second_make_renders_nothing(html, run_make):
    before = (html / "index.html").stat().st_mtime_ns
    assert run_make("book", "PROFILE=smoke").returncode == 0
    assert (html / "index.html").stat().st_mtime_ns == before


def test_plotly_is_there_once(html, pages):
    assert len(list(html.rglob("plotly*.js"))) == 1
    assert not any("plotly" in script.get("src", "") for soup in pages.values() for script in soup.select("script"))


# Written for readers.


def prose(soup):
    """What is read of a page: without code, formulas, marks, and what scripts hold."""
    article = BeautifulSoup(str(soup.select_one("article")), "html.parser")
    for hidden in article.select("pre, code, script, style, .math, details, .cell_input, select"):
        hidden.decompose()
    return article


@pytest.mark.parametrize("name", [name for name in PAGES if not name.startswith("api/")])  # which quote code
def test_a_page_holds_no_debris(name, pages):
    article = prose(pages[name])
    for table in article.select("table:has(caption)"):
        if re.search("computed from|made from|Source, terms", table.caption.text):
            table.decompose()  # names of files and parameters
    text = article.get_text(" ")
    assert not re.findall(r"\bnan\b.{20}|.{20}[{}].{20}", text)
    assert not re.findall(r".{20}(?<![\w.])[−-]0?\.0+(?!\d)", text), "a sign of zero"
    if name in {"index", *NOTEBOOKS} - {"methods", "data"}:  # which list recipes and columns by their names in code
        assert re.findall(r"\b[a-z]+_[a-z_]+\b", text) == [], "a name in words is no slug"


def test_easy_is_read_in_ten_minutes(pages):
    article = prose(pages["easy"])
    tables = article.select("table")
    assert len(tables) <= 4
    for table in tables:
        table.decompose()
    assert len(re.findall(r"\w+", article.get_text(" "))) <= 1500


def test_a_number_of_the_front_page_is_found_on_the_page_that_it_leads_to(pages):
    for number in pages["index"].select(".pasted-text"):
        name = number.find_parent("a")["href"].partition(".html")[0]
        digits = len(number.text.partition(".")[2])
        found = re.findall(r"(?<![\w.])[−-]?\d*\.?\d+", prose(pages[name]).get_text(" "))
        values = {round(float(value.replace("−", "-")), digits) for value in found}
        assert float(number.text.replace("−", "-")) in values, (number.text, name)


@page
def test_every_drawn_figure_has_a_dark_twin(name, html, pages):
    for image in pages[name].select("article figure img[src$='.png']"):
        cell = image.find_parent("div", class_="cell")
        drawn = html / f"figures/{image.find_parent('figure')['id']}.svg"
        twin = "dark-light" in image.get("class", [])
        if cell and drawn.exists():
            assert twin == ("<image" not in drawn.read_text(encoding="utf-8")), drawn.name
        elif not cell:
            assert twin, "the front page shows drawn figures only"


# Where it comes from.


@notebook
def test_every_table_and_figure_says_where_it_comes_from(name, pages):
    for cell, mark in marked_cells(pages[name]):
        assert mark.name == "details"
        assert "trace" in mark["class"]
        told = told_by(mark)
        assert {"made by", "commit", "duration", "parameters", "download", "all rows"} <= set(told), cell["id"]
        assert told["made by"].a["href"] == f"#{cell['id']}", "the mark leads to another cell"
        assert re.fullmatch(r"[0-9a-f]{12}.*|unknown", told["commit"].text)


def test_a_mark_tells_what_the_result_file_tells(pages, html):
    provenance = json.loads((html / "results/easy.json").read_text(encoding="utf-8"))["provenance"]
    told = {term: said.text for term, said in told_by(marked_cells(pages["easy"])[0][1]).items()}
    assert told["commit"] == provenance["commit"]
    assert told["seeds"] == f"0 to {provenance['parameters']['seeds'] - 1}"
    for name, corpus in provenance["corpora"].items():
        assert f"{name}, content {corpus['hash'][:12]}" in told["corpus"]
    for name, value in provenance["parameters"].items():
        assert f"{name} = {value}" in told["parameters"]


def test_rows_of_the_paper_run_are_told_from_those_of_this_build(pages):
    paper = json.loads((ROOT / "paper/results/easy.json").read_text(encoding="utf-8"))["provenance"]
    marks = [mark for mark in pages["results"].select("details.trace") if paper["commit"] in mark.text]
    assert marks
    assert marks[0].select_one("a[href='../results/paper/easy.csv']")


@page
def test_a_page_that_prints_numbers_ends_with_where_they_come_from(name, pages):
    if name in NOTEBOOKS or pages[name].select(".pasted-text"):
        assert pages[name].select("article h2")[-1].text.startswith("Where ")
        box = pages[name].select("article table")[-1]
        assert "commit" in box.text
        assert "duration" in box.text
        assert box.find_all_next("p", class_="rows")[-1].select("a[href$='.json']")


def test_a_number_in_prose_leads_to_the_cell_that_computed_it(pages):
    numbers = pages["index"].select(".pasted-text")
    assert len(numbers) > 6
    for number in numbers:
        file, place = number.find_parent("a")["href"].split("#")
        assert pages[file.removesuffix(".html")].select_one(f"div.cell#{place}")


@page
def test_the_passports_of_a_page_are_those_of_its_numbers(name, pages):
    held = pages[name].select_one("script#passports")
    shown = {key for item in pages[name].select("[class*=passport-]") for key in item["class"] if "passport-" in key}
    assert shown == set(json.loads(held.string) if held else ())
    assert shown or name not in {"index", "audit", "easy", "medium", "hard", "ensembles", "inputs", "choice"}


def test_the_page_of_results_leads_to_the_page_of_each_row(pages):
    for name in ("audit", "easy", "medium", "hard", "ensembles"):
        assert pages["results"].select("article table")[-1].select(f"th a[href='{name}.html']"), name


@notebook
def test_code_is_folded_except_for_the_parameters(name, pages):
    shown = [cell for cell in pages[name].select("div.cell") if cell.select(":scope > div.cell_input")]
    assert len(shown) == 1
    assert "profile:" in shown[0].text


# Downloads.


@notebook
def test_every_table_can_be_downloaded_with_all_its_cells(name, html, pages):
    for cell, mark in marked_cells(pages[name]):
        tables = cell.select("div.cell_output table")
        files = [link["href"] for link in mark.select("a") if "/tables/" in link["href"]]
        assert len(files) == len(tables)
        for table, file in zip(tables, files, strict=True):
            with (html / "book" / file).open(encoding="utf-8", newline="") as lines:
                found = {text.removeprefix("'") for line in csv.reader(lines) for text in line if text}
            shown = {item.get_text().replace("\xa0", " ").strip() for item in table.select("td, th")} - {""}
            assert shown <= found, "a cell of the table is not in its CSV"


@notebook
def test_every_figure_can_be_downloaded_for_screen_and_print(name, html, pages, smoke_book):
    for cell, mark in marked_cells(pages[name]):
        pictures = {image["src"] for image in cell.select("div.cell_output img")}
        links = {link["href"] for link in mark.select("a") if link["href"].endswith((".png", ".svg"))}
        assert pictures == {link for link in links if link.endswith(".png")}
        for link in links - pictures:
            root = ElementTree.parse(html / "book" / link).getroot()
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert len(root) > 0
    for cell in nbformat.read(smoke_book / f"executed/{name}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            if drawn := output.get("data", {}).get("image/svg+xml"):
                figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", f"{name}-{cell.id}")
                assert (html / f"figures/{figure}.svg").exists() == (len(drawn) <= LARGEST_SVG)
            else:
                assert "image/png" not in output.get("data", {}), f"{cell.id} was drawn without SVG"


@pytest.mark.parametrize("name", ["easy", "hard", "paper/easy"])
def test_the_rows_behind_a_page_can_be_downloaded_and_name_the_page(name, html):
    rows = json.loads((html / f"results/{name}.json").read_text(encoding="utf-8"))["rows"]
    table = pd.read_csv(html / f"results/{name}.csv")
    assert list(table.columns) == list(rows[0])
    assert set(table["notebook"]) == {Path(name).name}
    assert table["mean"].tolist() == pytest.approx([row["mean"] for row in rows], rel=1e-15, nan_ok=True)
    assert json.loads(table["values"][0]) == rows[0]["values"]


@notebook
def test_the_notebook_to_download_is_the_clean_one(name, html):
    assert (html / f"_sources/book/{name}.ipynb").read_bytes() == (ROOT / f"book/{name}.ipynb").read_bytes()


def test_pdfs_are_whole(html, pages):
    linked = {link["href"] for soup in pages.values() for link in soup.select("a[href$='.pdf']")}
    assert any("neurips_2024" in target for target in linked)
    for target in linked:
        if not re.match(r"[a-z]+:", target):
            content = (html / "book" / target).read_bytes()
            assert content.startswith(b"%PDF-")
            assert b"%%EOF" in content[-1024:]


# Read by anyone.


@page
def test_a_page_can_be_read_by_ear(name, pages):
    for image in pages[name].select("article img"):
        assert len(image.get("alt", "")) > 15, image["src"]
        assert not re.search(r"\.(png|svg|jpe?g)$|^_images|^[0-9a-f]{32}", image["alt"])
    levels = [int(heading.name[1]) for heading in pages[name].select("article :is(h1, h2, h3, h4, h5, h6)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels)), "a level of headings is left out"
    for table in pages[name].select("div.cell_output table"):
        assert table.select("th[scope^=col]")
        assert all(header.get("scope") and header.get_text(strip=True) for header in table.select("th"))
