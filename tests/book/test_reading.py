"""What a reader does with the book: ask where a number comes from, download it, find it, hear it, read it anywhere."""

import csv
import json
import re
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
def pages(html):
    """Every page, parsed once."""
    return {name: BeautifulSoup((html / f"book/{name}.html").read_bytes(), "html.parser") for name in PAGES}


@pytest.fixture(scope="module")
def one_tab(browser):
    """A tab that several tests look through one after another."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    yield context.new_page()
    context.close()


def marked_cells(soup):
    """Pairs of a cell that shows a table or a figure, and its mark."""
    for cell in soup.select("div.cell"):
        if cell.select("div.cell_output table, div.cell_output img"):
            yield cell, cell.find_next_sibling()


# Where it comes from.


@notebook
def test_every_table_and_figure_says_where_it_comes_from(name, pages):
    cells = list(marked_cells(pages[name]))
    assert cells
    for cell, mark in cells:
        assert mark.name == "details"
        assert "trace" in mark["class"]
        told = {term.text: term.find_next_sibling("dd") for term in mark.select("dt")}
        assert {"made by", "commit", "duration", "parameters", "download", "all rows"} <= set(told), cell["id"]
        assert told["made by"].a["href"] == f"#{cell['id']}", "the mark leads to another cell"
        assert re.fullmatch(r"[0-9a-f]{12}.*|unknown", told["commit"].text)


def test_a_mark_tells_what_the_result_file_tells(pages, html):
    provenance = json.loads((html / "results/easy.json").read_text(encoding="utf-8"))["provenance"]
    _, mark = next(marked_cells(pages["easy"]))
    told = {term.text: term.find_next_sibling("dd").text for term in mark.select("dt")}
    assert told["commit"] == provenance["commit"]
    assert told["seeds"] == f"0 to {provenance['parameters']['seeds'] - 1}"
    for name, corpus in provenance["corpora"].items():
        assert f"{name}, content {corpus['hash'][:12]}" in told["corpus"]
    for name, value in provenance["parameters"].items():
        assert f"{name} = {value}" in told["parameters"]


def test_rows_of_the_paper_run_are_told_from_those_of_this_build(pages):
    paper = json.loads((ROOT / "paper/results/easy.json").read_text(encoding="utf-8"))["provenance"]
    for name, place in (("index", "cell-results-story-figure"), ("results", "cell-results-story-table")):
        mark = pages[name].select_one(f"details.trace:has(a[href$='#{place}'])")
        assert paper["commit"] in mark.text
        assert mark.select_one("a[href='../results/paper/easy.csv']")


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
    assert len(numbers) > 10
    for number in numbers:
        file, place = number.find_parent("a")["href"].split("#")
        assert pages[file.removesuffix(".html")].select_one(f"div.cell#{place}")


@pytest.mark.parametrize("name", ["audit", "easy", "medium", "hard", "ensembles"])
def test_the_page_of_results_leads_to_the_page_of_each_row(name, pages):
    assert pages["results"].select("article table")[-1].select(f"th a[href='{name}.html']")


def test_staging_leaves_executed_notebooks_as_they_are(smoke_book):
    for name in NOTEBOOKS:
        executed = nbformat.read(smoke_book / f"executed/{name}.ipynb", as_version=4)
        assert not any("details" in cell.source and "trace" in cell.source for cell in executed.cells)
        staged = nbformat.read(smoke_book / f"stage/book/{name}.ipynb", as_version=4)
        sources = [cell.source for cell in staged.cells if cell.cell_type == "code"]
        assert sources == [cell.source for cell in executed.cells if cell.cell_type == "code"]


@notebook
def test_code_is_folded_except_for_the_parameters(name, pages):
    shown = [cell for cell in pages[name].select("div.cell") if cell.select(":scope > div.cell_input")]
    assert len(shown) == 1
    assert "profile:" in shown[0].text


def test_a_mark_opens_by_keyboard_and_leads_to_its_cell_unfolded(html, tab):
    tab.goto((html / "book/easy.html").as_uri())
    mark = tab.locator("details.trace", has_text="download").first
    mark.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert mark.locator("dl").is_visible()
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "focus cannot be seen"
    tab.keyboard.press("Enter")
    place = tab.evaluate("location.hash")
    assert place.startswith("#cell-easy-")
    code = tab.locator(f"{place} .cell_input pre")
    code.wait_for(state="visible")
    tab.wait_for_function("place => document.querySelector(place).getBoundingClientRect().top < innerHeight", arg=place)
    assert tab.wrong == []


def test_a_link_from_another_page_unfolds_the_cell_too(html, tab):
    tab.goto((html / "book/index.html").as_uri())
    tab.locator("a:has(.pasted-text)").first.click()
    tab.wait_for_url("**/results.html#cell-results-*")
    tab.locator(":target .cell_input pre").wait_for(state="visible")


def test_marks_work_without_scripts(html, browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((html / "book/methods.html").as_uri())
    mark = tab.locator("details.trace").first
    mark.locator("summary").click()
    assert mark.locator("dl").is_visible()
    mark.locator("a").first.click()
    assert "#cell-methods-" in tab.url
    assert tab.locator(":target .cell_input pre").is_visible()
    context.close()


# Downloads.


@notebook
def test_every_table_can_be_downloaded_with_all_its_cells(name, html, pages):
    for cell, mark in marked_cells(pages[name]):
        tables = cell.select("div.cell_output table")
        files = [link["href"] for link in mark.select("a") if "/tables/" in link["href"]]
        assert len(files) == len(tables)
        for table, file in zip(tables, files, strict=True):
            with (html / "book" / file).open(encoding="utf-8", newline="") as lines:
                found = [text for line in csv.reader(lines) for text in line if text]
            shown = [item.get_text().replace("\xa0", " ").strip() for item in table.select("td, th")]
            assert found == [text for text in shown if text]


@notebook
def test_every_figure_can_be_downloaded(name, html, pages):
    for cell, mark in marked_cells(pages[name]):
        pictures = {image["src"] for image in cell.select("div.cell_output img")}
        links = {link["href"] for link in mark.select("a") if link["href"].endswith((".png", ".svg"))}
        assert pictures == {link for link in links if link.endswith(".png")}
        for link in links:
            if link.endswith(".png"):
                with Image.open(html / "book" / link) as picture:
                    picture.verify()
            else:
                root = ElementTree.parse(html / "book" / link).getroot()
                assert root.tag == "{http://www.w3.org/2000/svg}svg"
                assert len(root) > 0


@notebook
def test_every_figure_is_there_as_svg_unless_it_has_too_many_points(name, html, smoke_book):
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
    for target in linked:
        if not re.match(r"[a-z]+:", target):
            content = (html / "book" / target).read_bytes()
            assert content.startswith(b"%PDF-")
            assert b"%%EOF" in content[-1024:]


# Read by anyone.


@page
def test_every_image_is_described(name, pages):
    for image in pages[name].select("article img"):
        assert len(image.get("alt", "")) > 15, image["src"]
        assert not re.search(r"\.(png|svg|jpe?g)$|^_images|^[0-9a-f]{32}", image["alt"])


@page
def test_headings_leave_no_level_out(name, pages):
    levels = [int(heading.name[1]) for heading in pages[name].select("article :is(h1, h2, h3, h4, h5, h6)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))


@notebook
def test_tables_say_what_heads_what(name, pages):
    for table in pages[name].select("div.cell_output table"):
        assert table.select("th[scope^=col]")
        assert all(header.get("scope") and header.get_text(strip=True) for header in table.select("th"))


def violations(tab, **options):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(tab, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@page
def test_a_page_has_no_serious_barrier_in_light_and_dark(name, html, one_tab):
    one_tab.emulate_media(color_scheme="light")
    one_tab.goto((html / f"book/{name}.html").as_uri())
    one_tab.evaluate("[...document.querySelectorAll('details.trace')].slice(0, 3).forEach(mark => mark.open = true)")
    # Thousands of coloured words of code would take a minute; the colours are checked below, on one page.
    one_tab.evaluate("document.querySelectorAll('pre').forEach(code => code.textContent = code.textContent)")
    assert violations(one_tab) == []
    one_tab.emulate_media(color_scheme="dark")
    one_tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert one_tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert violations(one_tab, runOnly=["color-contrast"]) == []


def test_code_can_be_read_in_light_and_dark(html, one_tab):
    for theme in ("light", "dark"):
        one_tab.emulate_media(color_scheme=theme)
        one_tab.goto((html / "book/methods.html").as_uri())
        one_tab.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        assert violations(one_tab, runOnly=["color-contrast"]) == []


@page
def test_a_phone_shows_open_marks_and_scrolls_wide_tables_by_key(name, html, one_tab):
    one_tab.set_viewport_size({"width": 390, "height": 800})
    one_tab.goto((html / f"book/{name}.html").as_uri())
    one_tab.evaluate("document.querySelectorAll('details.trace').forEach(mark => mark.open = true)")
    assert one_tab.evaluate("document.documentElement.scrollWidth") <= 390
    unreachable = """[...document.querySelectorAll('.pst-scrollable-table-container')].filter(
        box => box.scrollWidth > box.clientWidth && box.checkVisibility() && box.tabIndex != 0).length"""
    one_tab.wait_for_function(f"{unreachable} == 0", timeout=5000)
    one_tab.set_viewport_size({"width": 1280, "height": 900})


# Light, and findable.


@page
def test_a_page_is_light(name, html, pages):
    path = html / f"book/{name}.html"
    shown = {item["src"] for item in pages[name].select("article :is(img, audio, video, source, iframe)[src]")}
    files = {path.parent / source for source in shown if not re.match(r"[a-z]+:", source)}
    assert path.stat().st_size + sum(file.stat().st_size for file in files) < 3 * MIB


def test_the_book_is_light(html):
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) < 40 * MIB
    assert not list(html.rglob("*.map")), "maps of minified code are for those who change the theme"


def test_formulas_are_typeset(html, tab):
    tab.goto((html / "book/methods.html").as_uri())
    tab.wait_for_selector("mjx-container")
    tab.wait_for_load_state("networkidle")
    assert tab.locator("mjx-merror").count() == 0
    assert tab.wrong == []


@pytest.mark.parametrize(("term", "found"), [("DBSCAN", "glossary"), ("traversal", "hard"), ("consensus", "ensembles")])
def test_search_returns_the_right_page(term, found, html, tab):
    tab.goto((html / "search.html").as_uri() + f"?q={term}")
    tab.wait_for_selector("#search-results li")
    hits = [link.get_attribute("href") for link in tab.locator("#search-results li a").all()]
    assert any(f"{found}.html" in hit for hit in hits[:3]), hits
    assert tab.wrong == []


def test_print_leaves_out_marks_and_navigation(html, one_tab):
    one_tab.goto((html / "book/easy.html").as_uri())
    one_tab.emulate_media(media="print", color_scheme="light")
    for selector in ("details.trace", ".bd-sidebar-primary", "div.cell > details.hide"):
        assert not one_tab.locator(selector).first.is_visible(), selector
    assert one_tab.locator("article figure img").first.is_visible()
    one_tab.emulate_media(media="screen")
