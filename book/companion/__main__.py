"""The commands that Make calls: ``python -m companion COMMAND …``."""

import argparse
import os
import signal
import sys
from pathlib import Path

from vae_lib.checks import ParameterError

INTERRUPTED = "interrupted; what was finished is kept, and the same command goes on from there"


def parser() -> argparse.ArgumentParser:
    """Every command with its options; `call` runs it."""
    root = argparse.ArgumentParser(prog="python -m companion", description="What serves the pages of the book.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(call: object, name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(call=call)
        return added

    it = command(_resolve, "resolve", "write the effective parameters of each notebook")
    it.add_argument("profile", help="book/params/*.yaml")
    it.add_argument("notebooks", nargs="*")
    it.add_argument("--into", required=True, metavar="FOLDER")

    it = command(_run, "run", "execute one notebook")
    it.add_argument("notebook")
    it.add_argument("--parameters", required=True, metavar="JSON")
    it.add_argument("--build", required=True, metavar="FOLDER")
    it.add_argument("--newer", default="", metavar="FILES", help="what is newer than the last execution")
    it.add_argument("--vector", action="store_true", help="draw figures as SVG too, for print")
    it.add_argument("--base", metavar="FOLDER", help="a build to take over from what is the same there")
    it.add_argument("--needs", default="", metavar="FILES", help="all prerequisites")

    it = command(_keep, "keep", "keep results and figures of a build")
    it.add_argument("build")
    it.add_argument("--into", required=True, metavar="FOLDER")

    it = command(_derive, "derive", "prepare the build that P, MANIFEST and FOLDER of the environment ask for")
    it.add_argument("profile", help="name of a profile in book/params")

    it = command(_render, "render", "render the pages of a build whose notebooks are executed")
    it.add_argument("build", help="_build/<name>")
    it.add_argument("--html", required=True, metavar="FOLDER", help="where the pages go")
    it.add_argument("--needs", default="", metavar="FILES", help="all prerequisites")

    it = command(_songs, "songs", "write synthetic songs as files, with a manifest")
    it.add_argument("--into", default="_build/songs", metavar="FOLDER")
    it.add_argument("--count", type=int, default=60)

    it = command(_compare, "compare", "two runs side by side")
    it.add_argument("a", help="a build, such as book, or a folder of result files")
    it.add_argument("b")
    it.add_argument("--metric", default="", help="such as ari,nmi")

    it = command(_article, "article", "set the article")
    it.add_argument("--results", help="folder of result files, by default those of the released run")

    it = command(_data, "data", "download GTZAN and verify each file")
    it.add_argument("names", nargs="*", metavar="name", help="gtzan or gtzan-mini; all by default")
    it.add_argument("--data-home", help="where to put them (default: the variable DATA_HOME, else data/raw)")
    return root


# Each command imports what it needs: the quick ones stay quick.


def _resolve(options: argparse.Namespace) -> None:
    from companion import parameters

    parameters.write_effective(parameters.resolve(options.profile, options.notebooks), options.into)


def _run(options: argparse.Namespace) -> int:
    from companion import execute, watch

    watch.end_with_make()
    try:
        execute.execute(
            options.notebook,
            parameters=options.parameters,
            build=options.build,
            newer=options.newer.split(),
            vector=options.vector,
            base=options.base,
            needs=options.needs.split(),
        )
    except execute.NotebookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _keep(options: argparse.Namespace) -> None:
    from companion import execute

    print(f"{len(execute.keep(options.build, options.into))} files written to {options.into}")


def _derive(options: argparse.Namespace) -> None:
    from companion import build, watch

    watch.end_with_make()
    print(build.derive(options.profile, os.environ))


def _render(options: argparse.Namespace) -> int:
    from companion import build, watch

    watch.end_with_make()
    try:
        build.render(Path(options.build), Path(options.html), needs=options.needs.split())
    except build.RenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _songs(options: argparse.Namespace) -> None:
    from companion import own

    path = own.write_songs(options.into, count=options.count)
    print(f"{options.count} songs are written: make book MANIFEST={path}")


def _compare(options: argparse.Namespace) -> None:
    from companion import compare, report
    from vae_lib import store

    measures = options.metric.replace(",", " ").split()
    comparison = compare.compare(compare.read(options.a), compare.read(options.b), measures=measures)
    name = store.plain_name("--".join(comparison.names).replace("/", "-"))
    path = report.ROOT / "_build" / "compare" / f"{name}.html"
    with store.replacing(path) as temporary:
        temporary.write_text(compare.page(comparison), encoding="utf-8")
    print(compare.as_text(comparison), "", f"The page: {path.relative_to(report.ROOT)}", sep="\n")


def _article(options: argparse.Namespace) -> int:
    from companion import article

    try:
        path = article.build(options.results or article.PAPER)
    except (ParameterError, article.ArticleError, OSError) as error:
        print(f"error: the article was not set; the last one is as it was.\n{error}", file=sys.stderr)
        return 1
    print(f"article: {os.path.relpath(path)}")
    return 0


def _data(options: argparse.Namespace) -> int:
    from vae_lib.corpus import download

    return download.fetch_all(options.names, folder=options.data_home)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, 1: a notebook or the article failed, 2: bad input, 130: interrupted."""
    options = parser().parse_args(arguments)
    if home := os.environ.get("DATA_HOME"):  # notebooks run in their own folder
        os.environ["DATA_HOME"] = str(Path(home).absolute())
    # Kernels and workers live in sessions of their own: they are shut down when these arrive as exceptions.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        return options.call(options) or 0
    except (ParameterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
