"""Lyrics to numbers: text is cleaned of what is not sung, then placed by its character n-grams.

Character n-grams within words need no tokeniser, stemmer or stop words, so one method serves every script. They are
weighted by TF-IDF and reduced by a truncated singular value decomposition (latent semantic analysis; Deerwester et al.
1990), fitted on the corpus at hand and on nothing else.

A song without lyrics is a row of NaN, never of zeros: zero would be a place among the songs.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from vae_lib import checks
from vae_lib.checks import ParameterError

VERSION = 1  # goes up whenever a vector changes, so that a stored table can be told from a new one
METHODS = ("lsa", "labse")
LABSE = "sentence-transformers/LaBSE"

# What stands in square brackets on one line names a part or a singer: [Chorus], [Verse 2: Somebody], [অন্তরা].
# Brackets that go over several lines enclose words that are spoken or sung, and stay.
_SECTION = re.compile(r"\[[^\[\]\n]*\]")
# The same names without brackets, alone on a line that ends in a colon.
_HEADING = re.compile(
    r"^[ \t]*(?:verse|(?:pre|post)?[- ]?chorus|intro|outro|bridge|hook|refrain|interlude|solo|strophe|part"
    r"|অন্তরা|কোরাস|স্থায়ী|সঞ্চারী|আভোগ|মুখড়া|ধুয়া)[ \t]*[0-9০-৯]*[ \t]*:[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
# (x2), (2x), (× ৩), (২ বার), (repeat): how often to sing it. Other words in round brackets are sung.
_TIMES = r"\d{1,2}"
_REPEAT = re.compile(
    rf"\(\s*(?:[x×]\s*{_TIMES}|{_TIMES}\s*(?:[x×]|times|mal|বার)|(?:repeat|chorus|refrain|কোরাস)(?:\s*[x×]?\s*{_TIMES})?)"
    r"\s*\)",
    re.IGNORECASE,
)
# What collectors of lyrics leave behind: "Some Title Lyrics" stuck to the first word, "12Embed" after the last, links.
_LEFTOVER = re.compile(r"\A\s*[^\n]{1,150}? Lyrics(?=\S)|\d*Embed\s*\Z|https?://\S*|\bwww\.\S*")
_APOSTROPHES = frozenset("'’‘ʼ`´＇")
_VARIATIONS = frozenset(map(chr, range(0xFE00, 0xFE10)))  # these choose how a sign is drawn, such as an emoji
# ত and a virama held apart by a zero-width joiner is how ৎ was written before Unicode 4.1 gave it a place of its own.
_OLD_KHANDA_TA = "\u09a4\u09cd\u200d"
_KHANDA_TA = "\u09ce"


def clean(text: str | None) -> str:
    r"""Leave of lyrics what is sung, in one spelling.

    In this order: canonical composition (NFC), so that য় is the same letter however it was typed; an old-style khanda
    ta becomes ৎ, and all other invisible characters go, zero-width joiners and non-joiners among them, since in Bengali
    they only choose between the shapes of a conjunct and most typists leave them out; section markers, repeat counts,
    links and what lyrics sites add go; letters are case-folded; digits of any script become 0 to 9; apostrophes close
    up (``don't`` becomes ``dont``); every other punctuation mark, the danda among them, and every symbol parts words;
    white space shrinks to single spaces. Vowel signs and other combining marks stay. Cleaning twice changes nothing.

    Parameters
    ----------
    text : str or None
        Lyrics as published. None and NaN count as no lyrics.

    Returns
    -------
    str
        Letters, marks, digits and single spaces; empty where nothing is sung.

    Raises
    ------
    ParameterError
        If it is neither text nor missing.

    Examples
    --------
    >>> from vae_lib.features import lyrics
    >>> lyrics.clean("[Chorus]\nDon't go (x2), stay ২!")
    'dont go stay 2'
    """
    text = _strip(text)
    text = unicodedata.normalize("NFC", text.casefold())
    words = [word for word in "".join(map(_fold, text)).split() if any(map(str.isalnum, word))]
    return unicodedata.normalize("NFC", " ".join(words))  # once more: a letter and its accent may only have met now


def _strip(text: str | None) -> str:
    """Text without markers and invisible characters, otherwise as written."""
    if not isinstance(text, str):
        if pd.api.types.is_scalar(text) and pd.isna(text):
            return ""
        raise ParameterError(f"text must be a string, None or NaN, got {text!r} ({type(text).__name__})")
    text = unicodedata.normalize("NFC", text).replace(_OLD_KHANDA_TA, _KHANDA_TA)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _VARIATIONS)
    for pattern in (_LEFTOVER, _SECTION, _HEADING, _REPEAT):
        text = pattern.sub(" ", text)
    return text


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    if character in _APOSTROPHES:
        return ""
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    return character if kind[0] in "LMN" else " "


def embed(
    texts: Sequence[str | None],
    *,
    method: str = "lsa",
    dimensions: int = 64,
    seed: int = 0,
    ngrams: tuple[int, int] = (2, 4),
    model: str = LABSE,
) -> np.ndarray:
    """Place songs by their lyrics.

    Parameters
    ----------
    texts : sequence of str, None or NaN, n entries
        Lyrics as published; each is cleaned first.
    method : {"lsa", "labse"}
        Character n-grams, TF-IDF and a truncated SVD; or the vectors of a sentence model (Feng et al. 2022) through the
        same SVD, which needs the package sentence-transformers and the model on disk: nothing is downloaded from here.
    dimensions : int
        d, less than the number of songs with lyrics.
    seed : int
        Where the solver starts; its result depends on it in the last digits at most.
    ngrams : (int, int)
        Shortest and longest n-gram in characters, for ``"lsa"``.
    model : str
        Name or folder of the sentence model, for ``"labse"``.

    Returns
    -------
    ndarray, shape (n, d)
        Rows of length 1 (0 for a song that shares nothing with any of them), components by falling singular value,
        each with its largest loading positive, so that signs repeat; NaN throughout where a song has no lyrics.

    Raises
    ------
    ParameterError
        If no song has lyrics, too few have for so many dimensions, or the sentence model is not at hand.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib.features import lyrics
    >>> songs = ["rain on the river", "rain on the roof", "dance all night", "dance till morning"]
    >>> vectors = lyrics.embed(songs, dimensions=3)
    >>> near = vectors @ vectors.T  # cosines: the rows have length 1
    >>> bool(near[0, 1] > near[0, 2]), bool(near[2, 3] > near[2, 0])
    (True, True)
    """
    checks.one_of(method, "method", METHODS)
    checks.count(dimensions, "dimensions")
    checks.count(seed, "seed", low=0)
    if len(checks.counts(ngrams, "ngrams", high=20)) != 2 or ngrams[0] > ngrams[1]:
        raise ParameterError(f"ngrams must be the shortest and the longest, up to 20, got {ngrams}")
    texts = checks.listed(texts, "texts", of="lyrics, one per song")
    cleaned = [clean(text) for text in texts]
    present = np.flatnonzero(cleaned)
    if not len(present):
        raise ParameterError(f"texts must have lyrics for some song, all {len(texts)} are empty or missing")

    if method == "lsa":
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=tuple(ngrams), lowercase=False, sublinear_tf=True)
        points = vectorizer.fit_transform([cleaned[row] for row in present])
    else:
        points = _sentence_vectors([" ".join(_strip(texts[row]).split()) for row in present], model)
    reduced = _reduce(points, dimensions, seed)
    vectors = np.full((len(texts), dimensions), np.nan)
    vectors[present] = reduced
    return vectors


def _reduce(points: np.ndarray | scipy.sparse.csr_matrix, dimensions: int, seed: int) -> np.ndarray:
    n, columns = points.shape
    if dimensions >= min(n, columns):
        raise ParameterError(
            f"dimensions must be less than {min(n, columns)}, the smaller of {n} songs with lyrics and {columns} text "
            f"features, got {dimensions}"
        )
    # ARPACK iterates to machine precision, where the usual randomised solver stops early and depends on its seed.
    solver = TruncatedSVD(dimensions, algorithm="arpack", random_state=seed)
    vectors = solver.fit_transform(points)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    # What rounding leaves of a song that shares nothing with the others must not be blown up to length 1.
    return np.where(length > 1e-9, vectors / np.maximum(length, 1e-9), 0.0)


def _sentence_vectors(texts: list[str], model: str) -> np.ndarray:
    try:
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(model, device="cpu", local_files_only=True)
    except ImportError:
        raise ParameterError(
            "method 'labse' needs the package sentence-transformers (pip install sentence-transformers); or use 'lsa'"
        ) from None
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"model {model!r} is not on this disk, and nothing is downloaded unasked; download it once "
            f"(hf download {model}) or give the folder it lies in: {error}"
        ) from None
    return np.asarray(encoder.encode(texts, show_progress_bar=False), dtype=float)


def missing(vectors: np.ndarray) -> np.ndarray:
    """Which songs have no lyrics.

    Parameters
    ----------
    vectors : array-like, shape (n, d)
        As `embed` returns them.

    Returns
    -------
    ndarray, shape (n,), bool
        True where the row is NaN.

    Raises
    ------
    ParameterError
        If it is no table, a row is NaN in part, or a value is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib.features import lyrics
    >>> lyrics.missing(np.array([[1.0, 0.0], [np.nan, np.nan]]))
    array([False,  True])
    """
    array = checks.numbers(vectors, "vectors", "songs", "dimensions")
    absent = np.isnan(array)
    if (absent.any(axis=1) != absent.all(axis=1)).any() or np.isinf(array).any():
        raise ParameterError("vectors must be a table, each row finite or, for a song without lyrics, NaN throughout")
    return absent.all(axis=1)


def centre_by(vectors: np.ndarray, groups: Sequence[object]) -> np.ndarray:
    """Subtract from each song the mean of its group, such as its language.

    What is left no longer tells the groups apart by where they lie: songs of two languages can be compared by the rest.

    Parameters
    ----------
    vectors : array-like, shape (n, d)
        As `embed` returns them; left as it is.
    groups : sequence, n labels
        The group of every song, of those without lyrics too.

    Returns
    -------
    ndarray, shape (n, d)
        Each group's songs with lyrics have mean 0; songs without lyrics stay NaN. Rows no longer have length 1.

    Raises
    ------
    ParameterError
        If `vectors` is not as `missing` wants it, or a label is missing or too many.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib.features import lyrics
    >>> vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> lyrics.centre_by(vectors, ["english", "english", "bangla"]).round(2) + 0
    array([[ 0.2, -0.4],
           [-0.2,  0.4],
           [ 0. ,  0. ]])
    """
    absent = missing(vectors)
    centred = np.array(vectors, dtype=float)
    codes = checks.labels(groups, "groups", length=len(centred))
    for code in np.unique(codes[~absent]):
        rows = (codes == code) & ~absent
        centred[rows] -= centred[rows].mean(axis=0)
    return centred
