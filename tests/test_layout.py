"""A folder of the library imports only from those before it; within a folder there are no circles."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mlcgmd

FOLDER = Path(mlcgmd.__file__).parent
ALLOWED = {
    "": {""},
    "data": {"", "data"},
    "analysis": {"", "data", "analysis"},
    "md": {"", "data", "md"},
    "model": {"", "data", "model"},
    "paper": {"", "data", "analysis", "md", "model", "paper"},
}
"""Of each folder ("" are the modules at the top), those that it may import from: the model and the analysis do not know each other."""
FILES = sorted(path for path in FOLDER.rglob("*.py") if path.name not in ("__init__.py", "__main__.py", "cli.py"))
LONGEST = 350


def imported(path: Path) -> set[tuple[str, str]]:
    """(folder, module) of the library that a file imports at its top or in a function."""
    found: set[tuple[str, str]] = set()
    package = path.relative_to(FOLDER).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            parts = above + tuple((node.module or "").split(".") if node.module else ())
            names = [parts] if (FOLDER.joinpath(*parts).with_suffix(".py")).exists() else [(*parts, alias.name) for alias in node.names]
            found |= {("/".join(name[:-1]), name[-1]) for name in names}
    return {(folder, module) for folder, module in found if module != "__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_module_imports_only_from_folders_before_its_own(path: Path) -> None:
    folder = "/".join(path.relative_to(FOLDER).parent.parts[:1])
    assert {other.split("/")[0] for other, _ in imported(path)} <= ALLOWED[folder]
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("folder", ["mlcgmd", "workflow", "book/_ext"])
def test_text_is_read_and_written_as_utf_8_whatever_the_locale(folder: str) -> None:
    for path in (FOLDER.parent / folder).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(call, ast.Call) and re.search(r"^open$|\.(read|write)_text$", ast.unparse(call.func)):
                said = any(keyword.arg == "encoding" for keyword in call.keywords)
                assert said or re.search(r"^open\(.*, '[rwa]b'", ast.unparse(call)), f"{path}: {ast.unparse(call)}"


def test_no_modules_import_each_other() -> None:
    graph = {path.relative_to(FOLDER).with_suffix("").as_posix(): imported(path) for path in FILES}
    TopologicalSorter({name: {"/".join(filter(None, other)) for other in others} for name, others in graph.items()}).prepare()


def test_the_api_pages_have_all_modules() -> None:
    pages = (FOLDER.parent / "book").glob("api*.md")
    listed = [name for page in pages for name in re.findall(r"automodule:: mlcgmd\.([\w.]+)", page.read_text())]
    assert sorted(listed) == sorted(path.relative_to(FOLDER).with_suffix("").as_posix().replace("/", ".") for path in FILES)


def test_no_system_is_known_by_name_outside_of_md_and_paper() -> None:
    """The system is a datum: only its MD, its published files and this paper's experiments may know what it is called."""
    allowed = {FOLDER / "data" / "published.py"}
    named = [
        f"{path.relative_to(FOLDER)}: {line.strip()}"
        for path in FILES
        if path.relative_to(FOLDER).parts[0] not in ("md", "paper") and path not in allowed
        for line in path.read_text().splitlines()
        if re.search(r"_spe|TFSI|\"Li\"", line)
    ]
    assert not named
