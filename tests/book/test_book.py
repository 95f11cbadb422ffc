"""What a reader meets: clean sources, every page built with its figures, and a book that needs no network."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from companion import execute

ROOT = Path(__file__).resolve().parents[2]
PAGES = re.findall(r"(?:file|root): *(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))  # as the Makefile does
SOURCES = sorted((ROOT / "book").glob("*.ipynb"))
PROFILES = sorted((ROOT / "book/params").glob("*.yaml"))

source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


# Sources.


def test_every_source_is_a_page_and_every_page_has_a_source():
    sources = [*SOURCES, *(ROOT / "book").rglob("*.md")]
    assert sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in sources) == sorted(PAGES)


@source
def test_sources_are_clean(path):
    text = path.read_text(encoding="utf-8")
    for cell in nbformat.reads(text, as_version=4).cells:
        assert cell.get("outputs", []) == [], "clear all outputs before committing"
        assert cell.get("execution_count") is None
    assert "papermill" not in text
    nbformat.validate(nbformat.reads(text, as_version=4))


@source
def test_every_parameter_is_typed_and_says_what_it_means(path):
    parameters = execute.read_parameters(path)
    assert "profile" in parameters
    for name, parameter in parameters.items():
        assert len(parameter.comment) > 5, f"{name} has no comment"


def test_a_parameter_has_one_type_and_meaning_in_all_notebooks():
    seen = {}
    for path in SOURCES:
        for name, parameter in execute.read_parameters(path).items():
            described = ast.unparse(parameter.kind), parameter.comment
            assert seen.setdefault(name, described) == described, f"{path.name}: {name}"


@source
def test_notebooks_define_nothing(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            nodes = list(ast.walk(ast.parse(cell.source)))
            assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for node in nodes)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_valid_and_its_results_go_to_its_own_build(profile):
    for name, values in execute.resolve(profile, SOURCES).items():
        assert values["profile"] == profile.stem, f"{name} would write its rows to the build of another profile"


@pytest.mark.parametrize("corpus", [path.name for path in (ROOT / "data").iterdir() if (path / "corpus.json").exists()])
def test_a_changed_corpus_makes_its_notebooks_stale(corpus, smoke_book, run_make):
    plan = run_make("-n", "-W", f"data/{corpus}/corpus.json", "book", "PROFILE=smoke").stdout
    for name, values in execute.resolve(ROOT / "book/params/smoke.yaml", SOURCES).items():
        named = [each for value in values.values() for each in (value if isinstance(value, list | tuple) else [value])]
        if corpus in [str(each).replace("-", "_") for each in named]:
            assert f"companion.execute run book/{name}.ipynb" in plan, f"the Makefile does not say that {name} reads it"


# Pages.


class Page(HTMLParser):
    """What a page loads and shows."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.images, self.links, self.ids = [], [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag in ("script", "img", "iframe", "source", "audio", "video", "embed"):
            self.loads.append(found.get("src"))
        if tag == "link" and found.get("rel") != "canonical":
            self.loads.append(found.get("href"))
        if tag == "img":
            self.images.append(found.get("src"))
        if tag == "a":
            self.links.append(found.get("href"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_was_built_with_all_its_figures(name, html, smoke_book):
    path = html / f"{name}.html"
    page = Page(path)
    local = [image for image in page.images if not image.startswith("data:")]
    for image in local:
        with Image.open(path.parent / image) as picture:
            picture.load()
            assert min(picture.size) > 1
    executed = smoke_book / "executed" / Path(name).relative_to("book").with_suffix(".ipynb")
    if executed.exists():
        cells = nbformat.read(executed, as_version=4).cells
        figures = [
            output
            for cell in cells
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {}) and "remove-output" not in cell.metadata.get("tags", [])
        ]
        assert len(local) == len(figures) > 0
        html_outputs = [
            output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])
        ]
        tables = sum(text.count("<table") for text in html_outputs)
        assert path.read_text(encoding="utf-8").count("<table") == tables > 0


@pytest.mark.parametrize("name", [*PAGES, "index", "search", "genindex"])
def test_a_page_loads_nothing_from_elsewhere_and_its_links_lead_somewhere(name, html):
    path = html / f"{name}.html"
    page = Page(path)
    for target in filter(None, page.loads):
        assert not re.match(r"(https?:)?//", target), target
        if not target.startswith("data:"):
            assert (path.parent / re.split("[?#]", target)[0]).exists(), target
    for target in filter(None, page.links):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            linked = path.parent / file.partition("?")[0] if file else path
            assert linked.exists(), target
            if anchor and linked.suffix == ".html":
                assert anchor in Page(linked).ids, target
    scripts = "".join(re.findall(r"<script(?![^>]*src)[^>]*>(.*?)</script>", path.read_text(encoding="utf-8"), re.S))
    assert "//unpkg.com" not in scripts
    assert "//cdn" not in scripts


def test_a_second_make_renders_nothing(html, run_make):
    before = (html / "index.html").stat().st_mtime_ns
    assert run_make("book", "PROFILE=smoke").returncode == 0
    assert (html / "index.html").stat().st_mtime_ns == before


# Pages in a browser, from disk, without a network.


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_a_page_opens_from_disk_without_an_error(name, html, tab):
    tab.goto((html / f"{name}.html").as_uri())
    if name == "index":
        tab.wait_for_url("**/book/index.html")
    tab.wait_for_load_state("networkidle")
    broken = "[...document.images].filter(image => !(image.complete && image.naturalWidth > 0)).map(image => image.src)"
    tab.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    tab.wait_for_function("[...document.images].every(image => image.complete)")
    assert tab.evaluate(broken) == []
    assert tab.locator("article h1").count() == 1
    assert tab.wrong == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window(name, width, html, tab):
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto((html / f"{name}.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_search_finds_a_page_from_disk(html, tab):
    tab.goto((html / "search.html").as_uri() + "?q=standardising")
    tab.wait_for_selector("#search-results li")
    assert any("easy.html" in link.get_attribute("href") for link in tab.locator("#search-results li a").all())
    assert tab.wrong == []


def test_code_is_folded_and_opens_on_demand(html, tab):
    tab.goto((html / "book/easy.html").as_uri())
    folded = tab.locator("details.hide").first
    assert folded.count() == 1
    assert not folded.locator("pre").first.is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()
