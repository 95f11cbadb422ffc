"""The article: Typst source set with the rows of a run, each figure and table of it traced to a notebook cell."""

import csv
import io
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pandas as pd
import typst
from matplotlib.colors import to_hex

from companion import ROOT, execute, report
from companion.report import EXHIBITS, PAPER
from vae_lib import checks, plots, store
from vae_lib.checks import ParameterError

SOURCE = ROOT / "paper" / "main.typ"
CLAIMS = ROOT / "paper" / "claims.toml"
PDF = ROOT / "paper" / "neurips_2024.pdf"
BOOK = ROOT / "book"
NOTEBOOKS = (
    "audit", "easy", "choice", "elsewhere", "inputs", "medium", "hard", "ensembles", "peers", "methods", "scaling",
)  # fmt: skip
"""Whose result files the article reads."""

NUMBERS = {"difference": "difference", "low": "low", "high": "high", "p_holm": "p"}
"""What a claim tells besides its verdict, by its name among the verdicts."""


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
    _same_contents(rows, provenance)
    own = results != PAPER if own is None else own
    declared = tomllib.loads(CLAIMS.read_text(encoding="utf-8"))
    verdicts = report.verdicts(results)
    if unresolved := [line for line in verdicts["line"] if set(line) & set("{}")]:
        raise ParameterError(f"a verdict is called {unresolved[0]!r}: its page left a brace unresolved")
    root = os.path.commonpath([ROOT, results])

    def under_root(path: Path) -> str:
        return "/" + path.relative_to(root).as_posix()

    run = {
        "own": own,
        "results": {name: under_root(results / f"{name}.json") for name in NOTEBOOKS},
        "published": under_root(report.PUBLISHED),
        "figures": {path.stem: under_root(path) for path in _figures(results, own=own)},
        "axes": {path.stem: axes for path in _figures(results, own=own) if (axes := _axes(path))},
        "claims": judge(declared, verdicts, own=own),
        **_twice(verdicts, declared),
        "noise": noise(rows),
        "colors": {word: to_hex(plots.color(word)) for word in ("features", *plots.MODELS)},
    }
    compiler = typst.Compiler(
        SOURCE,
        root=root,
        font_paths=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],  # STIX General, a Times design
        ignore_system_fonts=True,
        sys_inputs={"run": json.dumps(run)},
    )
    try:
        pdf, warnings = compiler.compile_with_warnings(timestamp=0, pdf_tags=True)
        shown = json.loads(compiler.query("<exhibit>", field="value"))
        printed = json.loads(compiler.query("<printed>", field="value"))
    except typst.TypstError as error:
        raise ArticleError(error.diagnostic.strip()) from None
    if warnings:
        raise ArticleError("\n".join(warning.diagnostic.strip() for warning in warnings))
    _one_rounding(printed)
    return pdf, _listed(shown)


def _twice(verdicts: pd.DataFrame, declared: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, object]:
    """Give the verdicts, with which of them are others in the second run, and what is to be said of that run."""
    turned = report.turned(verdicts)
    others = {*zip(turned["notebook"], turned["line"], strict=True)}
    table = verdicts.assign(turned=[of in others for of in zip(verdicts["notebook"], verdicts["line"], strict=True)])
    second = {
        "lines": turned.attrs["lines"],
        "turned": len(turned),
        "opposed": int((turned[["verdict", "verdict_second"]].isin(["above", "below"])).all(axis=1).sum()),
        "claims": [
            f"{of}.{name}" for of, claims in declared.items() for name in claims if (of, claims[name]["line"]) in others
        ],
    }
    return {"verdicts": json.loads(table.to_json(orient="records")), "second": second}


def judge(
    declared: Mapping[str, Mapping[str, Mapping[str, str]]], found: pd.DataFrame, *, own: bool = False
) -> dict[str, dict[str, object] | None]:
    """Hold the article's words against the verdicts of the pages.

    `declared` is ``paper/claims.toml``: by notebook and claim, the `line` of a verdict and the `verdict` that the
    article is written for. `found` is as from `report.verdicts`. In a reader's `own` run a line may be missing, which
    gives None, and a verdict be another one.

    Returns
    -------
    dict of "notebook.claim" to dict
        `verdict`, `expected`, `difference`, `low`, `high`, `p`, corrected over the table of the page (Holm), and
        whether it is `at_floor`.
    """
    judged: dict[str, dict[str, object] | None] = {}
    for notebook, claims in declared.items():
        lines = found[found["notebook"] == notebook].set_index("line")
        for name, claim in claims.items():
            key, line = f"{notebook}.{name}", claim["line"]
            checks.one_of(claim["verdict"], f"verdict of {key}", ("above", "below", "equal", "not decided"))
            judged[key] = None
            if line not in lines.index:
                if own:
                    continue
                raise ParameterError(f"claim {key} of {CLAIMS.name}: {notebook} has no verdict {line!r}")
            of = lines.loc[line]
            verdict = of["verdict"].partition(" within")[0]
            if verdict != claim["verdict"] and not own:
                told = f"the page says {verdict}: difference {of['difference']:.3f}, p {of['p_holm']:.3f}"
                raise ParameterError(f"claim {key} of {CLAIMS.name} says {claim['verdict']}, {told}")
            judged[key] = {"verdict": verdict, "expected": claim["verdict"], "at_floor": bool(of["at_floor"])}
            judged[key] |= {to: float(of[of_page]) for of_page, to in NUMBERS.items()}
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


def build(results: Path | str = PAPER) -> Path:
    """Set the article, write it, whole or not at all, and return its path.

    That of the released run goes to ``paper/neurips_2024.pdf``, and what its figures and tables are made by to
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


def _same_contents(rows: pd.DataFrame, provenance: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse pages that call different contents of as many tracks by the name of one corpus."""
    sizes = rows[rows["subset"] == "all"].groupby(["notebook", "corpus"])["n"].max()
    seen: dict[tuple[str, int], tuple[str, str]] = {}
    for (notebook, corpus), n in sizes.items():
        content = provenance[notebook]["corpora"][corpus]["hash"]
        first, known = seen.setdefault((corpus, n), (notebook, content))
        if content != known:
            raise ParameterError(
                f"corpus {corpus} has the content {known[:12]} in {first}.json and {content[:12]} in {notebook}.json: "
                "their rows cannot stand in one article; execute both notebooks again"
            )


def _one_rounding(printed: list[dict[str, object]]) -> None:
    """Refuse a value that stands with so many digits in one place and with others elsewhere."""
    seen: dict[tuple[object, object], object] = {}
    for number in printed:
        first = seen.setdefault((number["row"], number["column"]), number["digits"])
        if first != number["digits"]:
            raise ArticleError(
                f"{number['column']} of the row of {number['row']} is printed with {first} digits after the point and "
                f"with {number['digits']} elsewhere"
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


def _axes(figure: Path) -> list[object]:
    """Size of an SVG of Matplotlib in points, and of each of its axes left, top, right and bottom as shares of it."""
    text = figure.read_text(encoding="utf-8") if figure.suffix == ".svg" else ""
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    corner = r"[ML] ([\d.]+) ([\d.]+) \n"
    found = re.findall(rf'<g id="axes_\d+">\s*<g id="patch_\d+">\s*<path d="{corner}{corner}{corner}', text)
    if not size or not found:
        return []
    width, height = map(float, size.groups())
    boxes = [[float(x0) / width, float(y1) / height, float(x1) / width, float(y0) / height]
             for x0, y0, _, _, x1, y1 in found]  # fmt: skip
    return [width, height, boxes]


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
