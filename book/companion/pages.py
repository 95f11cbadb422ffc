"""What stands around the outputs of executed notebooks in the book: where each comes from, and its download.

``python -m companion stage`` copies the executed notebooks and the prose to the tree that Sphinx reads. Every shown
table and figure gets a mark there that opens and says what it was computed from, every glued number a link to the cell
that it comes from. Code is folded, all but the parameters. Tables are written as CSV, figures as SVG, result files as
JSON and CSV, sounds within HTML as files that a browser fetches when they are wanted.
Notebooks as executed are read and not changed. ``python -m companion trim`` takes out of the rendered book what no page
loads.
"""

import csv
import hashlib
import html
import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from companion import execute, passports, report
from companion.text import plain
from vae_lib.checks import ParameterError

DOWNLOADS = "extra"  # in the staged tree; html_extra_path of _config.yml puts what it holds at the root of the book
HEADING = "## Where these numbers come from"
LARGEST_SVG = 1_000_000  # bytes; a figure of more is a cloud of points, for which the PNG has to do
RECORD = "application/papermill.record/"  # what glue puts before the type of a value that a cell does not show
MEDIA = {"audio/mpeg": "mp3"}  # what becomes a file of the book, and its suffix
TWIN = "dark-light"  # class of a figure that has a dark twin: drawn lines and points, with no image among them
PLOTLY = "application/vnd.plotly.v1+json"  # what JupyterLab shows of a map; a page shows its HTML
TOGGLE = '<span class="toctree-toggle"'  # what opens a part of the theme's navigation
MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")  # what the pages load of it, or may

_EMBEDDED = re.compile(rf"data:(?P<kind>{'|'.join(MEDIA)});base64,(?P<content>[A-Za-z0-9+/=]+)")
_NUMBER = re.compile(r"\{glue:text\}`((?P<page>[\w-]+)\.ipynb::)?(?P<key>[\w-]+)(:[^`]*)?`")
_GLUED = re.compile(r"^```\{glue:any\} *(?P<key>[\w-]+)\n:doc: *(?P<page>[\w-]+)\.ipynb\n```$", re.MULTILINE)
_FIGURE = re.compile(r"^```\{figure\} *figures/(?P<name>[\w-]+)\.png\n(?P<rest>.*?)^```$", re.MULTILINE | re.DOTALL)


class Rows(NamedTuple):
    """A result file as the book ships it."""

    path: str  # from the root of the book, without suffix
    provenance: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()


