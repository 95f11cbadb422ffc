"""The columns of a table of features: what each is, and the tables that clusterers and models read."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.preprocessing import PowerTransformer, StandardScaler

from vae_lib.checks import ParameterError, count, finite, in_range, listed, matrix, numbers, one_of

if TYPE_CHECKING:
    from vae_lib.corpus import Corpus

PITCH_CLASSES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")
SUMMARY_MELS = 20  # lowest mel bands that have a column of their own

_BOTH = ("mean", "var")
_SHARE = "share of the strongest pitch class"
# Name, statistics, group, unit and what it hears. The order is that of the columns: first those of the public GTZAN
# table as they stand there, then the others.
_FAMILIES = (
    ("chroma_stft", _BOTH, "harmony", _SHARE, "how many pitch classes sound at once"),
    ("rms", _BOTH, "energy", "full scale", "loudness"),
    ("spectral_centroid", _BOTH, "spectral", "Hz", "brightness: the centre of gravity of the spectrum"),
    ("spectral_bandwidth", _BOTH, "spectral", "Hz", "how widely the spectrum spreads around its centre"),
    ("rolloff", _BOTH, "spectral", "Hz", "the frequency below which 85% of the magnitude lies"),
    (
        "zero_crossing_rate",
        _BOTH,
        "temporal",
        "crossings per sample",
        "noise and sharp attacks: how often the signal changes sign",
    ),
    ("tempo", (), "temporal", "beats per minute", "speed: the strongest period of the onsets"),
    ("mfcc", _BOTH, "timbre", "dB", "the shape of the spectrum, from coarse (1 is the level) to fine"),
    ("chroma", _BOTH[:1], "harmony", _SHARE, "how much each pitch class sounds (Cs is C sharp)"),
    ("mfcc_delta", _BOTH[1:], "timbre", "dB per frame", "how restless the shape of the spectrum is"),
    ("contrast", _BOTH, "spectral", "dB", "tones against noise, from the lowest octave band to the highest"),
    ("flatness", _BOTH, "spectral", "0 (a tone) to 1 (white noise)", "noisiness"),
    ("onset_strength", _BOTH, "temporal", "dB per frame", "how hard notes and beats set in"),
    ("mel", _BOTH[:1], "energy", "power", f"the energy of the lowest {SUMMARY_MELS} of 128 mel bands"),
)
_MEMBERS = {  # of the families that have more than one
    "mfcc": [f"mfcc{i}" for i in range(1, 21)],
    "chroma": [f"chroma_{name}" for name in PITCH_CLASSES],
    "mfcc_delta": [f"mfcc{i}_delta" for i in range(1, 21)],
    "contrast": [f"contrast{i}" for i in range(1, 8)],
    "mel": [f"mel{i}" for i in range(1, SUMMARY_MELS + 1)],
}
_LIBROSA = {  # where it is not `librosa.feature.<name>`
    "rolloff": "feature.spectral_rolloff",
    "tempo": "beat.beat_track",
    "chroma": "feature.chroma_stft",
    "mfcc_delta": "feature.delta",
    "contrast": "feature.spectral_contrast",
    "flatness": "feature.spectral_flatness",
    "onset_strength": "onset.onset_strength",
    "mel": "feature.melspectrogram",
}


def _columns(names: Iterable[str], statistics: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}_{statistic}" for name in names for statistic in statistics)


_BY_FAMILY = {name: _columns(_MEMBERS.get(name, [name]), statistics) or (name,) for name, statistics, *_ in _FAMILIES}
#: All columns that `extract` gives, in order.
COLUMNS = tuple(column for columns in _BY_FAMILY.values() for column in columns)
#: The columns of the public 30-second GTZAN table that are computed here, in its order.
PUBLIC_COLUMNS = COLUMNS[: COLUMNS.index("chroma_C_mean")]
#: The 50 numbers that the original project describes a track with.
ORIGINAL_COLUMNS = (
    *_columns([*_MEMBERS["mfcc"][:13], *_MEMBERS["chroma"], *_MEMBERS["mel"]], ["mean"]),
    *("spectral_centroid_mean", "spectral_bandwidth_mean", "rolloff_mean", "zero_crossing_rate_mean", "tempo"),
)


def describe(*, by: str = "family") -> pd.DataFrame:
    """What each feature is: its group, unit, what it hears and the librosa function that it equals.

    Parameters
    ----------
    by : {"family", "column"}
        One row per family of columns (``mfcc`` stands for its 40 columns) or one row per column.

    Returns
    -------
    DataFrame
        Columns ``columns`` (by family: their names) or ``family`` (by column), ``group`` (spectral, timbre, harmony,
        temporal or energy), ``unit``, ``hears``, ``librosa``.

    Examples
    --------
    >>> from vae_lib import features
    >>> features.describe(by="column").loc["tempo", "unit"]
    'beats per minute'
    """
    one_of(by, "by", ["family", "column"])
    rows = [(name, _BY_FAMILY[name], *facts, _LIBROSA.get(name, f"feature.{name}")) for name, _, *facts in _FAMILIES]
    table = pd.DataFrame(rows, columns=["family", "columns", "group", "unit", "hears", "librosa"])
    if by == "family":
        return table.assign(columns=table["columns"].map(", ".join)).set_index("family")
    return table.explode("columns").rename(columns={"columns": "column"}).set_index("column")


def standardised(music: "Corpus", *, columns: Sequence[str] = PUBLIC_COLUMNS) -> np.ndarray:
    """Features with mean 0 and variance 1 over the tracks.

    Parameters
    ----------
    music : Corpus
        With features.
    columns : sequence of str, length d
        Which columns, in which order.

    Returns
    -------
    ndarray, shape (n, d)
        A column that does not vary is 0.

    Raises
    ------
    ParameterError
        If the corpus has no features or lacks one of the columns.

    Examples
    --------
    >>> from vae_lib import corpus, features
    >>> features.standardised(corpus.load("gtzan-mini")).shape
    (100, 53)
    """
    return StandardScaler().fit_transform(_values(music, columns))


def gaussianised(music: "Corpus", *, columns: Sequence[str] = PUBLIC_COLUMNS) -> np.ndarray:
    """Features made about normal by the power transform of Yeo and Johnson (2000), then standardised.

    Many columns are variances or energies with a long tail, in which a few tracks would decide all distances.

    Parameters
    ----------
    music, columns
        As in `standardised`.

    Returns
    -------
    ndarray, shape (n, d)
        Mean 0 and variance 1 in every column.

    Examples
    --------
    >>> from vae_lib import corpus, features
    >>> x = features.gaussianised(corpus.load("gtzan-mini"), columns=["tempo", "rms_var"])
    >>> x.std(axis=0).round(6).tolist()
    [1.0, 1.0]
    """
    return PowerTransformer().fit_transform(_values(music, columns))


def band_statistics(images: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and mean absolute change over time of every band of log-mel images.

    Takes images of shape (n, bands, frames) and gives a table of shape (n, 3 × bands).

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import features
    >>> features.band_statistics(np.array([[[0.0, 2.0, 0.0, 2.0]]]))
    array([[1., 1., 2.]])
    """
    images = finite(numbers(images, "images", "n", "bands", "frames"), "images")
    if images.shape[2] < 2:
        raise ParameterError("images must have at least 2 frames, got 1")
    change = np.abs(np.diff(images, axis=2))
    return np.concatenate([images.mean(axis=2), images.std(axis=2), change.mean(axis=2)], axis=1)


