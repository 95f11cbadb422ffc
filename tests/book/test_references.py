"""The small book is that of the references: the same cells, the same numbers within what is allowed, and they can fail.

nbval compares the text around the numbers (``make test`` runs it); it passes on cells that were never executed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import goldens
import nbformat
import pytest

from companion import execute

ROOT = Path(__file__).resolve().parents[2]
SIGNED_ZERO = re.compile(r"(?<![\w.])[-−]0?\.?0+(?![\w.])")

page = pytest.mark.parametrize("source", goldens.SOURCES, ids=lambda path: path.stem)


@page
def test_a_reference_has_the_cells_of_its_page_executed_with_the_values_of_the_small_book(source):
    values = execute.resolve(ROOT / "book/params/smoke.yaml", goldens.SOURCES)[source.stem]
    expected = []
    for cell in goldens.code_cells(source):
        parameters = "parameters" in cell.metadata.get("tags", [])
        expected.append(execute.fold(cell.source, values) if parameters else cell.source)
    cells = goldens.code_cells(goldens.REFERENCES / source.name)
    assert [cell.source for cell in cells] == expected, "run `make references`"
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    compared = any(cell.outputs for cell in cells)
    assert compared or source.stem == "scaling", "nothing is compared"  # whose outputs are times
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


@page
def test_a_reference_holds_nothing_that_differs_between_processors(source):
    document = nbformat.read(goldens.REFERENCES / source.name, as_version=4)
    assert goldens.stable(nbformat.from_dict(document.copy())) == document
    for cell in goldens.code_cells(goldens.REFERENCES / source.name):
        assert not goldens.NUMBER.findall(goldens.text_of(cell)), cell.id


@page
def test_the_numbers_are_those_of_the_reference(source, smoke_book):
    golden, found = goldens.read(source.stem), goldens.numbers(smoke_book, source.stem)
    assert list(found.index) == list(golden.index), "other rows or numbers than in the reference: run `make references`"
    assert len(found) > 5 or source.stem == "results"  # which prints counts only
    assert (found["value"].isna() == golden["value"].isna()).all(), "another number is undefined"
    away = goldens.distances(found, golden)
    far = found[away > 1].join(golden.add_suffix(" in the reference"))
    assert far.empty, f"run `make references` if it is meant to be so:\n{far.to_string()}"


@page
def test_no_sign_of_zero_is_printed(source, smoke_book):
    for cell in goldens.code_cells(smoke_book / "executed" / source.name):
        assert not SIGNED_ZERO.findall(goldens.text_of(cell)), f"{source.stem}, {cell.id}"


@pytest.mark.parametrize("what", ["text and cell", "number", "row"])
def test_a_changed_page_is_noticed(what, smoke_book, tmp_path):
    for name in ("executed/methods.ipynb", "results/methods.json"):
        (tmp_path / name).parent.mkdir()
        shutil.copy2(smoke_book / name, tmp_path / name)
    path = tmp_path / "executed/methods.ipynb"
    document = nbformat.read(path, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code" and re.search(r"\.\d", goldens.text_of(cell))]
    for output in cells[-1].outputs:
        for kind, text in output.get("data", {}).items():
            if what == "text and cell" and isinstance(text, str):
                output["data"][kind] = f"{text} and more"
            if what == "number" and isinstance(text, str):
                output["data"][kind] = re.sub(r"\d*\.\d+", "77.7", text)
    if what == "text and cell":
        cells[-2].source += "  # changed"
    nbformat.write(document, path)
    if what == "row":
        rows = tmp_path / "results/methods.json"
        rows.write_text(re.sub(r'"mean": *[\d.e-]+', '"mean": 0.77', rows.read_text(encoding="utf-8")))
    if what == "text and cell":
        command = (sys.executable, "-m", "pytest", "-q", "--nbval", "--build", tmp_path, "tests/nbval/methods.ipynb")
        done = subprocess.run([*map(str, command), "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1, done.stdout
        assert "2 failed" in done.stdout
    else:
        assert (goldens.distances(goldens.numbers(tmp_path, "methods"), goldens.read("methods")) > 1).any()
