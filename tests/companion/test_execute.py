"""A notebook is executed whole or not at all; what it read is written down; nothing outlives the run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from made import write_notebook

from companion import execute, watch
from vae_lib import store
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
SAVING = re.search(r"pre_save_hook=(\S+)", (ROOT / "Makefile").read_text())[1]
CELL = "epochs: int = 100  # passes over the corpus\nprofile: str = 'scratch'  # build"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of a project without notebooks; kernels take the environment of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    return tmp_path


def run(project, *code, epochs=2, newer=(), **options):
    """Execute book/a.ipynb, written anew if there is code for it; the folder of the build."""
    build = project / "_build/book"
    if code:
        write_notebook(project / "book/a.ipynb", CELL, *code)
    store.write_json(build / "params/a.json", {"epochs": epochs, "profile": "book"})
    execute.execute("book/a.ipynb", parameters=build / "params/a.json", build=build, newer=newer, **options)
    return build


def outputs(build):
    document = nbformat.read(build / "executed/a.ipynb", as_version=4)
    return "".join(output.text for cell in document.cells for output in cell.get("outputs", []))


def test_a_run_leaves_a_readable_notebook_with_its_parameters_and_nothing_volatile(project, capsys):
    code = "import os, sys, warnings\nprint(epochs, os.getcwd())\nwarnings.warn('look out')\n"
    code += "print('\\r 10 %', file=sys.stderr)"
    build = run(project, code)
    assert outputs(build) == "2 book\n", "the path of the checkout is nobody's business"
    document = nbformat.read(build / "executed/a.ipynb", as_version=4)
    assert document.cells[1].source == CELL.replace("100", "2").replace("'scratch'", '"book"')
    assert len(document.cells) == 3
    for volatile in ("papermill", "injected", "iopub", str(project), "timestamp"):
        assert volatile not in (build / "executed/a.ipynb").read_text()
    told = capsys.readouterr()
    assert re.fullmatch(r"a: executing 3 cells \(never executed\)\na: executed 3/3 cells, \d+ s\n", told.out)
    assert re.search(r"^a, cell 3: .*look out", told.err, re.MULTILINE)
    assert "10 %" not in told.err

    # New prose runs nothing, and new code does.
    document.cells[0].source = "# Another heading"
    write_notebook(project / "book/a.ipynb", CELL, code, prose="# Another heading")
    run(project, newer=["book/a.ipynb"])
    assert capsys.readouterr().out == "a: only prose changed, outputs kept\n"
    assert "Another heading" in (build / "executed/a.ipynb").read_text()
    assert outputs(build) == "2 book\n"
    run(project, "print('new')", newer=["book/a.ipynb"])
    assert "a: executing 3 cells (book/a.ipynb changed)" in capsys.readouterr().out
    assert outputs(build) == "new\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "raise ValueError('no such genre')",
            "cell 3 of book/a.ipynb failed\n(    .*\n){1,4}.*ValueError: no such genre",
        ),
        ("import os; os._exit(3)", "cell 3 of book/a.ipynb: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_failing_notebook_says_where_and_the_last_good_one_stays(project, code, message):
    output, failed = (project / f"_build/book/{folder}/a.ipynb" for folder in ("executed", "failed"))
    store.write_json(output, {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    before = output.read_bytes()
    with pytest.raises(execute.NotebookError, match=message) as error:
        run(project, code)
    assert "the failed copy is _build/book/failed/a.ipynb; the last good page is as it was" in str(error.value)
    assert "\x1b" not in str(error.value)
    assert nbformat.read(failed, as_version=4).cells[2].source == code
    assert output.read_bytes() == before


def test_an_edit_during_a_run_is_not_missed(project):
    build = run(project, "import os, pathlib; os.utime(pathlib.Path('a.ipynb'))")
    assert (project / "book/a.ipynb").stat().st_mtime > (build / "executed/a.ipynb").stat().st_mtime


def test_a_build_folder_that_cannot_be_written_to_is_one_error(project):
    (project / "_build/book").mkdir(parents=True)
    (project / "_build/book/executed").write_text("in the way")
    with pytest.raises((ParameterError, OSError), match="executed"):
        run(project, "1")


# What a notebook depends on.


def test_what_a_notebook_imports_and_reads_is_written_for_make(monkeypatch, tmp_path):
    name = "tests-of-dependencies"
    build = ROOT / "_build" / name
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    code = [
        "from companion import text\nimport vae_lib.checks",
        "open('../data/README.md').close(); open('../README.md').close(); open('../Makefile').close()",
        f"open('../_build/{name}/results/b.json').close(); open('../_build/{name}/results/a.json').close()",
    ]
    try:
        for each in "ab":
            store.write_json(build / f"results/{each}.json", {})
        store.write_json(build / "params/a.json", {"epochs": 1, "profile": name})
        notebook = write_notebook(
            tmp_path / "book/a.ipynb", CELL, f"import os; os.chdir({str(ROOT / 'book')!r})", *code
        )
        execute.execute(notebook, parameters=build / "params/a.json", build=build)
        read = execute.read_dependencies(build, "a")
        rule = (build / "deps/a.d").read_text()
    finally:
        shutil.rmtree(build)
    assert {"book/companion/__init__.py", "book/companion/text.py", "vae_lib/checks.py", "data/README.md"} <= {*read}
    assert f"_build/{name}/executed/b.ipynb" in read, "rows stand for the page that wrote them"
    assert not [file for file in read if re.search(r"watch|pages|/a\.|Makefile|^README|\.pyc", file)]
    assert rule.startswith(f"_build/{name}/executed/a.ipynb: ")
    assert "\ndata/README.md:\n" in rule, "a file that is gone is no error"


def test_names_that_make_would_take_apart_are_escaped(project):
    files = ["data/a b#c$d.csv", "vae_lib/checks.py"]
    path = execute.write_dependencies(project / "_build/book", "a", files)
    assert path.read_text().split("\n")[0] == r"_build/book/executed/a.ipynb: data/a\ b\#c$$d.csv vae_lib/checks.py"
    assert execute.read_dependencies(project / "_build/book", "a") == files
    assert execute.read_dependencies(project / "_build/book", "b") is None


# What another build has done already.


@pytest.fixture
def builds(project):
    """Two builds: one that has executed a page and the page that reads its rows, one that would do the same."""
    base, build = project / "_build/book", project / "_build/book+seeds=3"
    for folder in (base, build):
        store.write_json(folder / "params/results.json", {"profile": folder.name, "level": 0.05})
        store.write_json(folder / "results/easy.json", {"rows": [1]})
        store.write_json(folder / "executed/easy.ipynb", {"in": folder.name})
    for path in ("book/results.ipynb", "vae_lib/checks.py", "_build/book/executed/results.ipynb"):
        store.write_json(project / path, {})
    past = time.time() - 3600  # what changes from now on is newer, however coarse the clock of the disk
    for path in project.rglob("*.*"):
        os.utime(path, (past, past))
    execute.write_dependencies(base, "results", ["vae_lib/checks.py", "_build/book/results/easy.json"])
    return base, build


def is_done(base, build):
    needs = ["book/results.ipynb", build / "params/results.json"]
    return execute.is_done("results.ipynb", build=build, base=base, needs=needs)


def test_the_same_parameters_and_rows_are_done_already(builds):
    assert is_done(*builds)


@pytest.mark.parametrize(
    "change",
    {
        "parameter": lambda base, build: store.write_json(
            build / "params/results.json", {"profile": "x", "level": 0.01}
        ),
        "row": lambda base, build: store.write_json(build / "results/easy.json", {"rows": [2]}),
        "no rows": lambda base, build: (build / "results/easy.json").unlink(),
        "newer in base": lambda base, build: store.write_json(base / "executed/easy.ipynb", {}),
        "no page in base": lambda base, build: (base / "executed/easy.ipynb").unlink(),
        "no parameters in base": lambda base, build: (base / "params/results.json").unlink(),
        "never executed": lambda base, build: (base / "executed/results.ipynb").unlink(),
        "unknown what it read": lambda base, build: (base / "deps/results.d").unlink(),
        "source": lambda base, build: (base.parents[1] / "book/results.ipynb").touch(),
        "module": lambda base, build: (base.parents[1] / "vae_lib/checks.py").touch(),
    }.items(),
    ids=lambda change: change[0],
)
def test_whatever_changed_is_not_done_already(builds, change):
    change[1](*builds)
    assert not is_done(*builds)


def test_what_is_taken_over_has_the_rows_and_the_dependencies_of_the_base(project, capsys):
    base = run(project, "print(epochs)")
    store.write_json(base / "results/a.json", {"rows": [1]})
    build = project / "_build/book+k=3"
    store.write_json(build / "params/a.json", {"epochs": 2, "profile": build.name})
    execute.write_dependencies(base, "a", ["_build/book/results/b.json"])
    for folder in (base, build):
        store.write_json(folder / "results/b.json", {})
        store.write_json(folder / "executed/b.ipynb", {})
    now = time.time() + 10
    os.utime(base / "executed/a.ipynb", (now, now))
    execute.execute("book/a.ipynb", parameters=build / "params/a.json", build=build, base="_build/book")
    assert capsys.readouterr().out.endswith("a: as in _build/book, taken over\n")
    assert outputs(build) == "2\n"
    assert json.loads((build / "results/a.json").read_text()) == {"rows": [1]}
    assert execute.read_dependencies(build, "a") == ["_build/book+k=3/executed/b.ipynb"]


def test_a_source_dated_in_the_future_is_not_newer_for_ever(tmp_path):
    now, source, made = time.time(), tmp_path / "source", tmp_path / "made"
    for ahead, expected in ((-60, now - 5), (3600, now + 3600)):
        for path in (source, made):
            path.touch()
        os.utime(source, (now + ahead, now + ahead))
        execute.date(made, now - 5, [source, tmp_path / "gone"])
        assert made.stat().st_mtime == pytest.approx(expected)


# Processes.


def test_a_second_run_in_a_build_is_told_who_is_there_and_a_dead_one_is_no_obstacle(project):
    build = project / "_build/book"
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        store.write_json(build / ".lock", [other.pid, psutil.Process(other.pid).create_time()])
        with pytest.raises(BlockingIOError, match=rf"another run works in _build/book, process {other.pid};"):
            watch.claim(build)
        store.write_json(build / ".lock", [other.pid, 1.0])  # the number was given again
        watch.claim(build)
        watch.claim(build)  # the jobs of one run
        store.write_json(build / ".lock", [other.pid, psutil.Process(other.pid).create_time()])
    finally:
        other.kill()
    while watch.alive(psutil.Process(other.pid)):
        time.sleep(0.01)
    watch.claim(build)  # though nobody has waited for it
    other.wait()
    (build / ".lock").write_text("nonsense")
    watch.claim(build)
    assert json.loads((build / ".lock").read_text())[0] == [psutil.Process(), *watch.makes()][-1].pid


MAKEFILE = """\
all:
\t@{python} -m companion run book/a.ipynb --parameters params.json --build _build/book; true
"""
WAITING = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
open("../pids", "w").write(f"{os.getpid()} {child.pid}")
time.sleep(120)
"""


