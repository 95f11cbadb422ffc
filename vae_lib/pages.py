"""What stands around the outputs of executed notebooks in the book: where each comes from, and its download.

``python -m vae_lib.pages stage`` copies the executed notebooks and the prose to the tree that Sphinx reads. Every shown
table and figure gets a mark there that opens and says what it was computed from, every code cell an anchor, every glued
number a link to the cell that it comes from; tables are written as CSV, figures as SVG, result files as JSON and CSV.
Notebooks as executed are read and not changed.
``python -m vae_lib.pages trim`` takes out of the rendered book what no page loads.
"""

import argparse
import csv
import hashlib
import html
import io
import json
import re
import shutil
import sys
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vae_lib import store
from vae_lib.checks import ParameterError

DOWNLOADS = "extra"  # in the staged tree; html_extra_path of _config.yml puts what it holds at the root of the book
HEADING = "## Where these numbers come from"
LARGEST_SVG = 1_500_000  # bytes; a figure of more is a cloud of points, for which the PNG has to do
RECORD = "application/papermill.record/"  # what glue puts before the type of a value that a cell does not show
MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")  # what the pages load of it, or may

_NUMBER = re.compile(r"\{glue:text\}`(?P<page>[\w-]+)\.ipynb::(?P<key>[\w-]+)(:[^`]*)?`")
_GLUED = re.compile(
    r"^```\{glue:any\} *(?P<key>[\w-]+)\n:doc: *(?P<page>[\w-]+)\.ipynb\n```$", re.MULTILINE
)
_FIGURE = re.compile(r"^```\{figure\} *figures/(?P<name>[\w-]+)\.png\n(?P<rest>.*?)^```$", re.MULTILINE | re.DOTALL)


class Download(NamedTuple):
    """One file that belongs to an output."""

    kind: str  # "CSV", "PNG", "SVG"
    of: str  # "table", "figure"
    path: str  # from the root of the book


class Made(NamedTuple):
    """What one cell shows."""

    page: str
    anchor: str  # of the cell
    title: str  # of what it shows, for those who hear the page
    downloads: tuple[Download, ...]
    facts: Mapping[str, str]


class Figure(NamedTuple):
    """A figure that has a name, so that a page of prose can show it too."""

    anchor: str
    alt: str
    png: bytes


def stage(build: Path | str, into: Path | str, *, notebooks: Iterable[str], prose: Iterable[Path | str] = ()) -> None:
    """Write executed notebooks and prose, with their marks, and all downloads to the tree that Sphinx reads.

    Parameters
    ----------
    build : path
        The folder of the profile, with ``executed/``, ``params/`` and ``results/``.
    into : path
        The staged tree. Pages go to ``book/``, downloads to ``extra/``.
    notebooks : iterable of str
        Names of the pages that are notebooks, without suffix.
    prose : iterable of path
        The pages that are not, such as ``book/index.md``.

    Raises
    ------
    ParameterError
        If a notebook has not been executed, a result file is broken, or prose glues what no notebook has.
    """
    import nbformat

    build, into = Path(build), Path(into)
    documents = {name: _read_notebook(build / "executed" / f"{name}.ipynb") for name in notebooks}
    glued = {
        (name, output["metadata"]["scrapbook"]["name"]): anchor(name, cell)
        for name, document in documents.items()
        for cell in document.cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
    }
    for path in sorted((build / "results").glob("*.json")):
        _ship_results(path, into / DOWNLOADS / "results")
    made: dict[str, Made] = {}
    drawn: dict[str, Figure] = {}
    for name, document in documents.items():
        facts, files = provenance(name, build), rows_of(name, build)
        cells = []
        for cell in document.cells:
            if cell.cell_type == "code":
                cells.append(nbformat.v4.new_markdown_cell(f"({anchor(name, cell)})=", id=f"{cell['id']}-anchor"))
                shown = _prepare_outputs(cell, name, facts, into / DOWNLOADS)
                made[shown.anchor] = shown
                drawn |= _named_figure(cell, shown.anchor)
                cells.append(cell)
                if _shows(cell):
                    text = mark(shown, page=name, rows=files)
                    cells.append(nbformat.v4.new_markdown_cell(text, id=f"{cell['id']}-mark"))
            else:
                cell.source = _link_numbers(cell.source, glued, name)
                cells.append(cell)
        if files:
            cells.append(nbformat.v4.new_markdown_cell(_rows_line(files), id="rows"))
        document.cells = cells
        (into / "book").mkdir(parents=True, exist_ok=True)
        nbformat.write(document, into / "book" / f"{name}.ipynb")
    for path in map(Path, prose):
        text = path.read_text(encoding="utf-8")
        for found in _FIGURE.finditer(text):
            if found["name"] not in drawn:
                raise ParameterError(f"{path} shows the figure {found['name']!r}, which no notebook draws")
            picture = into / "book/figures" / f"{found['name']}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(drawn[found["name"]].png)
        text = _prose(text, path.stem, glued, drawn, made, build)
        (into / "book" / path.name).write_text(text, encoding="utf-8")


