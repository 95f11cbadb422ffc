"""Compute an embedded corpus anew: ``python data/rebuild.py songs-en-de --data-home DIR``.

The audio and the words stay where they are; what is written are features, coarse log-mel images, lyric vectors and
facts about the tracks.
"""

import argparse
import hashlib
import os
import platform
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from vae_lib import corpus, download, features, store
from vae_lib.checks import ParameterError
from vae_lib.features import lyrics

HERE = Path(__file__).resolve().parent
EXAMPLE = "country.00000"  # the real track that the data page looks at
DIMENSIONS = 64  # of the lyric vectors

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


def gtzan(data_home: Path) -> pd.DataFrame:
    """Published SHA-256 and fault-filtered split of the 1000 tracks: what `vae_lib.download.published` reads."""
    sums = pd.read_csv(_needed(data_home / "gtzan" / "wav_sha256.csv"), dtype=str)
    ids = sums["file"].str.removesuffix(".wav").rename("track_id")
    table = sums.set_index(ids)[["sha256"]].sort_index()
    for split in ("train", "valid", "test"):
        path = _needed(data_home / "gtzan" / f"fault_filtered_{split}.txt")
        table.loc[[Path(line).stem for line in path.read_text(encoding="utf-8").split()], "fault_filtered"] = split
    return table


def gtzan_mini(data_home: Path, *, workers: int = 1, progress: bool = True) -> tuple[corpus.Corpus, pd.DataFrame]:
    """The corpus, and the files that could not be used (index ``track_id``, columns ``path`` and ``reason``)."""
    folder = data_home / "gtzan_mini" / "genres"
    audio = {path.stem: path for suffix in (".wav", ".flac") for path in sorted(folder.glob(f"*/*{suffix}"))}
    if not audio:
        raise ParameterError(f"no audio found: {data_home} must hold gtzan_mini/genres/GENRE/*.flac or *.wav")
    ids = pd.Index(sorted(audio), name="track_id")
    genres = pd.Categorical([audio[track_id].parent.name for track_id in ids])
    tracks = pd.DataFrame({"genre": genres}, index=ids)
    tracks = tracks.join(corpus.artists_and_titles(data_home / "gtzan" / "artist_title_index.txt"))
    tracks["audio"] = [audio[track_id].relative_to(data_home).as_posix() for track_id in ids]
    tracks = tracks.join(corpus.gtzan_facts(ids))
    built, report = _with_features(
        corpus.Corpus(
            name="gtzan-mini",
            tracks=tracks,
            audio_folder=data_home,
            source=(
                "Computed from tracks .00000 to .00009 of each genre of GTZAN (Tzanetakis and Cook, 2002), the "
                "selection that is distributed as gtzan_mini; artists and titles from the index of B. L. Sturm (2012)."
            ),
            licence=(
                "GTZAN comes without a licence and its recordings belong to their owners; here are summaries of them, "
                "no audio."
            ),
        ),
        workers=workers,
        progress=progress,
    )
    right = [_wav_sha256(audio[i]) == sha256 for i, sha256 in built.tracks["sha256"].items()]
    other = built.tracks.index[~np.array(right)]
    reasons = pd.DataFrame(
        {"path": [str(audio[i]) for i in other], "reason": "is not the published recording"}, index=other
    )
    return built.select(np.array(right)), pd.concat([report, reasons])


def songs_en_de(data_home: Path, *, workers: int = 1, progress: bool = True) -> tuple[corpus.Corpus, pd.DataFrame]:
    """The corpus, and the files that could not be used."""
    path = _needed(data_home / "songs_en_de" / "tracks.csv")
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
        corpus.Corpus(
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
        progress=progress,
    )
    return _with_lyrics(built), report


def lyrics_bn_en(data_home: Path, *, workers: int = 1, progress: bool = True) -> tuple[corpus.Corpus, pd.DataFrame]:
    """The corpus; there are no files that could fail."""
    path = _needed(data_home / "lyrics_bn_en" / "songs.csv")
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
    words = corpus.Corpus(
        name="lyrics-bn-en",
        tracks=tracks,
        texts=table["lyrics"],
        source="Computed from 450 lyrics, 250 Bangla and 200 English, that a public coursework repository collected.",
        licence="No licence is stated and the words belong to their owners; here are vectors of them, no text.",
    )
    return _with_lyrics(words), pd.DataFrame(columns=["path", "reason"])


def _needed(path: Path) -> Path:
    if not path.is_file():
        raise ParameterError(f"{path}: no such file")
    return path


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8")
    absent = [column for column in columns if column not in table]
    if absent:
        raise ParameterError(f"{path}: must have a column {absent[0]}, got {', '.join(table)}")
    return table[columns]


