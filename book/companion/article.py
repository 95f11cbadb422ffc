"""The article: Typst source set with the rows of a run, each figure and table of it traced to a notebook cell."""

import csv
import io
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import typst
from scipy import stats

from companion import ROOT, execute, report
from companion.report import EXHIBITS, PAPER
from vae_lib import checks, metrics, scaling, store
from vae_lib.checks import ParameterError

SOURCE = ROOT / "paper" / "main.typ"
CLAIMS = ROOT / "paper" / "claims.toml"
PDF = ROOT / "paper" / "neurips_2024.pdf"
BOOK = ROOT / "book"
NOTEBOOKS = ("audit", "data", "easy", "medium", "hard", "ensembles", "methods", "scaling")
"""Whose result files the article reads."""


class ArticleError(Exception):
    """The article cannot be set; the message says where in its source and why."""


def typeset(results: Path | str = PAPER, *, own: bool | None = None) -> tuple[bytes, list[dict[str, str]]]:
    """Set the article with the rows and figures of a run.

    Parameters
    ----------
    results : path
        Folder of result files.
    own : bool, optional
        Whether they are those of a reader's own run: the pages then say so, corpora that this run does not have are
        replaced or left open, and verdicts may differ. By default, whether `results` is not ``paper/results``.

    Returns
    -------
    pdf : bytes
        Equal for equal results.
    exhibits : list of dict
        What it shows, in the order of the pages, as `report.exhibits` reads it.

    Raises
    ------
    ParameterError, ArticleError
        Where something is missing, ambiguous or undefined, a claim is not supported, or the source does not compile.
    """
    results = Path(results).resolve()
    rows, provenance = report.collect(source=results, notebooks=NOTEBOOKS)
    _same_contents(provenance)
    own = results != PAPER if own is None else own
    declared = tomllib.loads(CLAIMS.read_text(encoding="utf-8"))
    corpora = _corpora(declared.pop("corpora"), rows, own=own)
    root = os.path.commonpath([ROOT, results])

    def under_root(path: Path) -> str:
        return "/" + path.relative_to(root).as_posix()

    run = {
        "own": own,
        "results": {name: under_root(results / f"{name}.json") for name in NOTEBOOKS},
        "published": under_root(report.PUBLISHED),
        "figures": {path.stem: under_root(path) for path in _figures(results, own=own)},
        "corpora": corpora,
        "claims": judge(declared, rows, corpora=corpora, own=own),
        "noise": noise(rows),
        "criterion": criterion(rows, k=provenance["ensembles"]["parameters"]["k"]),
        "growth": growth(rows),
    }
    compiler = typst.Compiler(
        SOURCE,
        root=root,
        font_paths=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],  # STIX General, a Times design
        ignore_system_fonts=True,
        sys_inputs={"run": json.dumps(run)},
    )
    try:
        pdf, warnings = compiler.compile_with_warnings(timestamp=0, pdf_tags=False)
        shown = json.loads(compiler.query("<exhibit>", field="value"))
    except typst.TypstError as error:
        raise ArticleError(error.diagnostic.strip()) from None
    if warnings:
        raise ArticleError("\n".join(warning.diagnostic.strip() for warning in warnings))
    return pdf, _listed(shown)


