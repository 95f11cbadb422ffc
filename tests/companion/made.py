"""Rows as the protocol gives them, and small notebooks, for the tests of the companion."""

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vae_lib.metrics import Score


def row(*values, metric="ari", space="labels", null=(0.0, 0.02, -0.02), **changes):
    """One result row of a score, without the name of its notebook."""
    score = Score(metric, space, np.array(values, dtype=float), np.array(null))
    about = {"corpus": "small", "n": 12, "features": "public", "model": "vae", "params": {}, "clusterer": "kmeans"}
    about |= {
        "k": 3,
        "noise": "none",
        "coverage": 1.0,
        "target": "genre",
        "subset": "all",
        "seconds": 1.0,
        "reason": "",
    }
    return about | {
        "target": "genre" if space == "labels" else "none",
        "metric": metric,
        "space": space,
        "mean": score.mean,
        "sd": score.sd,
        "ci_low": score.interval[0],
        "ci_high": score.interval[1],
        "tracks_low": np.nan,
        "tracks_high": np.nan,
        "chance": score.chance,
        "p_value": score.p_value,
        "seeds": len(values),
        "values": list(score.values),
    } | changes  # fmt: skip


def write_notebook(path, parameters, *code, prose="# A page"):
    """A notebook of a page of prose, a parameters cell and more code."""
    cells = [new_markdown_cell(prose), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    document = new_notebook(cells=cells + [new_code_cell(source) for source in code])
    for number, cell in enumerate(document.cells):
        cell.id = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(document, path)
    return path
