"""The role ``{result}`id` ``: a number of data/results.json in the text, with its error and unit, so that no number is typed.

``{result}`id:x100` `` gives it in percent.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole


def shown(row: dict[str, Any], scale: float = 1.0) -> str:
    """Three significant digits of the value, two of the error, the unit."""
    value, error = scale * row["value"], None if row["error"] is None else scale * row["error"]
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    text += "" if error is None else f" ± {error:.2g}"
    return f"{text} {row['unit']}".strip()


class Result(SphinxRole):
    """``{result}`id` ``: see the module."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number as text, with its id as a tooltip."""
        name, _, form = self.text.partition(":")
        path = Path(self.env.srcdir).parent / "data" / "results.json"
        self.env.note_dependency(str(path))
        rows = {row["id"]: row for row in json.loads(path.read_text())}
        if name not in rows:
            message = self.inliner.reporter.error(f"data/results.json has no {name!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        text = f"{shown(rows[name], 100)} %" if form == "x100" else shown(rows[name])
        return [nodes.inline("", text, classes=["result"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role."""
    app.add_role("result", Result())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