def judge(
    families: Mapping[str, Mapping[str, object]], rows: pd.DataFrame, *, corpora: Mapping[str, str], own: bool = False
) -> dict[str, dict[str, object] | None]:
    """Put every claim to its test.

    `families` are as in ``paper/claims.toml``: whether seeds are `paired`, the columns that all `rows` share, and the
    `claims`, each with what its `first` and `second` row add and the `verdict` that the article is written for.
    `corpora` says what ``corpus`` may name besides a corpus. In a reader's `own` run a row may be missing, which gives
    None, and a verdict be another one.

    Returns
    -------
    dict of "family.claim" to dict
        `verdict`, `expected`, `metric`, `difference`, `low`, `high`, and `p`, corrected over its family (Holm).
    """
    judged: dict[str, dict[str, object] | None] = {}
    for family, about in families.items():
        found = {}
        for name, claim in about["claims"].items():
            key = f"{family}.{name}"
            checks.one_of(claim["verdict"], f"verdict of {key}", ("above", "below", "undecided"))
            sides = [about["rows"] | claim[side] for side in ("first", "second")]
            for side in sides:
                side |= {"corpus": corpora.get(side["corpus"], side["corpus"])} if "corpus" in side else {}
            judged[key] = None
            if own and any(report.where(rows, **side).empty for side in sides):
                continue
            try:
                pair = [report.select(rows, **side) for side in sides]
                found[key] = report.compare(*pair, paired=about["paired"])
            except ParameterError as error:
                raise ParameterError(f"claim {key} of {CLAIMS.name}: {error}") from None
        corrected = metrics.holm([comparison.p_value for comparison in found.values()])
        for (key, comparison), p_value in zip(found.items(), corrected, strict=True):
            decided = "above" if comparison.difference > 0 else "below"
            verdict = decided if p_value <= 0.05 else "undecided"  # also where nothing varies, and there is no p
            expected = about["claims"][key.removeprefix(f"{family}.")]["verdict"]
            told = f"difference {comparison.difference:.3f}, p {p_value:.3f} over its family"
            if verdict != expected and not own:
                raise ParameterError(f"claim {key} of {CLAIMS.name} says {expected}, the rows say {verdict}: {told}")
            numbers = {name: getattr(comparison, name) for name in ("difference", "low", "high")} | {"p": p_value}
            judged[key] = {"verdict": verdict, "expected": expected, "metric": comparison.metric} | {
                name: None if np.isnan(value) else float(value) for name, value in numbers.items()
            }
    return judged


def noise(rows: pd.DataFrame) -> dict[str, object]:
    """Count how many published figures lie among the draws of noise, as `report.among_noise` places them.

    `inside` of `total`, `vaes_inside` of `vaes`, and `nearer` to noise than to music of `compared`. Of the numbers of
    tracks up to the `largest`, `sizes` can give all stored ARIs; `impossible` of them have no solution at the largest.
    """
    solved = report.solutions()
    placed = report.among_noise(rows[rows["notebook"] == "audit"])
    of_vaes, compared = placed[placed["reading"].str.contains("VAE")], placed["nearer"].dropna()
    return {
        "placed": placed.drop(columns=["nearer", "draws"]).to_dict("records"),
        "total": len(placed),
        "inside": int(placed["inside"].sum()),
        "vaes": len(of_vaes),
        "vaes_inside": int(of_vaes["inside"].sum()),
        "compared": len(compared),
        "nearer": int(compared.sum()),
        "stored": len(solved),
        "sizes": [int(n) for n in solved if (solved[n] > 0).all()],
        "largest": int(solved.columns[-1]),
        "impossible": int((solved.iloc[:, -1] == 0).sum()),
    }


def criterion(rows: pd.DataFrame, *, k: int) -> dict[str, float]:
    """Tell how well the label-free criterion ranks the cells of the grid of VAEs by their agreement with the genres.

    Of the `cells` whose clusters amount to at least half of `k`: the Spearman `correlation`, the ARI of the `chosen`
    one, its `rank`, and the `lowest`, `median` and `highest` ARI.
    """
    cells = rows[(rows["model"] == "grid: VAE") & (rows["metric"] == "ari")]
    about = pd.DataFrame(list(cells["params"]), index=cells.index).assign(ari=cells["mean"])
    about = about[about["effective_clusters"] >= k / 2]
    chosen = about.loc[about["criterion"].idxmax(), "ari"]
    return {
        "cells": len(about),
        "correlation": float(stats.spearmanr(about["criterion"], about["ari"]).statistic),
        "chosen": float(chosen),
        "rank": int((about["ari"] > chosen).sum()) + 1,
        "lowest": float(about["ari"].min()),
        "median": float(about["ari"].median()),
        "highest": float(about["ari"].max()),
    }


