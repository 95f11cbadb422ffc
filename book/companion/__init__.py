"""What serves the pages: running notebooks, their result rows, tables, rendering, variations, the article.

A notebook keeps its rows with ``run = companion.Run(globals())``, and ``python -m companion --help`` lists the commands
that Make calls. The library of the study is `vae_lib`, which knows nothing of this package.
"""

from vae_lib.store import ROOT as ROOT

NOTEBOOK = "COMPANION_NOTEBOOK"
"""The variable that tells a kernel which notebook it executes."""


def __getattr__(name: str) -> object:
    if name == "Run":  # imported when it is asked for: the commands of Make start without pandas
        from companion.report import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
