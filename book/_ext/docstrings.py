"""Read the library's docstrings: Google sections, and plain text otherwise.

Napoleon itself would take what stands before the first colon of a constant's, attribute's or property's
docstring for a type, and Sphinx takes ``|x|`` for a substitution where the library means an absolute value.
"""

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

CONFIG: Any = Config()


def _read(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [re.sub(r"(``.*?``)|\|", lambda found: found[1] or r"\|", line) for line in lines]
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, CONFIG, app, what, name, obj, options).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Process each docstring that autodoc finds."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
