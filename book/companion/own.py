"""Your own music: a manifest or a folder made into a corpus and the beginnings of a book, and what its pages ask of it.

``python -m companion own --manifest songs.csv`` (or ``--folder music``), which ``make book MANIFEST=…`` calls,
computes features where they are missing, puts a saved corpus into ``_build/own-<name>/corpus`` and writes the front
page, the table of contents and the parameters of the book beside it. ``python -m companion songs`` (``make songs``)
writes synthetic songs as files, to try it with.
"""

import csv
import hashlib
import html
import os
import re
import shutil
import sys
import time
import unicodedata
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from companion import execute
from companion.text import plain as plain
from vae_lib import checks, corpus, features, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.features import lyrics

ROOT = Path(__file__).resolve().parents[2]

CORPUS, SKIPPED, FRONT, PROFILE = "corpus", "skipped.csv", "front", "profile.yaml"  # in the folder of the build
PAGES = ("own", "own_clusters", "methods", "glossary", "references")  # of the book, as far as the project has them

MINIMUM = 20  # tracks for models and clusters, and tracks with words for a model of these
DIMENSIONS = 64  # of the lyric vectors, at most
WORKERS = 2  # processes that compute features

#: What one hears, by the column that measures it, with its name, its unit, and words for what has more or less of it.
AUDIBLE = {
    "tempo": ("speed", "beats per minute", "faster", "slower"),
    "rms_mean": ("loudness", "of full scale", "louder", "softer"),
    "spectral_centroid_mean": ("brightness", "Hz", "brighter", "darker"),
    "flatness_mean": ("noisiness", "where 1 is white noise", "noisier", "more tonal"),
    "onset_strength_mean": ("attack", "dB per frame", "harder in attack", "gentler in attack"),
    "chroma_stft_mean": ("harmony", "of 12 pitch classes at once", "fuller in harmony", "sparser in harmony"),
    "rms_var": ("change of loudness", "", "less even in loudness", "more even in loudness"),
    "spectral_centroid_var": ("change of brightness", "", "less even in brightness", "more even in brightness"),
}


# From files to a saved corpus


def gather(source: Path | str, *, build: Path | str, workers: int = WORKERS, progress: bool = True) -> Corpus:
    """Make a saved corpus out of your songs: ``<build>/corpus``, and ``<build>/skipped.csv`` with what was left out.

    Nothing is computed where neither the list nor a file has changed since the last time, and a run that was cut off
    goes on where it stopped. Recordings that come more than once are kept once, so that none agrees with its own copy.

    Parameters
    ----------
    source : Path or str
        A manifest as in `corpus.from_manifest` with a column ``audio``, or a folder as in `corpus.from_folder`.
    build : Path or str
        A folder; it also gets ``features``, the cache of `features.extract_many`.
    workers : int
        Processes that compute features.
    progress : bool
        Whether to show bars on standard error.

    Returns
    -------
    Corpus
        As it was saved: features, log-mel images and, where `MINIMUM` tracks have words, lyric vectors.

    Raises
    ------
    ParameterError
        If the list cannot be used, or fewer than two tracks can.
    """
    source, build = Path(source), Path(build)
    music = corpus.from_folder(source) if source.is_dir() else corpus.from_manifest(source)
    if "audio" not in music.tracks:
        raise ParameterError(f"{source}: must have a column audio; a book about words alone is not made")
    paths = dict(zip(music.tracks.index, music.audio_paths(), strict=True))
    given = _fingerprint(music, paths)
    saved = build / CORPUS
    if _text(build / "given.sha256") == given and (build / SKIPPED).is_file() and (saved / corpus.FACTS).is_file():
        return corpus.read(saved)

    table, log_mel, report = features.extract_many(
        [*paths.values()], ids=[*paths], cache=build / "features", workers=workers, progress=progress
    )
    reasons = {
        track_id: row["reason"].removeprefix(f"{row['path']}: ") for track_id, row in report.iterrows()
    } | _copies(table)
    used = table.index.difference([*reasons])
    if len(used) < 2:
        first = next(iter(reasons))
        raise ParameterError(
            f"{source}: {len(used)} of {len(paths)} tracks can be used, and a book needs two; {first}: {reasons[first]}"
        )
    rows = table.index.get_indexer(used)
    parameters = features.PARAMETERS | {"versions": _versions("librosa", "numpy", "scipy", "soundfile", "soxr")}
    music = music.with_features(table.loc[used], log_mel[rows], version=features.VERSION, parameters=parameters)
    music = _with_lyrics(replace(music, tracks=music.tracks.assign(seconds=_lengths(paths, music.tracks.index))))

    skipped = [(track_id, _below(paths[track_id], source), reasons[track_id]) for track_id in sorted(reasons)]
    with store.replacing(build / SKIPPED) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("track_id", "file", "reason"), *skipped])
    if not _is_saved(music, saved):
        corpus.save(music, saved)
    with store.replacing(build / "given.sha256") as temporary:
        temporary.write_text(given, encoding="utf-8")
    return corpus.read(saved)


