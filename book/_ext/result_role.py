"""The role ``{result}`id` ``: a number of data/results in the text, with its error and unit, so that no number is typed.

``{result}`id:x100` `` gives it in percent; ``{result}`id:factor2` `` and ``{result}`id:factor10` `` give a logarithm as the factor that it
means.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from mlcgmd.paper.findings import times
from mlcgmd.paper.results import load, said


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
        row = rows[name]
        forms = {
            "": lambda: said(row),
            "x100": lambda: f"{said(row, 100)} %",
            "factor2": lambda: times(2 ** abs(row["value"])),
            "factor10": lambda: times(10 ** abs(row["value"])),
        }
        if form not in forms:
            message = self.inliner.reporter.error(f"a result has no form {form!r}, only {', '.join(filter(None, forms))}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        text = forms[form]()
        return [nodes.inline("", text, classes=["result"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role."""
    app.add_role("result", Result())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