def anchor(page: str, cell: Mapping[str, object]) -> str:
    """Name of the place of a code cell in the book, as in ``easy.html#cell-easy-c36``."""
    return f"cell-{page}-" + re.sub(r"[^a-z0-9]+", "-", str(cell["id"]).lower()).strip("-")


def rows_of(page: str, build: Path) -> list[str]:
    """Names of the result files behind a page: its own, or those of the pages that its parameters name."""
    if (build / "results" / f"{page}.json").is_file():
        return [page]
    named = _parameters(page, build).get("notebooks", [])
    return [name for name in named if (build / "results" / f"{name}.json").is_file()]


def provenance(page: str, build: Path) -> dict[str, str]:
    """Tell what a page was computed from: corpus, parameters, seeds, commit and duration, as far as they are known."""
    found = [_read_results(build / "results" / f"{name}.json")["provenance"] for name in rows_of(page, build)]
    parameters = {name: value for name, value in _parameters(page, build).items() if name != "profile"}
    corpora = {name: about["hash"] for each in found for name, about in each["corpora"].items()}
    seeds = sorted({each["parameters"]["seeds"] for each in found if "seeds" in each["parameters"]})
    seconds = sum(each["seconds"] for each in found)
    facts = {
        "corpus": "; ".join(f"{name}, content {digest[:12]}" for name, digest in corpora.items()),
        "parameters": ", ".join(f"{name} = {_told(value)}" for name, value in parameters.items()),
        "seeds": ", ".join(f"0 to {count - 1}" if count > 1 else "0" for count in seeds),
        "commit": ", ".join(sorted({each["commit"] for each in found})),
        "duration": f"{seconds:.0f} s for {'the page' if len(found) == 1 else f'these {len(found)} pages'}" if found else "",
    }
    return {name: text for name, text in facts.items() if text}


def mark(made: Made, *, page: str, rows: Sequence[str]) -> str:
    """Give the mark of what a cell shows, as HTML that works without scripts and holds no blank line.

    Parameters
    ----------
    made : Made
    page : str
        The page that the mark stands on.
    rows : sequence of str
        Names of the result files behind it.
    """
    here = made.page == page
    cell = f"{'' if here else f'{made.page}.html'}#{made.anchor}"
    source = f"../_sources/book/{made.page}.ipynb"
    lines = {
        "made by": f'<a href="{cell}">{"this cell" if here else f"a cell of {made.page}"}</a> '
        f'of <a href="{source}" download>{made.page}.ipynb</a>'
    }
    lines |= {name: html.escape(text) for name, text in made.facts.items()}
    several = len({(each.of, Path(each.path).stem) for each in made.downloads}) > 1
    files = [
        f'<a href="../{each.path}" download>{each.kind}{f" of {each.of} {number}" if several else ""}</a>'
        for number, each in _numbered(made.downloads)
    ]
    if files:
        lines["download"] = ", ".join(files)
    lines["all rows"] = _rows_links([name for name in rows])
    facts = "\n".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines.items() if text)
    return (
        f'<details class="trace">\n<summary>Source{" and download" if files else ""}<span class="visually-hidden"> of {html.escape(made.title)}</span>'
        f"</summary>\n<dl>\n{facts}\n</dl>\n</details>\n"
    )