def _wav_sha256(path: Path) -> str:
    return hashlib.sha256(download.as_wav(path.read_bytes())).hexdigest()


def _with_features(music: corpus.Corpus, *, workers: int, progress: bool) -> tuple[corpus.Corpus, pd.DataFrame]:
    paths = music.audio_paths()
    computed, log_mel, report = features.extract_many(paths, ids=music.tracks.index, workers=workers, progress=progress)
    lengths = {
        i: f"{soundfile.info(path).duration:.2f}"
        for i, path in zip(music.tracks.index, paths, strict=True)
        if i in computed.index
    }
    music = replace(music, tracks=music.tracks.assign(seconds=pd.Series(lengths)))
    parameters = features.PARAMETERS | {"versions": _versions("librosa", "numpy", "scipy", "soundfile", "soxr")}
    return music.with_features(computed, log_mel, version=features.VERSION, parameters=parameters), report


def _with_lyrics(music: corpus.Corpus) -> corpus.Corpus:
    parameters = {"method": "lsa", "dimensions": DIMENSIONS, "seed": 0}
    return music.with_lyrics(
        lyrics.embed(music.texts, **parameters),
        parameters=parameters | {"version": lyrics.VERSION, "versions": _versions("numpy", "scipy", "scikit-learn")},
    )


def _versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


CORPORA = {
    "gtzan-mini": (gtzan_mini, HERE / "gtzan_mini"),
    "lyrics-bn-en": (lyrics_bn_en, HERE / "lyrics_bn_en"),
    "songs-en-de": (songs_en_de, HERE / "songs_en_de"),
}


def evidence(data_home: Path) -> None:
    """Measure what the book shows of audio and tables that it does not hold.

    ``example.npz`` has the features of ten seconds of one track, frame by frame; ``public_check.csv`` says for each
    column how far the embedded features of GTZAN are from the public table.
    """
    track = EXAMPLE.split(".")[0]
    y = features.load_audio(_needed(data_home / "gtzan_mini" / "genres" / track / f"{EXAMPLE}.flac"))
    seconds = 10 * features.SAMPLE_RATE
    frames = features.frame_features(y[seconds : 2 * seconds])
    with store.replacing(HERE / "evidence" / "example.npz") as temporary:
        np.savez_compressed(temporary, **frames._asdict())

    ours = corpus.load("gtzan-mini").features
    table = pd.read_csv(_needed(data_home / "gtzan" / "features_30_sec.csv"))
    theirs = table.set_index(table["filename"].str.removesuffix(".wav"))
    columns = list(features.PUBLIC_COLUMNS)
    relative = (ours[columns] / theirs.loc[ours.index, columns] - 1).abs()
    check = pd.DataFrame({"median": relative.median(), "worst": relative.max()}).rename_axis("column")
    with store.replacing(HERE / "evidence" / "public_check.csv") as temporary:
        check.to_csv(temporary, lineterminator="\n", float_format="%.3g")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 after bad input, or 2 where files were skipped and nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "name",
        choices=["gtzan", *CORPORA, "evidence"],
        help="which corpus; gtzan: the table of its published sums; evidence: what the data page shows of the audio",
    )
    parser.add_argument("--data-home", type=Path, help="folder of the music (default: the variable DATA_HOME)")
    parser.add_argument("--output", type=Path, help="where to write (default: the embedded one)")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side (default: %(default)s)")
    parser.add_argument("--partial", action="store_true", help="write the corpus even if files had to be skipped")
    options = parser.parse_args(arguments)
    data_home = options.data_home or Path(os.environ.get("DATA_HOME") or "")
    if data_home == Path():
        parser.error("give --data-home DIR or set DATA_HOME: the folder that holds the music")
    try:
        if options.name == "gtzan":
            output = options.output or HERE / "gtzan" / "index.csv"
            table = gtzan(data_home)
            with store.replacing(output) as temporary:
                table.to_csv(temporary, lineterminator="\n")
            print(f"{len(table)} sums written to {output}")
            return 0
        if options.name == "evidence":
            evidence(data_home)
            print(f"written to {HERE / 'evidence'}")
            return 0
        build, output = CORPORA[options.name]
        output = options.output or output
        built, report = build(data_home, workers=options.workers)
        for track_id, row in report.iterrows():
            print(f"skipped {track_id}: {row['reason']}", file=sys.stderr)
        if len(report) and not options.partial:
            print(
                f"{len(report)} file(s) skipped, {output} left as it was (--partial writes the rest)", file=sys.stderr
            )
            return 2
        corpus.save(built, output)
    except ParameterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in output.iterdir())
    print(f"{built!r} written to {output}, {size / 1e6:.1f} MB, {len(report)} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
