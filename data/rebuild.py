"""Make embedded corpora anew: ``python data/rebuild.py songs-en-de --data-home DIR``, or all of them without a name.

Audio, words and the tables of others stay where they are; what is written are features, coarse log-mel images, lyric
vectors and facts about the tracks.
"""

import argparse
import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from vae_lib import corpus, features, store
from vae_lib.checks import ParameterError
from vae_lib.corpus import Corpus, download
from vae_lib.features import lyrics

HERE = Path(__file__).resolve().parent
EXAMPLE = "country.00000"  # the real track that the data page looks at
DIMENSIONS = 64  # of the lyric vectors
LEVELS = 64  # of the pictures of GTZAN: finer steps would not fit

LANGUAGES = {"en": "english", "de": "german"}
# Names that can be set in any font; the Bengali ones are kept in a column of their own.
GENRES = {
    "আধুনিক বাংলা গান": "adhunik",
    "ফোক গান": "folk",
    "রবীন্দ্রসঙ্গীত": "rabindrasangeet",
    "নজরুলগীতি": "nazrulgeeti",
    "দেশাত্মবোধক গান": "patriotic",
    "R&B": "r&b",
    "rap & hip hop": "hiphop",
    "country": "country",
    "rock": "rock",
}

GTZAN = "GTZAN comes without a licence and its recordings belong to their owners; here are summaries of them, no audio."
STUDENTS = "No licence is stated and the recordings belong to their owners; here are summaries of them, no audio."

Built = tuple[Corpus, pd.DataFrame]  # and the files that could not be used: index ``track_id``, columns path and reason
NONE = pd.DataFrame(columns=["path", "reason"])


# Tables that others computed: no label is read but to be copied


def gtzan(data_home: Path, *, workers: int = 1) -> Built:
    """The public table, what is known of the recordings, and the pictures of all tracks but jazz.00054."""
    table = _table(data_home / "gtzan" / "features_30_sec.csv")
    sums = _read(data_home / "gtzan" / "wav_sha256.csv", ["file", "sha256"]).set_index("file")["sha256"]
    ids = table.index
    tracks = pd.DataFrame({"genre": table.pop("label").astype("category")})
    tracks = tracks.join(artists_and_titles(data_home / "gtzan" / "artist_title_index.txt"))
    tracks["audio"] = [f"gtzan/genres/{i.split('.')[0]}/{i}.wav" for i in ids]
    tracks["sha256"] = sums[ids + ".wav"].to_numpy()
    for split in ("train", "valid", "test"):
        path = _needed(data_home / "gtzan" / f"fault_filtered_{split}.txt")
        tracks.loc[[Path(line).stem for line in path.read_text(encoding="utf-8").split()], "fault_filtered"] = split
    tracks["duplicate_of"] = _first_of_each(tracks["sha256"])
    with np.load(_needed(data_home / "gtzan" / "log_mel_30s.npz"), allow_pickle=False) as pictures:
        rows = ids.get_indexer([Path(name).stem for name in pictures["name"]])
        images = np.full((len(ids), *pictures["X"].shape[1:]), np.nan, dtype=np.float32)
        images[rows] = np.rint(pictures["X"].astype(np.float32) * LEVELS) / LEVELS
    return _of_table(
        "gtzan",
        tracks,
        table,
        source=(
            "The public 30-second feature table of GTZAN (Tzanetakis and Cook, 2002), "
            "andradaolteanu/gtzan-dataset-music-genre-classification on Kaggle; artists and titles from the index of "
            "B. L. Sturm (2012), faults from Kereliuk, Sturm and Larsen (2015), log-mel images from the spectrogram "
            "pictures of the GitHub repository zwierd99/INFOMPR."
        ),
        licence=GTZAN,
        log_mel=images,
        parameters={"log_mel": f"share of each picture's own range, in steps of 1/{LEVELS}"},
    )


