"""Your own music: files made into a saved corpus, and what the pages about it say.

``make book MANIFEST=songs.csv`` (or ``FOLDER=music``) gathers it into ``_build/own-<name>/corpus``, and
`companion.front` writes the beginnings of its book. ``make songs`` writes synthetic songs as files, to try it with.
"""

import csv
import html
import io
import os
import shutil
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from companion import ROOT
from companion.parameters import write_changed
from companion.text import plain as plain
from vae_lib import checks, corpus, features, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus
from vae_lib.features import lyrics

CORPUS, SKIPPED = "corpus", "skipped.csv"  # in the folder of the build
MINIMUM = 20  # tracks for models and clusters, and tracks with words for a model of these
DIMENSIONS = 64  # of the lyric vectors, at most
WORKERS = 2  # processes that compute features
MANY = 3000  # files from which on one is asked whether all of them are meant
PER_FILE = 0.2  # seconds, about, that a file of half a minute takes

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


def gather(
    source: Path | str, *, build: Path | str, workers: int = WORKERS, sure: bool = False, progress: bool = True
) -> Corpus:
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
    sure : bool
        Whether more than `MANY` files are meant.
    progress : bool
        Whether to say on standard error how many files there are, and to show bars.

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
    effort = f"{len(music)} files, about {len(music) * PER_FILE / 60:.0f} min to read"
    if len(music) > MANY and not sure:
        raise ParameterError(f"{source}: {effort}; if all of them are meant, say YES=1")
    if progress:
        outside = [audio for audio in music.tracks["audio"] if Path(audio).is_absolute() or ".." in Path(audio).parts]
        away = f"; {len(outside)} lie outside the folder of the list, such as {outside[0]}" if outside else ""
        print(f"{source}: {effort}{away}", file=sys.stderr)
    paths = dict(zip(music.tracks.index, music.audio_paths(), strict=True))
    stamp, given = build / "given.sha256", _fingerprint(music, paths)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == given and (build / CORPUS / corpus.FACTS).is_file():
        return corpus.read(build / CORPUS)

    table, log_mel, report = features.extract_many(
        [*paths.values()], ids=[*paths], cache=build / "features", workers=workers, progress=progress
    )
    reasons = {track_id: row["reason"].removeprefix(f"{row['path']}: ") for track_id, row in report.iterrows()}
    reasons |= _copies(table)
    used = table.index.difference([*reasons])
    if len(used) < 2:
        first, why = next(iter(reasons.items()))
        raise ParameterError(
            f"{source}: {len(used)} of {len(paths)} tracks can be used, and a book needs two; {first}: {why}"
        )
    about = features.PARAMETERS | {"versions": _versions("librosa", "numpy", "scipy", "soundfile", "soxr")}
    rows = table.index.get_indexer(used)
    music = music.with_features(table.loc[used], log_mel[rows], version=features.VERSION, parameters=about)
    tracks = music.tracks.rename(columns={"seconds": "seconds in the list"})  # ours are those of the file
    music = _with_lyrics(replace(music, tracks=tracks.assign(seconds=_lengths(paths, tracks.index))))
    with store.replacing(build / SKIPPED) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # A file as the reader knows it: relative to the folder, or to that of the manifest.
        places = {lost: os.path.relpath(paths[lost], source if source.is_dir() else source.parent) for lost in reasons}
        lines = [(lost, places[lost], reasons[lost]) for lost in sorted(reasons)]
        csv.writer(file, lineterminator="\n").writerows([("track_id", "file", "reason"), *lines])
    if not _is_saved(music, build / CORPUS):  # what was computed from it stays up to date
        corpus.save(music, build / CORPUS)
    write_changed(stamp, given)
    return corpus.read(build / CORPUS)


