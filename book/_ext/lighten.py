"""Make the pages light: load what a page uses, store a picture once and moving ones small, and lay one beside them that previews can show.

The theme's icon library is a script of 1.5 MB with some two thousand drawings, and every page loads it, with the same icons as fonts; every
page loads the scripts of equations too, of 0.8 MB.
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ICON = re.compile(r'"?([a-z0-9-]+)"?:\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?')
"""A drawing in Font Awesome's script: name, size, other names, code, path."""
NAME = re.compile(r"\bfa-([a-z0-9-]+)")
UNUSED = re.compile(r'\s*<link rel="preload" as="font"[^>]*fontawesome[^>]*>')
"""Icon fonts: the script draws the icons."""
EQUATIONS = re.compile(r"\s*(?:<script>window\.MathJax = [^<]*</script>|<script[^>]*mathjax/startup\.js[^>]*></script>)")
PICTURE = re.compile(r'src="((?:\.\./)*_images/)([^"]+)"')
VIEWER = re.compile(r"\$3Dmolpromise = loadScriptAsync\(([^()]*)\);")
SEEN = r"""$3Dmolpromise = new Promise((load) => new IntersectionObserver((views, observer) => {
    if (!views.some((view) => view.isIntersecting)) return;
    observer.disconnect();
    loadScriptAsync(\1).then(load);
  }).observe(document.querySelector("[id^='3dmolviewer']")));"""
"""What loads the library of 3-D views, of 0.5 MB: only when one comes to be seen."""
PREVIEW = "at_a_glance.png"


def subset(script: str, names: set[str]) -> str:
    """The script with these drawings only."""
    return ICON.sub(lambda found: found[0] if found[1] in names else "", script)


def page(text: str) -> str:
    """A page without the fonts of icons, without the script of equations if it has none, and with that of 3-D views when it is needed."""
    text = VIEWER.sub(SEEN, UNUSED.sub("", text))
    return text if 'class="math' in text or re.search(r"\$[^$<]+\$", text) else EQUATIONS.sub("", text)


def once(folder: Path) -> dict[str, str]:
    """Remove the pictures in ``folder`` that are there under another name: what stands for each that was removed."""
    kept: dict[str, str] = {}
    gone = {}
    for path in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if (name := kept.setdefault(content, path.name)) != path.name:
            gone[path.name] = name
            path.unlink()
    return gone


def smaller(gif: Path) -> bool:
    """Write a GIF file as WebP beside it, unless that is larger."""
    webp = gif.with_suffix(".webp")
    with Image.open(gif) as film:
        film.save(webp, save_all=True, quality=60, method=3)
    if webp.stat().st_size < gif.stat().st_size:
        return True
    webp.unlink()
    return False


def _lighten(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    scripts = list((out / "_static" / "vendor").glob("fontawesome/*/js/all.min.js"))
    if len(scripts) != 1:
        raise ExtensionError(f"the theme has {len(scripts)} scripts of icons, not one: book/_ext/lighten.py must follow it")
    pictures = out / "_images"
    gone = once(pictures)
    films = {gif.name for gif in pictures.glob("*.gif") if smaller(gif)}

    def small(found: re.Match[str]) -> str:
        name = gone.get(found[2], found[2])
        full = f' data-full="{found[1]}{name}"'
        return f'src="{found[1]}{name.replace(".gif", ".webp")}"{full}' if name in films else f'src="{found[1]}{name}"'

    names = {name for path in (out / "_static" / "scripts").glob("*.js") for name in NAME.findall(path.read_text(encoding="utf-8"))}
    for path in out.rglob("*.html"):
        before = path.read_text(encoding="utf-8")
        names.update(NAME.findall(before))
        if (after := PICTURE.sub(small, page(before))) != before:
            path.write_text(after, encoding="utf-8")
    scripts[0].write_text(subset(scripts[0].read_text(encoding="utf-8"), names), encoding="utf-8")
    shutil.copyfile(Path(app.srcdir).parent / "figures" / PREVIEW, out / "_static" / "preview.png")


def setup(app: Sphinx) -> dict[str, Any]:
    """Act on what was built."""
    app.connect("build-finished", _lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
