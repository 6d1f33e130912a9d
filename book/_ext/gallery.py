"""``{figure-gallery}``: each figure with a sidecar in figures/, small, with a link to itself, the docstring of the function that drew it,
and what it was made from; a section for each notebook.
"""

import importlib
import inspect
import itertools
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def sidecars(root: Path) -> list[dict[str, Any]]:
    """The sidecars of ``root``/figures in the order of notebooks, and of names."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "figures").glob("*.json"))]
    return sorted(found, key=lambda sidecar: (sidecar["notebook"], sidecar["picture"]))


def caption(sidecar: dict[str, Any]) -> str:
    """The first paragraph of the docstring of the function that drew the picture."""
    module, _, name = sidecar["function"].rpartition(".")
    text = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    plain = re.sub(r":\w+:`[.~]*([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], text.split("\n\n")[0])
    return " ".join(plain.split())


class FigureGallery(SphinxDirective):
    """``{figure-gallery}``: see the module."""

    def run(self) -> list[nodes.Node]:
        """A section for each notebook, and in it a figure with its caption and its origin for each sidecar."""
        self.env.note_reread()
        sections = []
        for notebook, found in itertools.groupby(sidecars(Path(self.env.srcdir).parent), key=lambda sidecar: str(sidecar["notebook"])):
            section = nodes.section("", nodes.title(text=notebook), ids=[nodes.make_id(f"figures-of-{notebook}")], names=[])
            section += nodes.container("", *map(self._figure, found), classes=["gallery"])
            sections.append(section)
        return sections

    def _figure(self, sidecar: dict[str, Any]) -> nodes.figure:
        words = caption(sidecar)
        still = sidecar["picture"].replace(".svg", ".png")
        image = nodes.image(uri=f"figures/{still}", alt=words, candidates={"?": ""}, loading="lazy")
        link = addnodes.pending_xref(
            "",
            nodes.inline("", sidecar["notebook"]),
            refdomain="std",
            reftype="doc",
            reftarget=f"/notebooks/{sidecar['notebook']}",
            refexplicit=True,
            refwarn=True,
        )
        link["refdoc"] = self.env.docname
        origin = nodes.paragraph("", "", nodes.strong("", sidecar["picture"]), nodes.Text(" of notebook "), link)
        origin += [nodes.Text(", drawn by "), nodes.literal("", sidecar["function"]), nodes.Text(" at commit ")]
        origin += [nodes.literal("", sidecar["commit"]), nodes.Text(". From:")]
        for name, checksum in sidecar["inputs"].items():
            origin += [nodes.Text(" "), nodes.literal("", name), nodes.Text(f" ({checksum[:12]})")]
        parameters = nodes.literal("", json.dumps(sidecar["parameters"], sort_keys=True))
        legend = nodes.legend("", origin, nodes.paragraph("", "", nodes.Text("Parameters: "), parameters))
        return nodes.figure("", image, nodes.caption("", words), legend, classes=["gallery"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("figure-gallery", FigureGallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