def _fingerprint(music: Corpus, paths: dict[str, Path]) -> str:
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths.values()]
    words = None if music.texts is None else [None if pd.isna(text) else text for text in music.texts]
    computed = [features.VERSION, features.PARAMETERS, lyrics.VERSION, DIMENSIONS, MINIMUM]
    return store.content_hash([music.name, music.source, music.tracks.to_csv()], files, words, computed)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _copies(table: pd.DataFrame) -> dict[str, str]:
    """Why each track is left out that sounds like one before it to the last digit."""
    ids = table.index.to_series()
    first = ids.groupby(table.groupby([*table], sort=False).ngroup()).transform("first")
    return {track_id: f"the same recording as {first[track_id]}, which is kept" for track_id in ids[first != ids]}


def _lengths(paths: dict[str, Path], ids: pd.Index) -> list[str]:
    import soundfile

    return [f"{soundfile.info(paths[track_id]).duration:.2f}" for track_id in ids]


def _with_lyrics(music: Corpus) -> Corpus:
    """The corpus with lyric vectors, if enough tracks have words."""
    worded = 0 if music.texts is None else sum(bool(lyrics.clean(text)) for text in music.texts)
    if worded < MINIMUM:
        return replace(music, parameters=music.parameters | {"tracks_with_words": worded})
    options = {"method": "lsa", "dimensions": min(DIMENSIONS, worded // 2), "seed": 0}
    about = options | {"version": lyrics.VERSION, "versions": _versions("numpy", "scipy", "scikit-learn")}
    music = music.with_lyrics(lyrics.embed(music.texts, **options), parameters=about)
    return replace(music, parameters=music.parameters | {"tracks_with_words": worded})


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}


def _below(path: Path, source: Path) -> str:
    """A file as the reader knows it: relative to the folder, or to that of the manifest."""
    return os.path.relpath(path, source if source.is_dir() else source.parent)


def _is_saved(music: Corpus, folder: Path) -> bool:
    """Whether the folder holds this corpus already, so that what was computed from it stays up to date."""
    try:
        old = corpus.read(folder)
    except ParameterError:
        return False
    facts = [(each.hash, each.name, each.source, each.tracks.astype(object).to_csv()) for each in (old, music)]
    return facts[0] == facts[1]


def skipped(place: Path | str) -> pd.DataFrame:
    """Read what was left out when the corpus in a folder was made: index ``track_id``, columns `file` and `reason`.

    Parameters
    ----------
    place : Path or str
        The folder of the corpus, relative to the project.

    Raises
    ------
    ParameterError
        If there is no such list beside it.
    """
    path = (ROOT / place).parent / SKIPPED
    if not path.is_file():
        raise ParameterError(f"{path}: no such file; `make book MANIFEST=…` writes it beside the corpus")
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col="track_id")


# What a corpus allows


def comparable(music: Corpus) -> list[str]:
    """Names of the labels that clusters can be compared with: two groups at least, with two tracks each on average.

    Genre and language come first.
    """
    groups = {label: music.tracks[label].nunique() for label in music.labels}
    usable = [label for label in groups if 2 <= groups[label] <= len(music) / 2]
    return sorted(usable, key=lambda label: {"genre": 0, "language": 1}.get(label, 2))


def left_out(music: Corpus) -> dict[str, str]:
    """What a book about a corpus leaves out, and why.

    Parameters
    ----------
    music : Corpus
        As from `gather`.

    Returns
    -------
    dict of str to str
        Part to reason; empty if nothing is left out.
    """
    n, tracks, parts = len(music), music.tracks, {}
    if n < MINIMUM:
        parts["models, clusters, map and scores"] = (
            f"{n} tracks are fewer than the {MINIMUM} that the least of them needs: whatever came out would be noise"
        )
    needed = {"genre": "agreement with genre", "language": "agreement with language, conditional VAE"}
    for label, part in needed.items():
        if label not in music.labels:
            parts[part] = f"there is no {label} column"
        elif label not in comparable(music):
            groups = tracks[label].nunique()
            parts[part] = (
                f"all tracks have the same {label}, {tracks[label].iloc[0]}"
                if groups < 2
                else f"{groups} groups for {n} tracks: hardly two tracks share one"
            )
    if music.lyrics is None:
        worded = (music.parameters or {}).get("tracks_with_words", 0)
        parts["lyrics, multimodal VAE"] = (
            f"{worded} tracks have words, and {MINIMUM} are needed" if worded else "no track comes with words"
        )
    for label in sorted({*music.labels} - {*needed, *comparable(music)}):
        groups = tracks[label].nunique()
        parts[f"agreement with {label}"] = "all tracks are alike" if groups < 2 else "hardly two tracks share a value"
    return parts


