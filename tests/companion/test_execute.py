"""Parameters are checked before anything runs, and a run that does not reach its end costs no page."""

import ast
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
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from companion import execute
from vae_lib.checks import ParameterError

ROOT = Path(__file__).resolve().parents[2]
SAVING = re.search(r"pre_save_hook=(\S+)", (ROOT / "Makefile").read_text())[1]

CELL = """\
# A comment of its own line.
profile: str = "scratch"  # build that receives the result rows
epochs: int = 100  # passes over the corpus
beta: float = 1.0e-3  # weight of the β term
weights: list[float] = [
    1.0,
    2.0,
]  # one per modality
layers: tuple[int, ...] = (256, 128)
limit: int | None = None  # ä # none: all tracks
shuffle: bool = True
"""


def write_notebook(path, parameters=CELL, *code, prose="# A page"):
    cells = [new_markdown_cell(prose), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    document = new_notebook(cells=cells + [new_code_cell(source) for source in code])
    for number, cell in enumerate(document.cells):
        cell.id = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(document, path)
    return path


def values_of(source):
    return {name: parameter.default for name, parameter in execute.parse_parameters(source, "a.ipynb").items()}


# Reading and folding parameters.


def test_parameters_are_read_with_type_default_and_comment(tmp_path):
    parameters = execute.read_parameters(write_notebook(tmp_path / "a.ipynb"))
    assert list(parameters) == ["profile", "epochs", "beta", "weights", "layers", "limit", "shuffle"]
    assert parameters["beta"].default == 0.001
    assert parameters["beta"].comment == "weight of the β term"
    assert ast.unparse(parameters["limit"].kind) == "int | None"


def test_folding_changes_values_and_nothing_else():
    folded = execute.fold(CELL, {"epochs": 5, "weights": [0.5], "layers": [8], "limit": 7, "beta": 4, "shuffle": True})
    expected = CELL.replace("= 100", "= 5").replace("1.0e-3", "4.0").replace("(256, 128)", "(8,)")
    expected = expected.replace("[\n    1.0,\n    2.0,\n]", "[0.5]").replace("= None", "= 7")
    assert folded == expected


def test_a_value_that_is_already_there_keeps_its_notation():
    assert execute.fold(CELL, values_of(CELL)) == CELL


@given(
    st.fixed_dictionaries(
        {
            "profile": st.text(st.characters(exclude_categories=["Cs"])),
            "epochs": st.integers(),
            "beta": st.floats(allow_nan=False, allow_infinity=False),
            "weights": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
            "layers": st.lists(st.integers()).map(tuple),
            "limit": st.none() | st.integers(),
            "shuffle": st.booleans(),
        }
    )
)
@example(
    {"profile": "\x85\u2028", "epochs": 0, "beta": 0.0, "weights": [], "layers": (), "limit": None, "shuffle": True}
)
def test_whatever_is_folded_is_what_the_notebook_runs_with(values):
    folded = execute.fold(CELL, values)
    assert values_of(folded) == values
    assert [line.partition("  #")[2] for line in folded.splitlines() if "  #" in line][-1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("epochs = 100", r"line 1: expected 'name: type = value  # meaning', got 'epochs = 100'"),
        ("epochs: int", r"expected 'name: type = value"),
        ("import os", r"expected 'name: type = value"),
        ("a: int = 1\na: int = 2", r"line 2: a is assigned twice"),
        ("a: int = 2 * 3", r"the value of a must be a literal"),
        ("a: int = 1.5", r"a must be int, got 1.5 \(float\)"),
        ("a: dict[str, int] = {}", r"a has the type dict\[str, int\]; a parameter is one of bool, int"),
        ("a: int = (", r"parameters cell, line 1: "),
    ],
)
def test_a_parameters_cell_that_is_something_else_is_refused(cell, message):
    with pytest.raises(ParameterError, match=message):
        execute.parse_parameters(cell, "book/a.ipynb")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": [{}]}', '{"cells": []}', "\0"])
