"""Make the pages light: load what a page uses, and lay a picture beside them that previews can show.

The theme's icon library is a script of 1.5 MB with some two thousand drawings, and every page loads it, with the same icons as fonts; every
page loads the script of equations too, of 1.2 MB.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ICON = re.compile(r'"?([a-z0-9-]+)"?:\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?')
"""A drawing in Font Awesome's script: name, size, other names, code, path."""
NAME = re.compile(r"\bfa-([a-z0-9-]+)")
UNUSED = re.compile(r'\s*<link rel="preload" as="font"[^>]*fontawesome[^>]*>')
"""Icon fonts: the script draws the icons."""
EQUATIONS = re.compile(r"\s*(?:<script>window\.MathJax = [^<]*</script>|<script[^>]*mathjax/tex-mml-chtml\.js[^>]*></script>)")
PREVIEW = "at_a_glance.png"


def subset(script: str, names: set[str]) -> str:
    """The script with these drawings only."""
    return ICON.sub(lambda found: found[0] if found[1] in names else "", script)


def page(text: str) -> str:
    """A page without the fonts of icons, and without the script of equations if it has none."""
    text = UNUSED.sub("", text)
    return text if 'class="math' in text or re.search(r"\$[^$<]+\$", text) else EQUATIONS.sub("", text)


def _lighten(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    scripts = list((out / "_static" / "vendor").glob("fontawesome/*/js/all.min.js"))
    if len(scripts) != 1:
        raise ExtensionError(f"the theme has {len(scripts)} scripts of icons, not one: book/_ext/lighten.py must follow it")
    names = {name for path in (out / "_static" / "scripts").glob("*.js") for name in NAME.findall(path.read_text())}
    for path in out.rglob("*.html"):
        before = path.read_text()
        names.update(NAME.findall(before))
        if (after := page(before)) != before:
            path.write_text(after)
    scripts[0].write_text(subset(scripts[0].read_text(), names))
    shutil.copyfile(Path(app.srcdir).parent / "figures" / PREVIEW, out / "_static" / "preview.png")


def setup(app: Sphinx) -> dict[str, Any]:
    """Act on what was built."""
    app.connect("build-finished", _lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
