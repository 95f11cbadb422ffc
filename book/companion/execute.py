"""Parameters of notebooks, and notebooks executed whole or not at all: what the Makefile calls.

``python -m companion resolve`` checks a profile (``book/params/*.yaml``) against the ``parameters`` cells of all
notebooks, before any kernel starts, and writes one file of effective parameters per notebook.
``python -m companion run`` folds such a file into the notebook and executes it, and ``keep`` copies results and
figures to where the article reads them.
"""

import ast
import difflib
import filecmp
import json
import math
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import yaml

from vae_lib import store
from vae_lib.checks import ParameterError

EVERY_NOTEBOOK = "all"  # the key of a profile whose parameters go to every notebook
BUILD_NAME = "profile"  # the parameter that says which build the rows go to, and changes none of them
DRAWN_TWICE = ("--InlineBackend.figure_formats=svg", "--InlineBackend.figure_formats=png")  # what a kernel takes
SCALARS = {"bool": bool, "int": int, "float": float, "str": str}


class NotebookError(RuntimeError):
    """A notebook did not run to its end."""


class Parameter(NamedTuple):
    """One assignment of a ``parameters`` cell."""

    kind: ast.expr  # the annotation
    default: object
    comment: str  # what follows the value on its last line
    place: ast.expr  # where the value stands in the source of the cell


class Span(NamedTuple):
    """A piece of source: byte offsets, because `ast` counts columns in UTF-8 bytes."""

    start: int
    stop: int


def read_parameters(notebook: Path | str) -> dict[str, Parameter]:
    """Read the typed parameters of a notebook, in the order of its ``parameters`` cell.

    Parameters
    ----------
    notebook : path
        A notebook with one code cell tagged ``parameters``, which holds nothing but assignments such as
        ``epochs: int = 100  # passes over the corpus``.

    Raises
    ------
    ParameterError
        If the file is no notebook, has no such cell or several, or the cell holds something else.
    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(f"{notebook} is not a notebook that can be read: {error}") from None
    if len(tagged) != 1 or tagged[0]["cell_type"] != "code":
        raise ParameterError(f"{notebook} must have one code cell tagged 'parameters', it has {len(tagged)}")
    return parse_parameters("".join(tagged[0]["source"]), str(notebook))


def parse_parameters(source: str, name: str) -> dict[str, Parameter]:
    """Read the typed parameters of the source of one cell; `name` is what messages call it.

    Examples
    --------
    >>> from companion import execute
    >>> execute.parse_parameters("k: int = 10  # number of clusters", "easy")["k"].comment
    'number of clusters'
    >>> execute.parse_parameters("k = 10", "easy")
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: easy, parameters cell, line 1: expected 'name: type = value  # meaning', got 'k = 10'
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{name}, parameters cell, line {error.lineno}: {error.msg}") from None
    lines = [line.decode() for line in source.encode().splitlines()]  # of bytes: at line ends only, as Python counts
    found: dict[str, Parameter] = {}
    for statement in statements:
        where = f"{name}, parameters cell, line {statement.lineno}"
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value):
            raise ParameterError(
                f"{where}: expected 'name: type = value  # meaning', got {lines[statement.lineno - 1]!r}"
            )
        parameter = statement.target.id
        try:
            default = ast.literal_eval(statement.value)
        except ValueError:
            raise ParameterError(f"{where}: the value of {parameter} must be a literal") from None
        if parameter in found:
            raise ParameterError(f"{where}: {parameter} is assigned twice")
        tail = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode()
        default = _convert(default, statement.annotation, f"{where}: {parameter}")
        found[parameter] = Parameter(statement.annotation, default, tail.partition("#")[2].strip(), statement.value)
    return found


def _convert(value: object, kind: ast.expr, name: str) -> object:
    """Return `value` as the annotated type `kind`; an int will do for a float, a list for a tuple, nothing else."""
    try:
        return _as_kind(value, kind)
    except TypeError:
        hint = ""
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
            mantissa, exponent = re.split("[eE]", value)
            hint = f"; YAML reads {value} as text, write {mantissa}.0e{exponent}"
        raise ParameterError(
            f"{name} must be {ast.unparse(kind)}, got {value!r} ({type(value).__name__}){hint}"
        ) from None
    except NotImplementedError:
        raise ParameterError(
            f"{name} has the type {ast.unparse(kind)}; a parameter is one of {', '.join(SCALARS)}, None, "
            "list[…], tuple[…, ...] or several of them joined by |"
        ) from None