def test_a_file_that_is_no_notebook_with_parameters_is_refused(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(ParameterError, match=r"a\.ipynb (is not a notebook|must have one code cell)"):
        execute.read_parameters(path)


# Profiles.

BAD_PROFILES = {
    "esy: {epochs: 1}": r"book\.yaml has a section for no notebook: 'esy'; did you mean 'easy'\?",
    "easy: {epoch: 1}": r"book\.yaml: easy has no parameter 'epoch'; did you mean 'epochs'\?",
    "easy: {zzz: 1}": r"easy has no parameter 'zzz'; there are profile, epochs, beta, weights",
    "all: {epoch: 1}": r"book\.yaml: easy has no parameter 'epoch'",
    "easy: {epochs: ten}": r"book\.yaml: easy\.epochs must be int, got 'ten' \(str\)",
    "easy: {epochs: 1.5}": r"easy\.epochs must be int, got 1.5 \(float\)",
    "easy: {epochs: yes}": r"easy\.epochs must be int, got True \(bool\)",
    "easy: {epochs: }": r"easy\.epochs must be int, got None",
    "easy: {beta: true}": r"easy\.beta must be float, got True",
    "easy: {beta: .inf}": r"easy\.beta must be float, got inf",
    "easy: {beta: 1e-3}": r"easy\.beta must be float, got '1e-3' \(str\); YAML reads 1e-3 as text, write 1\.0e-3",
    "easy: {shuffle: 1}": r"easy\.shuffle must be bool, got 1 \(int\)",
    "easy: {profile: 3}": r"easy\.profile must be str, got 3 \(int\)",
    "easy: {weights: 1.0}": r"easy\.weights must be list\[float\], got 1\.0",
    "easy: {weights: [a]}": r"easy\.weights must be list\[float\], got \['a'\]",
    "easy: {layers: [1.5]}": r"easy\.layers must be tuple\[int, \.\.\.\], got \[1\.5\]",
    "easy: {limit: all}": r"easy\.limit must be int \| None, got 'all'",
    "easy: [epochs]": r"book\.yaml: easy must map parameters to values",
    "- easy": r"book\.yaml must map notebooks to their parameters",
    "easy: {epochs: 1": r"book\.yaml, line \d+: ",
    "easy:\n  epochs: 1\n  epochs: 2": r"book\.yaml, line 3: 'epochs' stands twice",
}


@pytest.mark.parametrize("text", BAD_PROFILES)
def test_each_mistake_in_a_profile_is_one_clear_error(tmp_path, text):
    profile = tmp_path / "book.yaml"
    profile.write_text(text)
    with pytest.raises(ParameterError, match=BAD_PROFILES[text]):
        execute.resolve(profile, [write_notebook(tmp_path / "easy.ipynb")])


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: No such file"), (b"\xff", "not UTF-8")])
def test_a_profile_that_cannot_be_read_is_named(tmp_path, content, message):
    profile = tmp_path / "book.yaml"
    if content is not None:
        profile.write_bytes(content)
    with pytest.raises(ParameterError, match=rf"book\.yaml.*{message}"):
        execute.resolve(profile, [])


def test_a_section_of_its_own_wins_over_all_and_an_int_will_do_for_a_float(tmp_path):
    profile = tmp_path / "book.yaml"
    profile.write_text("all: {profile: book, beta: 2}\nb: {beta: 4, layers: [3], limit: null}\n")
    notebooks = [write_notebook(tmp_path / "a.ipynb"), write_notebook(tmp_path / "b.ipynb")]
    effective = execute.resolve(profile, notebooks)
    assert effective["a"] == values_of(CELL) | {"profile": "book", "beta": 2.0}
    assert effective["b"] == values_of(CELL) | {"profile": "book", "beta": 4.0, "layers": (3,)}
    assert isinstance(effective["b"]["beta"], float)


def test_effective_parameters_are_written_only_where_they_differ(tmp_path):
    effective = {"a": {"epochs": 1}, "b": {"epochs": 1}}
    assert len(execute.write_effective(effective, tmp_path)) == 2
    assert execute.write_effective(effective, tmp_path) == []
    effective["b"] = {"epochs": 1.0}
    assert [path.name for path in execute.write_effective(effective, tmp_path)] == ["b.json"]


# A small project around the real Makefile: two notebooks of a second each.

PAPER = ("paper/refs.bib", "paper/exhibits.csv", "paper/neurips_2024.pdf")


def make(folder, *targets, wait=True, **variables):
    """Run the Makefile of `folder` as a user would: without the variables of the make that runs these tests."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PROFILE"))}
    settings = [f"{key}={value}" for key, value in variables.items()]
    command = ["make", "-o", ".venv/.ready", "-o", ".venv/.locked", *targets, *settings]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell without job control starts its background jobs deaf to Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    if not wait:
        return process
    output, _ = process.communicate(timeout=240)
    return subprocess.CompletedProcess(command, process.returncode, output)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project whose book is built."""
    folder = tmp_path_factory.mktemp("made") / "project"
    folder.mkdir()
    for name in ("Makefile", "_config.yml", "requirements.txt", "pyproject.toml", "book/_html", *PAPER):
        target = folder / name
        target.parent.mkdir(exist_ok=True, parents=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, target)
    (folder / "vae_lib").mkdir()
    for name in ("__init__", "checks", "store", "execute", "vary", "pages"):
        shutil.copy2(ROOT / "vae_lib" / f"{name}.py", folder / "vae_lib")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n- file: book/a\n- file: book/b\n- file: book/references\n"
    )
    shutil.copy2(ROOT / "book/references.md", folder / "book")
    (folder / "book/index.md").write_text("# Front\n\nSee {cite}`kingma2014`.\n")
    (folder / "book/params").mkdir()
    (folder / "book/params/book.yaml").write_text("b: {epochs: 2}\n")
    for name in "ab":
        write_notebook(folder / f"book/{name}.ipynb", CELL, "print('epochs', epochs)", prose=f"# Page {name}")
    past = 1e9  # as if everything had been checked out before the packages were installed
    for path in folder.rglob("*"):
        os.utime(path, (past, past), follow_symlinks=False)
    done = make(folder, "book")
    assert done.returncode == 0, done.stdout
    assert "a: executed 3/3 cells" in done.stdout
    assert "never executed" in done.stdout
    return folder


