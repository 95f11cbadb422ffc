"""What Make promises, on a project of two notebooks: nothing runs twice, nothing good is lost, errors say what to do.

The functions behind are tested in tests/companion; here is what only the whole can do wrong.
"""

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
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

pytestmark = pytest.mark.make

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("Makefile", "_config.yml", "requirements.txt", "pyproject.toml", "book/_html", "book/companion", "vae_lib",
          "book/references.md", "paper/refs.bib", "paper/exhibits.csv",
          "paper/neurips_2024.pdf")  # fmt: skip
PARAMETERS = 'profile: str = "scratch"  # build that receives the result rows\nepochs: int = 100  # passes\n'
EXECUTED = [f"_build/book/executed/{name}.ipynb" for name in "ab"]  # the book, but for the rendering of pages
UP_TO_DATE = "_build/html/index.html is up to date\n"


def make(folder, *arguments, wait=True, **environment):
    """Run the Makefile of a folder as a user would: without what the make that runs these tests has set."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    process = subprocess.Popen(
        ["make", "-o", ".venv/.ready", *arguments],
        cwd=folder,
        env=clean | {"PYTHONPATH": f"{folder}:{folder}/book"} | environment,
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
    return subprocess.CompletedProcess(arguments, process.returncode, output)


def write_notebook(path, *code):
    cells = [
        new_markdown_cell(f"# Page {path.stem}"),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, code),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    nbformat.write(new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project whose book is built; notebook b imports a module that a does not."""
    folder = tmp_path_factory.mktemp("made") / "project"
    for name in COPIED:
        target = folder / name
        target.parent.mkdir(exist_ok=True, parents=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n- file: book/a\n- file: book/b\n- file: book/references\n"
    )
    (folder / "book/index.md").write_text("# Front\n\nSee {cite}`kingma2014`.\n")
    (folder / "book/params").mkdir()
    (folder / "book/params/book.yaml").write_text("b: {epochs: 2}\n")
    (folder / "vae_lib/told.py").write_text("WORD = 'epochs'\n")
    write_notebook(folder / "book/a.ipynb", "print('epochs', epochs)")
    write_notebook(folder / "book/b.ipynb", "from vae_lib import told\n\nprint(told.WORD, epochs)")
    past = 1e9  # as if everything had been checked out before the packages were installed
    for path in folder.rglob("*"):
        os.utime(path, (past, past), follow_symlinks=False)
    done = make(folder, "book")
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def project(built, tmp_path):
    return shutil.copytree(built, tmp_path / "project", symlinks=True)


def executed(project, name, build="book"):
    return project / f"_build/{build}/executed/{name}.ipynb"


def printed(project, name, build="book"):
    cells = nbformat.read(executed(project, name, build), as_version=4).cells
    return "".join(output.text for cell in cells for output in cell.get("outputs", []))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def ran(output):
    """Names of the notebooks that were executed."""
    return re.findall(r"^(\w+): executed ", output, flags=re.MULTILINE)


# What is run.


def test_a_second_make_does_nothing(project):
    assert [printed(project, name) for name in "ab"] == ["epochs 100\n", "epochs 2\n"]
    before = {path: path.stat().st_mtime_ns for path in (project / "_build").rglob("*") if path.is_file()}
    started = time.monotonic()
    assert make(project, "book").stdout == UP_TO_DATE
    assert time.monotonic() - started < 5
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_change_of_one_parameter_reruns_its_notebook_and_a_comment_none(project):
    edit(project / "book/params/book.yaml", "b: {epochs: 2}", "# why three\nb: {epochs: 3}")
    again = make(project, *EXECUTED)
    assert ran(again.stdout) == ["b"], again.stdout
    assert "_build/book/params/b.json changed" in again.stdout
    assert printed(project, "b") == "epochs 3\n"
    edit(project / "book/params/book.yaml", "# why three", "# because")
    assert ran(make(project, *EXECUTED).stdout) == []


def test_a_changed_module_reruns_the_notebooks_that_import_it(project):
    edit(project / "vae_lib/told.py", "epochs", "passes")
    again = make(project, *EXECUTED)
    assert ran(again.stdout) == ["b"], again.stdout
    assert "vae_lib/told.py changed" in again.stdout
    assert printed(project, "b") == "passes 2\n"
    (project / "vae_lib/plots.py").touch()
    assert ran(make(project, *EXECUTED).stdout) == []
    (project / "vae_lib/told.py").unlink()
    gone = make(project, *EXECUTED)
    assert "cell 3 of book/b.ipynb" in gone.stdout
    assert "No rule" not in gone.stdout