def bangla(data_home: Path, *, workers: int = 1) -> Built:
    """BanglaBeats alone, without ``length``, which betrays the collection."""
    table = _table(data_home / "songs_bn_en" / "features_30_sec.csv")
    table = table[table.pop("language") == "bng"]
    tracks = pd.DataFrame({"genre": table.pop("label").str.lower().astype("category")})
    return _of_table(
        "bangla",
        tracks.assign(duplicate_of=_copies(table)),
        table,
        source=(
            "BanglaBeats (doi 10.1109/ICCIT60459.2023.10441288): the Bangla half of the feature table of the GitHub "
            "repository evanmasrurjaber/CSE425--Neural-Networks--Project."
        ),
        licence=STUDENTS,
    )


def fma_small(data_home: Path, *, workers: int = 1) -> Built:
    """A part of FMA-small."""
    table = _table(data_home / "fma_small" / "features.csv", ids="track_id", width=6)
    tracks = pd.DataFrame({"genre": table.pop("label").str.lower().astype("category")})
    return _of_table(
        "fma-small",
        tracks.assign(duplicate_of=_copies(table)),
        table,
        source=(
            "2091 of the 8000 tracks of FMA-small (Defferrard, Benzi, Vandergheynst and Bresson, 2017), from the "
            "GitHub repository anisharma07/music-genere-presentation. Its maker had removed outliers: it is no clean "
            "sample."
        ),
        licence="FMA's metadata are under CC BY 4.0; for the table itself no licence is stated. Here is no audio.",
    )


def indian(data_home: Path, *, workers: int = 1) -> Built:
    """Five styles of Indian music."""
    table = _table(data_home / "indian" / "features.csv", ids="track_id")
    tracks = pd.DataFrame({"genre": table.pop("label").str.lower().astype("category")})
    return _of_table(
        "indian",
        tracks.assign(duplicate_of=_copies(table)),
        table,
        source="500 tracks in five styles, from the GitHub repository anisharma07/music-genere-presentation.",
        licence=STUDENTS,
    )


def _table(path: Path, *, ids: str = "filename", width: int = 0) -> pd.DataFrame:
    """A table of features as text, sorted by track; ``length`` is no feature."""
    table = pd.read_csv(_needed(path), dtype=str)
    index = table.pop(ids).str.removesuffix(".wav").str.zfill(width).rename("track_id")
    return table.set_index(index).sort_index().drop(columns="length", errors="ignore")


def _of_table(name: str, tracks: pd.DataFrame, table: pd.DataFrame, **facts: object) -> Built:
    return Corpus(name=name, tracks=tracks, features=table.astype(float), **facts), NONE


def _copies(table: pd.DataFrame) -> pd.Series:
    return _first_of_each(table.astype(float).groupby([*table], sort=False).ngroup())


def _first_of_each(content: pd.Series) -> pd.Series:
    """On every track whose content comes again, the id of the track where it stood first."""
    ids = content.index.to_series()
    first = ids.groupby(content).transform("first")
    return first.where(first != ids)


