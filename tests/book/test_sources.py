"""Sources and parameters of the pages, before anything is built."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from companion import execute

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "book").glob("*.ipynb"))
PROFILES = sorted((ROOT / "book/params").glob("*.yaml"))

source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def test_every_source_is_a_page_and_every_page_has_a_source():
    pages = re.findall(r"(?:file|root): *(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    sources = [*SOURCES, *(ROOT / "book").rglob("*.md")]
    assert sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in sources) == sorted(pages)


@source
def test_sources_are_clean(path):
    text = path.read_text(encoding="utf-8")
    document = nbformat.reads(text, as_version=4)
    nbformat.validate(document)
    for cell in document.cells:
        assert cell.get("outputs", []) == [], "clear all outputs before committing"
        assert cell.get("execution_count") is None
    assert "papermill" not in text


def test_every_parameter_is_typed_has_one_meaning_on_all_pages_and_says_it():
    seen = {}
    for path in SOURCES:
        parameters = execute.read_parameters(path)
        assert "profile" in parameters, path.name
        for name, parameter in parameters.items():
            described = ast.unparse(parameter.kind), parameter.comment
            assert len(parameter.comment) > 5, f"{path.name}: {name} has no comment"
            assert seen.setdefault(name, described) == described, f"{path.name}: {name}"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_valid_and_its_results_go_to_its_own_build(profile):
    for name, values in execute.resolve(profile, SOURCES).items():
        assert values["profile"] == profile.stem, f"{name} would write its rows to the build of another profile"
