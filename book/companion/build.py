"""What Make calls that is longer than a line of shell: builds that derive from a profile, and the rendering of a book.

A build is a folder ``_build/<name>``. One that derives from a profile, because of ``P``, ``MANIFEST`` or ``FOLDER``,
holds its own ``profile.yaml``, the ``notice.yml`` of a variation and the ``front`` of a book about your own music.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from companion import watch
from vae_lib.checks import ParameterError

STATIC = ("book/_html", "book/images", "paper/refs.bib", "paper/neurips_2024.pdf", "paper/exhibits.csv")
CONFIG, NOTICE, FRONT = "_config.yml", "notice.yml", "front"
TROUBLE = re.compile(r"WARNING|ERROR|Error:|rror in")


class RenderError(RuntimeError):
    """The pages were not rendered."""


def derive(profile: str, given: Mapping[str, str]) -> str:
    """Prepare the build that `P`, `MANIFEST` and `FOLDER` ask for; return its name.

    Parameters
    ----------
    profile : str
        Name of a profile in ``book/params``.
    given : mapping of str to str
        Such as the environment: of the three names, those that stand on the command line of Make.

    Raises
    ------
    ParameterError
        As from `vary.vary` and `front.prepare`.
    """
    name, values, notice = profile, Path(f"book/params/{profile}.yaml"), None
    if given.get("P", "").strip():
        from companion import vary

        notebooks = [path for path in contents(Path("_build", profile)).values() if path.suffix == ".ipynb"]
        variation = vary.vary(values, notebooks, given["P"])
        name, build = variation.name, Path("_build", variation.name)
        vary.write(variation, build)
        values, notice = build / "profile.yaml", build / NOTICE
    if {"MANIFEST", "FOLDER"} & given.keys():
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_MININTERVAL", "30")  # a line each half minute in a log, before tqdm is imported
        from companion import front

        source = front.source(given.get("MANIFEST", ""), given.get("FOLDER", ""))
        build = front.prepare(source, values=values, sure=given.get("YES") == "1")
        name = build.name
        if notice:
            shutil.copyfile(notice, build / NOTICE)
    return name


def contents(build: Path) -> dict[str, Path]:
    """Pages of a build in the order of its table of contents: ``book/easy`` and the file that it is made from.

    Raises
    ------
    ParameterError
        If a page has no source.
    """
    front = build / FRONT
    toc = front / "_toc.yml" if front.is_dir() else Path("_toc.yml")
    pages = {}
    for page in re.findall(r"(?:file|root): *(\S+)", toc.read_text(encoding="utf-8")):
        found = [path for path in (front / f"{page}.md", Path(f"{page}.ipynb"), Path(f"{page}.md")) if path.exists()]
        if not found:
            raise ParameterError(f"{toc} names {page}, but there is no {page}.ipynb and no {page}.md")
        pages[page] = found[0]
    return pages


def render(build: Path, html: Path, *, needs: Iterable[str] = ()) -> None:
    """Render the executed notebooks and the prose of a build; new pages replace the old ones when all is well.

    Sphinx reads a staged tree, from clean, with warnings as errors.

    Parameters
    ----------
    build : Path
        ``_build/<name>``, with its notebooks executed.
    html : Path
        Where the pages go.
    needs : iterable of str
        What Make compares their date with.

    Raises
    ------
    RenderError
        If Sphinx warns or fails. The last pages are as they were.
    ParameterError
        If a page has no source.
    BlockingIOError
        If another run works in this build.
    """
    from companion import execute
    from companion import pages as staging

    watch.claim(build)
    started = time.time()  # a page that is edited from now on is newer than what comes out
    pages = contents(build)
    notebooks = [path for path in pages.values() if path.suffix == ".ipynb"]
    print(f"rendering {len(pages)} pages", flush=True)
    stage, rendered, replaced = (build / name for name in ("stage", "rendered", "replaced"))
    for folder in (stage, rendered, replaced):
        shutil.rmtree(folder, ignore_errors=True)
    _copy(build, stage, pages)
    prose = [path for path in pages.values() if path.suffix == ".md" and build not in path.parents]
    staging.stage(build, stage, notebooks=[path.stem for path in notebooks], prose=prose, paper="paper/results")
    _sphinx(stage, rendered, log=build / "render.log")
    fresh = rendered / "_build/html"
    staging.trim(fresh, sources=notebooks)
    execute.date(fresh / "index.html", started, needs)
    html.parent.mkdir(parents=True, exist_ok=True)
    if html.exists():
        html.rename(replaced)
    fresh.rename(html)
    for folder in (rendered, replaced):
        shutil.rmtree(folder, ignore_errors=True)


def _copy(build: Path, stage: Path, pages: Mapping[str, Path]) -> None:
    """Copy to the tree that Sphinx reads what goes there as it is."""
    front = build / FRONT if (build / FRONT).is_dir() else Path()
    copied = {Path(name): Path(name) for name in STATIC} | {Path(name): front / name for name in ("_toc.yml", CONFIG)}
    copied |= {Path(f"{page}.md"): path for page, path in pages.items() if path.suffix == ".md"}
    for target, source in copied.items():
        (stage / target).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, stage / target)
        elif source.exists():
            shutil.copyfile(source, stage / target)
    if (build / NOTICE).exists():  # a variation says on every page that it is one
        config, notice = (path.read_text(encoding="utf-8") for path in (stage / CONFIG, build / NOTICE))
        config = config.replace("\nhtml:\n", f"\nhtml:\n{notice}", 1)
        (stage / CONFIG).write_text(config, encoding="utf-8")


def _sphinx(stage: Path, rendered: Path, *, log: Path) -> None:
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", stage, "--path-output", rendered, "-W", "-n"]
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.call([*map(str, command), "--keep-going"], stdout=file, stderr=subprocess.STDOUT)
    if code:
        text = log.read_text(encoding="utf-8", errors="replace").replace(f"{stage.resolve()}/", "")
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()  # without terminal colours
        first, *more = [line for line in lines if TROUBLE.search(line)] or lines[-12:] or [f"jupyter-book: {code}"]
        todo = f"mend it and say make book again; the last book is as it was, and all that was said is in {log}"
        raise RenderError("\n    ".join([first, *more, todo]))