def table_cells(text: str) -> list[list[list[str]]]:
    """Read the tables of a piece of HTML: per table its lines, per line the text of each cell.

    A cell over several columns or lines is repeated in each, so that all lines have the same length.
    """
    from bs4 import BeautifulSoup

    tables = []
    for table in BeautifulSoup(text, "html.parser").find_all("table"):
        grid: dict[tuple[int, int], str] = {}
        for line, row in enumerate(table.find_all("tr")):
            column = 0
            for cell in row.find_all(["td", "th"]):
                while (line, column) in grid:
                    column += 1
                content = cell.get_text().replace("\xa0", " ").strip()
                for down in range(int(cell.get("rowspan", 1))):
                    for right in range(int(cell.get("colspan", 1))):
                        grid[line + down, column + right] = content
        width = 1 + max((column for _, column in grid), default=-1)
        height = 1 + max((line for line, _ in grid), default=-1)
        tables.append([[grid.get((line, column), "") for column in range(width)] for line in range(height)])
    return tables


def with_headers(text: str) -> str:
    """Say of each header cell of the tables in a piece of HTML whether it heads a column or a line.

    A header cell without text heads nothing and becomes an ordinary one.
    """
    from bs4 import BeautifulSoup

    document = BeautifulSoup(text, "html.parser")
    for cell in document.select("table th"):
        if not cell.get_text().replace("\xa0", " ").strip():
            cell.name = "td"
        elif not cell.get("scope"):
            group = "group" if int(cell.get("colspan" if cell.find_parent("thead") else "rowspan", 1)) > 1 else ""
            cell["scope"] = ("col" if cell.find_parent("thead") else "row") + group
    return str(document)