# What the pages say of tracks


def titles(tracks: pd.DataFrame) -> pd.Series:
    """What to call each track on a page: title and artist as far as they are known, else its id; escaped for HTML.

    Parameters
    ----------
    tracks : DataFrame
        As in `Corpus`.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion.own import titles
    >>> ids = pd.Index(["a", "b"], name="track_id")
    >>> titles(pd.DataFrame({"title": ["R&B", None], "artist": ["Somebody", None]}, index=ids)).tolist()
    ['R&amp;B (Somebody)', 'b']
    """
    known = tracks.reindex(columns=["title", "artist"]).astype(object)
    title = known["title"].where(known["title"].notna(), tracks.index.to_series())
    artist = (" (" + known["artist"] + ")").where(known["artist"].notna(), "")
    return (title + artist).map(html.escape)


def drawable(labels: pd.Series) -> tuple[pd.Series, dict[str, str]]:
    """Labels that a figure can show: what its font cannot draw, or would take for a formula, gets a number instead.

    Parameters
    ----------
    labels : Series
        One label per track.

    Returns
    -------
    shown : Series
        Of categories.
    key : dict of str to str
        What stands for what, for those that were replaced.

    Examples
    --------
    >>> import pandas as pd
    >>> from companion.own import drawable
    >>> shown, key = drawable(pd.Series(["folk", "বাউল"], name="genre"))
    >>> shown.tolist(), key
    (['folk', 'genre 2'], {'genre 2': 'বাউল'})
    """
    from matplotlib import font_manager, ft2font

    known = ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    groups = sorted(set(labels.astype(str)))
    shown = {}
    for number, group in enumerate(groups, start=1):
        plain = all(ord(sign) in known for sign in group) and "$" not in group and not group.startswith("_")
        shown[group] = group if plain and len(group) <= 24 else f"{labels.name} {number}"
    key = {short: group for group, short in shown.items() if short != group}
    return labels.astype(str).map(shown).astype("category"), key


def extremes(music: Corpus) -> pd.DataFrame:
    """Which track has most and which has least of each thing that one can hear.

    Parameters
    ----------
    music : Corpus
        With the features of `features.COLUMNS`.

    Returns
    -------
    DataFrame
        A row per entry of `AUDIBLE` with a unit; columns ``least`` and ``most``, escaped for HTML.
    """
    names, rows = titles(music.tracks), {}
    for column, (what, unit, _, _) in AUDIBLE.items():
        values = music.features[column] * (12 if column == "chroma_stft_mean" else 1)
        for end, track in {"least": values.idxmin(), "most": values.idxmax()}.items() if unit else ():
            amount = f"{values[track]:.0f}" if abs(values[track]) >= 10 else f"{values[track]:.2g}"
            rows.setdefault(what, {})[end] = f"{names[track]}\n{amount} {unit}"
    return pd.DataFrame(rows).T


def differences(table: pd.DataFrame, clusters: np.ndarray, *, top: int = 3, least: float = 0.5) -> dict[int, str]:
    """Tell in plain words how each cluster sounds beside all other tracks.

    Parameters
    ----------
    table : DataFrame, shape (n, columns)
        Features with the columns of `AUDIBLE`.
    clusters : array of int, shape (n,)
        At least two clusters.
    top : int
        How many differences to name at most.
    least : float
        Below so many standard deviations (of all tracks) a difference is not named.

    Returns
    -------
    dict of int to str
        Cluster to what it is more of, the largest first, each with its difference in standard deviations.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from companion.own import AUDIBLE, differences
    >>> table = pd.DataFrame({column: [0.0, 0.0, 0.0, 0.0] for column in AUDIBLE})
    >>> table["tempo"] = [80.0, 82.0, 120.0, 122.0]
    >>> differences(table, np.array([0, 0, 1, 1]))
    {0: 'slower (−2.0)', 1: 'faster (+2.0)'}
    """
    checks.count(top, "top")
    audible = table[[*AUDIBLE]]
    spread = audible.std(ddof=0)
    told = {}
    for found in np.unique(clusters):
        inside = clusters == found
        apart = ((audible[inside].mean() - audible[~inside].mean()) / spread).where(spread > 0).dropna()
        order = apart.abs().sort_values(ascending=False, kind="stable").index[:top]
        words = [
            f"{AUDIBLE[column][2 if apart[column] > 0 else 3]} ({apart[column]:+.1f})".replace("-", "−")
            for column in order
            if abs(apart[column]) >= least
        ]
        told[int(found)] = ", ".join(words) or "near the others in all of this"
    return told


