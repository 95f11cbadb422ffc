"""Compute an embedded corpus anew from its audio: ``python data/rebuild.py gtzan-mini --data-home DIR``.

The audio stays where it is; what is written are features, coarse log-mel images and facts about the tracks.
"""

import argparse
import hashlib
import io
import os
import sys
from pathlib import Path

import pandas as pd
import soundfile

from vae_lib import corpus, features
from vae_lib.checks import ParameterError

HERE = Path(__file__).resolve().parent


def wav_sha256(path: Path) -> str:
    """SHA-256 of the 16-bit WAV file that a lossless copy was made from.

    A FLAC file decodes to the very samples of the WAV; writing these again gives the WAV, byte by byte.
    """
    samples, sample_rate = soundfile.read(path, dtype="int16")
    wav = io.BytesIO()
    soundfile.write(wav, samples, sample_rate, format="WAV", subtype="PCM_16")
    return hashlib.sha256(wav.getvalue()).hexdigest()


def artists_and_titles(path: Path) -> pd.DataFrame:
    """Sturm's index of GTZAN: index ``track_id``, columns ``artist`` and ``title``, missing where nobody knows them."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("##"):
            file, artist, title = (field.strip() or None for field in line.split(":::"))
            rows.append((Path(file).stem, artist, title))
    return pd.DataFrame(rows, columns=["track_id", "artist", "title"]).set_index("track_id")


def gtzan_mini(data_home: Path, *, workers: int = 1, progress: bool = True) -> tuple[corpus.Corpus, pd.DataFrame]:
    """The corpus, and the files that could not be used (index ``track_id``, columns ``path`` and ``reason``)."""
    audio = sorted((data_home / "gtzan_mini" / "genres").glob("*/*.flac"))
    if not audio:
        raise ParameterError(f"no audio found: {data_home} must hold gtzan_mini/genres/GENRE/*.flac")
    facts, sums = data_home / "gtzan" / "artist_title_index.txt", data_home / "gtzan" / "wav_sha256.csv"
    for path in (facts, sums):
        if not path.is_file():
            raise ParameterError(f"{path}: no such file")
    published = pd.read_csv(sums).set_index("file")["sha256"].rename(index=lambda file: Path(file).stem)

    computed, log_mel, report = features.extract_many(
        audio, ids=[path.stem for path in audio], workers=workers, progress=progress
    )
    by_id = {path.stem: path for path in audio}
    tracks = pd.DataFrame({"genre": [by_id[i].parent.name for i in computed.index]}, index=computed.index)
    tracks = tracks.astype({"genre": "category"}).join(artists_and_titles(facts))
    tracks["audio"] = [by_id[i].relative_to(data_home).as_posix() for i in tracks.index]
    tracks["sha256"] = [wav_sha256(by_id[i]) for i in tracks.index]

    other = tracks.index[tracks["sha256"] != published.reindex(tracks.index)]
    reasons = pd.DataFrame({"path": [str(by_id[i]) for i in other], "reason": "is not the published recording"}, other)
    report = pd.concat([report, reasons])
    kept = ~tracks.index.isin(other)
    tracks = tracks[kept].sort_index()
    tracks["genre"] = tracks["genre"].cat.remove_unused_categories()
    order = computed.index.get_indexer(tracks.index)
    return (
        corpus.Corpus(
            name="gtzan-mini",
            tracks=tracks,
            features=computed.iloc[order],
            log_mel=log_mel[order],
            source=(
                "Computed from tracks .00000 to .00009 of each genre of GTZAN (Tzanetakis and Cook, 2002), the "
                "selection that is distributed as gtzan_mini; artists and titles from the index of B. L. Sturm (2012)."
            ),
            licence=(
                "GTZAN comes without a licence and its recordings belong to their owners; here are summaries of them, "
                "no audio."
            ),
            feature_version=features.VERSION,
            parameters=features.PARAMETERS,
        ),
        report,
    )


CORPORA = {"gtzan-mini": (gtzan_mini, HERE / "gtzan_mini")}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 after bad input, or 2 where files were skipped and nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("name", choices=sorted(CORPORA), help="which corpus")
    parser.add_argument("--data-home", type=Path, help="folder of the audio (default: the variable DATA_HOME)")
    parser.add_argument("--output", type=Path, help="folder to write (default: the embedded one)")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side (default: %(default)s)")
    parser.add_argument("--partial", action="store_true", help="write the corpus even if files had to be skipped")
    options = parser.parse_args(arguments)
    build, output = CORPORA[options.name]
    output = options.output or output
    data_home = options.data_home or Path(os.environ.get("DATA_HOME") or "")
    if data_home == Path():
        parser.error("give --data-home DIR or set DATA_HOME: the folder that holds the audio")
    try:
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