@pytest.mark.parametrize(
    ("victim", "number"),
    [
        ("make", signal.SIGKILL),
        *(
            pytest.param("run", each, marks=pytest.mark.slow)
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        ),
    ],
)
def test_kernels_and_their_workers_end_with_the_run_and_the_run_with_its_make(project, victim, number):
    write_notebook(project / "book/a.ipynb", CELL, WAITING)
    store.write_json(project / "params.json", {"epochs": 1, "profile": "book"})
    (project / "Makefile").write_text(MAKEFILE.format(python=sys.executable))
    process = subprocess.Popen(["make"], cwd=project, start_new_session=True, stdout=subprocess.DEVNULL, stderr=-1)
    pids, deadline = project / "pids", time.monotonic() + 60
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline, "the notebook did not start"
        time.sleep(0.05)
    (runner,) = [each for each in psutil.Process(process.pid).children(recursive=True) if "companion" in each.cmdline()]
    running = [runner, *(psutil.Process(int(pid)) for pid in pids.read_text().split())]
    os.kill(process.pid if victim == "make" else runner.pid, number)
    _, said = process.communicate(timeout=60)
    while left := [each for each in running if watch.alive(each)]:
        assert time.monotonic() < deadline + 60, f"{left} outlived the {victim}"
        time.sleep(0.1)
    assert b"Traceback" not in said
    assert not (project / "_build/book/executed/a.ipynb").exists()