def growth(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Give for every step of the scaling page the largest number of tracks it was run on, and how it grows there."""
    steps = []
    for step, measured in rows[rows["notebook"] == "scaling"].groupby("model", sort=False):
        table = measured.pivot_table(index="n", columns="metric", values="mean").reset_index()
        last = table.iloc[-1]
        numbers = {column: float(last[column]) for column in ("seconds", "mebibytes")}
        steps.append({"step": step, "n": int(last["n"]), **numbers, "exponent": scaling.slope(table, "seconds")})
    return steps


def build(results: Path | str = PAPER) -> Path:
    """Set the article, write it, whole or not at all, and return its path.

    That of the paper run goes to ``paper/neurips_2024.pdf``, and what its figures and tables are made by to
    ``paper/exhibits.csv``; that of any other run goes beside its results, where nothing is committed.
    """
    results = Path(results).resolve()
    pdf, exhibits = typeset(results)
    path = PDF if results == PAPER else results.parent / "article.pdf"
    with store.replacing(path) as temporary:
        temporary.write_bytes(pdf)
    if path == PDF:
        text = io.StringIO()
        writer = csv.DictWriter(text, exhibits[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(exhibits)
        with store.replacing(EXHIBITS) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def _corpora(parts: Mapping[str, list[str]], rows: pd.DataFrame, *, own: bool) -> dict[str, str]:
    """Choose a corpus for each part: the first that is there, which for the article itself must be the first of all."""
    there = set(rows["corpus"])
    chosen = {}
    for part, candidates in parts.items():
        found = [name for name in candidates if name in there]
        if not found or (not own and found[0] != candidates[0]):
            known = ", ".join(sorted(there))
            raise ParameterError(f"no rows of {candidates[0]}, the {part} corpus of the article; there are {known}")
        chosen[part] = found[0]
    return chosen


def _same_contents(provenance: Mapping[str, Mapping[str, object]]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for notebook, about in provenance.items():
        for corpus, of in about["corpora"].items():
            first, content = seen.setdefault(corpus, (notebook, of["hash"]))
            if of["hash"] != content:
                raise ParameterError(
                    f"corpus {corpus} has the content {content[:12]} in {first}.json and {of['hash'][:12]} in "
                    f"{notebook}.json: their rows cannot stand in one article; execute both notebooks again"
                )


def _figures(results: Path, *, own: bool) -> list[Path]:
    """Find the figures of a run: SVG kept with its results, else those of the executed notebooks beside them."""
    kept = sorted((results / "figures").glob("*.svg"))
    if kept or not own:
        return kept
    for page in sorted((results.parent / "executed").glob("*.ipynb")):
        for name, figure in execute.figures(json.loads(page.read_text(encoding="utf-8"))).items():
            if figure.png:
                with store.replacing(results.parent / "figures" / f"{name}.png") as temporary:
                    temporary.write_bytes(figure.png)
    return sorted((results.parent / "figures").glob("*.png"))


def _listed(shown: list[dict[str, object]]) -> list[dict[str, str]]:
    """Name the notebook cell behind every exhibit, and check that it is there."""
    lines = []
    for exhibit in shown:
        name = f"{exhibit['kind'].capitalize()} {exhibit['number']}"
        for notebook, cell in exhibit["made"]:
            path = BOOK / f"{notebook}.ipynb"
            document = json.loads(path.read_text(encoding="utf-8"))
            drawn = cell in execute.figures(document)
            code = ["".join(of["source"]) for of in document["cells"] if of["cell_type"] == "code"]
            count = drawn or sum(cell in source for source in code)
            if count != 1:
                raise ArticleError(f"{name}: {count} cells of {path.name} have {cell!r}, which is said to make it")
            link = f"[{cell}](#{cell})" if drawn else f"[{notebook}]({notebook}.ipynb), “{cell}”"
            lines.append({"exhibit": name, "shows": exhibit["title"], "notebook": notebook, "made by": link})
    return lines
