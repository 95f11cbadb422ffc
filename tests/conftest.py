"""Fixtures that several test files share."""

import fcntl
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from nbval.plugin import IPyNbCell
from replay import pytest_collect_file  # noqa: F401, a hook

from companion import report
from vae_lib import corpus

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
NEEDS = {"smoke_book": "book", "browser": "browser", "run_make": "make", "data_home": "music"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test` say where the small book is, so that nothing is executed again."""
    parser.addoption("--build", metavar="FOLDER", help="a build of the small book, such as _build/smoke")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test by what it needs, as its fixtures tell: ``pytest -m "not browser"``."""
    for item in items:
        for fixture in NEEDS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(NEEDS[fixture])
        if isinstance(item, IPyNbCell):
            item.add_marker("book")


def load_script(path: str) -> ModuleType:
    """Import a file of the repository that is no part of the library."""
    location = ROOT / path
    spec = importlib.util.spec_from_file_location(f"script_{location.parent.name}_{location.stem}", location)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real music: DATA_HOME, or shared/data beside the repository."""
    folder = Path(os.environ.get("DATA_HOME") or ROOT.parent / "shared" / "data")
    if not (folder / "gtzan_mini" / "genres").is_dir():
        pytest.skip(f"no real music at hand: {folder} has no gtzan_mini/genres (set DATA_HOME)")
    return folder


@pytest.fixture(scope="session")
def run_make() -> Callable[..., subprocess.CompletedProcess]:
    """Run make in the repository as a user would, without what the make that runs the tests has set."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["make", "-o", ".venv/.ready", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def smoke_book(
    pytestconfig: pytest.Config,
    run_make: Callable[..., subprocess.CompletedProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The build folder of the small book: `--build`, which `make test` has built before; without, it is built now."""
    if given := pytestconfig.getoption("--build"):
        return Path(given).resolve()
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else ROOT / "_build"
    shared.mkdir(exist_ok=True)
    with (shared / "smoke.lock").open("w") as lock:  # one worker builds, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = run_make("book", "PROFILE=smoke")
    assert built.returncode == 0, built.stdout + built.stderr
    return ROOT / "_build/smoke"


@pytest.fixture(scope="session")
def html(smoke_book: Path) -> Path:
    """The rendered smoke book."""
    return smoke_book / "html"


@pytest.fixture(scope="module")  # not longer: while its loop runs, notebooks cannot be executed
def browser() -> Iterator["Browser"]:
    """Chromium, one per file of tests; where there is none they are skipped and say so."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on PATH: the pages were not looked at in a browser")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: "Browser") -> Iterator["Page"]:
    """A fresh tab without network; after the test, everything that went wrong in it."""
    context = browser.new_context()
    context.set_offline(True)
    context.set_default_timeout(120_000)  # a large page beside another test on a busy machine
    page = context.new_page()
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url[:200]}"))
    page.on("request", lambda request: page.wrong.append(request.url) if request.url.startswith("http") else None)
    yield page
    context.close()


@pytest.fixture
def small_corpus() -> corpus.Corpus:
    """Twelve made-up tracks in three genres; an artist and a title are unknown."""
    generator = np.random.default_rng(0)
    ids = pd.Index([f"{genre}.{i}" for genre in ("blues", "jazz", "pop") for i in range(4)], name="track_id")
    genres = [track_id.split(".")[0] for track_id in ids]
    tracks = pd.DataFrame(
        {
            "genre": pd.Categorical(genres),
            "artist": [None, "NA", "Sigur Rós", *["somebody"] * 9],
            "title": ['A, "B"', None, *["a song"] * 10],
            "audio": [f"{track_id}.wav" for track_id in ids],
            "sha256": ["0" * 64] * 12,
        },
        index=ids,
    )
    features = pd.DataFrame(generator.normal(size=(12, 5)) * 10.0 ** np.arange(-4, 6, 2), index=ids, columns=[*"abcde"])
    return corpus.Corpus(
        name="small",
        tracks=tracks,
        features=features,
        log_mel=generator.uniform(-80, 0, (12, 4, 6)).astype(np.float16).astype(np.float32),
        source="Made up.",
        licence="None needed.",
        feature_version=3,
        parameters={"n_mels": 4},
    )


@pytest.fixture
def results(tmp_path, monkeypatch, small_corpus):
    """A function that gives the run of a build with rows in it, in a project of its own."""
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "PAPER", tmp_path / "paper/results")
    monkeypatch.setattr(report, "commit", lambda: "0123456789ab")

    def run(build, *rows, notebook="easy", music=small_corpus, write=True, **parameters):
        page = {"__annotations__": {"profile": str, **dict.fromkeys(parameters, float)}, "profile": build, **parameters}
        run = report.Run(page, notebook=notebook)
        if rows:
            run.add(pd.DataFrame(rows), corpus=music)
        if write:
            run.write()
        return run

    return run
