"""Run a notebook with parameters, and find the library files that it depends on.

``python workflow/notebooks.py SOURCE OUTPUT '{"parameter": value, ...}'``
"""

import ast
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcgmd.errors import MlcgmdError
from mlcgmd.parallel import end_with_parent
from mlcgmd.paths import ROOT, RUNS, atomic

LIBRARY = Path("mlcgmd")
WIDTH = 88
"""Longest line of code, as in notebooks/ruff.toml."""


def _imported(code: str | bytes, package: tuple[str, ...]) -> set[Path]:
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
    cells = json.loads(Path(notebook).read_bytes() or "{}").get("cells", [])
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    plain = "\n".join(line for cell in code for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))
    found: set[Path] = set()
    todo = _imported(plain, ())
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= _imported(path.read_bytes(), path.parent.parts) - found
    return sorted(path.as_posix() for path in found)


def _literal(value: Any, room: int = sys.maxsize) -> str:
    """``value`` in Python, on one line or, where it is longer than ``room``, with a line per item."""
    match value:
        case dict():
            items, ends = [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()], "{}"
        case list():
            items, ends = [_literal(item) for item in value], "[]"
        case str():
            return json.dumps(value, ensure_ascii=False)  # with the quotes of ruff
        case _:
            return repr(value)
    text = f"{ends[0]}{', '.join(items)}{ends[1]}"
    return text if len(text) <= room else "\n".join([ends[0], *(f"    {item}," for item in items), ends[1]])


KINDS = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
"""What a parameter may be, by what the notebook itself has there; one that is None there may be anything."""


def parameters_cell(notebook: Path) -> str:
    """The code of the cell that holds the parameters of a notebook."""
    (cell,) = [c for c in json.loads(notebook.read_bytes())["cells"] if "parameters" in c["metadata"].get("tags", [])]
    return "".join(cell["source"])


def _kind(node: ast.expr) -> str | None:
    """Of a parameter that has the value ``node`` in its notebook."""
    match node:
        case ast.Constant(value=value):
            return KINDS.get(type(value))
        case ast.Dict():
            return KINDS[dict]
        case ast.List():
            return KINDS[list]
        case ast.UnaryOp():
            return KINDS[int]
    return None


def with_parameters(code: str, given: Mapping[str, Any]) -> str:
    """The parameters cell ``code`` with other values, and its comments.

    >>> with_parameters("level = 15  # particles per bead\\nmodel = 'chain'", {"level": 30})
    "level = 30  # particles per bead\\nmodel = 'chain'"

    Raises:
        MlcgmdError: a parameter that is not there, or of another kind, such as text where a mapping is.
    """
    values = {node.targets[0].id: node.value for node in ast.parse(code).body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    if unknown := sorted(set(given) - set(values)):
        raise MlcgmdError(f"there is no parameter {', '.join(map(str, unknown))}; there are {', '.join(values)}")
    lines = code.splitlines()
    for name, node in reversed(values.items()):
        if name not in given:
            continue
        kind = _kind(node)
        if kind is not None and KINDS.get(type(given[name])) != kind:
            raise MlcgmdError(f"{name} is {given[name]!r}: give {kind}, such as {ast.unparse(node)[:60]}")
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before = lines[first].encode()[: node.col_offset].decode()
        after = lines[last].encode()[node.end_col_offset :].decode()
        lines[first : last + 1] = [before + _literal(given[name], WIDTH - len(before) - len(after)) + after]
    return "\n".join(lines)


def execute(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run ``source`` in its folder with ``parameters``, which are written into its parameters cell: that is the one that counts, also
    for who runs ``output`` again. This, which may be ``source``, is written only if every cell succeeded.

    What the notebook makes goes to MLCGMD_ROOT, by default the repository, and it shows no progress bars.
    A failed run leaves the notebook, with its error, in the folder ``runs/failed``.

    Raises:
        MlcgmdError: as :func:`with_parameters`.
    """
    import nbformat  # only this function needs the two: the Snakefile imports the other one in every job
    import papermill

    notebook = nbformat.read(source, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source = with_parameters(cell.source, parameters)
    failed = RUNS / "failed" / output.name
    failed.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, failed)
    # The kernel takes these over.
    os.environ |= {"MLCGMD_ROOT": str(ROOT.resolve()), "TQDM_DISABLE": "1"}
    notebook = papermill.execute_notebook(failed, failed, kernel_name="python3", cwd=source.parent, progress_bar=False, log_output=True)
    # Of the run only its duration is kept, for the status page: folders and dates are no result.
    notebook.metadata["papermill"] = {"duration": round(notebook.metadata["papermill"]["duration"])}
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    with atomic(output) as temporary:
        nbformat.write(notebook, temporary)
    failed.unlink()


if __name__ == "__main__":
    end_with_parent()  # and by that the kernel
    execute(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