class Made(NamedTuple):
    """What one cell shows."""

    page: str
    anchor: str  # of the cell
    titles: list[str]  # of what it shows, for those who hear the page
    downloads: list[tuple[str, str]]  # what each is, "CSV of table 2", and its path from the root of the book
    rows: Sequence[Rows]  # behind it
    parameters: Mapping[str, object]  # of the page


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
    `notebooks` names. A cell that shows the stored rows of the `paper` run has the tag ``rows:paper``, and
    ``rows:build`` too where it shows both. Prose shows a figure of a notebook by its name, ``figures/<name>.png``.

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
    paper : path, optional
        Folder of the result files of the released run.
    """
    import nbformat

    build, into = Path(build), Path(into)
    static = into / "book/_html"  # what it holds is _static in the book
    for folder in (static, into / DOWNLOADS):
        folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("plotly") / "package_data" / "plotly.min.js") as script:
        shutil.copyfile(script, static / script.name)
    documents = {name: _read_notebook(build / "executed" / f"{name}.ipynb") for name in notebooks}
    built = _ship_results(build / "results", into / DOWNLOADS, "results")
    stored = _ship_results(Path(paper), into / DOWNLOADS, "results/paper") if paper else {}
    executed = {
        (name, cell.execution_count): anchor(name, cell)
        for name, document in documents.items()
        for cell in document.cells
        if cell.get("execution_count")
    }
    held = passports.collect(*({name: of._asdict() for name, of in rows.items()} for rows in (built, stored)), executed)
    glued = {
        (name, output["metadata"]["scrapbook"]["name"]): _number(output, anchor(name, cell), built.get(name), held)
        for name, document in documents.items()
        for cell in document.cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
    }
    glossary = [path for path in map(Path, prose) if path.stem == "glossary"]
    told = passports.glosses(glossary[0].read_text(encoding="utf-8")) if glossary else {}
    made: dict[str, Made] = {}
    called: dict[str, dict[str, str]] = {}  # per page, the model of each row in words
    drawn: dict[str, tuple[str, execute.Figure]] = {}
    for name, document in documents.items():
        path = build / "params" / f"{name}.json"
        parameters = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        read = [name] if name in built else parameters.get("notebooks", [])
        own, kept = ([rows[each] for each in read if each in rows] for rows in (built, stored))
        cells = []
        for cell in document.cells:
            if cell.cell_type != "code":
                cell.source = _link_numbers(cell.source, glued, name)
                cells.append(cell)
                continue
            shown = Made(name, anchor(name, cell), [], [], _rows_behind(cell, own, kept), parameters)
            _prepare_outputs(cell, shown, into, others=[page for page in read if page != name])
            made[shown.anchor] = shown
            tags = cell.metadata.get("tags", [])
            if not {"parameters", "hide-input", "hide-cell", "remove-input"} & {*tags}:
                cell.metadata["tags"] = [*tags, "hide-input"]
            cells += [nbformat.v4.new_markdown_cell(f"({shown.anchor})=", id=f"{cell['id']}-anchor"), cell]
            if _shows(cell):
                cells.append(nbformat.v4.new_markdown_cell(mark(shown, page=name), id=f"{cell['id']}-mark"))
        if own:
            files = [folder / f"{name}.json" for folder in (build / "results", Path(paper or ""))]
            agreement = report.as_released(*files) if name in built and name in stored else ""
            cells.append(nbformat.v4.new_markdown_cell(_rows_line(own, agreement), id="rows"))
        tables = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])]
        keys = passports.KEY.findall("\n".join([*tables, *(cell.source for cell in cells if cell.cell_type != "code")]))
        called[name] = passports.names(tables, held)
        if script := passports.script(keys, held, page=name, names=called[name], told=told):
            cells.append(nbformat.v4.new_markdown_cell(script, id="passports"))
        document.cells = cells
        named = execute.figures(document)
        drawn |= {key: (anchor(name, figure.cell), figure) for key, figure in named.items() if figure.png}
        nbformat.write(document, into / "book" / f"{name}.ipynb")
    for path in map(Path, prose):
        text = _prose(path.read_text(encoding="utf-8"), path.stem, glued, drawn, made, into / "book")
        names = {key: of for page in called.values() for key, of in page.items()}
        if script := passports.script(passports.KEY.findall(text), held, page=path.stem, names=names, told=told):
            text += f"\n{script}\n"
        (into / "book" / path.name).write_text(text, encoding="utf-8")


class Glued(NamedTuple):
    """A number that a page takes from a notebook."""

    cell: str  # anchor of the one that computed it, or, where that is not known, of the one that glued it
    key: str  # of its passport, empty where it has none


def _number(output: Mapping, cell: str, rows: Rows | None, held: Mapping[str, passports.Passport]) -> Glued:
    text = "".join(output["data"].get(f"{RECORD}text/plain", ""))
    try:
        value, name = float(text), output["metadata"]["scrapbook"]["name"]
    except ValueError:  # a figure or a table
        return Glued(cell, "")
    key = passports.of_value(value, name, rows.rows) if rows else ""
    return Glued(held[key].cell[1] if key and held[key].cell else cell, key)


def anchor(page: str, cell: Mapping[str, object]) -> str:
    """Name of the place of a code cell in the book, as in ``easy.html#cell-easy-c36``."""
    return "cell-" + re.sub(r"[^a-z0-9]+", "-", f"{page}-{cell['id']}".lower()).strip("-")


# Marks.


def facts(made: Made) -> dict[str, str]:
    """Tell what a cell was computed from: corpus, parameters, seeds, commit and duration, as far as they are known."""
    about = [rows.provenance for rows in made.rows]
    corpora = {f"{name}, content {of['hash'][:12]}": None for each in about for name, of in each["corpora"].items()}
    counts = sorted({each["parameters"]["seeds"] for each in about if "seeds" in each["parameters"]})
    seconds = sum(each["seconds"] for each in about)
    took = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
    told = {
        "corpus": "; ".join(corpora),
        "parameters": ", ".join(
            f"{name} = {value}".replace("'", "") for name, value in made.parameters.items() if name != "profile"
        ),
        "seeds": ", ".join("0" if count == 1 else f"0 to {count - 1}" for count in counts),
        "commit": ", ".join(sorted({each["commit"] for each in about})),
        "duration": f"{took} for {'the page' if len(about) == 1 else f'{len(about)} pages'}" if about else "",
    }
    return {name: text for name, text in told.items() if text}


