"""How time and memory of a step grow with the number of tracks."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import psutil

from vae_lib import checks

INTERVAL = 0.002
"""Seconds between two looks at the memory."""

MEBIBYTE = 2**20


def measure(
    stages: Mapping[str, Callable[[int], object]], sizes: Sequence[int], *, seconds: float, mebibytes: float
) -> pd.DataFrame:
    """Run every stage on ever more tracks, until the next size is predicted to cost too much.

    Parameters
    ----------
    stages : mapping of name to callable
        ``stage(n)`` does the work for `n` tracks. A first run at the smallest size, which may have to import or compile
        something, is not counted.
    sizes : sequence of int
        Ascending numbers of tracks.
    seconds, mebibytes : float
        A stage ends where `predict` gives more than this for the next size.

    Returns
    -------
    pandas.DataFrame
        A row per stage and size that was run: `stage`, `n`, `seconds`, `mebibytes` (most memory above that before).

    Raises
    ------
    ParameterError
        If sizes are not ascending whole numbers, or a limit is not above 0.
    """
    sizes = [checks.count(n, "sizes", low=2) for n in sizes]
    if sizes != sorted(set(sizes)):
        raise checks.ParameterError(f"sizes must ascend, got {sizes}")
    checks.in_range(seconds, "seconds", low=0.0, open_low=True)
    checks.in_range(mebibytes, "mebibytes", low=0.0, open_low=True)
    limits = {"seconds": seconds, "mebibytes": mebibytes}
    rows = []
    for name, stage in stages.items():
        stage(sizes[0])
        done: list[dict[str, object]] = []
        for n in sizes:
            table = pd.DataFrame(done)
            if len(done) > 1 and any(predict(table, column, n) > limit for column, limit in limits.items()):
                break
            with _watched() as used:
                stage(n)
            done.append({"stage": name, "n": n, **used})
        rows += done
    return pd.DataFrame(rows)


def slope(table: pd.DataFrame, column: str) -> float:
    """Exponent of the growth of `column` with `n` between the last two sizes: 1 is linear, 2 quadratic.

    Memory below a mebibyte and times below a millisecond say nothing and count as that much. NaN for a single size.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_lib import scaling
    >>> table = pd.DataFrame({"n": [100, 200], "seconds": [1.0, 4.0]})
    >>> scaling.slope(table, "seconds")
    2.0
    """
    if len(table) < 2:
        return np.nan
    floor = {"seconds": 1e-3, "mebibytes": 1.0}[column]
    before, last = table.iloc[-2], table.iloc[-1]
    return float(np.log(max(last[column], floor) / max(before[column], floor)) / np.log(last["n"] / before["n"]))


def predict(table: pd.DataFrame, column: str, n: int) -> float:
    """What `column` would be at `n` tracks if it grew on as it did last.

    Never shrinking, time at most like a cube, and memory at most like a square, a number for every pair of tracks: what
    a process holds already hides the first of what a step takes, and makes its memory seem to grow faster.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_lib import scaling
    >>> table = pd.DataFrame({"n": [100, 200], "seconds": [1.0, 4.0]})
    >>> scaling.predict(table, "seconds", 400)
    16.0
    """
    last, most = table.iloc[-1], {"seconds": 3.0, "mebibytes": 2.0}[column]
    return float(last[column] * (n / last["n"]) ** np.clip(slope(table, column), 0.0, most))


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    process, used, stop = psutil.Process(), {}, threading.Event()
    before = process.memory_info().rss
    most = [before]

    def watch() -> None:
        while not stop.wait(INTERVAL):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        yield used
    finally:
        used["seconds"] = time.perf_counter() - started
        stop.set()
        watcher.join()
        used["mebibytes"] = (max(most[0], process.memory_info().rss) - before) / MEBIBYTE
