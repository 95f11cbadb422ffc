"""A run that keeps rows in a project of its own."""

import pandas as pd
import pytest

from companion import report


@pytest.fixture
def results(tmp_path, monkeypatch, small_corpus):
    """A function that gives the run of a build with rows in it, in a project of its own."""
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "PAPER", tmp_path / "paper/results")
    monkeypatch.setattr(report, "commit", lambda: "0123456789ab")

    def run(build, *rows, notebook="easy", music=small_corpus, write=True, **parameters):
        page = {"__annotations__": {"profile": str, **dict.fromkeys(parameters, float)}, "profile": build, **parameters}
        run = report.Run(page, notebook=notebook)
        if rows:
            run.add(pd.DataFrame(rows), corpus=music)
        if write:
            run.write()
        return run

    return run