def _values(music: "Corpus", columns: Sequence[str]) -> np.ndarray:
    if music.features is None:
        raise ParameterError(f"corpus {music.name} has no features; compute them with features.extract_many")
    columns = listed(columns, "columns", of="features")
    absent = [column for column in columns if not isinstance(column, str) or column not in music.features]
    if absent:
        raise ParameterError(f"columns must be features of corpus {music.name}, which has no {absent[0]!r}")
    return matrix(music.features[columns], "features")


def outliers(table: pd.DataFrame, *, limit: float = 5.0, top: int = 8) -> pd.DataFrame:
    """Find the tracks that lie furthest from the others.

    Distances are in robust standard deviations: from the median, in units of 1.4826 times the median absolute
    deviation, which a few odd tracks do not move.

    Parameters
    ----------
    table : DataFrame, shape (n, columns)
        Features; a column that hardly varies is left out.
    limit : float
        Distance beyond which a column counts, above 0.
    top : int
        How many tracks to give.

    Returns
    -------
    DataFrame
        Index ``track_id``, the furthest first: `beyond` (number of columns beyond the limit), `column` (the one that
        stands out most) and `distance` (by how much, with its sign).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from vae_lib import features
    >>> table = pd.DataFrame({"tempo": np.linspace(90, 130, 21), "rms": np.linspace(0.1, 0.3, 21)})
    >>> table.loc["loud"] = [110.0, 5.0]
    >>> features.outliers(table.rename_axis("track_id"), top=1).index.tolist()
    ['loud']
    """
    in_range(limit, "limit", low=0.0, open_low=True)
    count(top, "top")
    matrix(table, "table")
    middle = table.median()
    spread = 1.4826 * (table - middle).abs().median()
    distance = ((table - middle) / spread).loc[:, spread > 0]
    if distance.empty:
        raise ParameterError("table must have a column that varies")
    size, column = distance.abs(), distance.abs().idxmax(axis=1)
    found = pd.DataFrame(
        {
            "beyond": (size > limit).sum(axis=1),
            "column": column,
            "distance": [distance.loc[track, name] for track, name in column.items()],
        }
    )
    order = found.assign(size=size.max(axis=1)).sort_values(["beyond", "size"], ascending=False, kind="stable")
    return found.loc[order.index[:top]]
