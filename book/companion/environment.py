"""Create ``.venv`` with every package of the lock: what Make runs first, with the reader's own Python.

Nothing but the standard library is imported, and older Pythons can read this file: it tells them that they are too old.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
VENV = Path(".venv")
COMPLETE = VENV / ".locked"  # hash of the lock whose packages are all there
LOG = Path("_build/setup.log")


def main() -> None:
    """Install what is missing; a second process waits for the first and finds all done."""
    if sys.version_info < OLDEST:
        found = "{}.{}".format(*sys.version_info[:2])
        needed = "{}.{}".format(*OLDEST)
        sys.exit(
            f"error: {sys.executable} is Python {found}, {needed} or newer is needed: make PYTHON=python{needed} …"
        )
    import fcntl

    LOG.parent.mkdir(exist_ok=True)
    with LOG.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("waiting for another make, which installs packages into .venv", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        install()


def install() -> None:
    """Bring the environment up to date.

    An install that was cut short is dropped whole and done again, because pip takes half-copied packages for installed
    ones: `COMPLETE` is there from the end of one install to the beginning of the next.
    """
    lock = hashlib.sha256(Path("requirements.txt").read_bytes()).hexdigest()
    pip = (VENV / "bin/python", "-m", "pip", "install", "--disable-pip-version-check")
    if not COMPLETE.exists() or COMPLETE.read_text() != lock:
        print("installing requirements.txt into .venv (a few minutes)", flush=True)
        if COMPLETE.exists():
            COMPLETE.unlink()
        else:
            run("create .venv", sys.executable, "-m", "venv", "--clear", VENV)
        run("install requirements.txt", *pip, "-r", "requirements.txt")
        COMPLETE.write_text(lock)
    run("install pyproject.toml", *pip, "--no-deps", "-e", ".")


def run(what: str, *command: object) -> None:
    """Run one step; its output is kept in a file, and told if it fails."""
    with LOG.open("w") as log:
        code = subprocess.call([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
    if code:
        lines = LOG.read_text().splitlines()
        told = [line for line in lines if line.startswith("ERROR")][:5] or lines[-1:]
        sys.exit("\n".join([f"error: could not {what}; mend this and say make again (all of it: {LOG})", *told]))


if __name__ == "__main__":
    main()
