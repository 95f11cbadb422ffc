"""Take the executed smoke notebooks as references for nbval, and their result rows: ``make references``.

Images are left out, and so are sounds and maps, which stand in cells whose outputs are not compared: nbval does not
look at them, and each would be up to half a megabyte in the history.
"""

from pathlib import Path

import nbformat
import pandas as pd

from companion import pages, report

HERE = Path(__file__).resolve().parent
EXECUTED = HERE.parents[1] / "_build/smoke/executed"
WHAT = ["corpus", "n", "features", "model", "params", "clusterer", "k", "target", "subset", "noise", "metric", "space"]
TIMES = ("seconds", "mebibytes")


def rows(notebook: str) -> pd.DataFrame:
    """Mean and chance level of every row of a notebook that is no time or memory, by what it is a row of."""
    table, _ = report.read(report.results_path(notebook, profile="smoke"))
    table = table[~table["metric"].isin(TIMES)]
    return table.astype(dict.fromkeys(WHAT, str)).set_index(WHAT)[["mean", "chance"]].round(4)


def main() -> None:
    """Write one reference per executed notebook."""
    for path in sorted(EXECUTED.glob("*.ipynb")):
        document = nbformat.read(path, as_version=4)
        for cell in document.cells:
            ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
            for output in cell.get("outputs", []):
                drawn = ("image/png", "image/jpeg", "image/svg+xml")
                for kind in (*drawn, *(("text/html", pages.PLOTLY) if ignored else ())):
                    output.get("data", {}).pop(kind, None)
        nbformat.write(document, HERE / path.name)
        print(f"tests/nbval/{path.name}")
        if report.results_path(path.stem, profile="smoke").is_file() and len(found := rows(path.stem)):
            found.to_csv(HERE / f"{path.stem}.csv", lineterminator="\n")


if __name__ == "__main__":
    main()
