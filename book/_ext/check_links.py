"""Fail the build where a page links to a file or an anchor of the book that is not there.

Sphinx checks the links that pages write, not those of templates, notebook outputs and generated pages. Links to other sites are left
alone: a build needs no network.
"""

import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LINK = re.compile(r'<[^<>]*?\s(?:href|src)="([^"#][^"]*|#[^"]+)"')
ANCHOR = re.compile(r'\sid="([^"]+)"')


def broken(root: Path) -> list[str]:
    """The links of the pages below ``root`` that lead nowhere, each with its page."""
    root = root.resolve()
    pages = {path: path.read_text(encoding="utf-8") for path in root.rglob("*.html") if "_static" not in path.relative_to(root).parts}
    anchors = {path: {html.unescape(name) for name in ANCHOR.findall(text)} for path, text in pages.items()}
    found = []
    for path, text in pages.items():
        for link in sorted(set(LINK.findall(text))):
            parts = urlsplit(html.unescape(link))
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors.get(target, {parts.fragment})):
                found.append(f"{path.relative_to(root)}: {link}")
    return found


def _forget_modules_without_source(app: Sphinx) -> list[Any]:
    """Sphinx lists them among the modules that one can read, and makes no page of them."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, entry in modules.items() if not entry]:
        del modules[name]
    return []


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    if found := broken(Path(app.outdir)):
        raise ExtensionError("links that lead nowhere:\n" + "\n".join(found))


def setup(app: Sphinx) -> dict[str, Any]:
    """Check what was built, after the other extensions have finished it."""
    app.connect("html-collect-pages", _forget_modules_without_source, priority=100)
    app.connect("build-finished", _check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