def mark(made: Made, *, page: str) -> str:
    """Give the mark of what a cell shows on a page, as HTML that works without scripts and holds no blank line."""
    here = made.page == page
    place = f'<a href="{"" if here else f"{made.page}.html"}#{made.anchor}">{"this cell" if here else "a cell"}</a>'
    lines = {"made by": f'{place} of <a href="../_sources/book/{made.page}.ipynb" download>{made.page}.ipynb</a>'}
    lines |= {name: html.escape(text) for name, text in facts(made).items()}
    lines["download"] = ", ".join(f'<a href="../{path}" download>{what}</a>' for what, path in made.downloads)
    lines["all rows"] = _rows_links(made.rows)
    listed = "\n".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines.items() if text)
    titles = "; ".join(made.titles) or "the text above"
    shortened = titles if len(titles) <= 90 else titles[:90].rsplit(" ", 1)[0] + " …"
    return (
        f'<details class="trace">\n<summary>Source{" and download" if made.downloads else ""}'
        f'<span class="visually-hidden"> of {html.escape(shortened)}</span></summary>\n'
        f"<dl>\n{listed}\n</dl>\n</details>\n"
    )


def _rows_links(rows: Iterable[Rows]) -> str:
    links = {
        path.removeprefix("results/"): f'<a href="../{path}.csv" download>CSV</a>, '
        f'<a href="../{path}.json" download>JSON</a>'
        for path, *_ in rows
    }
    return "; ".join(f"{name}: {files}" if len(links) > 1 else files for name, files in links.items())


def _rows_line(rows: Iterable[Rows], agreement: str = "") -> str:
    told = f" {agreement}." if agreement else ""
    return f'<p class="rows">All rows behind these numbers, one per measured value: {_rows_links(rows)}.{told}</p>\n'


def _rows_behind(cell: Mapping, own: Sequence[Rows], kept: Sequence[Rows]) -> list[Rows]:
    tags = cell.metadata.get("tags", [])
    if "rows:paper" not in tags or not kept:
        return list(own)
    return [*(own if "rows:build" in tags else ()), *kept]


def _shows(cell: Mapping) -> bool:
    """Whether a reader sees an output of the cell: a value that is only glued has none."""
    hidden = {"remove-cell", "remove_cell", "remove-output", "remove_output"} & {*cell.metadata.get("tags", [])}
    return not hidden and any("scrapbook" not in output.get("metadata", {}) for output in cell.outputs)


# Outputs.


def _prepare_outputs(cell: dict, made: Made, into: Path, *, others: Sequence[str]) -> None:
    """Write the tables, figures and sounds of a cell to files, and make what stands in the page accessible."""
    settings = cell.metadata.get("mystnb", {}).get("figure", {})
    stem, caption = (
        f"{made.page}-{cell['id']}",
        re.sub(r"\s*\{\w+\}`[^`]*`|[*`]", "", settings.get("caption", "")).strip(),
    )
    files: list[tuple[str, str, int, str]] = []  # kind, of what, its number, path
    tables = pictures = 0
    for output in cell.outputs:
        data = output.get("data", {})
        data.pop(PLOTLY, None)
        if "text/html" in data:
            data["text/html"] = as_files(data["text/html"], into / "book/_html")
        for kind in ("text/html", f"{RECORD}text/html"):
            if "<table" in data.get(kind, ""):
                data[kind] = accessible(data[kind], pages=others)
        drawn = data.pop("image/svg+xml", None)
        data.pop(f"{RECORD}image/svg+xml", None)  # the page of prose that shows it takes the PNG as well
        if "scrapbook" in output.get("metadata", {}):
            continue
        for lines in table_cells(data.get("text/html", "")):
            tables += 1
            path = f"tables/{stem}{f'-{tables}' if tables > 1 else ''}.csv"
            _write_csv(into / DOWNLOADS / path, lines)
            files.append(("CSV", "table", tables, path))
            found = re.search(r"<caption[^>]*>(.*?)</caption>", data["text/html"], re.DOTALL)
            made.titles.append(html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else "a table")
        if "image/png" in data:
            pictures += 1
            picture = hashlib.sha256(b64decode(data["image/png"])).hexdigest()  # as Sphinx names it
            files.append(("PNG", "figure", pictures, f"_images/{picture}.png"))
            made.titles.append(caption or "a figure")
            first = re.split(r"(?<=[.:;])\s", caption, maxsplit=1)[0].rstrip(".:;")
            image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
            image.setdefault("alt", first or f"Figure of the page {made.page}")
            if drawn is not None and not _holds_image(drawn):
                image["classes"] = TWIN
        if drawn is not None and len("".join(drawn)) <= LARGEST_SVG:
            path = f"figures/{settings.get('name') or stem}{f'-{pictures}' if pictures > 1 else ''}.svg"
            (into / DOWNLOADS / path).parent.mkdir(parents=True, exist_ok=True)
            (into / DOWNLOADS / path).write_text("".join(drawn), encoding="utf-8")
            files.append(("SVG", "figure", pictures, path))
    several = tables + pictures > 1
    made.downloads.extend((f"{kind} of {of} {at}" if several else kind, path) for kind, of, at, path in files)


