"""Notebooks executed whole or not at all, and what is taken from executed notebooks: what the Makefile calls.

``python -m companion run`` folds effective parameters into a notebook and executes it, and writes down what it read, so
that Make knows when to execute it again. ``keep`` copies results and figures to where the article reads them.
"""

import asyncio
import filecmp
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from companion import NOTEBOOK, ROOT, watch
from companion.parameters import BUILD_NAME, fold
from companion.parameters import read_parameters as read_parameters
from companion.parameters import resolve as resolve
from vae_lib import store
from vae_lib.checks import ParameterError

DRAWN_TWICE = ("--InlineBackend.figure_formats=svg", "--InlineBackend.figure_formats=png")  # what a kernel takes


class NotebookError(RuntimeError):
    """A notebook did not run to its end."""


class Figure(NamedTuple):
    """A figure of a notebook that has a name, which pages of prose and the article show it by."""

    cell: Mapping[str, object]
    png: bytes | None
    svg: str | None


def figures(document: Mapping[str, object]) -> dict[str, Figure]:
    """Find the named figures of a notebook, each the last picture of its cell; a source has none drawn."""
    found = {}
    for cell in document["cells"]:
        name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
        drawn: dict[str, str] = {}
        for output in cell.get("outputs", []):
            drawn |= {
                kind: "".join(output["data"][kind]) for kind in output.get("data", {}) if kind.startswith("image")
            }
        if name:
            png = drawn.get("image/png")
            found[name] = Figure(cell, png and b64decode(png), drawn.get("image/svg+xml"))
    return found


def execute(
    notebook: Path | str,
    *,
    parameters: Path | str,
    build: Path | str,
    newer: Iterable[str] = (),
    vector: bool = False,
    base: Path | str | None = None,
    needs: Iterable[str] = (),
) -> Path:
    """Execute a notebook into ``<build>/executed/``, whole or not at all, and return the path.

    It runs in its own folder, as in JupyterLab, with the effective values in its parameters cell. When it succeeds it
    takes the place of the last execution; when it fails it goes to ``<build>/failed/`` and the last good one stays.
    Where only prose changed, the outputs are kept and nothing runs; where another build has executed the same thing,
    its outputs and rows are taken over. What it imported and read goes to ``<build>/deps/<notebook>.d``, for Make.

    Parameters
    ----------
    notebook : path
        The source, without outputs.
    parameters : path
        Its effective parameters, as JSON.
    build : path
        The folder of the profile, ``_build/<profile>``; it is an error if another run works there.
    newer : iterable of str
        The prerequisites that are newer than the last execution: the reason to show.
    vector : bool
        Whether figures are drawn as SVG too, for print.
    base : path, optional
        A build to take over from, see `is_done`.
    needs : iterable of str
        The prerequisites that Make knows, to judge that by.
    """
    import nbformat  # here, as nbclient below: the quick commands do without

    notebook, build, newer = Path(notebook), Path(build).resolve(), list(newer)
    watch.claim(build)
    output, failed = (build / folder / notebook.name for folder in ("executed", "failed"))
    started = time.time()  # a source that is edited from now on is newer than what comes out
    document = nbformat.read(notebook, as_version=4)
    _prepare(document, json.loads(Path(parameters).read_text(encoding="utf-8")), str(notebook))
    last = nbformat.read(output, as_version=4) if output.is_file() else None
    if last is not None and newer == [str(notebook)] and _code(last) == _code(document):
        _take_outputs(document, last)
        print(f"{notebook.stem}: only prose changed, outputs kept", flush=True)
    elif base is not None and is_done(notebook.name, build=build, base=base, needs=needs):
        _take_outputs(document, nbformat.read(Path(base) / "executed" / notebook.name, as_version=4))
        _take_rows(build, Path(base).resolve(), notebook.stem)
        print(f"{notebook.stem}: as in {base}, taken over", flush=True)
    else:
        reason = "never executed" if last is None else _reason(newer)
        failed.parent.mkdir(parents=True, exist_ok=True)
        try:
            _run(document, notebook, build, reason=reason, vector=vector)
        except NotebookError as error:
            nbformat.write(document, failed)
            kept = f"the failed copy is {os.path.relpath(failed)}; the last good page is as it was"
            raise NotebookError(f"{error}\n    {kept}") from None
        _strip(document, notebook.stem)
    with store.replacing(output) as temporary:
        nbformat.write(document, temporary)
        date(temporary, started, newer)
    failed.unlink(missing_ok=True)
    return output


def date(path: Path, started: float, needs: Iterable[Path | str]) -> None:
    """Date what was made by when that began; one of its `needs` that is dated in the future would be newer for ever."""
    times = [Path(need).stat().st_mtime for need in needs if Path(need).exists()]
    made = max([started, *(of for of in times if of > time.time())])
    os.utime(path, (made, made))


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