def _as_kind(value: object, kind: ast.expr) -> object:
    match kind:
        case ast.Constant(value=None):
            fits = value is None
        case ast.Name(id="float"):
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            value = float(value) if fits else value
        case ast.Name(id="int"):
            fits = isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id=scalar) if scalar in SCALARS:
            fits = isinstance(value, SCALARS[scalar])
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            try:
                return _as_kind(value, left)
            except TypeError:
                return _as_kind(value, right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            fits = isinstance(value, list)
            value = [_as_kind(each, item) for each in value] if fits else value
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=rest)])) if (
            rest is ...
        ):
            fits = isinstance(value, list | tuple)
            value = tuple(_as_kind(each, item) for each in value) if fits else value
        case _:
            raise NotImplementedError
    if not fits:
        raise TypeError
    return value


def fold(source: str, values: Mapping[str, object], *, name: str = "notebook") -> str:
    """Put `values` into the source of a ``parameters`` cell; comments, types and untouched values stay as written.

    Parameters
    ----------
    source : str
        The source of the cell.
    values : mapping of str to value
        The parameters to set; those that already have the value are left alone.
    name : str
        What to call the notebook in a message.

    Raises
    ------
    ParameterError
        If a parameter is unknown or its value of another type.

    Examples
    --------
    >>> from companion import execute
    >>> execute.fold("k: int = 10  # number of clusters", {"k": 4})
    'k: int = 4  # number of clusters'
    >>> execute.fold("k: int = 10  # number of clusters", {"clusters": 4})
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: notebook has no parameter 'clusters'; there are k
    """
    parameters = parse_parameters(source, name)
    code = source.encode()
    starts = [0]
    for line in code.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    changes: dict[Span, str] = {}
    for key, value in check(values, parameters, name).items():
        place = parameters[key].place
        if repr(value) != repr(parameters[key].default):
            span = Span(
                starts[place.lineno - 1] + place.col_offset, starts[place.end_lineno - 1] + place.end_col_offset
            )
            changes[span] = _literal(value)
    for span, literal in sorted(changes.items(), reverse=True):
        code = code[: span.start] + literal.encode() + code[span.stop :]
    return code.decode()


def _literal(value: object) -> str:
    """Python source of a value, strings in double quotes."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case tuple():
            return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
        case _:
            return repr(value)


def check(values: Mapping[str, object], parameters: Mapping[str, Parameter], name: str) -> dict[str, object]:
    """Return `values` converted to the types of `parameters`; `name` begins each message.

    Examples
    --------
    >>> from companion import execute
    >>> known = execute.parse_parameters("beta: float = 1.0  # weight of the KL divergence", "easy")
    >>> execute.check({"beta": 4}, known, "easy")
    {'beta': 4.0}
    >>> execute.check({"beta": "1e-3"}, known, "easy")
    Traceback (most recent call last):
        ...
    vae_lib.checks.ParameterError: easy.beta must be float, got '1e-3' (str); YAML reads 1e-3 as text, write 1.0e-3
    """
    checked = {}
    for key, value in values.items():
        if key not in parameters:
            raise ParameterError(f"{name} has no parameter {unknown(key, parameters)}")
        checked[key] = _convert(value, parameters[key].kind, f"{name}.{key}")
    return checked


def unknown(key: object, known: Iterable[str]) -> str:
    """Name what is unknown in a message, and the closest of what is known, or all of it."""
    known = list(known)
    close = difflib.get_close_matches(str(key), known, n=1)
    return f"{key!r}" + (f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known) or 'none'}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the loss of the first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_profile(path: Path | str) -> dict[str, dict[str, object]]:
    """Read a profile: ``{notebook: {parameter: value}}``, with ``all`` for what every notebook shares.

    Raises
    ------
    ParameterError
        If it cannot be read, is not YAML or has another shape.
    """
    try:
        profile = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys) or {}
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ParameterError(f"{path} is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ParameterError(f"{path}{line}: {error.problem}") from None
    if not isinstance(profile, dict):
        raise ParameterError(f"{path} must map notebooks to their parameters, got {profile!r}")
    for notebook, values in profile.items():
        if not isinstance(values, dict | None):
            raise ParameterError(f"{path}: {notebook} must map parameters to values, got {values!r}")
    return {notebook: values or {} for notebook, values in profile.items()}


def resolve(profile: Path | str, notebooks: Iterable[Path | str]) -> dict[str, dict[str, object]]:
    """Work out the parameters that each notebook runs with: its own defaults, ``all``, then its section.

    Parameters
    ----------
    profile : path
        A YAML file, see `read_profile`.
    notebooks : iterable of path
        All the notebooks that there are.

    Returns
    -------
    dict of str to dict
        Per notebook (its name without the suffix) the value of every parameter.

    Raises
    ------
    ParameterError
        If the profile names an unknown notebook or parameter, or gives a value of another type.
    """
    sections = read_profile(profile)
    parameters = {Path(notebook).stem: read_parameters(notebook) for notebook in notebooks}
    for section in sections:
        if section not in parameters and section != EVERY_NOTEBOOK:
            raise ParameterError(f"{profile} has a section for no notebook: {unknown(section, parameters)}")
    effective = {}
    for name, known in parameters.items():
        effective[name] = {key: parameter.default for key, parameter in known.items()}
        for section in (EVERY_NOTEBOOK, name):
            effective[name] |= check(sections.get(section, {}), known, f"{profile}: {name}")
    return effective


def write_effective(effective: Mapping[str, Mapping[str, object]], folder: Path | str) -> list[Path]:
    """Write one JSON file per notebook, but only where it differs, so that Make re-executes no more than it must.

    Returns
    -------
    list of Path
        The files that were written.
    """
    written = []
    for name, values in effective.items():
        path = Path(folder) / f"{name}.json"
        if write_changed(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n"):
            written.append(path)
    return written


def write_changed(path: Path, text: str) -> bool:
    """Write a file unless it holds this text already; tell whether it was written."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    with store.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return True


