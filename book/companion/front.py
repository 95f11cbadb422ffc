"""The beginnings of a book about your own music: its parameters, its contents and its front page."""

import hashlib
import os
import re
import sys
import time
import unicodedata
from pathlib import Path

import pandas as pd
import yaml

from companion import ROOT, own, watch
from companion.parameters import read_profile, write_changed
from companion.text import plain
from vae_lib import corpus
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus

PAGES = {
    "own": "what came in, what was skipped and why, what one can hear in it, and what so many tracks can tell",
    "own_clusters": "the models trained on your tracks, the clusters with their typical tracks, maps and scores",
    "methods": "every model, clusterer and metric, and the rules of scoring",
    "glossary": "terms and metrics",
    "references": "the works that the methods come from",
}
"""Of the book, as far as the project has them, and what each shows."""


def source(manifest: str, folder: str) -> Path:
    """Give the one of both that is named, or say what is wrong with them."""
    if bool(manifest) == bool(folder):
        raise ParameterError(f"give either MANIFEST or FOLDER, got MANIFEST={manifest} and FOLDER={folder}")
    path = Path(manifest or folder).expanduser()
    if manifest and path.is_dir():
        raise ParameterError(f"MANIFEST={manifest} is a folder; say FOLDER={manifest}, or name the CSV file in it")
    if folder and path.is_file():
        raise ParameterError(f"FOLDER={folder} is a file; say MANIFEST={folder} if it lists songs")
    if not path.exists():
        option = "MANIFEST" if manifest else "FOLDER"
        raise ParameterError(f"{option}={manifest or folder}: no such {'file' if manifest else 'folder'}")
    return path


def prepare(
    source: Path | str, *, values: Path | str, workers: int = own.WORKERS, sure: bool = False, progress: bool = True
) -> Path:
    """Gather your music, write what its book starts from, and give the folder of the build.

    Parameters
    ----------
    source, workers, sure, progress
        As in `own.gather`.
    values : path
        The profile, such as ``book/params/book.yaml``, with the parameters.
    """
    source, sections = Path(source), read_profile(values)
    build = ROOT / "_build" / build_name(source, profile=str(sections.get("all", {}).get("profile", "book")))
    watch.claim(build)
    music = own.gather(source, build=build, workers=workers, sure=sure, progress=progress)
    lost = own.skipped(build / own.CORPUS)
    write(build, music, lost, sections=sections, source=source)
    print(f"{music.name}: {len(music)} tracks", file=sys.stderr)
    for track_id, row in lost.head(5).iterrows():
        print(f"skipped {track_id}: {row['reason']}", file=sys.stderr)
    if len(lost) > 5:
        print(f"skipped {len(lost) - 5} more: {os.path.relpath(build / own.SKIPPED, ROOT)}", file=sys.stderr)
    return build


def build_name(source: Path, *, profile: str) -> str:
    """Name of the build of a book: its own per source and profile, in plain ASCII, because Make takes no other."""
    word = unicodedata.normalize("NFKD", source.stem).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", word).strip("-")[:30]
    place = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:8]
    return "-".join(filter(None, ["own", word, place, profile if profile != "book" else ""]))


def write(build: Path, music: Corpus, lost: pd.DataFrame, *, sections: dict[str, dict], source: Path) -> None:
    """Write ``profile.yaml`` and the tree ``front`` with contents, configuration and front page, where they differ."""
    pages = [page for page in PAGES if any((ROOT / "book").glob(f"{page}.*"))]
    if len(music) < own.MINIMUM:
        pages.remove("own_clusters")
    place = (build / own.CORPUS).relative_to(ROOT).as_posix()
    chosen = {"all": sections.get("all", {}) | {"profile": build.name}}
    chosen |= {page: sections[page] for page in sorted(pages) if page in sections}
    for page in {*pages} & {"own", "own_clusters"}:
        chosen[page] = chosen.get(page, {}) | {"corpus_name": place}

    toc = {"format": "jb-book", "root": "book/index", "chapters": [{"file": f"book/{page}"} for page in pages]}
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["title"] = "Your music: " + re.sub(r"[<>&]", " ", music.name)  # one theme escapes it, another does not
    # Pages of this book name others of the whole one, which are not in it.
    config["sphinx"]["config"].setdefault("suppress_warnings", []).append("ref.doc")
    config["sphinx"]["config"].setdefault("nitpick_ignore_regex", []).append(["py:.*", ".*"])
    made = time.strftime("%Y-%m-%d", time.localtime((build / own.CORPUS / corpus.FACTS).stat().st_mtime))
    front = build / "front"
    texts = {build / "profile.yaml": chosen, front / "_toc.yml": toc, front / "_config.yml": config}
    for path, values in texts.items():
        write_changed(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    write_changed(front / "book" / "index.md", front_page(music, lost, source=source, pages=pages, made=made))


def front_page(music: Corpus, lost: pd.DataFrame, *, source: Path, pages: list[str], made: str) -> str:
    """Front page of a book about your music that was `made` on a day, in Markdown, whatever its names hold."""
    option = "FOLDER" if source.is_dir() else "MANIFEST"
    groups = [f"{plain(label)} in {music.tracks[label].nunique()} groups" for label in music.labels]
    parts = own.left_out(music)
    reasons = "\n".join(f"- **{plain(part)}**: {plain(why)}" for part, why in parts.items())
    left = f"These parts are left out, because the list does not hold what they need:\n\n{reasons}\n"
    count = f"{len(lost)} file{' was' if len(lost) == 1 else 's were'} skipped; {{doc}}`own` says which and why."
    table = "\n".join(f"| {{doc}}`{page}` | {PAGES[page]} |" for page in pages)
    return f"""# Your music: {plain(music.name)}

This book is about music of your own: what `make book {option}=…` made of {plain(source.resolve().name)} on {made}. It
puts these tracks through the study of the paper companion *VAE Music Genre Clustering*, by the same code and under the
same rules. Nothing of it left this computer, and the book holds neither audio nor words.

**What came in:** {"; ".join([f"{len(music)} tracks", *groups])}. {count if len(lost) else "No file had to be skipped."}

| page | what it shows |
|---|---|
{table}

## What is not here

{left if parts else "Nothing is left out: there are genres, languages and words."}
Pages about the companion's own corpora and the table that it examines are not part of this book; `make book` builds
them. Where a page here names one of them, the name is not a link.
"""
