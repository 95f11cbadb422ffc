"""Take the executed smoke notebooks as references for nbval: ``make references``.

Images are left out: nbval does not compare them, and each would be half a megabyte in the history.
"""

from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
EXECUTED = HERE.parents[1] / "_build/smoke/executed"


def main() -> None:
    """Write one reference per executed notebook."""
    for path in sorted(EXECUTED.glob("*.ipynb")):
        document = nbformat.read(path, as_version=4)
        for cell in document.cells:
            for output in cell.get("outputs", []):
                for kind in ("image/png", "image/jpeg"):
                    output.get("data", {}).pop(kind, None)
        nbformat.write(document, HERE / path.name)
        print(f"tests/nbval/{path.name}")


if __name__ == "__main__":
    main()
