"""What stands around the outputs of executed notebooks in the book: where each comes from, and its download.

``python -m companion stage`` copies the executed notebooks and the prose to the tree that Sphinx reads. Every shown
table and figure gets a mark there that opens and says what it was computed from, every glued number a link to the cell
that it comes from. Code is folded, all but the parameters. Tables are written as CSV, figures as SVG, result files as
JSON and CSV, sounds and images within HTML as files that a browser fetches when they are wanted.
Notebooks as executed are read and not changed.
``python -m companion trim`` takes out of the rendered book what no page loads.
"""

import csv
import hashlib
import html
import io
import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from vae_lib.checks import ParameterError

DOWNLOADS = "extra"  # in the staged tree; html_extra_path of _config.yml puts what it holds at the root of the book
HEADING = "## Where these numbers come from"
LARGEST_SVG = 1_000_000  # bytes; a figure of more is a cloud of points, for which the PNG has to do
RECORD = "application/papermill.record/"  # what glue puts before the type of a value that a cell does not show
MEDIA = {"audio/mpeg": "mp3", "image/png": "png"}  # what becomes a file of the book, and its suffix
PLOTLY = "application/vnd.plotly.v1+json"  # what JupyterLab shows of a map; a page shows its HTML
TOGGLE = '<span class="toctree-toggle"'  # what opens a part of the theme's navigation
MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")  # what the pages load of it, or may

_EMBEDDED = re.compile(rf"data:(?P<kind>{'|'.join(MEDIA)});base64,(?P<content>[A-Za-z0-9+/=]+)")
_NUMBER = re.compile(r"\{glue:text\}`(?P<page>[\w-]+)\.ipynb::(?P<key>[\w-]+)(:[^`]*)?`")
_GLUED = re.compile(r"^```\{glue:any\} *(?P<key>[\w-]+)\n:doc: *(?P<page>[\w-]+)\.ipynb\n```$", re.MULTILINE)
_FIGURE = re.compile(r"^```\{figure\} *figures/(?P<name>[\w-]+)\.png\n(?P<rest>.*?)^```$", re.MULTILINE | re.DOTALL)


class Download(NamedTuple):
    """One file that belongs to an output."""

    kind: str  # "CSV", "PNG", "SVG"
    of: str  # "table", "figure"
    path: str  # from the root of the book


class Rows(NamedTuple):
    """A result file as the book ships it."""

    name: str
    path: str  # from the root of the book, without suffix
    provenance: Mapping[str, Any]


class Made(NamedTuple):
    """What one cell shows."""

    page: str
    anchor: str  # of the cell
    title: str  # of what it shows, for those who hear the page
    downloads: tuple[Download, ...]
    rows: tuple[Rows, ...]  # behind it
    parameters: Mapping[str, object]  # of the page


class Figure(NamedTuple):
    """A figure that has a name, so that a page of prose can show it too."""

    anchor: str
    alt: str
    png: bytes


