"""Processes that watch one another, so that nothing outlives the command that started it.

A kernel that `execute` starts loads this module as an extension of IPython: it notes which files of the project the
notebook imports and reads, and ends with the run. The run ends with the make that called it.
"""

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from companion import NOTEBOOK, ROOT

if TYPE_CHECKING:
    import psutil
    from IPython import InteractiveShell

BUILD = "COMPANION_BUILD"  # the variable that tells a kernel whom it executes for
SOURCES = ("vae_lib/", "book/companion/")
DATA = ("data/", "paper/results/")  # and what the build itself holds: rows of other notebooks, your own corpus
OF_BUILD = ("results/", "corpus/", "skipped.csv")

_opened: set[str] = set()


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Begin to watch, in a kernel; after each cell ``<build>/deps/<notebook>.json`` holds what was noted."""
    build = Path(os.environ[BUILD])
    path, parent = build / "deps" / f"{os.environ[NOTEBOOK]}.json", os.getppid()
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.addaudithook(_note)
    shell.events.register("post_run_cell", lambda *_: path.write_text(json.dumps(noted(build)), encoding="utf-8"))
    until(lambda: os.getppid() == parent, lambda: os.killpg(0, signal.SIGKILL))  # with the workers that it started


def _note(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        _opened.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100  # as cheap as can be


def noted(build: Path) -> list[str]:
    """List the files of the project that this process has imported or read, relative to its root."""
    root = f"{ROOT}/"
    modules = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    imported = {file.removeprefix(root) for file in modules if file.startswith(root) and file != __file__}
    read = {file.removeprefix(root) for file in _opened.copy() if file.startswith(root)}
    inside = f"{build}/".removeprefix(root)
    places = (*SOURCES, *DATA, *(inside + place for place in OF_BUILD))
    found = {file for file in imported if file.startswith(SOURCES)}
    found |= {file for file in read if file.startswith(places) and not file.endswith((".py", ".pyc"))}
    return sorted(file for file in found if (ROOT / file).is_file())


def until(lives: Callable[[], bool], end: Callable[[], object]) -> None:
    """Call `end` in a thread as soon as `lives` is no longer true."""

    def watch() -> None:
        while lives():
            time.sleep(0.5)
        end()

    threading.Thread(target=watch, daemon=True).start()


def end_group(leader: int | None) -> None:
    """Kill what is left of a process and of those that it started, if there is one."""
    with suppress(ProcessLookupError, PermissionError):
        if leader:
            os.killpg(leader, signal.SIGKILL)


def makes() -> "list[psutil.Process]":
    """Give the makes that called this process through one another, the outermost last."""
    import psutil

    found = []
    for process in psutil.Process().parents():
        if process.name() in ("make", "gmake"):
            found.append(process)
        elif process.name() not in ("sh", "dash", "bash"):
            break
    return found


def alive(process: "psutil.Process") -> bool:
    """Whether a process still runs; one that only waits to be collected does not."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_with_make() -> None:
    """Let this process be terminated when a make that called it is gone."""
    if callers := makes():
        until(lambda: all(map(alive, callers)), lambda: os.kill(os.getpid(), signal.SIGTERM))


def claim(build: Path) -> None:
    """Say that this run works in the folder of a build until it ends; all that one make calls is one run.

    Raises
    ------
    BlockingIOError
        If another one does that still lives.
    """
    import psutil

    mine = [psutil.Process(), *makes()][-1]
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".lock").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        try:
            number, created = json.loads(file.read())
            other = psutil.Process(number)
            if number != mine.pid and abs(other.create_time() - created) < 2 and alive(other):
                raise BlockingIOError(
                    f"another run works in {os.path.relpath(build)}, process {number}; wait until it ends, or stop it"
                )
        except (ValueError, psutil.NoSuchProcess):
            pass  # nobody was there, or is there any more
        file.truncate(0)
        file.write(json.dumps([mine.pid, mine.create_time()]))
