"""Labels come last: with the genres of a corpus shuffled, all that a notebook trains, clusters and measures without
labels comes out as it was."""

import json
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from companion import execute, parameters, report

SHUFFLED = """
import dataclasses, functools
import numpy as np
from vae_lib import corpus

def shuffled(load, *names, **options):
    music = load(*names, **options)
    genre = music.tracks["genre"]
    mixed = genre.iloc[np.random.default_rng(0).permutation(len(genre))].set_axis(genre.index)
    return dataclasses.replace(music, tracks=music.tracks.assign(genre=mixed))

corpus.load = functools.partial(shuffled, corpus.load)
corpus.synthetic = functools.partial(shuffled, corpus.synthetic)
"""
BLIND = ("none", "language")  # targets of rows that no genre may touch
CHOSEN = "songs-bn-en"  # only its tracks of genres that both languages have enter: genres decide which


def blind(path):
    """Values of every row on all tracks that is no comparison with genres, by what it is a row of."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    same = ("corpus", "features", "model", "params", "clusterer", "k", "target", "subset", "noise", "metric", "space")
    return {
        json.dumps([row[name] for name in same]): row["values"]
        for row in rows
        if row["target"] in BLIND and row["subset"] == "all" and row["corpus"] != CHOSEN
    }


@pytest.mark.slow  # notebooks; what the protocol alone promises is in test_protocol
@pytest.mark.parametrize("name", ["easy", "medium"])
def test_nothing_but_the_scores_against_genres_depends_on_the_genres(name, smoke_book, tmp_path, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # as make has it for this book
    document = nbformat.read(report.ROOT / f"book/{name}.ipynb", as_version=4)
    first = next(number for number, cell in enumerate(document.cells) if cell.cell_type == "code")
    document.cells.insert(first + 1, new_code_cell(SHUFFLED))
    nbformat.write(document, tmp_path / f"{name}.ipynb")
    values = json.loads((smoke_book / f"params/{name}.json").read_text(encoding="utf-8"))
    build = f"shuffled-{name}"  # rows go there
    parameters.write_effective({name: values | {"profile": build}}, tmp_path)
    try:
        execute.execute(tmp_path / f"{name}.ipynb", parameters=tmp_path / f"{name}.json", build=tmp_path / "build")
        mixed = blind(report.results_path(name, profile=build))
    finally:
        shutil.rmtree(report.ROOT / "_build" / build, ignore_errors=True)
    known = blind(smoke_book / f"results/{name}.json")
    both = known.keys() & mixed.keys()
    assert both
    assert len(both) >= 0.9 * len(known)
    assert [what for what in both if mixed[what] != pytest.approx(known[what], rel=1e-6, nan_ok=True)] == []