def execute(
    notebook: Path | str,
    *,
    parameters: Path | str,
    build: Path | str,
    newer: Iterable[str] = (),
    parallel: bool = False,
    vector: bool = False,
    base: Path | str | None = None,
    needs: Iterable[str] = (),
) -> Path:
    """Execute a notebook with papermill into ``<build>/executed/``, whole or not at all.

    It runs in its own folder, as in JupyterLab, on a copy in ``<build>/running/`` whose parameters cell holds the
    effective values. When it succeeds the copy takes the place of the last one; when it fails it goes to
    ``<build>/failed/`` and the last good one stays. Where only prose changed, the outputs are kept and nothing runs;
    where another build has executed the same thing, its outputs and rows are taken over.

    Parameters
    ----------
    notebook : path
        The source, without outputs.
    parameters : path
        Its effective parameters, as `write_effective` left them.
    build : path
        The folder of the profile, ``_build/<profile>``.
    newer : iterable of str
        The prerequisites that are newer than the last execution: the reason to show.
    parallel : bool
        Whether other notebooks run at the same time and write to the same terminal.
    vector : bool
        Whether figures are drawn as SVG too, for print.
    base : path, optional
        A build to take over from, see `is_done`.
    needs : iterable of str
        All prerequisites, to judge that by.

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    NotebookError
        If a cell fails or the kernel dies.
    """
    # Imported here: `resolve` is called more often, and papermill takes a second to import.
    import nbformat

    notebook, build, newer = Path(notebook), Path(build).resolve(), list(newer)
    output, running = build / "executed" / notebook.name, build / "running" / notebook.name
    started = time.time()  # a source that is edited from now on is newer than what comes out
    document = nbformat.read(notebook, as_version=4)
    _prepare(document, json.loads(Path(parameters).read_text(encoding="utf-8")), str(notebook))
    last = nbformat.read(output, as_version=4) if output.is_file() else None

    running.parent.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    if last is not None and newer == [str(notebook)] and _code(last) == _code(document):
        _take_outputs(document, last)
        print(f"{notebook.stem}: only prose changed, outputs kept", flush=True)
    elif base is not None and is_done(notebook.name, build=build, base=base, needs=needs):
        _take_outputs(document, nbformat.read(Path(base) / "executed" / notebook.name, as_version=4))
        _take_rows(build, Path(base), notebook.stem)
        print(f"{notebook.stem}: as in {base}, taken over", flush=True)
    else:
        reason = "never executed" if last is None else _reason(newer)
        rewrite = sys.stdout.isatty() and not parallel
        nbformat.write(document, running)
        with Progress(notebook.stem, cells=len(document.cells), reason=reason, rewrite=rewrite) as progress:
            document = _papermill(running, notebook, progress, build, vector=vector)
        for complaint in _complaints(document):
            print(f"{notebook.stem}, {complaint}", file=sys.stderr, flush=True)
        _strip(document, root=str(Path.cwd()))
    nbformat.write(document, running)
    os.utime(running, (started, started))
    running.replace(output)
    (build / "failed" / notebook.name).unlink(missing_ok=True)
    return output