def _run(document: dict, notebook: Path, build: Path, *, reason: str, vector: bool) -> None:
    """Execute the document in place, in the folder of the notebook, and write down what it read.

    papermill does it, with an engine of our own: one whose client ends with all that it started.
    """
    import papermill
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    class Client(NotebookClient):
        """One that ends at once, with its kernel and what that started, when it is interrupted."""

        stopped = False

        async def async_start_new_kernel(self, **options: object) -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
            await super().async_start_new_kernel(**options)

        def stop(self) -> None:
            self.stopped = True
            watch.end_group(self.kernel)

        @property
        def kernel(self) -> int | None:
            return self.km.provisioner.pid if self.km and self.km.provisioner else None

        def reached(self, cell: dict, cell_index: int) -> None:
            progress.reached(cell_index)
            kernels.add(self.kernel)
            if self.stopped:  # while the kernel was starting
                self.stop()

    class Engine(papermill.engines.Engine):
        """Hands the notebook to the client."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: object, kernel_name: str, **options: object) -> None:
            client.nb = nb_man.nb
            client.execute(env=os.environ | {NOTEBOOK: notebook.stem, watch.BUILD: str(build)})

    papermill.engines.papermill_engines.register("companion", Engine)
    kernels: set[int | None] = set()
    with Progress(notebook.stem, cells=len(document.cells), reason=reason) as progress:
        client = Client(
            document,
            timeout=None,
            kernel_name="python3",  # the one of this environment, whatever the notebook was saved with
            record_timing=False,
            resources={"metadata": {"path": notebook.resolve().parent}},
            extra_arguments=["--log-level=CRITICAL", "--ext=companion.watch", *(DRAWN_TWICE if vector else ())],
        )
        client.on_cell_start = client.reached
        where = f"of {notebook}"
        try:
            papermill.execute_notebook(
                document, None, engine_name="companion", kernel_name="python3", progress_bar=False
            )
        except CellExecutionError as error:
            lines = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback).splitlines()[-4:]  # without terminal colours
            told = "\n".join(f"    {line}" for line in lines or [f"{error.ename}: {error.evalue}"])
            raise NotebookError(f"cell {progress.cell + 1} {where} failed\n{told}") from None
        except (DeadKernelError, RuntimeError) as error:
            if client.stopped:
                raise KeyboardInterrupt from None
            raise NotebookError(f"cell {progress.cell + 1} {where}: {error or type(error).__name__}") from None
        finally:
            for kernel in kernels:
                watch.end_group(kernel)
            _take_executed(document, client.nb)
    trace = build / "deps" / f"{notebook.stem}.json"
    write_dependencies(build, notebook.stem, json.loads(trace.read_text(encoding="utf-8")))
    trace.unlink()


def _take_executed(document: dict, executed: dict) -> None:
    """Take outputs over, and metadata of the kernel, without what papermill notes of times and paths."""
    _take_outputs(document, executed)
    document.metadata = {name: value for name, value in executed.metadata.items() if name != "papermill"}


def _strip(document: dict, name: str) -> None:
    """Remove what differs between two equal runs, stderr and the path of the checkout, and tell what stderr said."""
    for number, cell in enumerate(document.cells, start=1):
        outputs = cell.get("outputs", [])
        told = "".join(output.text for output in outputs if output.get("name") == "stderr")
        for line in told.split("\n"):
            if line.strip() and "\r" not in line:  # a progress bar rewrites its line
                print(f"{name}, cell {number}: {line.rstrip()}", file=sys.stderr, flush=True)
        if cell.cell_type == "code":
            cell.outputs = [output for output in outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = output.text.replace(f"{Path.cwd()}/", "")


# What a notebook depends on.


def write_dependencies(build: Path, name: str, files: Iterable[str]) -> Path:
    """Write ``<build>/deps/<name>.d``: what the execution of a notebook read, as a rule that Make includes.

    Files are relative to the project, as from `watch.noted`; rows of another notebook stand for its execution.
    """
    inside = os.path.relpath(build, ROOT)
    executed, rows = f"{inside}/executed/", f"{inside}/results/"
    needs = [
        f"{executed}{Path(file).stem}.ipynb" if file.startswith(rows) else file
        for file in files
        if file != f"{rows}{name}.json"
    ]
    needs = [re.sub(r"([ #\\])", r"\\\1", need.replace("$", "$$")) for need in needs]
    # A file that is gone makes the page stale, and is no error: it has a rule that makes nothing.
    rules = [
        f"{executed}{name}.ipynb: {' '.join(needs)}",
        *(f"{need}:" for need in needs if not need.startswith(executed)),
    ]
    path = build / "deps" / f"{name}.d"
    with store.replacing(path) as temporary:
        temporary.write_text("\n".join(rules) + "\n", encoding="utf-8")
    return path


def read_dependencies(build: Path, name: str) -> list[str] | None:
    """Read what `write_dependencies` wrote; None where a notebook has never been executed."""
    path = build / "deps" / f"{name}.d"
    if not path.is_file():
        return None
    return [file.replace("$$", "$") for file in shlex.split(path.read_text(encoding="utf-8").split("\n")[0])[1:]]


def is_done(notebook: str, *, build: Path | str, base: Path | str, needs: Iterable[Path | str]) -> bool:
    """Whether the build `base` has executed what `build` would execute now.

    It has if its execution is newer than all that it has read and all that Make `needs` for it; what is part of `build`
    must moreover be the same in `base`: the parameters but for the name of the build, and the rows of other notebooks.
    """
    build, base = Path(build).resolve(), Path(base).resolve()
    done, read = base / "executed" / notebook, read_dependencies(base, Path(notebook).stem)
    if not done.is_file() or read is None:
        return False
    for need in (*map(Path, needs), *(ROOT / file for file in read)):
        need = need.resolve()
        if build in need.parents or base in need.parents:
            place = need.relative_to(build if build in need.parents else base)
            if not (base / place).is_file() or not _same(build / place, base / place):
                return False
            need = base / place
        if not need.is_file() or need.stat().st_mtime_ns > done.stat().st_mtime_ns:
            return False
    return True


def _same(mine: Path, other: Path) -> bool:
    """Whether a file of parameters holds the same, or an executed notebook wrote the same rows."""
    if mine.parent.name == "params":
        first, second = (json.loads(path.read_text(encoding="utf-8")) | {BUILD_NAME: ""} for path in (mine, other))
        return first == second
    if mine.suffix == ".ipynb":
        mine, other = (path.parents[1] / "results" / f"{path.stem}.json" for path in (mine, other))
    if not (mine.exists() and other.exists()):
        return not (mine.exists() or other.exists())
    return filecmp.cmp(mine, other, shallow=False)


def _take_rows(build: Path, base: Path, name: str) -> None:
    rows = base / "results" / f"{name}.json"
    if rows.exists():  # a page that reads rows writes none
        with store.replacing(build / "results" / rows.name) as temporary:
            shutil.copyfile(rows, temporary)
    there, here = (f"{os.path.relpath(folder, ROOT)}/" for folder in (base, build))
    files = [file.replace(there, here, 1) if file.startswith(there) else file for file in read_dependencies(base, name)]
    write_dependencies(build, name, files)


# What is taken from executed notebooks.


def keep(build: Path | str, folder: Path | str) -> list[Path]:
    """Copy result files of a build, and its named figures as ``figures/*.svg``, to a folder such as ``paper/results``.

    Files of an earlier copy that this build does not have are removed. A figure that was not drawn for print, or no
    results at all, is an error, and leaves the folder as it was.
    """
    build, folder = Path(build), Path(folder)
    kept = {folder / path.name: path.read_text(encoding="utf-8") for path in sorted((build / "results").glob("*.json"))}
    if not kept:
        raise ParameterError(f"{build} has no results: execute its notebooks first")
    for path in sorted((build / "executed").glob("*.ipynb")):
        for name, figure in figures(json.loads(path.read_text(encoding="utf-8"))).items():
            if figure.svg is None:
                raise ParameterError(f"{path} has no figure {name} for print: execute it for this profile")
            kept[folder / "figures" / f"{name}.svg"] = figure.svg
    for path, text in kept.items():
        with store.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for path in {*folder.glob("*.json"), *folder.glob("figures/*.svg")} - kept.keys():
        path.unlink()
    return list(kept)


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


class Progress:
    """Lines about one notebook that stay readable between those of others: its start, its end, each half minute."""

    def __init__(self, name: str, *, cells: int, reason: str) -> None:
        self.name, self.cells, self.reason = name, cells, reason
        self.cell, self._begun, self._done = 0, time.monotonic(), threading.Event()

    def reached(self, cell: int) -> None:
        """Note that `cell` (counted from 0) begins."""
        self.cell = cell

    def _tell(self, verb: str, state: str) -> None:
        print(f"{self.name}: {verb} {state}", flush=True)

    def _state(self) -> str:
        return f"{self.cell}/{self.cells} cells, {time.monotonic() - self._begun:.0f} s"

    def _watch(self) -> None:
        while not self._done.wait(30):
            self._tell("at", self._state())

    def __enter__(self) -> Self:
        self._tell("executing", f"{self.cells} cells ({self.reason})")
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._done.set()
        if kind is None:
            self.cell = self.cells
        self._tell("executed" if kind is None else "stopped at", self._state())