def artists_and_titles(path: Path) -> pd.DataFrame:
    """Sturm's index of GTZAN: index ``track_id``, columns ``artist`` and ``title``, missing where nobody knows them."""
    rows = []
    for number, line in enumerate(_needed(path).read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("##"):
            fields = [field.strip() or None for field in line.split(":::")]
            if len(fields) != 3 or fields[0] is None:
                raise ParameterError(f"{path}, line {number}: must be file ::: artist ::: title, got {line.strip()!r}")
            rows.append((Path(fields[0]).stem, *fields[1:]))
    return pd.DataFrame(rows, columns=["track_id", "artist", "title"]).set_index("track_id")


# Recordings and words


def gtzan_mini(data_home: Path, *, workers: int = 1) -> Built:
    """Tracks .00000 to .00009 of each genre, from the recordings."""
    folder = data_home / "gtzan_mini" / "genres"
    audio = {path.stem: path for suffix in (".wav", ".flac") for path in sorted(folder.glob(f"*/*{suffix}"))}
    if not audio:
        raise ParameterError(f"no audio found: {data_home} must hold gtzan_mini/genres/GENRE/*.flac or *.wav")
    tracks = corpus.load("gtzan").select([*audio]).tracks
    tracks["audio"] = [audio[track_id].relative_to(data_home).as_posix() for track_id in tracks.index]
    built, report = _with_features(
        Corpus(
            name="gtzan-mini",
            tracks=tracks,
            audio_folder=data_home,
            source=(
                "Computed from tracks .00000 to .00009 of each genre of GTZAN (Tzanetakis and Cook, 2002), the "
                "selection that is distributed as gtzan_mini; artists and titles from the index of B. L. Sturm (2012)."
            ),
            licence=GTZAN,
        ),
        workers=workers,
    )
    wavs = [hashlib.sha256(download.as_wav(audio[i].read_bytes())).hexdigest() for i in built.tracks.index]
    right = built.tracks["sha256"] == wavs
    other = built.tracks.index[~right]
    reasons = {"path": [str(audio[i]) for i in other], "reason": "is not the published recording"}
    return built.select(right), pd.concat([report, pd.DataFrame(reasons, index=other)])


def songs_en_de(data_home: Path, *, workers: int = 1) -> Built:
    """English and German songs, from recordings and lyrics."""
    path = data_home / "songs_en_de" / "tracks.csv"
    table = _read(path, ["track_id", "audio", "title", "artist", "genre", "language", "lyrics"]).set_index("track_id")
    table = table.sort_index()
    table["audio"] = "songs_en_de/" + table["audio"]
    tracks = pd.DataFrame(
        {
            "genre": pd.Categorical(table["genre"]),
            "language": pd.Categorical(table["language"].map(LANGUAGES)),
            **table[["artist", "title", "audio"]],
            "sha256": [store.file_sha256(_needed(data_home / audio)) for audio in table["audio"]],
        },
        index=table.index,
    )
    built, report = _with_features(
        Corpus(
            name="songs-en-de",
            tracks=tracks,
            texts=table["lyrics"],
            audio_folder=data_home,
            source=(
                "Computed from 200 clips of 30 seconds with their lyrics, English and German, from the GitHub "
                "repository tanzim-rahman/vae-music-clustering."
            ),
            licence=(
                "Commercial previews and lyrics without a licence; recordings and words belong to their owners. Here "
                "are summaries of them, neither audio nor text."
            ),
        ),
        workers=workers,
    )
    return _with_lyrics(built), report


def lyrics_bn_en(data_home: Path, *, workers: int = 1) -> Built:
    """Bangla and English lyrics."""
    path = data_home / "lyrics_bn_en" / "songs.csv"
    table = _read(path, ["song", "artist", "genre", "language", "lyrics"])
    unknown = table.loc[~table["genre"].isin(list(GENRES)), "genre"]
    if len(unknown):
        raise ParameterError(f"{path}, song {unknown.index[0] + 1}: genre {unknown.iloc[0]!r} has no name here")
    number = table.groupby("language").cumcount()
    table.index = pd.Index([f"{language}.{n:03d}" for language, n in zip(table["language"], number, strict=True)])
    table = table.sort_index().rename_axis("track_id")
    tracks = pd.DataFrame(
        {
            "genre": pd.Categorical(table["genre"].map(GENRES)),
            "language": pd.Categorical(table["language"]),
            "artist": table["artist"],
            "title": table["song"],
            "genre_bengali": table["genre"].where(table["language"] == "bangla"),
        },
        index=table.index,
    )
    words = Corpus(
        name="lyrics-bn-en",
        tracks=tracks,
        texts=table["lyrics"],
        source="Computed from 450 lyrics, 250 Bangla and 200 English, that a public coursework repository collected.",
        licence="No licence is stated and the words belong to their owners; here are vectors of them, no text.",
    )
    return _with_lyrics(words), NONE


def _needed(path: Path) -> Path:
    if not path.is_file():
        raise ParameterError(f"{path}: no such file")
    return path


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    table = pd.read_csv(_needed(path), dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8")
    absent = [column for column in columns if column not in table]
    if absent:
        raise ParameterError(f"{path}: must have a column {absent[0]}, got {', '.join(table)}")
    return table[columns]


def _with_features(music: Corpus, *, workers: int) -> Built:
    paths = dict(zip(music.tracks.index, music.audio_paths(), strict=True))
    computed, log_mel, report = features.extract_many([*paths.values()], ids=[*paths], workers=workers, progress=True)
    seconds = {i: f"{soundfile.info(paths[i]).duration:.2f}" for i in computed.index}
    music = replace(music, tracks=music.tracks.assign(seconds=pd.Series(seconds)))
    parameters = features.PARAMETERS | {"versions": _versions("librosa", "numpy", "scipy", "soundfile", "soxr")}
    return music.with_features(computed, log_mel, version=features.VERSION, parameters=parameters), report


def _with_lyrics(music: Corpus) -> Corpus:
    parameters = {"method": "lsa", "dimensions": DIMENSIONS, "seed": 0}
    about = parameters | {"version": lyrics.VERSION, "versions": _versions("numpy", "scipy", "scikit-learn")}
    return music.with_lyrics(lyrics.embed(music.texts, **parameters), parameters=about)


def _versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


# What the book shows of audio and tables that it does not hold


def evidence(data_home: Path) -> None:
    """Measure it.

    ``example.npz`` has the features of ten seconds of one track, frame by frame; ``public_check.csv`` says for each
    column how far the embedded features of GTZAN are from the public table.
    """
    genre = EXAMPLE.split(".")[0]
    y = features.load_audio(_needed(data_home / "gtzan_mini" / "genres" / genre / f"{EXAMPLE}.flac"))
    seconds = 10 * features.SAMPLE_RATE
    frames = features.frame_features(y[seconds : 2 * seconds])
    with store.replacing(HERE / "evidence" / "example.npz") as temporary:
        np.savez_compressed(temporary, **frames._asdict())

    columns = list(features.PUBLIC_COLUMNS)
    ours = corpus.load("gtzan-mini").features[columns]
    theirs = _table(data_home / "gtzan" / "features_30_sec.csv").loc[ours.index, columns].astype(float)
    relative = (ours / theirs - 1).abs()
    check = pd.DataFrame({"median": relative.median(), "worst": relative.max()}).rename_axis("column")
    with store.replacing(HERE / "evidence" / "public_check.csv") as temporary:
        check.to_csv(temporary, lineterminator="\n", float_format="%.3g")


#: In the order in which they are made: gtzan-mini reads what is known of its tracks from gtzan.
CORPORA = {
    "gtzan": gtzan,
    "bangla": bangla,
    "fma-small": fma_small,
    "indian": indian,
    "gtzan-mini": gtzan_mini,
    "songs-en-de": songs_en_de,
    "lyrics-bn-en": lyrics_bn_en,
}


def build(names: Iterable[str], data_home: Path, *, output: Path | None, workers: int, partial: bool) -> int:
    """Make corpora and say so; returns 0, or 2 where files were skipped and nothing was written."""
    skipped = 0
    for name in names:
        if name == "evidence":
            evidence(data_home)
            print(f"written to {HERE / name}")
            continue
        folder = output or HERE / name.replace("-", "_")
        built, report = CORPORA[name](data_home, workers=workers)
        for track_id, row in report.iterrows():
            print(f"skipped {track_id}: {row['reason']}", file=sys.stderr)
        if len(report) and not partial:
            print(
                f"{len(report)} file(s) skipped, {folder} left as it was (--partial writes the rest)", file=sys.stderr
            )
            skipped = 2
            continue
        corpus.save(built, folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{built!r} written to {folder}, {size / 1e6:.1f} MB, {len(report)} skipped")
    return skipped


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 after bad input, or 2 where files were skipped and nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    choices = [*CORPORA, "evidence"]
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(choices)} (what the data page shows)")
    parser.add_argument("--data-home", type=Path, help="folder of the music (default: the variable DATA_HOME)")
    parser.add_argument("--output", type=Path, help="where to write one corpus (default: the embedded one)")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side (default: %(default)s)")
    parser.add_argument("--partial", action="store_true", help="write the corpus even if files had to be skipped")
    options = parser.parse_args(arguments)
    names = options.names or choices
    if unknown := [name for name in names if name not in choices]:
        parser.error(f"name must be one of {', '.join(choices)}, got {unknown[0]!r}")
    data_home = options.data_home or Path(os.environ.get("DATA_HOME") or "")
    if data_home == Path():
        parser.error("give --data-home DIR or set DATA_HOME: the folder that holds the music")
    try:
        return build(names, data_home, output=options.output, workers=options.workers, partial=options.partial)
    except ParameterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
