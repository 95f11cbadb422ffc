"""The reference part of the book: examples run, nothing is missing, and what is generated says what is true."""

import ast
import doctest
import importlib
import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

from companion import execute, reference, report
from vae_lib import cluster, metrics, models

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
MODULES = [
    name
    for path in sorted((BOOK / "api").glob("*.md"))
    for name in re.findall(r"automodule:: (\S+)", path.read_text("utf-8"))
]
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
SOURCES = {path: path.read_text(encoding="utf-8") for path in [*BOOK.rglob("*.md"), *NOTEBOOKS]}

module = pytest.mark.parametrize("module", MODULES)


def page(html, name):
    return BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def html(smoke_book):
    return smoke_book / "html"


def examples_of(module):
    # Without globals: an example imports what it uses, so that it runs when it is copied.
    found = doctest.DocTestFinder().find(importlib.import_module(module), globs={})
    return [test for test in found if test.examples]


# Examples.


@module
def test_the_examples_of_a_module_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for test in examples_of(module):
        told = io.StringIO()
        result = doctest.DocTestRunner(verbose=False).run(test, out=told.write)
        assert result.failed == 0, told.getvalue()


def test_what_a_reader_calls_has_an_example():
    shown = {module: {test.name.split(".")[-1] for test in examples_of(module)} for module in MODULES}
    assert sum(map(len, shown.values())) >= 100
    anywhere = set().union(*shown.values())
    assert {metric.function.__name__ for metric in metrics.METRICS.values()} <= anywhere
    without = {module for module in MODULES if not shown[module] and reference.public(module)}
    assert not without, f"no example in {', '.join(sorted(without))}"


def test_the_first_example_of_the_library_runs():
    code = re.search(r"```python\n(.*?)```", SOURCES[BOOK / "library.md"], re.DOTALL)[1]
    told = io.StringIO()
    with redirect_stdout(told):
        exec(code, {})
    assert re.search(r"VAE +ari +0\.\d+ +-?0\.\d+", told.getvalue())


# The library.


@module
def test_every_public_name_of_a_module_is_on_its_page_with_its_source(module, html):
    names = reference.public(module)
    target = module
    pages = [
        path for path in (html / "book/api").glob("*.html") if f'id="{target}.' in path.read_text(encoding="utf-8")
    ]
    assert len(pages) == 1, f"add `.. automodule:: {target}` to a page in book/api"
    soup = page(html, f"book/api/{pages[0].stem}")
    for name in names:
        entry = soup.find(id=f"{target}.{name}")
        assert entry is not None, name
        link = entry.find("a", href=re.compile("_modules/"))
        assert link is not None, f"{name} leads to no code"
        code, _, anchor = link["href"].partition("#")
        assert f'id="{anchor}"' in (pages[0].parent / code).read_text(encoding="utf-8")


@module
def test_what_a_docstring_refers_to_exists(module):
    found = importlib.import_module(module)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(Path(found.__file__).read_text("utf-8")))
             if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]  # fmt: skip
    for text in texts:
        for first, name in re.findall(r"(?<![`\w])`(?:vae_lib\.|companion\.)?(\w+)\.(\w+)`(?!`)", text):
            for other in (full for full in MODULES if full.endswith(f".{first}")):
                assert hasattr(importlib.import_module(other), name), f"`{first}.{name}`"


# Parameters.


def test_every_parameter_of_every_notebook_is_listed_with_its_values(html):
    entries = {
        entry.find("dt")["id"].removeprefix("confval-"): entry
        for entry in page(html, "book/parameters").select("dl.confval")
    }
    smoke = execute.resolve(BOOK / "params/smoke.yaml", NOTEBOOKS)
    read = {path: execute.read_parameters(path) for path in NOTEBOOKS}
    assert set(entries) == {name for parameters in read.values() for name in parameters}
    for path, parameters in read.items():
        for name, parameter in parameters.items():
            text = re.sub(r"\s+", " ", entries[name].get_text())
            assert parameter.comment[1:] in text
            assert repr(parameter.default) in text
            assert ast.unparse(parameter.kind) in text
            assert repr(smoke[path.stem][name]) in text
            links = {link["href"].partition("#")[0] for link in entries[name].find_all("a")}
            assert f"{path.stem}.html" in links