def typical(points: np.ndarray, clusters: np.ndarray, *, top: int = 5) -> dict[int, np.ndarray]:
    """Find the tracks nearest to the mean of their cluster.

    Parameters
    ----------
    points : array-like, shape (n, d)
    clusters : array of int, shape (n,)
    top : int
        How many per cluster at most.

    Returns
    -------
    dict of int to array of int
        Cluster to the rows of its tracks, the nearest first.

    Examples
    --------
    >>> import numpy as np
    >>> from companion import own
    >>> own.typical([[0.0], [1.0], [5.0]], np.array([0, 0, 1]), top=1)
    {0: array([0]), 1: array([2])}
    """
    points = checks.matrix(points, "points", rows=len(clusters))
    checks.count(top, "top")
    nearest = {}
    for found in np.unique(clusters):
        rows = np.flatnonzero(clusters == found)
        distance = np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1)
        nearest[int(found)] = rows[np.argsort(distance, kind="stable")[:top]]
    return nearest


# Synthetic songs as files


def write_songs(folder: Path | str, *, count: int = 60) -> Path:
    """Write synthetic songs as a collection of files: audio, words, and the manifest that lists them.

    As in a real collection, not all is well: the last two files are a copy of the first and one that holds no audio,
    and every eighth song comes without words.

    Parameters
    ----------
    folder : Path or str
        Made if need be; files of an earlier call are overwritten.
    count : int
        Number of songs, at least 1; two more files are listed.

    Returns
    -------
    Path
        The manifest, ``songs.csv``.
    """
    folder = Path(folder)
    made = corpus.synthetic(checks.count(count, "count", high=1000))
    rows = []
    for number, (track_id, song) in enumerate(made.tracks.iterrows()):
        name = f"{number:03d} {song['title']}"
        _copy(made.audio(track_id), folder / "audio" / f"{name}.wav")
        words = ""
        if number % 8 != 7:
            words = f"words/{name}.txt"
            _write(folder / words, made.texts[track_id])
        rows.append((f"audio/{name}.wav", song["title"], song["genre"], song["language"], words))
    _copy(made.audio(made.tracks.index[0]), folder / "audio" / "copy of the first.wav")
    _write(folder / "audio" / "broken.wav", "no audio")
    rows.append(("audio/copy of the first.wav", "", *rows[0][2:4], ""))
    rows.append(("audio/broken.wav", "", *rows[0][2:4], ""))
    path = folder / "songs.csv"
    with store.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("audio", "title", "genre", "language", "lyrics_file"), *rows])
    return path


def _copy(source: Path, target: Path) -> None:
    if not target.is_file() or target.read_bytes() != source.read_bytes():  # a new time would look like a new file
        with store.replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_bytes() != text.encode():
        with store.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def tutorial(count: int) -> str:
    """Write `count` synthetic songs as files and gather them as if they were yours; give the folder of the corpus."""
    place = ROOT / "_build" / "cache" / f"songs-{count}"
    gather(write_songs(place, count=count), build=place, workers=1, progress=False)
    return (place / CORPUS).relative_to(ROOT).as_posix()


# The book


def build_name(source: Path, *, profile: str) -> str:
    """Name of the build of a book: its own per source and profile, in plain ASCII, because Make takes no other."""
    word = unicodedata.normalize("NFKD", source.stem).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", word).strip("-")[:30]
    place = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:8]
    return "-".join(filter(None, ["own", word, place, profile if profile != "book" else ""]))


