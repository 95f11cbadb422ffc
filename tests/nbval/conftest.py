"""Two habits of nbval that would make a page that is right fail."""

import pytest

kernel = pytest.importorskip("nbval.kernel")


def execute_cell_input(self, cell_input, allow_stdin=None):
    """As nbval does, but within IPython's history, where a semicolon at the end of a line hides its value."""
    return self.kc.execute(cell_input, allow_stdin=allow_stdin, store_history=True, stop_on_error=False)


kernel.RunningKernel.execute_cell_input = execute_cell_input


def pytest_itemcollected(item):
    """Leave stderr out: progress bars write there, and vae_lib.execute takes it off the pages."""
    if "stderr" not in getattr(item.parent, "skip_compare", ["stderr"]):
        item.parent.skip_compare += ("stderr",)
