"""Remove the only script of the page templates that names a content delivery network.

``sphinx-thebe`` (live cells) is part of every Jupyter Book 1.x and writes its address into each page
even when it is switched off.
"""

from typing import Any

from sphinx.application import Sphinx


def _drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    scripts = context.get("script_files", [])
    scripts[:] = [script for script in scripts if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()]


def setup(app: Sphinx) -> dict[str, Any]:
    """Filter the scripts of every page after all other extensions have added theirs."""
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