def prepare(source: Path | str, *, values: Path | str, workers: int = WORKERS, progress: bool = True) -> Path:
    """Make all that a book about your music starts from: the corpus, its parameters, its contents and its front page.

    Parameters
    ----------
    source, workers, progress
        As in `gather`.
    values : path
        The profile, such as ``book/params/book.yaml``, with the parameters.

    Returns
    -------
    Path
        The folder of the build.

    Raises
    ------
    ParameterError
        As in `gather`, or if the profile cannot be read.
    """
    source = Path(source)
    sections = execute.read_profile(values)
    build = ROOT / "_build" / build_name(source, profile=str(sections.get("all", {}).get("profile", "book")))
    music = gather(source, build=build, workers=workers, progress=progress)
    pages = [page for page in PAGES if any((ROOT / "book").glob(f"{page}.*"))]
    if len(music) < MINIMUM:
        pages.remove("own_clusters")
    place = (build / CORPUS).relative_to(ROOT).as_posix()
    chosen = {"all": sections.get("all", {}) | {"profile": build.name}}
    chosen |= {page: sections[page] for page in pages if page in sections}
    for page in {*pages} & {"own", "own_clusters"}:
        chosen[page] = chosen.get(page, {}) | {"corpus_name": place}
    _write(build / PROFILE, _yaml(dict(sorted(chosen.items()))))

    toc = {"format": "jb-book", "root": "book/index", "chapters": [{"file": f"book/{page}"} for page in pages]}
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["title"] = f"Your music: {music.name}"
    # Pages of this book name others of the whole one, which are not in it.
    config["sphinx"]["config"].setdefault("suppress_warnings", []).append("ref.doc")
    config["sphinx"]["config"].setdefault("nitpick_ignore_regex", []).append(["py:.*", ".*"])
    _write(build / FRONT / "_toc.yml", _yaml(toc))
    _write(build / FRONT / "_config.yml", _yaml(config))
    made = time.strftime("%Y-%m-%d", time.localtime((build / CORPUS / corpus.FACTS).stat().st_mtime))
    _write(
        build / FRONT / "book" / "index.md", front_page(music, skipped(place), source=source, pages=pages, made=made)
    )
    return build


def _yaml(values: object) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


_PAGES = {
    "own": "what came in, what was skipped and why, what one can hear in it, and what so many tracks can tell",
    "own_clusters": "the models trained on your tracks, the clusters with their typical tracks, maps and scores",
    "methods": "every model, clusterer and metric, and the rules of scoring",
    "glossary": "terms and metrics",
    "references": "the works that the methods come from",
}


def front_page(music: Corpus, lost: pd.DataFrame, *, source: Path, pages: list[str], made: str) -> str:
    """Front page of a book about your music, in Markdown.

    Parameters
    ----------
    music : Corpus
        As from `gather`.
    lost : DataFrame
        As from `skipped`.
    source : Path
        What it was made from; only its name is shown.
    pages : list of str
        The pages that there are besides this one.
    made : str
        The day.
    """
    option = "FOLDER" if source.is_dir() else "MANIFEST"
    groups = [f"{plain(label)} in {music.tracks[label].nunique()} groups" for label in music.labels]
    parts = left_out(music)
    reasons = "\n".join(f"- **{plain(part)}**: {plain(why)}" for part, why in parts.items())
    left = (
        f"These parts are left out, because the list does not hold what they need:\n\n{reasons}\n"
        if parts
        else "Nothing is left out: there are genres, languages and words.\n"
    )
    table = "\n".join(f"| {{doc}}`{page}` | {_PAGES[page]} |" for page in pages)
    return f"""# Your music: {plain(music.name)}

This book is about music of your own: what `make book {option}=…` made of {plain(source.resolve().name)} on {made}. It
puts these tracks through the study of the paper companion *VAE Music Genre Clustering*, by the same code and under the
same rules. Nothing of it left this computer, and the book holds neither audio nor words.

**What came in:** {"; ".join([f"{len(music)} tracks", *groups])}. {_lost(lost)}

| page | what it shows |
|---|---|
{table}

## What is not here

{left}
Pages about the companion's own corpora and the table that it examines are not part of this book; `make book` builds
them. Where a page here names one of them, the name is not a link.
"""


def _lost(lost: pd.DataFrame) -> str:
    if lost.empty:
        return "No file had to be skipped."
    return f"{len(lost)} file{' was' if len(lost) == 1 else 's were'} skipped; {{doc}}`own` says which and why."


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


def tell(build: Path) -> None:
    """Say on standard error what came in and what did not."""
    place = (build / CORPUS).relative_to(ROOT)
    music, lost = corpus.read(build / CORPUS), skipped(place)
    print(f"{music.name}: {len(music)} tracks", file=sys.stderr)
    for track_id, row in lost.head(5).iterrows():
        print(f"skipped {track_id}: {row['reason']}", file=sys.stderr)
    if len(lost) > 5:
        print(f"skipped {len(lost) - 5} more: {(place.parent / SKIPPED).as_posix()}", file=sys.stderr)
