"""Figures that answer to the reader: SVG with a line of script in it, which needs no library and no network, in the book and in JupyterLab.

Libraries for it (plotly, Bokeh, Vega) weigh 0.8 to 4 MB, more than all else that a page loads. Text is in the colour of the page, light or
dark.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from ..analysis.ensemble import Ensemble
from ..data.mapping import CoarseGraining
from .drawing import palette, radii
from .figures import MD, MODEL

SIZE = 300
"""Width and height of a panel, in the units of the picture."""
MARGIN = 46
LABEL = 'font-size="12" fill="currentColor"'
SHOW = (
    "const p = event.target.closest('[data-md]'), f = this.closest('.interactive'); if (p) {"
    "f.querySelector('.of-md').setAttribute('d', p.dataset.md); f.querySelector('.of-model').setAttribute('d', p.dataset.model);"
    "f.querySelector('.what').textContent = p.getAttribute('aria-label');"
    "f.querySelectorAll('[data-md]').forEach(q => q.setAttribute('r', q === p ? 8 : 5)); }"
)
"""Show the distribution of the point that was clicked or has the focus."""
SLIDE = (
    "const f = this.closest('.interactive'); f.querySelector('output').textContent = this.dataset.levels.split(' ')[this.value];"
    "f.querySelectorAll('[data-level]').forEach(g => g.style.display = g.dataset.level === this.value ? '' : 'none');"
)
"""Show the beads of the level that the slider stands at."""


def parity(table: pd.DataFrame, md: Sequence[Ensemble], model: Sequence[Ensemble], sequence: Mapping[str, str], unit: str = "σ") -> str:
    """<Rg^2> of each system, model against MD with standard errors; a point says its sequence, and shows its distribution beside MD's.

    Args:
        table: as of :func:`.scores.conformations`, a row for each of ``md`` and ``model``.
        md, model: the samples of each system.
        sequence: of each system, by its name.
        unit: of length.

    Returns:
        HTML; nothing where no system has both.
    """
    known = table.dropna(subset=["rg2", "rg2_md"])
    if not len(known):
        return ""
    errors = known[["rg2_error", "rg2_md_error"]].fillna(0).max(axis=1)
    low, high = (float(f(known[["rg2", "rg2_md"]].to_numpy())) for f in (np.min, np.max))
    low, high = low - float(errors.max()), high + float(errors.max())
    place = _scale(low, high)
    samples = [(x.rg2().ravel(), y.rg2().ravel()) for x, y in zip(md, model, strict=True)]
    end = float(max(np.quantile(both, 0.999) for pair in samples for both in pair))
    bins = np.linspace(0, end, 50)
    densities = [[np.histogram(x, bins, density=True)[0] for x in pair] for pair in samples]
    most = max(float(density.max()) for pair in densities for density in pair)
    points: list[str] = []
    shown: list[tuple[str, str, str]] = []
    for k in known.index:
        row, (of_md, of_model) = known.loc[k], (_curve(density, most) for density in densities[k])
        x, y = place(row.rg2_md), SIZE - place(row.rg2)
        words = (
            f"{row.system.rpartition('/')[2]}: MD {row.rg2_md:.1f} ± {row.rg2_md_error:.1f},"
            f" learned {row.rg2:.1f} ± {row.rg2_error:.1f} {unit}²; {sequence.get(row.system, '')}"
        )
        width, height = (SIZE * error / (high - low) for error in (row.rg2_md_error, row.rg2_error))
        if np.isfinite([width, height]).all():
            bars = f"M{x - width:.1f} {y:.1f}h{2 * width:.1f}M{x:.1f} {y - height:.1f}v{2 * height:.1f}"
            points.append(f'<path d="{bars}" stroke="{to_hex(MODEL)}"/>')
        points.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if shown else 8}" fill="{to_hex(MODEL)}" role="button" tabindex="0"'
            f' style="cursor:pointer" aria-label="{escape(words)}" data-md="{of_md}" data-model="{of_model}">'
            f"<title>{escape(words)}</title></circle>"
        )
        shown.append((of_md, of_model, words))
    ticks = "".join(
        f'<text x="{place(t):.0f}" y="{SIZE + 16}" text-anchor="middle" {LABEL}>{t:g}</text>'
        f'<text x="-6" y="{SIZE - place(t) + 4:.0f}" text-anchor="end" {LABEL}>{t:g}</text>'
        for t in _ticks(low, high)
    )
    right = "".join(f'<text x="{SIZE * t / end:.0f}" y="{SIZE + 16}" text-anchor="middle" {LABEL}>{t:g}</text>' for t in _ticks(0, end))
    frame = f'<path d="M0 0V{SIZE}H{SIZE}" stroke="currentColor"/>'
    parts = [
        f'<g transform="translate({MARGIN},10)">{frame}{ticks}<path d="M0 {SIZE}L{SIZE} 0" stroke="{to_hex(MD)}"/>{"".join(points)}',
        f'<text x="{SIZE / 2}" y="{SIZE + 34}" text-anchor="middle" {LABEL}>MD: ⟨Rg²⟩ ({unit}²)</text>',
        f'<text transform="translate(-34,{SIZE / 2}) rotate(-90)" text-anchor="middle" {LABEL}>learned: ⟨Rg²⟩ ({unit}²)</text></g>',
        f'<g transform="translate({2 * MARGIN + SIZE},10)">{frame}{right}',
        f'<path class="of-md" d="{shown[0][0]}" fill="{to_hex(MD)}" fill-opacity="0.5"/>',
        f'<path class="of-model" d="{shown[0][1]}" stroke="{to_hex(MODEL)}" stroke-width="2"/>',
        f'<text x="{SIZE / 2}" y="{SIZE + 34}" text-anchor="middle" {LABEL}>Rg² ({unit}²): MD filled, learned as a line</text></g>',
    ]
    return _page(
        f"{2 * (MARGIN + SIZE) + 20} {SIZE + MARGIN + 10}",
        parts,
        f'role="group" aria-label="Sizes of unseen chains, learned against MD" onclick="{escape(SHOW)}" onkeyup="{escape(SHOW)}"',
        after=f'<p class="what" aria-live="polite" style="overflow-wrap:anywhere">{escape(shown[0][2])}</p>',
    )


def levels(position: np.ndarray, bond: np.ndarray, mappings: Mapping[int, CoarseGraining], shown: int) -> str:
    """A molecule as beads of several sizes, one at a time: a slider chooses the level.

    Args:
        position: (n, 3) of the particles.
        bond: (B, 2) pairs of them.
        mappings: by level, of this molecule.
        shown: the level to begin with.

    Returns:
        HTML.
    """
    centred = position - position.mean(axis=0)
    flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T  # seen from where it is widest
    corner = flat.min(axis=0) - 2
    scale = 2 * SIZE / float(np.ptp(flat[:, 0]) + 4)
    height = scale * float(np.ptp(flat[:, 1]) + 4)

    def seen(points: np.ndarray) -> np.ndarray:
        return (points - corner) * scale

    parts = []
    for k, (level, mapping) in enumerate(mappings.items()):
        colours = [to_hex(colour) for colour in palette(np.arange(mapping.n_beads))]
        beads = seen(np.stack([np.bincount(mapping.bead, mapping.particle_mass * x) / mapping.mass for x in flat.T], axis=1))
        radius = scale * radii(mapping.mass)
        inside = seen(flat)
        hidden = "" if level == shown else ' style="display:none"'
        lines = _lines(inside, bond, 0.6) + _lines(beads, mapping.bond, 2)
        dots = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2.5" fill="{colours[b]}"/>' for (x, y), b in zip(inside, mapping.bead, strict=True)
        )
        spheres = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{r:.0f}" fill="{colour}" fill-opacity="0.55"/>'
            for (x, y), r, colour in zip(beads, radius, colours, strict=True)
        )
        parts.append(f'<g data-level="{k}"{hidden}>{lines}{dots}{spheres}</g>')
    known = list(mappings)
    slider = (
        f'<label>Particles per bead: <output>{shown}</output> <input type="range" min="0" max="{len(known) - 1}"'
        f' value="{known.index(shown)}" data-levels="{" ".join(map(str, known))}" oninput="{escape(SLIDE)}"></label>'
    )
    return _page(
        f"{2 * SIZE} {height:.0f}", parts, 'role="img" aria-label="A chain, its particles as dots and its beads as discs"', before=slider
    )


def _page(size: str, parts: Sequence[str], attributes: str, before: str = "", after: str = "") -> str:
    picture = f'<svg viewBox="0 0 {size}" style="width:100%;font-family:sans-serif" fill="none" {attributes}>{"".join(parts)}</svg>'
    return f'<div class="interactive">{before}{picture}{after}</div>'


def _scale(low: float, high: float) -> Callable[[float], float]:
    return lambda x: SIZE * (x - low) / (high - low)


def _ticks(low: float, high: float) -> np.ndarray:
    step = 10 ** np.floor(np.log10(high - low))
    step *= 0.5 if (high - low) / step < 3 else 1
    return np.arange(np.ceil(low / step), high / step) * step


def _curve(density: np.ndarray, most: float) -> str:
    x = np.repeat(np.linspace(0, SIZE, len(density) + 1), 2)[1:-1]
    y = np.repeat(SIZE * (1 - 0.95 * density / most), 2)
    return f"M0 {SIZE}L" + " ".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True)) + f"L{SIZE} {SIZE}"


def _lines(points: np.ndarray, bond: np.ndarray, width: float) -> str:
    path = "".join(f"M{a[0]:.0f} {a[1]:.0f}L{b[0]:.0f} {b[1]:.0f}" for a, b in points[bond])
    return f'<path d="{path}" stroke="currentColor" stroke-opacity="0.6" stroke-width="{width}"/>'