def _fingerprint(music: Corpus, paths: dict[str, Path]) -> str:
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths.values()]
    words = None if music.texts is None else [None if pd.isna(text) else text for text in music.texts]
    computed = [features.VERSION, features.PARAMETERS, lyrics.VERSION, DIMENSIONS, MINIMUM]
    return store.content_hash([music.name, music.source, music.tracks.to_csv()], files, words, computed)


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
    if worded >= MINIMUM:
        options = {"method": "lsa", "dimensions": min(DIMENSIONS, worded // 2), "seed": 0}
        about = options | {"version": lyrics.VERSION, "versions": _versions("numpy", "scipy", "scikit-learn")}
        music = music.with_lyrics(lyrics.embed(music.texts, **options), parameters=about)
    return replace(music, parameters=music.parameters | {"tracks_with_words": worded})


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}


def _is_saved(music: Corpus, folder: Path) -> bool:
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
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col="track_id", lineterminator="\n")


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
    n, tracks, usable = len(music), music.tracks, comparable(music)
    parts = {"genre": "agreement with genre", "language": "agreement with language, conditional VAE"}
    parts |= {label: f"agreement with {label}" for label in sorted({*music.labels} - parts.keys())}
    why = {}
    if n < MINIMUM:
        why["models, clusters, map and scores"] = (
            f"{n} tracks are fewer than the {MINIMUM} that the least of them needs: whatever came out would be noise"
        )
    for label, part in parts.items():
        groups = tracks[label].nunique() if label in music.labels else 0
        if not groups:
            why[part] = f"there is no {label} column"
        elif groups < 2:
            why[part] = f"all tracks have the same {label}, {tracks[label].iloc[0]}"
        elif label not in usable:
            why[part] = f"{groups} groups for {n} tracks: hardly two tracks share one"
    if music.lyrics is None:
        worded = (music.parameters or {}).get("tracks_with_words", 0)
        why["lyrics, multimodal VAE"] = (
            f"{worded} tracks have words, and {MINIMUM} are needed" if worded else "no track comes with words"
        )
    return why


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


def heading(label: str) -> str:
    """Name of a label over a column, escaped; none of ours begins like it, so that it takes the place of none.

    Examples
    --------
    >>> from companion import own
    >>> own.heading("cluster"), own.heading("R&B?")
    ('your cluster', 'your R&amp;B?')
    """
    return html.escape(f"your {label}")


def facts(music: Corpus, lost: pd.DataFrame) -> pd.DataFrame:
    """Say what came in: a line per fact, escaped for HTML.

    Parameters
    ----------
    music : Corpus
        As from `gather`.
    lost : DataFrame
        As from `skipped`.
    """
    seconds = music.tracks["seconds"].astype(float)
    words = 0 if music.lyrics is None else int(np.isfinite(music.lyrics).all(axis=1).sum())
    told = {
        "source": html.escape(music.source),
        "tracks": str(len(music)),
        "files skipped": str(len(lost)),
        "seconds per track": " to ".join(dict.fromkeys(f"{end:.0f}" for end in (seconds.min(), seconds.max()))),
        "minutes in all": f"{seconds.sum() / 60:.0f}",
    }
    told |= {
        f"with {fact}": str(music.tracks[fact].notna().sum()) for fact in ("title", "artist") if fact in music.tracks
    }
    return pd.DataFrame({html.escape(music.name): told | {"with words": str(words)}})


def labels(music: Corpus) -> pd.DataFrame:
    """List the labels of a corpus with their groups, a line each, escaped for HTML."""
    compared, lines = comparable(music), {}
    for label in music.labels:
        sizes = music.tracks[label].value_counts()
        sizes = sizes[sizes > 0]
        ends = {"largest": 0, "smallest": -1}
        lines[heading(label)] = {
            "groups": str(len(sizes)),
            **{end: f"{html.escape(str(sizes.index[at]))} ({sizes.iloc[at]})" for end, at in ends.items()},
            "compared with the clusters": "yes" if label in compared else "no",
        }
    return pd.DataFrame(lines).T


def _draws(text: str) -> bool:
    """Whether a figure can show a text: its font has the signs, and it is short and no formula."""
    from matplotlib import font_manager, ft2font

    known = ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap()
    return all(ord(sign) in known for sign in text) and "$" not in text and not text.startswith("_") and len(text) <= 24


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
    groups = sorted(set(labels.astype(str)))
    shown = {group: group for group in groups if _draws(group)}
    for number, group in enumerate(groups, start=1):
        short = f"{labels.name} {number}"
        while group not in shown and short in groups:  # another group may be called that
            short += "*"
        shown.setdefault(group, short)
    key = {short: group for group, short in shown.items() if short != group}
    return labels.astype(str).map(shown).astype("category"), key