def is_done(notebook: str, *, build: Path | str, base: Path | str, needs: Iterable[Path | str]) -> bool:
    """Whether the build `base` has executed what `build` would execute now.

    It has if its execution is newer than every prerequisite; a prerequisite that is part of `build` must moreover be
    the same in `base`: the parameters but for the name of the build, and the rows of other notebooks.

    Parameters
    ----------
    notebook : str
        File name of the notebook.
    build, base : path
        ``_build/<profile>`` of both.
    needs : iterable of path
        The prerequisites, as Make knows them.
    """
    build, base = Path(build).resolve(), Path(base).resolve()
    done = base / "executed" / notebook
    for need in map(Path, needs):
        if build in need.resolve().parents:
            mine, need = need, base / need.resolve().relative_to(build)
            if not need.is_file() or not _same(mine, need):
                return False
        if not done.is_file() or need.stat().st_mtime_ns > done.stat().st_mtime_ns:
            return False
    return True


def _same(mine: Path, other: Path) -> bool:
    """Whether a file of parameters holds the same, or an executed notebook wrote the same rows."""
    if mine.suffix == ".json":
        first, second = (json.loads(path.read_text(encoding="utf-8")) | {BUILD_NAME: ""} for path in (mine, other))
        return first == second
    rows, theirs = (path.parents[1] / "results" / f"{path.stem}.json" for path in (mine, other))
    if not (rows.exists() and theirs.exists()):
        return not (rows.exists() or theirs.exists())
    return filecmp.cmp(rows, theirs, shallow=False)


def _take_rows(build: Path, base: Path, name: str) -> None:
    rows = base / "results" / f"{name}.json"
    if rows.exists():  # a page that reads rows writes none
        with store.replacing(build / "results" / rows.name) as temporary:
            shutil.copyfile(rows, temporary)


