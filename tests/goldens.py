"""What the small book is compared with: ``make references`` writes it, the same on every processor but for digits.

``tests/nbval/<page>.ipynb`` holds the cells and the stable part of their outputs: text, shapes, headings, names.
``tests/nbval/<page>.csv`` holds the numbers, each with how far another processor may be from it: the means and chance
levels of its result rows, and the decimals that its cells print.
"""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[1]
REFERENCES = ROOT / "tests/nbval"
SMOKE = ROOT / "_build/smoke"
SOURCES = sorted((ROOT / "book").glob("*.ipynb"))

# What tells one row from another: nothing that a float decides. Rows that are still alike are counted in their order.
WHAT = ["corpus", "features", "model", "clusterer", "target", "subset", "metric", "space"]
MEASURED = {"seconds", "mebibytes"}  # differ from run to run
COUNTED = {"active_units", "epochs"}  # a threshold decides
SCORE, PART, COUNT = 0.06, 0.15, 3.0
"""How far a number may be: equal builds give equal digits; another processor moves a track or two between clusters,
which is some hundredths of a score, some percent of what has no upper bound, and a unit or two of a count."""

PICTURES = ("image/", "application/vnd.plotly", "application/papermill.record/image")
SPREAD = re.compile(r"(±|\bp) ?[<=]? ?-?\d*\.\d+")  # of a few seeds or draws: they are tested where they are computed
NUMBER = re.compile(r"(?<![\w.#])[-−]?\d*\.\d+(?:e[-+]?\d+)?(?![\w.])")
IGNORED = "nbval-ignore-output"


def code_cells(path: Path) -> list:
    """The code cells of a notebook that must be there."""
    if not path.is_file():
        remedy = "make references" if REFERENCES in path.parents else "make smoke"
        raise FileNotFoundError(f"{path.relative_to(ROOT)} is missing: run `{remedy}`")
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def text_of(cell: dict) -> str:
    """What a reader sees of the outputs of a cell that are compared."""
    if IGNORED in cell.metadata.get("tags", []):
        return ""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        html = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", data.get("text/html", ""), flags=re.DOTALL)
        texts.append(html or data.get("text/markdown") or data.get("text/plain") or output.get("text", ""))
    return "\n".join(texts)


def stable(document: dict) -> dict:
    """Leave what is the same on every processor: no pictures, no numbers, nothing of cells that are not compared."""
    patterns = get_sanitize_patterns((REFERENCES / "sanitize.cfg").read_text(encoding="utf-8"))

    def plain(text: object) -> object:
        for pattern, word in patterns if isinstance(text, str) else ():
            text = re.sub(pattern, word, text)
        return text

    for cell in document.cells:
        if IGNORED in cell.metadata.get("tags", []):
            cell.outputs = []
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = plain(output["text"])
            if "data" in output:
                kept = {kind: plain(value) for kind, value in output["data"].items() if not kind.startswith(PICTURES)}
                output["data"] = nbformat.from_dict(kept)
    return document


def numbers(build: Path, page: str) -> pd.DataFrame:
    """The numbers of an executed page: columns value, chance and within, by what they are; NaN: not compared."""
    found = {}
    path = build / f"results/{page}.json"
    seen: dict[str, int] = {}
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    for line in content.get("verdicts", []):  # its words hang on a p, its difference is compared
        found[f"verdict | {line['line']}"] = [line["difference"], None, SCORE]
    for row in content["rows"]:
        settled = row["noise"] == "none"  # else a distance decides how many clusters there are, and of how many tracks
        what = " | ".join([*(str(row[name]) for name in WHAT), *([f"n={row['n']}, k={row['k']}"] if settled else [])])
        seen[what] = seen.get(what, 0) + 1
        compared = settled and row["metric"] not in MEASURED
        values = [row["mean"], row["chance"]] if compared else [None, None]
        found[f"{what} | {seen[what]}"] = [*values, COUNT if row["metric"] in COUNTED else SCORE]
    for cell in code_cells(build / "executed" / f"{page}.ipynb"):
        for place, text in enumerate(NUMBER.findall(SPREAD.sub("", text_of(cell))), start=1):
            found[f"printed | {cell.id} | {place}"] = [float(text.replace("−", "-")), None, SCORE]
    table = pd.DataFrame.from_dict(found, orient="index", columns=["value", "chance", "within"], dtype=float)
    table["within"] = np.maximum(table["within"], PART * table["value"].abs()).where(table["value"].notna())
    return table.rename_axis("what")


def read(page: str) -> pd.DataFrame:
    """The numbers of the reference of a page."""
    path = REFERENCES / f"{page}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"tests/nbval/{path.name} is missing: run `make references`")
    return pd.read_csv(path, index_col="what")


def distances(found: pd.DataFrame, golden: pd.DataFrame) -> pd.Series:
    """How far each number is from the golden one, as a part of what is allowed; NaN where nothing is compared."""
    away = (found[["value", "chance"]] - golden[["value", "chance"]]).abs().max(axis=1)
    return away / golden["within"]


def main() -> None:
    """Write the references of all pages."""
    for path in SOURCES:
        executed = SMOKE / "executed" / path.name
        code_cells(executed)
        nbformat.write(stable(nbformat.read(executed, as_version=4)), REFERENCES / path.name)
        table = numbers(SMOKE, path.stem)
        rounded = table.map(lambda value: f"{value:.4g}" if np.isfinite(value) else "")
        rounded.to_csv(REFERENCES / f"{path.stem}.csv", lineterminator="\n")
        print(f"tests/nbval/{path.stem}: {len(table)} numbers")


if __name__ == "__main__":
    main()