def stage(
    build: Path | str,
    into: Path | str,
    *,
    notebooks: Iterable[str],
    prose: Iterable[Path | str] = (),
    paper: Path | str | None = None,
) -> None:
    """Write executed notebooks and prose, with their marks, and all downloads to the tree that Sphinx reads.

    The rows behind a cell are those of its page, or, where the page has none, those of the pages that its parameter
    `notebooks` names. A cell that shows the stored rows of the paper run has the tag ``rows:paper``, and ``rows:build``
    too where it shows both.

    Parameters
    ----------
    build : path
        The folder of the profile, with ``executed/``, ``params/`` and ``results/``.
    into : path
        The staged tree. Pages go to ``book/``, downloads to ``extra/``.
    notebooks : iterable of str
        Names of the pages that are notebooks, without suffix.
    prose : iterable of path
        The pages that are not, such as ``book/index.md``. They show a figure of a notebook by its name, as
        ``figures/<name>.png``.
    paper : path, optional
        Folder of the result files of the paper run.

    Raises
    ------
    ParameterError
        If a notebook has not been executed, a result file is broken, or prose shows what no notebook has.
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
    built = _ship_results(build / "results", into / DOWNLOADS, "results")
    stored = _ship_results(Path(paper), into / DOWNLOADS, "results/paper") if paper else {}
    made: dict[str, Made] = {}
    figures: dict[str, Figure] = {}
    for folder in ("book/_html", DOWNLOADS):
        (into / folder).mkdir(parents=True, exist_ok=True)
    static = into / "book/_html"  # what it holds is _static in the book
    with resources.as_file(resources.files("plotly") / "package_data" / "plotly.min.js") as script:
        shutil.copyfile(script, static / script.name)
    for name, document in documents.items():
        parameters = _parameters(build / "params" / f"{name}.json")
        read = [name] if name in built else parameters.get("notebooks", [])
        own = [built[each] for each in read if each in built]
        kept = [stored[each] for each in read if each in stored]
        cells = []
        for cell in document.cells:
            if cell.cell_type == "code":
                for output in cell.outputs:
                    output.get("data", {}).pop(PLOTLY, None)
                    if "text/html" in output.get("data", {}):
                        output.data["text/html"] = as_files(output.data["text/html"], static)
                others = [page for page in read if page != name]
                shown = _prepare_outputs(cell, name, into / DOWNLOADS, others)
                shown = shown._replace(rows=_rows_behind(cell, own, kept), parameters=parameters)
                made[shown.anchor] = shown
                figures |= _named_figure(cell, shown.anchor)
                if not {"parameters", "hide-input", "hide-cell", "remove-input"} & set(cell.metadata.get("tags", [])):
                    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
                cells += [nbformat.v4.new_markdown_cell(f"({shown.anchor})=", id=f"{cell['id']}-anchor"), cell]
                if _shows(cell):
                    cells.append(nbformat.v4.new_markdown_cell(mark(shown, page=name), id=f"{cell['id']}-mark"))
            else:
                cell.source = _link_numbers(cell.source, glued, name)
                cells.append(cell)
        if own:
            cells.append(nbformat.v4.new_markdown_cell(_rows_line(own), id="rows"))
        document.cells = cells
        nbformat.write(document, into / "book" / f"{name}.ipynb")
    for path in map(Path, prose):
        text = _prose(path.read_text(encoding="utf-8"), path.stem, glued, figures, made, into / "book")
        (into / "book" / path.name).write_text(text, encoding="utf-8")


def anchor(page: str, cell: Mapping[str, object]) -> str:
    """Name of the place of a code cell in the book, as in ``easy.html#cell-easy-c36``."""
    return "cell-" + re.sub(r"[^a-z0-9]+", "-", f"{page}-{cell['id']}".lower()).strip("-")


def facts(made: Made) -> dict[str, str]:
    """Tell what a cell was computed from: corpus, parameters, seeds, commit and duration, as far as they are known."""
    about = [rows.provenance for rows in made.rows]
    corpora = {f"{name}, content {of['hash'][:12]}": None for each in about for name, of in each["corpora"].items()}
    seeds = {each["parameters"]["seeds"] for each in about if "seeds" in each["parameters"]}
    seconds = sum(each["seconds"] for each in about)
    told = {
        "corpus": "; ".join(corpora),
        "parameters": ", ".join(
            f"{name} = {_told(value)}" for name, value in made.parameters.items() if name != "profile"
        ),
        "seeds": ", ".join("0" if count == 1 else f"0 to {count - 1}" for count in sorted(seeds)),
        "commit": ", ".join(sorted({each["commit"] for each in about})),
        "duration": f"{_duration(seconds)} for {'the page' if len(about) == 1 else f'{len(about)} pages'}"
        if about
        else "",
    }
    return {name: text for name, text in told.items() if text}


def mark(made: Made, *, page: str) -> str:
    """Give the mark of what a cell shows on a page, as HTML that works without scripts and holds no blank line."""
    here = made.page == page
    place = f'<a href="{"" if here else f"{made.page}.html"}#{made.anchor}">{"this cell" if here else "a cell"}</a>'
    lines = {"made by": f'{place} of <a href="../_sources/book/{made.page}.ipynb" download>{made.page}.ipynb</a>'}
    lines |= {name: html.escape(text) for name, text in facts(made).items()}
    several = len({(each.of, Path(each.path).stem) for each in made.downloads if each.kind != "PNG"}) > 1
    lines["download"] = ", ".join(
        f'<a href="../{each.path}" download>{each.kind}{f" of {each.of} {number}" if several else ""}</a>'
        for number, each in _numbered(made.downloads)
    )
    lines["all rows"] = _rows_links(made.rows)
    listed = "\n".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines.items() if text)
    return (
        f'<details class="trace">\n<summary>Source{" and download" if made.downloads else ""}'
        f'<span class="visually-hidden"> of {html.escape(made.title)}</span></summary>\n'
        f"<dl>\n{listed}\n</dl>\n</details>\n"
    )