def _holds_image(drawn: str | Sequence[str]) -> bool:
    return "<image" in "".join(drawn)


def table_cells(text: str) -> list[list[list[str]]]:
    """Read the tables of a piece of HTML: per table its lines, per line the text of each cell.

    A cell over several columns or lines is repeated in each, so that all lines have the same length. What the cells of
    a column say on hovering stands in a column after it.

    Examples
    --------
    >>> from companion import pages
    >>> pages.table_cells("<table><tr><th>ARI</th></tr><tr><td title='p .01'>.17</td></tr></table>")
    [[['ARI', 'ARI, in full'], ['.17', 'p .01']]]
    """
    from bs4 import BeautifulSoup

    document = BeautifulSoup(text, "html.parser")
    for broken in document.find_all("br"):
        broken.replace_with("\n")
    tables = []
    for table in document.find_all("table"):
        grid: dict[tuple[int, int], tuple[str, str]] = {}
        for line, row in enumerate(table.find_all("tr")):
            column = 0
            for cell in row.find_all(["td", "th"]):
                while (line, column) in grid:
                    column += 1
                content = cell.get_text().replace("\xa0", " ").strip(), cell.get("title", "")
                for down in range(int(cell.get("rowspan", 1))):
                    for right in range(int(cell.get("colspan", 1))):
                        grid[line + down, column + right] = content
        height, width = (1 + max((place[axis] for place in grid), default=-1) for axis in (0, 1))
        columns = []
        for at in range(width):
            shown, hovered = zip(*(grid.get((line, at), ("", "")) for line in range(height)), strict=True)
            columns += [shown, (f"{shown[0]}, in full", *hovered[1:])] if any(hovered) else [shown]
        tables.append([list(line) for line in zip(*columns, strict=True)])
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


def as_files(text: str, static: Path) -> str:
    """Write the sounds within a piece of HTML to ``media`` in a folder, and give HTML that loads them."""

    def as_file(found: re.Match) -> str:
        content = b64decode(found["content"])
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.{MEDIA[found['kind']]}"
        (static / "media").mkdir(parents=True, exist_ok=True)
        (static / "media" / name).write_bytes(content)
        return f"../_static/media/{name}"

    return _EMBEDDED.sub(as_file, text)


def _read_notebook(path: Path) -> dict:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; execute its notebook first") from None


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([[*map(_inert, line)] for line in lines])


