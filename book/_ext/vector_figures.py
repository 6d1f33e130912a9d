"""Show a figure that a notebook saved as the SVG file in figures/, in place of the picture in the notebook: sharp at any size, and in the
book once.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from gallery import sidecars
from sphinx.application import Sphinx

SAVED = re.compile(r'\bsave\(\s*figure,\s*f?"([^"]+)"')
"""The name under which a cell saves what it draws; values in it are left open."""


def saved(code: str, names: list[str]) -> list[str]:
    """Those of ``names`` that ``code`` saves, in their order.

    >>> saved('save(figure, f"{dataset}_parity", inputs=[])', ["chain_parity", "chain_parity_of_all", "other"])
    ['chain_parity']
    """
    patterns = [re.sub(r"\\{.*?\\}", "[^ ]+", re.escape(name)) for name in SAVED.findall(code)]
    return [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]


def _replace(app: Sphinx, doctree: nodes.document) -> None:
    notebook = app.env.docname.removeprefix("notebooks/")
    drawn = [Path(s["picture"]) for s in sidecars(Path(app.srcdir).parent) if s["notebook"] == notebook]
    names = [picture.stem for picture in drawn if picture.suffix == ".svg"]
    for cell in doctree.findall(lambda node: isinstance(node, nodes.container) and "cell" in node["classes"]):
        code = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        images = [image for image in cell.findall(nodes.image) if image["uri"].endswith(".png")]
        found = saved(code, names)
        if len(found) == len(images):
            for image, name in zip(images, found, strict=True):
                image["uri"] = f"/figures/{name}.svg"


def setup(app: Sphinx) -> dict[str, Any]:
    """Replace pictures before Sphinx collects them."""
    app.connect("doctree-read", _replace, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