def trim(folder: Path | str, *, sources: Iterable[Path | str] = ()) -> int:
    """Remove from a rendered book what no page loads; return how many bytes that was.

    That is what MathJax has for other inputs and outputs, and maps of minified code. The notebooks that the book offers
    for download become the clean ones, which can be run and do not repeat every figure.

    Parameters
    ----------
    folder : path
        The rendered book.
    sources : iterable of path
        The clean notebooks.
    """
    folder = Path(folder)
    before = _size(folder)
    mathjax = folder / "_static/mathjax"
    needed = [mathjax / name for name in MATHJAX]
    for path in [path for path in mathjax.rglob("*") if path.is_file()]:
        if not any(path == keep or keep in path.parents for keep in needed):
            path.unlink()
    for path in [*folder.rglob("*.js.map"), *folder.rglob("*.css.map")]:
        path.unlink()
    for source in map(Path, sources):
        shutil.copyfile(source, folder / "_sources/book" / source.name)
    return before - _size(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _read_notebook(path: Path) -> dict:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; execute its notebook first") from None


def _read_results(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["rows"], content["provenance"]["corpora"], content["provenance"]["parameters"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is not a result file: {error!r}") from None
    return content


def _parameters(page: str, build: Path) -> dict[str, object]:
    path = build / "params" / f"{page}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _told(value: object) -> str:
    return ", ".join(map(str, value)).join("[]") if isinstance(value, list) else str(value)


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8")


def _ship_results(path: Path, folder: Path) -> None:
    """Copy a result file, and write its rows as CSV; what is no number or text there is JSON in its cell."""
    rows = _read_results(path)["rows"]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)
    columns = list(rows[0]) if rows else []
    lines = [
        ["" if row[name] is None else json.dumps(row[name], ensure_ascii=False) if isinstance(row[name], list | dict) else row[name] for name in columns]
        for row in rows
    ]
    _write_csv(folder / f"{path.stem}.csv", [columns, *lines])


def _shows(cell: Mapping) -> bool:
    """Whether a reader sees an output of the cell: a value that is only glued has none."""
    hidden = {"remove-cell", "remove_cell", "remove-output", "remove_output"} & set(cell.metadata.get("tags", []))
    return not hidden and any("scrapbook" not in output.get("metadata", {}) for output in cell.outputs)


def _prepare_outputs(cell: dict, page: str, facts: Mapping[str, str], folder: Path) -> Made:
    """Write the tables and figures of a cell to `folder`, and make them accessible where they stand."""
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    stem = figure.get("name") or f"{page}-{cell['id']}"
    downloads, titles, tables, figures = [], [], 0, 0
    for output in cell.outputs:
        data = output.get("data", {})
        for kind in ("text/html", f"{RECORD}text/html"):
            if "<table" in data.get(kind, ""):
                data[kind] = with_headers(data[kind])
        drawn = data.pop("image/svg+xml", None)
        data.pop(f"{RECORD}image/svg+xml", None)  # the page of prose that shows it takes the PNG as well
        if "scrapbook" in output.get("metadata", {}):
            continue
        for lines in table_cells(data.get("text/html", "")):
            tables += 1
            name = f"tables/{page}-{cell['id']}{f'-{tables}' if tables > 1 else ''}.csv"
            _write_csv(folder / name, lines)
            downloads.append(Download("CSV", "table", name))
            titles.append(_caption(data["text/html"]) or "a table")
        if "image/png" in data:
            figures += 1
            picture = b64decode(data["image/png"])
            downloads.append(Download("PNG", "figure", f"_images/{hashlib.sha256(picture).hexdigest()}.png"))
            titles.append(_plain(figure.get("caption", "")) or "a figure")
            described = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
            described.setdefault("alt", _first_sentence(figure.get("caption", "")) or f"Figure of the page {page}")
        if drawn is not None and len("".join(drawn)) <= LARGEST_SVG:
            name = f"figures/{stem}{f'-{figures}' if figures > 1 else ''}.svg"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("".join(drawn), encoding="utf-8")
            downloads.append(Download("SVG", "figure", name))
    return Made(page, anchor(page, cell), _shortened("; ".join(titles) or "the text above"), tuple(downloads), facts)


def _caption(text: str) -> str:
    found = re.search(r"<caption[^>]*>(.*?)</caption>", text, re.S)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def _plain(text: str) -> str:
    """Drop roles and emphasis of MyST."""
    return re.sub(r"[*`]", "", re.sub(r"\s*\{\w+\}`[^`]*`", "", text)).strip()


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:;])\s", _plain(text), maxsplit=1)[0].rstrip(".:;")


def _shortened(text: str, longest: int = 90) -> str:
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"


def _numbered(downloads: Sequence[Download]) -> Iterable[tuple[int, Download]]:
    """Count tables and figures of a cell, each kind from 1; the PNG and the SVG of a figure have the same number."""
    counts: dict[tuple[str, str], int] = {}
    for each in downloads:
        counts[each.of, each.kind] = counts.get((each.of, each.kind), 0) + 1
        yield counts[each.of, each.kind], each


def _rows_links(names: Sequence[str]) -> str:
    several = len(names) > 1
    return "; ".join(
        f'{f"{name}: " if several else ""}<a href="../results/{name}.csv" download>CSV</a>, '
        f'<a href="../results/{name}.json" download>JSON</a>'
        for name in names
    )


def _rows_line(names: Sequence[str]) -> str:
    return f'<p class="rows">All rows behind these numbers, one per measured value: {_rows_links(names)}.</p>\n'