def table_cells(text: str) -> list[list[list[str]]]:
    """Read the tables of a piece of HTML: per table its lines, per line the text of each cell.

    A cell over several columns or lines is repeated in each, so that all lines have the same length.

    Examples
    --------
    >>> from companion import pages
    >>> pages.table_cells("<table><tr><th>model</th><th>ARI</th></tr><tr><td>VAE</td><td>0.17</td></tr></table>")
    [[['model', 'ARI'], ['VAE', '0.17']]]
    """
    from bs4 import BeautifulSoup

    document = BeautifulSoup(text, "html.parser")
    for broken in document.find_all("br"):
        broken.replace_with("\n")
    tables = []
    for table in document.find_all("table"):
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


def accessible(text: str, *, pages: Sequence[str] = ()) -> str:
    """Make the tables in a piece of HTML readable by ear and by keyboard.

    Each header cell says whether it heads a column or a line; one without text heads nothing and becomes an ordinary
    cell. Each table gets a box of its own, which the theme of the book lets scroll and take the focus. A header of a
    line that is the name of one of `pages` leads there.
    """
    from bs4 import BeautifulSoup

    document = BeautifulSoup(text, "html.parser")
    for table in document.find_all("table"):
        table.wrap(document.new_tag("div", attrs={"class": "pst-scrollable-table-container"}))
    for cell in document.select("table th"):
        if not cell.get_text().replace("\xa0", " ").strip():
            cell.name = "td"
        elif not cell.get("scope"):
            group = "group" if int(cell.get("colspan" if cell.find_parent("thead") else "rowspan", 1)) > 1 else ""
            cell["scope"] = ("col" if cell.find_parent("thead") else "row") + group
        if cell.name == "th" and cell.get_text() in pages and cell["scope"].startswith("row"):
            cell.string.wrap(document.new_tag("a", href=f"{cell.get_text()}.html"))
    return str(document)


def as_files(text: str, static: Path | str) -> str:
    """Write the sounds and images that a piece of HTML holds to files, and give HTML that loads them.

    Parameters
    ----------
    text : str
    static : path
        The folder of a staged book whose content is ``_static`` in the rendered one.
    """
    folder = Path(static) / "media"
    folder.mkdir(parents=True, exist_ok=True)

    def as_file(found: re.Match) -> str:
        content = b64decode(found["content"])
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.{MEDIA[found['kind']]}"
        (folder / name).write_bytes(content)
        return f"../_static/media/{name}"

    return _EMBEDDED.sub(as_file, text)


