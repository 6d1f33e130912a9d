"""Make ../notebooks and ../figures visible inside the Sphinx source tree.

Both are committed as symbolic links. A checkout without symbolic links has small text files in
their place: this extension replaces them by a link, or by a copy where links are not allowed.
"""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FOLDERS = ("notebooks", "figures")


def link(book: Path) -> None:
    """Link each of :data:`FOLDERS` beside ``book`` into it, where that is not done already."""
    for name in FOLDERS:
        target, here = book.parent / name, book / name
        if here.is_dir():
            continue
        here.unlink(missing_ok=True)
        try:
            here.symlink_to(Path("..") / name, target_is_directory=True)
        except OSError:
            shutil.copytree(target, here)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this before it reads the sources."""
    link(Path(app.srcdir))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