@pytest.fixture
def project(built, tmp_path):
    return shutil.copytree(built, tmp_path / "project", symlinks=True)


def executed(project, name):
    return project / f"_build/book/executed/{name}.ipynb"


def printed(project, name):
    cells = nbformat.read(executed(project, name), as_version=4).cells
    return "".join(output.text for cell in cells for output in cell.get("outputs", []))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_run_leaves_readable_notebooks_with_their_parameters_and_nothing_volatile(built):
    assert printed(built, "a") == "epochs 100\n"
    assert printed(built, "b") == "epochs 2\n"
    document = nbformat.read(executed(built, "b"), as_version=4)
    assert document.cells[1].source == CELL.rstrip("\n").replace("100", "2") + "\n"
    assert len(document.cells) == 3
    text = executed(built, "b").read_text()
    for volatile in ("papermill", "injected", "iopub", str(built), "timestamp"):
        assert volatile not in text
    assert "Page b" in (built / "_build/html/book/b.html").read_text()


def test_a_second_make_does_nothing_in_seconds(project):
    before = {path: path.stat().st_mtime_ns for path in (project / "_build").rglob("*") if path.is_file()}
    started = time.monotonic()
    again = make(project, "book")
    assert again.returncode == 0
    assert again.stdout == "_build/html/index.html is up to date\n"
    assert time.monotonic() - started < 5
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_one_parameter_reruns_only_its_notebook(project):
    edit(project / "book/params/book.yaml", "b: {epochs: 2}", "b: {epochs: 3}\n")
    again = make(project, "book")
    assert again.returncode == 0, again.stdout
    assert "b: executing 3 cells (_build/book/params/b.json changed)" in again.stdout
    assert "a: " not in again.stdout
    assert printed(project, "b") == "epochs 3\n"
    assert make(project, "book").stdout == "_build/html/index.html is up to date\n"


def test_a_comment_in_a_profile_reruns_nothing(project):
    edit(project / "book/params/book.yaml", "b: {epochs: 2}", "# why two\nb: {epochs: 2}\n")
    # The pages are rendered, since one of them may tell what the profiles hold; no notebook runs.
    assert make(project, "book").stdout == "rendering 4 pages\n_build/html/index.html is up to date\n"


def test_a_changed_module_reruns_what_depends_on_it_side_by_side(project):
    (project / "vae_lib/store.py").touch()
    again = make(project, "-j2", "book")
    assert again.returncode == 0, again.stdout
    assert again.stdout.count("(vae_lib/store.py changed)") == 4
    assert "\r" not in again.stdout


@pytest.mark.parametrize(("page", "runs"), [("index.md", 0), ("a.ipynb", 1)])
def test_new_prose_is_rendered_without_executing(project, page, runs):
    old = "# Front" if page == "index.md" else "# Page a"
    edit(project / "book" / page, old, "# Another heading")
    again = make(project, "book")
    assert again.returncode == 0, again.stdout
    assert "executing" not in again.stdout
    assert again.stdout.count("only prose changed, outputs kept") == runs
    name = page.partition(".")[0]
    assert "Another heading" in (project / f"_build/html/book/{name}.html").read_text()
    assert printed(project, "a") == "epochs 100\n"


