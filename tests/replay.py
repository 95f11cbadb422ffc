"""nbval on the run that there is: with ``--build FOLDER`` a reference is compared with what that build executed.

nbval's own comparison reads the outputs from the executed notebook instead of a kernel, so that no notebook is executed
twice. Without ``--build``, ``pytest --nbval`` executes the references as usual.
"""

from collections.abc import Iterator
from pathlib import Path

import goldens
import pytest
from nbval.plugin import IPyNbFile

NOT_COMPARED = ("stderr", "image/svg+xml", "application/vnd.plotly.v1+json")  # progress bars, and what has no text


class Recording:
    """Stands in for a kernel: answers each cell with what it put out when the notebook was executed."""

    def __init__(self, path: Path) -> None:
        self.path, self.cells, self.messages = path, goldens.code_cells(path), []

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        for number, cell in enumerate(self.cells):
            if cell.source == source:
                self.cells = self.cells[number + 1 :]
                done = {"output_type": "status", "execution_state": "idle"}
                self.messages = [
                    {"msg_type": each["output_type"], "content": each, "parent_header": {"msg_id": cell.id}}
                    for each in [*map(dict, cell.outputs), done]
                ]
                return cell.id
        raise AssertionError(f"{self.path} was executed without this cell: run `make references` if it is new")

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        return self.messages.pop(0)

    def is_alive(self) -> bool:
        return True

    def await_reply(self, *_: object, **__: object) -> None: ...

    await_idle = interrupt = stop = await_reply


class Reference(IPyNbFile):
    """A notebook of tests/nbval."""

    def setup(self) -> None:
        self.skip_compare += NOT_COMPARED
        if build := self.config.getoption("--build"):
            self.kernel = Recording(Path(build).resolve() / "executed" / self.path.name)
            self.setup_sanitize_files()
        else:
            super().setup()
            # Within IPython's history, as in JupyterLab: outside of it a semicolon at the end hides no value.
            self.kernel.execute_cell_input = lambda source, allow_stdin=None: self.kernel.kc.execute(
                source, allow_stdin=allow_stdin, store_history=True, stop_on_error=False
            )


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Iterator[None]:
    """Take the place of nbval's collector."""
    found = yield
    return [Reference.from_parent(parent, path=each.path) if type(each) is IPyNbFile else each for each in found]