def _link_numbers(text: str, glued: Mapping[tuple[str, str], str], page: str) -> str:
    """Make each glued number a link to the cell that it comes from."""

    def linked(found: re.Match) -> str:
        key = found["page"], found["key"]
        if key not in glued:
            raise ParameterError(f"page {page} takes {key[1]!r} of {key[0]}.ipynb, which glues nothing of that name")
        return f'[{found[0]}](#{glued[key]})'

    return _NUMBER.sub(linked, text)


def _named_figure(cell: dict, place: str) -> dict[str, Figure]:
    settings = cell.metadata.get("mystnb", {})
    pictures = [output["data"]["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    if "name" not in settings.get("figure", {}) or not pictures:
        return {}
    return {settings["figure"]["name"]: Figure(place, settings["image"]["alt"], b64decode(pictures[-1]))}


def _prose(
    text: str,
    page: str,
    glued: Mapping[tuple[str, str], str],
    drawn: Mapping[str, Figure],
    made: Mapping[str, Made],
    build: Path,
) -> str:
    """Give a page of prose its links and marks, and, where it prints numbers, the box that says whose they are."""
    used = [glued[key] for found in _NUMBER.finditer(text) if (key := (found["page"], found["key"])) in glued]
    text = _link_numbers(text, glued, page)

    def marked(cell: str) -> str:
        used.append(cell)
        return mark(made[cell], page=page, rows=rows_of(made[cell].page, build))

    def figure(found: re.Match) -> str:
        of = drawn[found["name"]]
        alt = "" if ":alt:" in found["rest"] else f":alt: {of.alt}\n"
        head, _, tail = found[0].partition("\n")
        return f"{head}\n{alt}{tail}\n\n{marked(of.anchor)}"

    def value(found: re.Match) -> str:
        key = found["page"], found["key"]
        if key not in glued:
            raise ParameterError(f"page {page} takes {key[1]!r} of {key[0]}.ipynb, which glues nothing of that name")
        return f"{found[0]}\n\n{marked(glued[key])}"

    text = _GLUED.sub(value, _FIGURE.sub(figure, text))
    if not used:
        return text
    lines = ["| page | its cells | computed from | commit | duration |", "|---|---|---|---|---|"]
    pages: dict[str, list[str]] = {}
    for cell in dict.fromkeys(used):
        pages.setdefault(made[cell].page, []).append(cell)
    for name, cells in pages.items():
        links = ", ".join(f"[{cell.removeprefix(f'cell-{name}-')}](#{cell})" for cell in cells)
        told = [provenance(name, build).get(fact, "–") for fact in ("corpus", "commit", "duration")]
        lines.append(f"| {{doc}}`{name}` | {links} | {' | '.join(told)} |")
    files = dict.fromkeys(file for name in pages for file in rows_of(name, build))
    return "\n".join([text.rstrip(), "", HEADING, "", *lines, "", _rows_line(list(files))])


def main(arguments: list[str] | None = None) -> int:
    """Run ``stage`` or ``trim``; return 0, or 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m vae_lib.pages", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    staging = commands.add_parser("stage", help="write the tree that Sphinx reads")
    staging.add_argument("build", help="_build/<profile>")
    staging.add_argument("pages", nargs="+", help="book/*.ipynb and book/*.md")
    staging.add_argument("--into", required=True, metavar="FOLDER")
    trimming = commands.add_parser("trim", help="remove from a rendered book what no page loads")
    trimming.add_argument("folder")
    trimming.add_argument("sources", nargs="*", help="book/*.ipynb")
    options = parser.parse_args(arguments)
    try:
        if options.command == "trim":
            trim(options.folder, sources=options.sources)
        else:
            pages = [Path(page) for page in options.pages]
            notebooks = [page.stem for page in pages if page.suffix == ".ipynb"]
            stage(options.build, options.into, notebooks=notebooks, prose=[page for page in pages if page.suffix == ".md"])
    except (ParameterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