def _inert(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula; numbers stay as they are."""
    formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula and not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?%?", cell) else cell


def _ship_results(folder: Path, into: Path, under: str) -> dict[str, Rows]:
    """Write result files without white space, and their rows as CSV, where a list or mapping is JSON in its cell."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows, provenance = content["rows"], content["provenance"]
            lines = [
                [json.dumps(v, ensure_ascii=False) if isinstance(v, list | dict) else v for v in row.values()]
                for row in rows
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ParameterError(f"{path} is not a result file: {error!r}") from None
        _write_csv(into / under / f"{path.stem}.csv", [[*rows[0]] if rows else [], *lines])
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (into / under / path.name).write_text(text, encoding="utf-8")
        found[path.stem] = Rows(f"{under}/{path.stem}", provenance, rows)
    return found


# Prose.


def _glued_by(found: re.Match, glued: Mapping[tuple[str, str], Glued], page: str) -> Glued:
    key = found["page"] or page, found["key"]
    if key not in glued:
        raise ParameterError(f"page {page} takes {key[1]!r} of {key[0]}.ipynb, which glues nothing of that name")
    return glued[key]


def _link_numbers(text: str, glued: Mapping[tuple[str, str], Glued], page: str) -> str:
    """Make each glued number a link to the cell that it comes from, with the key of its passport."""

    def link(found: re.Match) -> str:
        cell, key = _glued_by(found, glued, page)
        linked = f"[{found[0]}](#{cell})"
        return f'<span class="{key}">{linked}</span>' if key else linked

    return _NUMBER.sub(link, text)


def _prose(
    text: str,
    page: str,
    glued: Mapping[tuple[str, str], Glued],
    figures: Mapping[str, tuple[str, execute.Figure]],
    made: Mapping[str, Made],
    folder: Path,
) -> str:
    """Give a page of prose its links and marks, and, where it prints numbers, the box that says whose they are."""
    used = [_glued_by(found, glued, page).cell for found in _NUMBER.finditer(text)]

    def marked(shown: str, cell: str) -> str:
        used.append(cell)
        return f"{shown}\n\n{mark(made[cell], page=page)}"

    def figure(found: re.Match) -> str:
        name = found["name"]
        if name not in figures:
            raise ParameterError(f"page {page} shows the figure {name!r}, which no notebook draws")
        cell, shown = figures[name]
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / f"{name}.png").write_bytes(shown.png)
        head, _, rest = found[0].partition("\n")
        image = shown.cell["metadata"]["mystnb"]["image"]
        alt = "" if ":alt:" in rest else f":alt: {image['alt']}\n"
        twin = f":class: {image['classes']}\n" if "classes" in image else ""
        return marked(f"{head}\n{twin}{alt}{rest}", cell)

    text = _FIGURE.sub(figure, _link_numbers(text, glued, page))
    text = _GLUED.sub(lambda found: marked(found[0], _glued_by(found, glued, page).cell), text)
    if not used:
        return text
    alike: dict[tuple[str, ...], list[str]] = {}
    for cell in dict.fromkeys(used):
        told = [plain(facts(made[cell]).get(name, "–")) for name in ("corpus", "commit", "duration")]
        alike.setdefault((made[cell].page, *told), []).append(cell)
    lines = ["| page | its cells | computed from | commit | duration |", "|---|---|---|---|---|"]
    for (name, *told), cells in alike.items():
        links = ", ".join(f"[{cell.removeprefix(f'cell-{name}-')}](#{cell})" for cell in cells)
        lines.append(f"| {{doc}}`{name}` | {links} | {' | '.join(told)} |")
    rows = {each.path: each for cell in used for each in made[cell].rows}
    return "\n".join([text.rstrip(), "", HEADING, "", *lines, "", _rows_line(rows.values())])


# The rendered book.


def trim(folder: Path | str, *, sources: Iterable[Path | str] = ()) -> None:
    """Remove from a rendered book what no page loads.

    That is what MathJax has for other inputs and outputs, and maps of minified code. The notebooks that the book offers
    for download become the clean `sources`, which can be run and do not repeat every figure. Roles that docutils gives
    to lists of citations, and that ARIA has withdrawn, go as well; the arrows of the navigation get a name.
    """
    folder = Path(folder)
    mathjax = folder / "_static/mathjax"
    needed = {mathjax / name for name in MATHJAX}
    unused = [path for path in mathjax.rglob("*") if path.is_file() and not needed & {path, *path.parents}]
    for path in [*unused, *folder.rglob("*.js.map"), *folder.rglob("*.css.map")]:
        path.unlink(missing_ok=True)
    for source in map(Path, sources):
        shutil.copyfile(source, folder / "_sources/book" / source.name)
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r' role="list"(?= class="citation-list")| role="doc-biblioentry"', "", text)
        path.write_text(
            text.replace(f"<summary>{TOGGLE}", f'<summary aria-label="Its pages">{TOGGLE}'), encoding="utf-8"
        )
