"""The book's sources hold together: pages, citations, links, and nothing that needs a network."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image

from mlcgmd.paper.results import load

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.glob("*.md"))
NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "workflow" / "templates").glob("*.ipynb")])
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
HOSTS = re.compile(r"(?:https?:)?//[^\s\"')]*(?:cdn|unpkg|jsdelivr|googleapis|gstatic|cloudflare)", re.IGNORECASE)


def extension(name: str) -> ModuleType:
    """A module of book/_ext."""
    spec = importlib.util.spec_from_file_location(name, BOOK / "_ext" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def toc_entries() -> list[str]:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


@pytest.mark.parametrize("entry", toc_entries())
def test_each_page_of_the_table_of_contents_exists(entry: str) -> None:
    assert any((BOOK / f"{entry}{suffix}").is_file() for suffix in (".md", ".ipynb")), f"book/{entry} is in _toc.yml but is not there"


def test_each_page_is_in_the_table_of_contents() -> None:
    included = set(re.findall(r"```\{include\} (\S+)\.md", "".join(page.read_text() for page in PAGES)))
    assert {page.stem for page in PAGES} - included == {entry for entry in toc_entries() if "/" not in entry}


def test_each_included_file_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"```\{include\} (\S+)", page.read_text()):
            assert (page.parent / name).is_file(), f"{page.name} includes {name}, which is not there"


def test_citations_and_bibliography_agree() -> None:
    sources = [*PAGES, *(ROOT / "notebooks").glob("*.ipynb")]
    cited = {key.strip() for page in sources for keys in re.findall(r"\{cite:[pt]\}`([^`]+)`", page.read_text()) for key in keys.split(",")}
    entries = re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), flags=re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert cited == set(entries)


def test_equation_references_have_a_label() -> None:
    text = "".join(page.read_text() for page in PAGES)
    labels = re.findall(r"^\$\$ \((eq-[\w-]+)\)$", text, flags=re.MULTILINE)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"\{eq\}`([\w-]+)`", text)) <= set(labels)


@pytest.mark.parametrize("name", ["notebooks", "figures"])
def test_folders_outside_the_book_are_linked(name: str) -> None:
    assert (BOOK / name).resolve() == ROOT / name
    assert (BOOK / name).is_dir()


@pytest.mark.parametrize("left_behind", [None, "../notebooks"])
def test_links_are_made_where_the_checkout_has_none(tmp_path: Path, left_behind: str | None) -> None:
    module = extension("link_sources")
    (tmp_path / "book").mkdir()
    for name in module.FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        if left_behind:
            (tmp_path / "book" / name).write_text(left_behind)
    module.link(tmp_path / "book")
    module.link(tmp_path / "book")
    assert [(tmp_path / "book" / name / "file").read_text() for name in module.FOLDERS] == list(module.FOLDERS)


def test_no_source_names_a_content_delivery_network() -> None:
    sources = [ROOT / "_config.yml", *(BOOK / "_ext").glob("*.py"), *(BOOK / "_static").glob("*"), *PAGES]
    found = {path.name: HOSTS.findall(path.read_text()) for path in sources}
    assert not {name: hosts for name, hosts in found.items() if hosts}


def test_vendored_libraries_are_there_with_their_licences() -> None:
    # mathjax_path is relative to _static, which lies beside the copied content of _extra.
    mathjax = (BOOK / "_extra" / "_static" / CONFIG["sphinx"]["config"]["mathjax_path"]).parent
    mathjax = Path(*(part for part in mathjax.parts if part not in ("_static", "..")))
    assert all(
        (mathjax / f"{part}.js").is_file()
        for part in ("startup", "core", "output/chtml/fonts/tex", *CONFIG["sphinx"]["config"]["mathjax3_config"]["loader"]["load"])
    )
    assert (mathjax / "input/tex/extensions/boldsymbol.js").is_file()
    assert len(list((mathjax / "output/chtml/fonts/woff-v2").glob("*.woff"))) > 20
    assert (BOOK / "_extra/vendor/3dmol/3Dmol-min.js").stat().st_size > 4e5
    assert all((BOOK / "_extra/vendor" / name / "LICENSE").is_file() for name in ("mathjax", "3dmol"))


def test_generated_tables_are_what_the_project_says() -> None:
    module = extension("generated_table")
    pages = "".join(page.read_text() for page in PAGES)
    assert set(re.findall(r"```\{generated-table\} (\S+)", pages)) == set(module.TABLES)
    for make in module.TABLES.values():
        header, rows = make(ROOT)
        assert all(len(row) == len(header) for row in rows)
    installed = dict(module.packages(ROOT)[1])
    assert installed["numpy"] == __import__("numpy").__version__
    assert {row[0] for row in module.datasets(ROOT)[1]} >= {"chain-smoke", "chain-laptop"}
    assert ["B2", "0.40", "b, d"] in module.bead_types(ROOT)[1]
    shown = [row[-1] for section in module.SECTIONS for row in module.TABLES[f"results-{section}"](ROOT)[1]]
    assert sorted(shown) == [row["id"] for row in load(ROOT / "data" / "results")], "each number is in one section"
    header, rows = module.TABLES["selection-electrolyte"](ROOT)
    assert header[:3] == ["model", "sampler", "rdf.peak_shift"] and rows[3][1] == "Gaussian()"


def test_numbers_in_the_text_are_those_of_the_results() -> None:
    known = {row["id"] for row in load(ROOT / "data" / "results")}
    used = {name.partition(":")[0] for page in PAGES for name in re.findall(r"\{result\}`([^`]+)`", page.read_text())}
    assert used and used <= known


def test_each_picture_is_in_the_gallery_as_it_was_made() -> None:
    module = extension("gallery")
    found = module.sidecars(ROOT)
    drawn = {path.stem for suffix in ("svg", "gif", "webp") for path in (ROOT / "figures").glob(f"*.{suffix}")}
    assert {Path(sidecar["picture"]).stem for sidecar in found} == drawn
    for sidecar in found:
        assert hashlib.sha256((ROOT / "figures" / sidecar["picture"]).read_bytes()).hexdigest() == sidecar["sha256"]
        assert module.caption(sidecar)
        assert (BOOK / "notebooks" / f"{sidecar['notebook']}.ipynb").exists()


def test_pages_load_what_they_use() -> None:
    module = extension("lighten")
    script = 'var a={moon:[384,512,[127769,9214],"f186","M1 2z"],"arrow-up":[384,512,[8593],"f062","M3z"],two:[1,2,[],"e1",["M1","M2"]]};'
    assert module.subset(script, {"arrow-up"}) == 'var a={"arrow-up":[384,512,[8593],"f062","M3z"],};'
    assert module.subset(script, {"moon", "two"}).count("M") == 3
    assert (ROOT / "figures" / module.PREVIEW).is_file()
    loaded = '<script>window.MathJax = {"options": {}}</script><script defer="defer" src="../vendor/mathjax/startup.js"></script>'
    fonts = '<link rel="preload" as="font" type="font/woff2" href="vendor/fontawesome/6.5.2/webfonts/fa-solid-900.woff2" />'
    assert module.page(f"<b>{fonts}{loaded}</b>") == "<b></b>"
    viewer = "$3Dmolpromise = null; $3Dmolpromise = loadScriptAsync('../vendor/3dmol/3Dmol-min.js');"
    assert "loadScriptAsync('../vendor/3dmol/3Dmol-min.js').then(load)" in module.page(viewer)
    assert module.page(equation := f'{loaded}<div class="math notranslate">') == equation


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_fits_the_page(path: Path) -> None:
    for cell in json.loads(path.read_text())["cells"]:
        lines = "".join(cell["source"]).splitlines()
        if cell["cell_type"] != "code":
            continue
        assert max(map(len, lines), default=0) <= 88, f"{path.stem}, cell {cell['id']}: a line is cut at the edge of the page"
        if "hide-input" not in cell["metadata"].get("tags", []):
            assert len(lines) <= 30, f"{path.stem}, cell {cell['id']}: split it, hide it, or move it to the library"


def test_a_picture_is_stored_once(tmp_path: Path) -> None:
    module = extension("lighten")
    for name, text in {"a.svg": "1", "longer.svg": "1", "b.svg": "2"}.items():
        (tmp_path / name).write_text(text)
    assert module.once(tmp_path) == {"longer.svg": "a.svg"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.svg"]


def test_moving_pictures_are_small(tmp_path: Path) -> None:
    module = extension("lighten")
    noise = np.random.default_rng(0).integers(0, 255, (4, 40, 40, 3), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=40, loop=0)
    assert module.smaller(tmp_path / "film.gif")
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]
    assert (tmp_path / "film.webp").stat().st_size < (tmp_path / "film.gif").stat().st_size


def test_the_figures_that_a_cell_saves_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BOOK / "_ext")  # it imports another extension
    module = extension("vector_figures")
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    names = {path.stem for path in (ROOT / "figures").glob("*.svg")}
    assert {name for cell in cells for name in module.saved("".join(cell["source"]), sorted(names))} == names


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    module = extension("check_links")
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text('<h1 id="top"></h1><a href="sub/b.html#c&amp;d"></a><a href="#top"></a><a href="https://x.org/y"></a>')
    (tmp_path / "sub" / "b.html").write_text('<h1 id="c&amp;d"></h1><a class="x" href="../a.html"></a>')
    assert module.broken(tmp_path) == []
    (tmp_path / "sub" / "b.html").write_text('<img alt="a" src="no.png"><a href="../a.html#bottom"></a><a href="#gone"></a>')
    assert module.broken(tmp_path) == [
        "a.html: sub/b.html#c&amp;d",
        "sub/b.html: #gone",
        "sub/b.html: ../a.html#bottom",
        "sub/b.html: no.png",
    ]