# Saved by hand in JupyterLab.


def test_a_notebook_that_was_run_and_saved_in_jupyterlab_is_as_clean_as_before(tmp_path):
    path = ROOT / "book/methods.ipynb"
    manager = LargeFileManager(root_dir=str(tmp_path), pre_save_hook=SAVING)
    shutil.copy2(path, tmp_path)
    model = manager.get(path.name)
    model["content"]["metadata"]["language_info"]["version"] = "3.11.2"
    for number, cell in enumerate(model["content"]["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [nbformat.v4.new_output("stream", text="a result")]
    manager.save(model, path.name)
    saved, source = (nbformat.read(each, as_version=4) for each in (tmp_path / path.name, path))
    assert saved == source
    manager.save({"type": "file", "format": "text", "content": "prose"}, "a.md")
    assert (tmp_path / "a.md").read_text() == "prose", "other files are left alone"


# What a build found, kept with the project.


def paper_build(folder, *, figures):
    (folder / "results").mkdir(parents=True)
    (folder / "executed").mkdir()
    (folder / "results" / "easy.json").write_text('{"rows": [1]}', encoding="utf-8")
    cell = nbformat.v4.new_code_cell("plot()", metadata={"mystnb": {"figure": {"name": "fig-easy-maps"}}})
    cell.outputs = [nbformat.v4.new_output("display_data", data=figures)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "executed" / "easy.ipynb")
    return folder


def test_results_and_figures_are_kept_and_older_ones_go(tmp_path):
    build = paper_build(tmp_path / "paper", figures={"image/svg+xml": "<svg>new</svg>", "image/png": "AAAA"})
    (tmp_path / "kept/figures").mkdir(parents=True)
    (tmp_path / "kept/figures/fig-old.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "kept/old.json").write_text("{}", encoding="utf-8")
    execute.keep(build, tmp_path / "kept")
    there = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "kept").rglob("*.*")}
    assert there == {"easy.json": '{"rows": [1]}', "fig-easy-maps.svg": "<svg>new</svg>"}


def test_what_cannot_be_kept_leaves_what_is_kept_as_it_was(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/old.json").write_text("{}", encoding="utf-8")
    build = paper_build(tmp_path / "paper", figures={"image/png": "AAAA"})
    with pytest.raises(ParameterError, match=r"easy.ipynb has no figure fig-easy-maps for print"):
        execute.keep(build, tmp_path / "kept")
    with pytest.raises(ParameterError, match="has no results: execute its notebooks first"):
        execute.keep(tmp_path, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").rglob("*.*")] == ["old.json"]