def test_bad_parameters_stop_before_any_kernel_and_lose_nothing(project):
    (project / "book/params/book.yaml").write_text("b: {epochs: many}\n")
    (project / "vae_lib/store.py").touch()
    before = executed(project, "a").read_bytes()
    failed = make(project, "book")
    assert failed.returncode != 0
    assert "error: book/params/book.yaml: b.epochs must be int, got 'many' (str)\n" in failed.stdout
    assert "executing" not in failed.stdout
    assert "Traceback" not in failed.stdout
    assert executed(project, "a").read_bytes() == before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such genre')", "ValueError: no such genre"),
        ("import os; os._exit(3)", "cell 3 of book/b.ipynb: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_failing_notebook_says_where_and_the_last_good_page_stays(project, code, message):
    page, notebook = project / "_build/html/book/b.html", executed(project, "b")
    before = page.read_bytes(), notebook.read_bytes()
    edit(project / "book/b.ipynb", "print('epochs', epochs)", code)
    failed = make(project, "book")
    assert failed.returncode != 0
    assert "cell 3 of book/b.ipynb" in failed.stdout
    assert message in failed.stdout
    assert "the failed copy is _build/book/failed/b.ipynb" in failed.stdout
    assert "Traceback (most recent call last):\n  File" not in failed.stdout
    assert nbformat.read(project / "_build/book/failed/b.ipynb", as_version=4).cells
    assert before == (page.read_bytes(), notebook.read_bytes())

    edit(project / "book/b.ipynb", code, "print('epochs', epochs + 1)")
    again = make(project, "_build/book/executed/b.ipynb")
    assert again.returncode == 0, again.stdout
    assert printed(project, "b") == "epochs 3\n"
    assert not (project / "_build/book/failed/b.ipynb").exists()


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_breaks_no_page_leaves_no_kernel_and_completes_later(project, number):
    before = executed(project, "b").read_bytes()
    pid_file = project / "pid"
    wait = f"import os, time; print('half'); open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(120)"
    edit(project / "book/b.ipynb", "print('epochs', epochs)", wait)
    process = make(project, "book", wait=False)
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline, "the notebook did not start"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    kernel = int(pid_file.read_text())
    assert alive(kernel)
    os.killpg(process.pid, number)  # what Ctrl-C does: every process of the terminal gets it
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Traceback" not in output
    while alive(kernel):
        assert time.monotonic() < deadline + 30, "the kernel outlived the run"
        time.sleep(0.1)
    assert executed(project, "b").read_bytes() == before

    edit(project / "book/b.ipynb", "time.sleep(120)", "time.sleep(0)")
    again = make(project, "_build/book/executed/b.ipynb")
    assert again.returncode == 0, again.stdout
    assert printed(project, "b") == "half\n"
    assert {path.name for path in executed(project, "b").parent.iterdir()} == {"a.ipynb", "b.ipynb"}
    assert list((project / "_build/book/running").iterdir()) == []


def test_an_edit_during_a_run_is_not_missed(project):
    edit(project / "book/b.ipynb", "print('epochs', epochs)", "import time; time.sleep(3)")
    process = make(project, "_build/book/executed/b.ipynb", wait=False)
    running = project / "_build/book/running/b.ipynb"
    deadline = time.monotonic() + 30
    while not running.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    edit(project / "book/b.ipynb", "import time; time.sleep(3)", "print('later')")
    assert process.wait(60) == 0
    assert "book/b.ipynb changed" in make(project, "_build/book/executed/b.ipynb").stdout
    assert printed(project, "b") == "later\n"


def test_a_page_that_does_not_render_leaves_the_last_book(project):
    page = project / "_build/html/book/index.html"
    before = page.read_bytes()
    edit(project / "book/index.md", "kingma2014", "nobody1900")
    failed = make(project, "book")
    assert failed.returncode != 0
    assert 'could not find bibtex key "nobody1900"' in failed.stdout
    assert page.read_bytes() == before


def test_warnings_of_a_notebook_reach_the_reader_of_the_terminal_not_of_the_page(project):
    code = "import sys, warnings; warnings.warn('look out'); print('\\\\r', 10, '%', end='', file=sys.stderr)"
    edit(project / "book/b.ipynb", "print('epochs', epochs)", code)
    again = make(project, "_build/book/executed/b.ipynb")
    assert again.returncode == 0, again.stdout
    assert "look out" in again.stdout
    assert "10 %" not in again.stdout
    assert printed(project, "b") == ""


def test_an_output_folder_that_cannot_be_written_is_one_error(project):
    shutil.rmtree(project / "_build/book/executed")
    (project / "_build/book/executed").write_text("in the way")
    failed = make(project, "book")
    assert failed.returncode != 0
    assert "error: " in failed.stdout
    assert "executed" in failed.stdout
    assert "Traceback" not in failed.stdout


@pytest.mark.parametrize("profile", ["nope", "../book", "%", "book smoke", "/", "."])
def test_an_unknown_profile_is_refused_before_anything_is_touched(project, profile):
    failed = make(project, "book", PROFILE=profile)
    assert failed.returncode != 0
    assert f"PROFILE={profile} is none of: book" in failed.stdout


def test_help_has_one_line_for_every_target(project):
    makefile = (ROOT / "Makefile").read_text().splitlines()
    phony = next(line for line in makefile if line.startswith(".PHONY")).split()[1:]
    lines = make(project, "help").stdout.splitlines()
    lines = lines[: lines.index("")]
    assert sorted(line.split()[0] for line in lines) == sorted(phony)
    assert all(len(line.split()) > 2 for line in lines)


def test_the_command_line_ends_with_its_message_alone(tmp_path):
    profile = tmp_path / "book.yaml"
    profile.write_text("easy: {epochs: ten}")
    notebook = write_notebook(tmp_path / "easy.ipynb")
    command = [sys.executable, "-m", "companion", "resolve", profile, notebook, "--into", tmp_path / "params"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == f"error: {profile}: easy.epochs must be int, got 'ten' (str)\n"
    assert not (tmp_path / "params").exists()


def test_effective_parameters_are_json_that_people_can_read(built):
    assert json.loads((built / "_build/book/params/b.json").read_text())["epochs"] == 2


# A variation of the small project, in a build of its own.


def test_a_variation_executes_what_it_changes_takes_over_the_rest_and_leaves_the_book_alone(project):
    before = {path: path.read_bytes() for path in (project / "_build").rglob("*") if path.is_file()}
    varied = make(project, "book", P="b.epochs=7")
    assert varied.returncode == 0, varied.stdout
    assert "a: as in _build/book, taken over\n" in varied.stdout
    assert "b: executed 3/3 cells" in varied.stdout
    assert "a: exec" not in varied.stdout
    assert before == {path: path.read_bytes() for path in before}
    assert make(project, "book").stdout == "_build/html/index.html is up to date\n"
    assert make(project, "book", P="b.epochs=7").stdout == "_build/book+b.epochs=7/html/index.html is up to date\n"
    assert "epochs 7" in (project / "_build/book+b.epochs=7/html/book/b.html").read_text()
    assert "epochs 100" in (project / "_build/book+b.epochs=7/html/book/a.html").read_text()


def test_a_variation_of_a_stale_book_executes_everything_and_follows_its_sources(project):
    (project / "vae_lib/store.py").touch()
    varied = make(project, "book", P="b.epochs=7")
    assert varied.stdout.count("executed 3/3 cells") == 2, varied.stdout
    edit(project / "book/a.ipynb", "# Page a", "# Another heading")
    again = make(project, "book", P="b.epochs=7")
    assert "a: only prose changed, outputs kept" in again.stdout
    assert "b: " not in again.stdout
    edit(project / "book/params/book.yaml", "epochs: 2", "beta: 3.0")
    assert (
        "b: executing 3 cells (_build/book+b.epochs=7/params/b.json changed)"
        in make(project, "book", P="b.epochs=7").stdout
    )


def test_prose_of_a_variation_is_rendered_without_executing(project):
    make(project, "book", P="b.epochs=7")
    (project / "vae_lib/store.py").touch()
    edit(project / "book/index.md", "# Front", "# Another heading")
    rendered = make(project, "render", P="b.epochs=7")
    assert rendered.returncode == 0, rendered.stdout
    assert "executing" not in rendered.stdout
    assert "Another heading" in (project / "_build/book+b.epochs=7/html/book/index.html").read_text()


# Saved by hand in JupyterLab.


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_that_was_run_and_saved_in_jupyterlab_is_as_clean_as_before(path, tmp_path):
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


def test_the_hook_leaves_other_files_alone(tmp_path):
    LargeFileManager(root_dir=str(tmp_path), pre_save_hook=SAVING).save(
        {"type": "file", "format": "text", "content": "prose"}, "a.md"
    )
    assert (tmp_path / "a.md").read_text() == "prose"


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


def test_a_figure_that_was_not_drawn_for_print_leaves_what_is_kept_as_it_was(tmp_path):
    build = paper_build(tmp_path / "paper", figures={"image/png": "AAAA"})
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/old.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"easy.ipynb has no figure fig-easy-maps for print"):
        execute.keep(build, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").rglob("*.*")] == ["old.json"]


def test_a_build_without_results_is_one_clear_error(tmp_path):
    with pytest.raises(ParameterError, match="has no results: execute its notebooks first"):
        execute.keep(tmp_path, tmp_path / "kept")
