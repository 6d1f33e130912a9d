"""How figures are saved: the picture, and beside it what it was made from."""

import functools
import io
import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
from matplotlib.figure import Figure

from ..paths import CHECKOUT, OWN, ROOT, atomic, place
from .datasets import sha256

P = ParamSpec("P")
NUMBER = re.compile(r"(-?\d+\.\d+)")
IDENTIFIER = re.compile(r"(?<=[#\"])[a-z]+[0-9a-f]{10}(?=[\")])")
"""In an SVG file that matplotlib writes."""


def captioned(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Mark a function that draws a figure: the figure carries its name, under which the gallery finds its docstring, the caption."""

    @functools.wraps(draw)
    def named(*args: P.args, **keywords: P.kwargs) -> Figure:
        drawn = draw(*args, **keywords)
        drawn.set_label(f"{draw.__module__}.{draw.__name__}")
        return drawn

    return named


def save(
    figure: Figure, name: str, *, notebook: str, parameters: Mapping[str, Any], inputs: Sequence[Path], folder: Path = OWN / "figures"
) -> None:
    """Write ``name``.svg and .png, and the sidecar of them: see :func:`describe`.

    Where the picture that is there is the same but for rounding, which differs between processors, it stays.
    """
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    picture = folder / f"{name}.svg"
    if not (picture.exists() and same_picture(drawn.getvalue(), picture.read_text(encoding="utf-8"))):
        with atomic(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
        with atomic(picture) as temporary:  # last: it says whether both are there
            temporary.write_text(drawn.getvalue(), encoding="utf-8")
    describe(picture, str(figure.get_label()), notebook=notebook, parameters=parameters, inputs=inputs)


def same_picture(a: str, b: str) -> bool:
    """Whether two SVG texts are the same but for identifiers, which are hashes of coordinates, and 0.05 pt in coordinates."""
    one, other = (re.split(NUMBER, re.sub(IDENTIFIER, "", text)) for text in (a, b))
    # What is split at comes in between: numbers have the odd places.
    return one[::2] == other[::2] and bool(np.allclose(np.array(one[1::2], float), np.array(other[1::2], float), rtol=0, atol=0.05))


def describe(picture: Path, function: str, *, notebook: str, parameters: Mapping[str, Any], inputs: Sequence[Path]) -> None:
    """Write the sidecar of a picture, a JSON file of its name: its provenance, enough to reproduce it.

    It also holds SHA-256 of the picture, and ``commit``, the state of the library. A sidecar that holds all this already keeps its
    commit: at that one the picture became what it is.

    Args:
        picture: the file.
        function: that drew it, with its module.
        notebook: name of the notebook that called it, as the book shows it.
        parameters: of the notebook.
        inputs: files that the picture was drawn from, wherever :func:`.paths.place` finds them; the sidecar has their SHA-256.
    """
    sums = {path.relative_to(OWN if path.is_relative_to(OWN) else ROOT).as_posix(): sha256(path) for path in map(place, inputs)}
    known: dict[str, Any] = {"function": function, "notebook": notebook, "parameters": dict(parameters), "inputs": sums}
    known |= {"picture": picture.name, "sha256": sha256(picture)}
    path = picture.with_suffix(".json")
    known = json.loads(json.dumps(known))  # as it is read back: tuples are lists
    before = json.loads(path.read_bytes()) if path.exists() else {}
    if {key: value for key, value in before.items() if key != "commit"} == known:
        return
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(known | {"commit": commit()}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def commit(folder: Path = CHECKOUT / "mlcgmd") -> str:
    """The last commit of what is in ``folder``, with "-dirty" if it has changed since; "unknown" where there is no repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", folder, *words, "--", "."], capture_output=True, text=True, check=True).stdout.strip()

    try:
        last, changed = git("log", "-1", "--format=%h", "--abbrev=12"), git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{last}-dirty" if last and changed else last or "unknown"