def test_the_parameters_tell_a_profile_from_a_default(tmp_path):
    cell = '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "%s"}]}'
    (tmp_path / "params").mkdir()
    (tmp_path / "params/paper.yaml").write_text("b:\n  beta: 4.0\n", encoding="utf-8")
    (tmp_path / "a.ipynb").write_text(cell % "beta: float = 1.0  # weight", encoding="utf-8")
    (tmp_path / "b.ipynb").write_text(cell % "beta: float = 1.0  # weight", encoding="utf-8")
    table = reference.parameters(tmp_path)
    assert table["default"].tolist() == ["1.0", "1.0"]
    assert table["paper"].tolist() == ["1.0", "4.0"]
    (tmp_path / "a.ipynb").write_text(cell % "beta: float = 1.0  # weight, as _build/<profile>", encoding="utf-8")
    listed = reference.parameters_list(tmp_path)
    assert r"Weight, as \_build/\<profile\>." in listed
    assert "by default `1.0`\n" in listed
    assert "in the profile *paper* `4.0` on {doc}`b </book/b>`\n" in listed
    assert "read by {doc}`a </book/a>`, {doc}`b </book/b>`" in listed


# Glossary.


@pytest.fixture(scope="module")
def glossary(html):
    """What the glossary says under each term."""
    said = {}
    for listed in page(html, "book/glossary").select("dl.glossary"):
        terms = []
        for entry in listed.find_all(["dt", "dd"], recursive=False):
            if entry.name == "dt":
                terms.append(entry.get_text(strip=True).rstrip("#"))
            else:
                said |= dict.fromkeys(terms, re.sub(r"\s+", " ", entry.get_text()))
                terms = []
    return said


def test_the_glossary_has_every_measure_with_its_range_and_direction(glossary):
    for name, measure in report.MEASURES.items():
        assert reference.measure(name) in glossary[measure.title]


def test_the_glossary_has_every_model_and_clusterer(glossary):
    for name, recipe in models.RECIPES.items():
        assert recipe.summary in glossary[name]
    for name, clusterer in cluster.CLUSTERERS.items():
        assert f"clusterer {name}:" in glossary[name]
        assert clusterer.title in glossary


def test_the_glossary_says_rightly_what_is_corrected_for_chance(glossary):
    genre = np.arange(60) % 6
    for score in metrics.external_scores(genre, np.random.default_rng(0).permutation(genre), permutations=200):
        corrected = "Not corrected for chance" not in glossary[metrics.METRICS[score.metric].title]
        assert corrected == (abs(score.chance) < 0.02), score.metric


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_range_on_the_page_is_kept_and_its_direction_is_right(name):
    metric, rng = metrics.METRICS[name], np.random.default_rng(0)
    true = np.repeat([0, 1, 2], 10)
    x = rng.normal(size=(30, 2)) + 9 * np.eye(3, 2)[true]
    first = x if name in metrics.SPACE_METRICS else true
    values = [metric.function(first, rng.permutation(true)) for _ in range(50)]
    best = metric.function(first, true)
    assert all(metric.low <= value <= metric.high for value in [*values, best])
    assert all(best > value if metric.greater_is_better else best < value for value in values)


def test_pages_lead_to_the_glossary(html):
    for name in ("methods", "easy", "medium", "hard"):
        links = [link.get("href", "") for link in page(html, f"book/{name}").find_all("a")]
        assert any(link.startswith("glossary.html#term-") for link in links), name


def test_search_knows_terms_parameters_and_functions(html):
    text = (html / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    assert {measure.title.lower() for measure in report.MEASURES.values()} <= set(index["indexentries"])
    assert {name for *_, name in index["objects"][""]} >= set(reference.parameters()["parameter"])
    assert {name for *_, name in index["objects"]["vae_lib.metrics.chance"]} >= set(
        reference.public("vae_lib.metrics.chance")
    )


# Bibliography.


def test_every_entry_is_cited_and_every_citation_has_its_entry():
    entries = set(re.findall(r"@\w+\{(\w+),", (ROOT / "paper/refs.bib").read_text(encoding="utf-8")))
    cited = {key.strip() for text in SOURCES.values() for keys in re.findall(r"\{cite\S*?\}`([^`]+)`", text)
             for key in keys.split(",")}  # fmt: skip
    assert cited <= entries
    article = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "paper").rglob("*.typ"))
    assert entries == cited | {key for key in entries if f"@{key}" in article}
