"""The role ``{result}`id` ``: a number of data/results in the text, with its error and unit, so that no number is typed.

``{result}`id:x100` `` gives it in percent.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from mlcgmd.paper.results import load, measured


class Result(SphinxRole):
    """``{result}`id` ``: see the module."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number as text."""
        name, _, form = self.text.partition(":")
        folder = Path(self.env.srcdir).parent / "data" / "results"
        for path in folder.glob("*.json"):
            self.env.note_dependency(str(path))
        rows = {row["id"]: row for row in load(folder)}
        if name not in rows:
            message = self.inliner.reporter.error(f"data/results has no {name!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        text = f"{measured(rows[name], 3, 100)} %" if form == "x100" else measured(rows[name], 3)
        return [nodes.inline("", text, classes=["result"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role."""
    app.add_role("result", Result())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