def test_new_prose_is_rendered_without_executing(project):
    edit(project / "book/index.md", "# Front", "# Another front")
    edit(project / "book/a.ipynb", "# Page a", "# Another page")
    again = make(project, "book")
    assert again.returncode == 0, again.stdout
    assert ran(again.stdout) == []
    assert again.stdout.count("a: only prose changed, outputs kept") == 1
    assert "Another front" in (project / "_build/html/book/index.html").read_text()
    assert "Another page" in (project / "_build/html/book/a.html").read_text()
    assert printed(project, "a") == "epochs 100\n"


def test_a_variation_executes_what_it_changes_and_leaves_the_book_alone(project):
    before = {path: path.read_bytes() for path in (project / "_build/book").rglob("*") if path.is_file()}
    varied = make(project, "book", "P=b.epochs=7")
    assert ran(varied.stdout) == ["b"], varied.stdout
    assert "a: as in _build/book, taken over\n" in varied.stdout
    assert printed(project, "b", "book+b.epochs=7") == "epochs 7\n"
    page = (project / "_build/book+b.epochs=7/html/book/a.html").read_text()
    assert "epochs 100" in page
    assert "<strong>b.epochs = 7</strong>" in page
    assert make(project, "book", "P= b.epochs=7").stdout == "_build/book+b.epochs=7/html/index.html is up to date\n"
    assert before == {path: path.read_bytes() for path in before if path.name != ".lock"} | {
        path: text for path, text in before.items() if path.name == ".lock"
    }


# Jobs.


@pytest.mark.parametrize("jobs", ["", "-j1", "-j8"])
def test_any_number_of_jobs_gives_the_same_in_whole_lines(project, jobs):
    shutil.rmtree(project / "_build")
    done = make(project, *EXECUTED, *jobs.split())
    assert done.returncode == 0, done.stdout
    assert sorted(ran(done.stdout)) == ["a", "b"]
    assert "\r" not in done.stdout
    assert "jobserver" not in done.stdout
    assert [printed(project, name) for name in "ab"] == ["epochs 100\n", "epochs 2\n"]


@pytest.mark.parametrize(("jobs", "expected"), [("-j1", 1), ("-j8", 8), ("--jobs=3", 3), ("", os.cpu_count())])
def test_jobs_are_as_many_as_cores_unless_the_user_says_otherwise(built, jobs, expected):
    assert f"jobs side by side: {expected} " in make(built, "help", *jobs.split()).stdout


@pytest.mark.slow
def test_two_makes_at_once_end_well_or_say_why_not(project):
    shutil.rmtree(project / "_build")
    both = [make(project, "book", wait=False) for _ in range(2)]
    outputs = [process.communicate(timeout=240)[0] for process in both]
    assert 0 in [process.returncode for process in both], outputs
    for process, output in zip(both, outputs, strict=True):
        if process.returncode:
            told = [line for line in output.splitlines() if line.startswith("error: ")]
            assert told, output
            assert all(re.search(r"_build/book.*another run|another run.*_build/book", line) for line in told), output
            assert "Traceback" not in output
    assert make(project, "book").stdout == UP_TO_DATE
    assert [printed(project, name) for name in "ab"] == ["epochs 100\n", "epochs 2\n"]


# What goes wrong.


def test_a_failing_notebook_says_where_and_the_last_good_page_stays(project):
    code, message = "raise ValueError('no such genre')", "ValueError: no such genre"
    page, notebook = project / "_build/html/book/b.html", executed(project, "b")
    before = page.read_bytes(), notebook.read_bytes()
    edit(project / "book/b.ipynb", "print(told.WORD, epochs)", code)
    failed = make(project, *EXECUTED)
    assert failed.returncode != 0
    error = failed.stdout[failed.stdout.index("error: ") :]
    assert error.startswith("error: cell 3 of book/b.ipynb")
    assert message in error
    assert "the failed copy is _build/book/failed/b.ipynb" in error
    assert nbformat.read(project / "_build/book/failed/b.ipynb", as_version=4).cells
    assert before == (page.read_bytes(), notebook.read_bytes())
    edit(project / "book/b.ipynb", code, "print(told.WORD, epochs + 1)")
    assert make(project, "_build/book/executed/b.ipynb").returncode == 0
    assert printed(project, "b") == "epochs 3\n"
    assert not (project / "_build/book/failed/b.ipynb").exists()


