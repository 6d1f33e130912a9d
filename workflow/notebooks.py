"""Run a notebook with parameters, and find the library files that it depends on.

``python workflow/notebooks.py SOURCE OUTPUT '{"parameter": value, ...}'``
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

from mlcgmd.paths import RUNS, atomic

LIBRARY = Path("mlcgmd")


def _imported(code: str, package: tuple[str, ...]) -> set[Path]:
    """Files of the library that ``code``, a module of ``package``, imports."""
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = above + tuple((node.module or "").split(".") if node.module else ())
            names |= {module} | {(*module, alias.name) for alias in node.names}
    prefixes = {name[:n] for name in names if name[:1] == (LIBRARY.name,) for n in range(1, len(name) + 1)}
    candidates = {Path(*prefix).with_suffix(".py") for prefix in prefixes} | {Path(*prefix, "__init__.py") for prefix in prefixes}
    return {path for path in candidates if path.exists()}


def library_files(notebook: Path | str) -> list[str]:
    """The library files that a notebook imports, directly or not: a change of any of them makes it stale."""
    cells = json.loads(Path(notebook).read_text() or "{}").get("cells", [])
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    plain = "\n".join(line for cell in code for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))
    found: set[Path] = set()
    todo = _imported(plain, ())
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= _imported(path.read_text(), path.parent.parts) - found
    return sorted(path.as_posix() for path in found)


def execute(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run ``source`` in its folder; ``output``, which may be ``source``, is written only if every cell succeeded.

    A failed run leaves the notebook, with its error, in the folder ``runs/failed``.
    """
    import nbformat  # only this function needs the two: the Snakefile imports the other one in every job
    import papermill

    failed = RUNS / "failed" / output.name
    failed.parent.mkdir(parents=True, exist_ok=True)
    notebook = papermill.execute_notebook(
        source, failed, parameters, kernel_name="python3", cwd=source.parent, progress_bar=False, log_output=True
    )
    # Of the run only its duration is kept, for the status page: folders and dates are no result.
    notebook.metadata["papermill"] = {"duration": round(notebook.metadata["papermill"]["duration"])}
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        cell.source = cell.source.rstrip("\n")  # papermill ends the parameters with a new line, `ruff format` does not
    with atomic(output) as temporary:
        nbformat.write(notebook, temporary)
    failed.unlink()


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