def trim(folder: Path | str, *, sources: Iterable[Path | str] = ()) -> int:
    """Remove from a rendered book what no page loads; return how many bytes that was.

    That is what MathJax has for other inputs and outputs, and maps of minified code. The notebooks that the book offers
    for download become the clean ones, which can be run and do not repeat every figure. Roles that docutils gives to
    lists of citations, and that ARIA has withdrawn, go as well; the arrows of the navigation get a name.

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
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r' role="list"(?= class="citation-list")| role="doc-biblioentry"', "", text)
        path.write_text(
            text.replace(f"<summary>{TOGGLE}", f'<summary aria-label="Its pages">{TOGGLE}'), encoding="utf-8"
        )
    return before - _size(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _read_notebook(path: Path) -> dict:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; execute its notebook first") from None


def _parameters(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _told(value: object) -> str:
    return ", ".join(map(str, value)).join("[]") if isinstance(value, list) else str(value)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8")


def _ship_results(folder: Path, into: Path, under: str) -> dict[str, Rows]:
    """Write result files without white space, and their rows as CSV, where a list or mapping is JSON in its cell."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows, provenance = content["rows"], content["provenance"]
            columns = list(rows[0]) if rows else []
            lines = [[_cell(row[name]) for name in columns] for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise ParameterError(f"{path} is not a result file: {error!r}") from None
        _write_csv(into / under / f"{path.stem}.csv", [columns, *lines])
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (into / under / path.name).write_text(text, encoding="utf-8")
        found[path.stem] = Rows(path.stem, f"{under}/{path.stem}", provenance)
    return found


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _shows(cell: Mapping) -> bool:
    """Whether a reader sees an output of the cell: a value that is only glued has none."""
    hidden = {"remove-cell", "remove_cell", "remove-output", "remove_output"} & set(cell.metadata.get("tags", []))
    return not hidden and any("scrapbook" not in output.get("metadata", {}) for output in cell.outputs)


def _rows_behind(cell: Mapping, own: Sequence[Rows], kept: Sequence[Rows]) -> tuple[Rows, ...]:
    tags = cell.metadata.get("tags", [])
    if "rows:paper" not in tags or not kept:
        return tuple(own)
    return (*own, *kept) if "rows:build" in tags else tuple(kept)


def _prepare_outputs(cell: dict, page: str, folder: Path, others: Sequence[str]) -> Made:
    """Write the tables and figures of a cell to `folder`, and make them accessible where they stand."""
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    stem = figure.get("name") or f"{page}-{cell['id']}"
    downloads, titles, tables, figures = [], [], 0, 0
    for output in cell.outputs:
        data = output.get("data", {})
        for kind in ("text/html", f"{RECORD}text/html"):
            if "<table" in data.get(kind, ""):
                data[kind] = accessible(data[kind], pages=others)
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
    return Made(page, anchor(page, cell), _shortened("; ".join(titles) or "the text above"), tuple(downloads), (), {})


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


def _rows_links(rows: Sequence[Rows]) -> str:
    links = {
        each.path.removeprefix("results/"): f'<a href="../{each.path}.csv" download>CSV</a>, '
        f'<a href="../{each.path}.json" download>JSON</a>'
        for each in rows
    }
    return "; ".join(f"{name}: {files}" if len(links) > 1 else files for name, files in links.items())


def _rows_line(rows: Sequence[Rows]) -> str:
    return f'<p class="rows">All rows behind these numbers, one per measured value: {_rows_links(rows)}.</p>\n'


def _link_numbers(text: str, glued: Mapping[tuple[str, str], str], page: str) -> str:
    """Make each glued number a link to the cell that it comes from."""
    return _NUMBER.sub(lambda found: f"[{found[0]}](#{_glued_by(found, glued, page)})", text)


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
    figures: Mapping[str, Figure],
    made: Mapping[str, Made],
    folder: Path,
) -> str:
    """Give a page of prose its links and marks, and, where it prints numbers, the box that says whose they are."""
    used: list[str] = []

    def marked(cell: str) -> str:
        used.append(cell)
        return mark(made[cell], page=page)

    def figure(found: re.Match) -> str:
        if found["name"] not in figures:
            raise ParameterError(f"page {page} shows the figure {found['name']!r}, which no notebook draws")
        shown = figures[found["name"]]
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / f"{found['name']}.png").write_bytes(shown.png)
        head, _, rest = found[0].partition("\n")
        alt = "" if ":alt:" in rest else f":alt: {shown.alt}\n"
        return f"{head}\n{alt}{rest}\n\n{marked(shown.anchor)}"

    def value(found: re.Match) -> str:
        return f"{found[0]}\n\n{marked(_glued_by(found, glued, page))}"

    used += [_glued_by(found, glued, page) for found in _NUMBER.finditer(text)]
    text = _GLUED.sub(value, _FIGURE.sub(figure, _link_numbers(text, glued, page)))
    if not used:
        return text
    lines = ["| page | its cells | computed from | commit | duration |", "|---|---|---|---|---|"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for cell in dict.fromkeys(used):
        told = [facts(made[cell]).get(name, "–") for name in ("corpus", "commit", "duration")]
        alike.setdefault((made[cell].page, *told), []).append(cell)
    for (name, *told), cells in alike.items():
        links = ", ".join(f"[{cell.removeprefix(f'cell-{name}-')}](#{cell})" for cell in cells)
        lines.append(f"| {{doc}}`{name}` | {links} | {' | '.join(told)} |")
    rows = {each.path: each for cell in used for each in made[cell].rows}
    return "\n".join([text.rstrip(), "", HEADING, "", *lines, "", _rows_line(list(rows.values()))])


def _glued_by(found: re.Match, glued: Mapping[tuple[str, str], str], page: str) -> str:
    key = found["page"], found["key"]
    if key not in glued:
        raise ParameterError(f"page {page} takes {key[1]!r} of {key[0]}.ipynb, which glues nothing of that name")
    return glued[key]