def test_a_notebook_that_is_none_is_named_before_any_kernel_starts(project):
    (project / "book/b.ipynb").write_text("{")
    failed = make(project, "book")
    assert failed.returncode != 0
    assert failed.stdout.startswith("error: book/b.ipynb is not a notebook that can be read")


def test_bad_parameters_stop_before_any_kernel_starts(project):
    (project / "book/params/book.yaml").write_text("b: {epochs: many}\n")
    (project / "vae_lib/told.py").touch()
    failed = make(project, "book")
    assert failed.returncode != 0
    assert failed.stdout.startswith("error: book/params/book.yaml: b.epochs must be int, got 'many' (str)\n")
    assert "executing" not in failed.stdout


def test_a_page_that_does_not_render_is_named_and_the_last_book_stays(project):
    page = project / "_build/html/book/index.html"
    before = page.read_bytes()
    edit(project / "book/index.md", "kingma2014", "nobody1900")
    failed = make(project, "book")
    assert failed.returncode != 0
    error = failed.stdout[failed.stdout.index("error: ") :]
    assert re.match(r'error: book/index\.md:3: .*could not find bibtex key "nobody1900"', error)
    assert "_build/book/render.log" in error
    assert page.read_bytes() == before


def test_a_page_of_the_contents_that_is_not_there_is_named(project):
    edit(project / "_toc.yml", "book/a", "book/c")
    failed = make(project, "book")
    assert failed.returncode != 0
    assert "error: _toc.yml names book/c, but there is no book/c.ipynb and no book/c.md" in failed.stdout


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_an_interrupted_run_breaks_no_page_leaves_no_kernel_and_completes_later(project):
    before, pid_file = executed(project, "b").read_bytes(), project / "pid"
    wait = f"import os, time; print('half'); open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(120)"
    edit(project / "book/b.ipynb", "print(told.WORD, epochs)", wait)
    process = make(project, "book", wait=False)
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline, "the notebook did not start"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    kernel = int(pid_file.read_text())
    assert alive(kernel)
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: every process of the terminal gets it
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


# What is typed.


@pytest.mark.parametrize("profile", ["nope", "../book", "%", "book smoke", "/", "$(shell touch touched)"])
def test_an_unknown_profile_is_refused_before_anything_is_touched(built, profile):
    failed = make(built, "book", f"PROFILE={profile}")
    assert failed.returncode != 0
    assert f"PROFILE={profile} is none of: book" in failed.stdout
    assert not (built / "touched").exists()


EVIL = "$(shell touch touched) `touch touched` $$(touch touched) \"; touch touched; ' %"


@pytest.mark.parametrize(
    "arguments",
    [["book", f"P={EVIL}"], ["book", f"MANIFEST={EVIL}"], ["book", f"FOLDER={EVIL}"], ["paper", f"RESULTS={EVIL}"],
     ["compare", f"A={EVIL}", "B=book"], ["compare", "A=book", "B=book", f"METRIC={EVIL}"], ["data", f"CORPUS={EVIL}"],
     ["release", f"DATA_HOME={EVIL}", "PROFILE=book", "-n"]],
    ids=lambda arguments: arguments[1].partition("=")[0],
)  # fmt: skip
def test_what_is_given_is_never_expanded(arguments, built):
    done = make(built, *arguments)
    assert not (built / "touched").exists(), done.stdout
    assert "unterminated" not in done.stdout.lower()


@pytest.mark.parametrize("given", [["P=beta=8"], ["MANIFEST=songs.csv"], ["FOLDER=music"]])
@pytest.mark.parametrize("target", ["test", "clean"])
def test_what_asks_for_another_book_is_for_books_alone(built, target, given):
    failed = make(built, "-n", target, *given)
    assert failed.returncode != 0
    assert f"is for make book and make render, not for: {target}" in failed.stdout


def test_variables_of_the_shell_ask_for_nothing(built):
    plan = make(built, "-n", "book", P="epochs=3", FOLDER="/", MANIFEST="x", PROFILE="nope", NAME="x")
    assert plan.returncode == 0, plan.stdout
    assert "derive" not in plan.stdout


def test_help_has_one_line_for_every_target(built):
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    lines = make(built, "help").stdout.split("\n\n")[0].splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(phony.replace("\\\n", " ").split())
    assert all(len(line.split()) > 2 for line in lines)
