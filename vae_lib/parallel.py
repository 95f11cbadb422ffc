"""Processes side by side that do not outlive the one that started them."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import joblib

from vae_lib import checks

MOST = 512
"""Processes that may be asked for at most."""


def run(
    function: Callable,
    jobs: Iterable[tuple[tuple, dict[str, object]]],
    *,
    workers: int | None = None,
    ordered: bool = True,
) -> Iterator[object]:
    """Call a function once per job, so many side by side, and give the results as they come.

    Parameters
    ----------
    function : callable
    jobs : iterable of (arguments, options)
        A single one is done here.
    workers : int, optional
        Processes, 1 to `MOST`, by default as many as there are cores; a single one is this. Under
        ``joblib.parallel_config`` its backend is used.
    ordered : bool
        Whether results come in the order of the jobs, or as soon as they are there.

    Raises
    ------
    ParameterError
        If `workers` is out of range.

    Examples
    --------
    >>> from vae_lib import parallel
    >>> list(parallel.run(sorted, [(([2, 1],), {}), (([2, 1],), {"reverse": True})], workers=1))
    [[1, 2], [2, 1]]
    """
    jobs = list(jobs)
    workers = joblib.cpu_count() if workers is None else checks.count(workers, "workers", high=MOST)
    order = "generator" if ordered else "generator_unordered"
    side_by_side = joblib.Parallel(max(1, min(workers, len(jobs))), return_as=order)
    job = joblib.delayed(partial(_job, os.getpid(), function))
    return side_by_side(job(*arguments, **options) for arguments, options in jobs)


def _job(parent: int, function: Callable, *arguments: object, **options: object) -> object:
    if os.getppid() == parent:
        _end_with(parent)
    return function(*arguments, **options)


@cache
def _end_with(parent: int) -> None:
    """End this process when its parent is gone: joblib's workers outlive one that is killed, and work on."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