def on_figures(tracks: pd.DataFrame, targets: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels under names, and with groups, that figures can show.

    Parameters
    ----------
    tracks : DataFrame
        As in `Corpus`.
    targets : list of str
        Which labels.

    Returns
    -------
    shown : DataFrame
        A column per label, in their order, named as in `heading` but not escaped.
    key : DataFrame
        What stands for what, a line for each name or group that was replaced, escaped for HTML.
    """
    shown, key = {}, {}
    for number, target in enumerate(targets, start=1):
        name = f"your {target}" if _draws(f"your {target}") else f"label no. {number}"
        shown[name], replaced = drawable(tracks[target].rename(name))
        key |= replaced | ({} if name.startswith("your ") else {name: target})
    lines = {html.escape(short): html.escape(full) for short, full in key.items()}
    return pd.DataFrame(shown, index=tracks.index), pd.DataFrame({"stands for": lines})


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


def number_of_clusters(asked: int, genres: int, stable: int) -> tuple[int, str]:
    """Choose the number of clusters, and say why: the one asked for, else that of the genres, else the most stable.

    Examples
    --------
    >>> from companion import own
    >>> own.number_of_clusters(0, 4, 7)
    (4, 'as many as genres, though no track tells its own')
    """
    if asked:
        return asked, "as many as were asked for"
    if genres:
        return genres, "as many as genres, though no track tells its own"
    return stable, "the number furthest above the dashed line"


def clusters(
    music: Corpus, points: np.ndarray, joined: np.ndarray, clusterings: np.ndarray, *, targets: list[str]
) -> pd.DataFrame:
    """Describe clusters: a line each, escaped for HTML.

    Parameters
    ----------
    music : Corpus
        With the features of `features.COLUMNS`.
    points : array, shape (n, d)
        Where typical tracks are looked for.
    joined : array of int, shape (n,)
        The clusters, at least two.
    clusterings : array of int, shape (seeds, n)
        Those that they join.
    targets : list of str
        Labels of which the three largest groups are told.
    """
    from vae_lib import cluster

    share, names = cluster.co_association(clusterings), titles(music.tracks)
    nearest, sounds, lines = typical(points, joined), differences(music.features, joined), {}
    for number, rows in nearest.items():
        inside = np.flatnonzero(joined == number)
        pairs = share[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)]
        lines[f"cluster {number}"] = {
            "tracks": str(len(inside)),
            "together": f"{pairs.mean():.0%}" if len(pairs) else "–",
            "typical tracks": "\n".join(names.iloc[row] for row in rows),
            "sounds": sounds[number],
        }
        for target in targets:
            sizes = music.tracks[target].iloc[inside].value_counts().head(3)
            told = [f"{html.escape(str(group))} {size}" for group, size in sizes.items() if size]
            lines[f"cluster {number}"][heading(target)] = "\n".join(told)
    return pd.DataFrame(lines).T


# Synthetic songs as files


def write_songs(folder: Path | str, *, count: int = 60) -> Path:
    """Write synthetic songs as a collection of files: audio, words, and the manifest that lists them.

    As in a real collection, not all is well: the last two files are a copy of the first and one that holds no audio,
    and every eighth song comes without words.

    Parameters
    ----------
    folder : Path or str
        Made if need be; files of an earlier call stay where they are the same.
    count : int
        Number of songs, at least 1; two more files are listed.

    Returns
    -------
    Path
        The manifest, ``songs.csv``.
    """
    folder = Path(folder)
    made = corpus.synthetic(checks.count(count, "count", high=1000))
    lines = [["audio", "title", "genre", "language", "lyrics_file"]]
    sounds = [made.audio(track_id) for track_id in made.tracks.index]
    for number, (track_id, song) in enumerate(made.tracks.iterrows()):
        name = f"{number:03d} {song['title']}"
        _copy(sounds[number], folder / "audio" / f"{name}.wav")
        words = "" if number % 8 == 7 else f"words/{name}.txt"
        if words:
            write_changed(folder / words, made.texts[track_id])
        lines.append([f"audio/{name}.wav", *song[["title", "genre", "language"]], words])
    _copy(sounds[0], folder / "audio" / "copy of the first.wav")
    write_changed(folder / "audio" / "broken.wav", "no audio")
    lines += [[f"audio/{name}.wav", "", *lines[1][2:4], ""] for name in ("copy of the first", "broken")]
    listed = io.StringIO()
    csv.writer(listed, lineterminator="\n").writerows(lines)
    write_changed(folder / "songs.csv", listed.getvalue())
    return folder / "songs.csv"


def _copy(source: Path, target: Path) -> None:
    if not target.is_file() or target.read_bytes() != source.read_bytes():  # a new time would look like a new file
        with store.replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def tutorial(count: int) -> str:
    """Write `count` synthetic songs as files and gather them as if they were yours; give the folder of the corpus."""
    place = ROOT / "_build" / "cache" / f"songs-{count}"
    gather(write_songs(place, count=count), build=place, workers=1, progress=False)
    return (place / CORPUS).relative_to(ROOT).as_posix()