def clear_outputs(model: dict, **_: object) -> None:
    """Drop the outputs of a notebook that is being saved: the hook of ``make lab``, by which sources stay clean."""
    if model["type"] == "notebook":
        model["content"]["metadata"] = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        for cell in model["content"]["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None


def keep(build: Path | str, folder: Path | str) -> list[Path]:
    """Copy what a build found to a folder of the project: its result files, and its named figures as ``figures/*.svg``.

    Files of an earlier copy that this build does not have are removed.

    Parameters
    ----------
    build : path
        The folder of the profile, whose notebooks were executed with `vector`.
    folder : path
        Such as ``paper/results``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ParameterError
        If the build has no results, or its figures were not drawn for print.
    """
    import nbformat

    build, folder = Path(build), Path(folder)
    results = sorted((build / "results").glob("*.json"))
    if not results:
        raise ParameterError(f"{build} has no results: execute its notebooks first")
    kept = {folder / path.name: path.read_text(encoding="utf-8") for path in results}
    for path in sorted((build / "executed").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if figure is None or cell.cell_type != "code":
                continue
            drawn = [
                output["data"]["image/svg+xml"] for output in cell.outputs if "image/svg+xml" in output.get("data", {})
            ]
            if not drawn:
                raise ParameterError(f"{path} has no figure {figure['name']} for print: execute it for this profile")
            kept[folder / "figures" / f"{figure['name']}.svg"] = "".join(drawn[-1])
    for path, text in kept.items():
        with store.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for path in [*folder.glob("*.json"), *folder.glob("figures/*.svg")]:
        if path not in kept:
            path.unlink()
    return list(kept)


def _prepare(document: dict, values: Mapping[str, object], name: str) -> None:
    """Fold the parameters into the document and drop whatever outputs it has."""
    for cell in document.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = fold(cell.source, values, name=name)


def _code(document: dict) -> list[str]:
    return [cell.source for cell in document.cells if cell.cell_type == "code"]


def _take_outputs(document: dict, last: dict) -> None:
    """Copy outputs and execution counts from the last execution; the code cells are the same, in the same order."""
    done = [cell for cell in last.cells if cell.cell_type == "code"]
    for cell, old in zip([cell for cell in document.cells if cell.cell_type == "code"], done, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    document.metadata = last.metadata


def _reason(newer: list[str]) -> str:
    named = [f"{path} changed" if Path(path).exists() else f"{path} is new" for path in newer[:2]]
    more = [f"{len(newer) - 2} more"] if len(newer) > 2 else []
    return ", ".join(named + more) or "asked for"


def _papermill(running: Path, notebook: Path, progress: "Progress", build: Path, *, vector: bool) -> dict:
    """Execute `running` in place, in the folder of `notebook`; keep the copy of one that fails."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    failed = build / "failed" / notebook.name
    kept = f"the failed copy is {os.path.relpath(failed)}; the last good page is as it was"
    try:
        return papermill.execute_notebook(
            running,
            running,
            kernel_name="python3",  # the one of this environment, whatever the notebook was saved with
            cwd=notebook.resolve().parent,
            progress_bar=False,
            record_timing=False,
            extra_arguments=["--log-level=CRITICAL", *(DRAWN_TWICE if vector else ())],
            on_cell_start=lambda cell, cell_index: progress.reached(cell_index),
        )
    except papermill.PapermillExecutionError as error:
        trouble = f"cell {error.cell_index + 1} of {notebook} failed\n"
        last_lines = "\n".join(_plain("\n".join(error.traceback)).splitlines()[-4:])
        trouble += "\n".join(f"    {line}" for line in (last_lines or f"{error.ename}: {error.evalue}").splitlines())
    except (DeadKernelError, CellTimeoutError, RuntimeError) as error:
        trouble = f"cell {progress.cell + 1} of {notebook}: {str(error).strip() or type(error).__name__}"
    failed.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(running, failed)
    raise NotebookError(f"{trouble}\n    {kept}")


def _plain(text: str) -> str:
    """Drop terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _strip(document: dict, *, root: str) -> None:
    """Remove what differs between two equal runs: papermill's blocks, timings, stderr, the path of the checkout."""
    document.metadata.pop("papermill", None)
    for cell in document.cells:
        for volatile in ("papermill", "execution"):
            cell.metadata.pop(volatile, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = output.text.replace(f"{root}/", "")


def _complaints(document: dict) -> list[str]:
    """What the cells wrote to stderr, which has no place on a page; lines that a progress bar rewrote are left out."""
    complaints = []
    for number, cell in enumerate(document.cells, start=1):
        streams = [output.text for output in cell.get("outputs", []) if output.get("name") == "stderr"]
        lines = [line.rstrip() for line in "".join(streams).split("\n")]
        complaints += [f"cell {number}: {line}" for line in lines if line and "\r" not in line]
    return complaints


class Progress:
    """One line per notebook: rewritten in place on a terminal, else one when it starts, ends, and every half minute."""

    def __init__(self, name: str, *, cells: int, reason: str, rewrite: bool) -> None:
        self.name, self.cells, self.reason, self.rewrite = name, cells, reason, rewrite
        self.cell = 0
        self._begun = time.monotonic()
        self._spoken = self._begun

    def _line(self, text: str, *, end: str = "\n") -> None:
        text = f"{self.name}: {text}"
        if self.rewrite:
            text = "\r" + text[: shutil.get_terminal_size().columns - 1] + "\x1b[K"
        print(text, end=end, flush=True)

    def reached(self, cell: int) -> None:
        """Note that `cell` (counted from 0) begins."""
        self.cell = cell

    def _state(self) -> str:
        return f"{self.cell}/{self.cells} cells, {time.monotonic() - self._begun:.0f} s"

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            now = time.monotonic()
            if self.rewrite:
                self._line(f"{self._state()} ({self.reason})", end="")
            elif now - self._spoken >= 30:
                self._spoken = now
                self._line(self._state())

    def __enter__(self) -> Self:
        self._line(f"executing {self.cells} cells ({self.reason})", end="" if self.rewrite else "\n")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if kind is None:
            self.cell = self.cells
        self._line(f"{'executed' if kind is None else 'stopped at'} {self._state()} ({self.reason})")
