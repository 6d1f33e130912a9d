"""Run molecular dynamics from a spec: seeded, resumable.

A run is cut into segments. In each the engine of the spec starts afresh from the saved state of the last one, with a random seed drawn
from (spec seed, segment), so a run that was killed and resumed gives the same trajectory, bit for bit, as one that was not.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import xarray as xr

from .. import __version__, parallel
from ..data import trajectory
from ..errors import MlcgmdError
from ..paths import alone, atomic, read_npz
from ..progress import bar
from .engine import LENGTH, Spec, State, steps_of

SEGMENT = 100
"""Frames per segment: what a kill can cost."""
PATIENCE = 6
"""Most times that half of a run is given up because it still drifts."""


def run_md(spec: Spec, path: Path | str, progress: bool = False, drifts: Callable[[xr.Dataset], str] | None = None) -> Path:
    """Run MD from ``spec`` and save the trajectory at ``path``; resume what a kill left behind.

    Finished segments wait in ``path + ".partial/"`` and go when the trajectory is complete. An
    existing ``path`` made from the same spec is kept; from another spec, it raises.

    Args:
        spec: of the system.
        path: of the trajectory.
        progress: show a bar.
        drifts: says what is not in equilibrium in a trajectory, "" if all is. As long as something is not, the first half is given up and
            as much again is run, at most :data:`PATIENCE` times; the provenance tells the time that was ``given_up``.

    Raises:
        MlcgmdError: a duration that is not a whole number of steps or frames, a box smaller than twice the cutoff, a run that drifts
            to the end, or ``path`` belongs to another spec.
        DivergedError: the integration became unstable.
    """
    path = Path(path)
    engine = spec.engine
    provenance = {"engine": engine.version(), "spec": dataclasses.asdict(spec), "mlcgmd": __version__}  # type: ignore[call-overload]
    if path.exists():
        if json.loads(trajectory.load(path).attrs["provenance"])["spec"] != json.loads(json.dumps(provenance["spec"])):
            raise MlcgmdError(f"{path} was made from another spec; move it away to make it anew")
        return path
    n_frames = round(spec.length / spec.frame_interval)
    if n_frames < 1 or abs(n_frames * spec.frame_interval - spec.length) > 1e-6 * spec.length:
        raise MlcgmdError(f"{spec.name}: the length {spec.length:g} is not a multiple of the frame interval {spec.frame_interval:g}")
    steps_of(spec, spec.frame_interval)
    work = path.with_name(path.name + ".partial")
    with alone(work, "MD run"):
        label = work / "spec.json"
        text = json.dumps(provenance, sort_keys=True)
        if label.exists() and label.read_bytes() != text.encode():
            for old in work.glob("*.npz"):
                old.unlink()
        with atomic(label) as temporary:
            temporary.write_text(text, encoding="utf-8")
        state = _resume(work / "start.npz")
        if state is None:
            state, log = engine.equilibrate()
            _write(work / "start.npz", {f"equilibration_{name}": values for name, values in log.items()}, state)
        segments, made = _segments(n_frames), 0
        while True:
            with bar(sum(segments[made:]), spec.name, "frame", progress) as shown:
                for k in range(made, len(segments)):
                    chunk = work / f"{k:05d}.npz"
                    if (done := _resume(chunk)) is not None:
                        state = done
                    else:
                        arrays, state = engine.segment(k, segments[k], state)
                        _write(chunk, arrays, state)
                    shown.update(segments[k])
            made = len(segments)
            given_up = sum(segments) - n_frames
            later = {"given_up": given_up * spec.frame_interval} if given_up else {}
            run = _assemble(spec, work, made, n_frames, state.box, provenance | later)
            if not (why := drifts(run) if drifts else ""):
                break
            if given_up >= PATIENCE * (n_frames // 2):
                raise MlcgmdError(
                    f"{spec.name} still drifts after {sum(segments) * spec.frame_interval:g}: {why}; give it a longer equilibration, or"
                    f" leave it out. What is there is kept in {work}"
                )
            segments += _segments(n_frames // 2)
        trajectory.save(run, path)
        shutil.rmtree(work)
    return path


def _segments(frames: int) -> list[int]:
    """Frames of each segment."""
    return [min(SEGMENT, frames - first) for first in range(0, frames, SEGMENT)]


def _write(path: Path, arrays: dict[str, np.ndarray], state: State) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays, **{f"last_{name}": value for name, value in vars(state).items()})  # type: ignore[arg-type]


def _resume(path: Path) -> State | None:
    """The state at the end of a segment; None if it is missing or damaged, so that it is made again."""
    saved = read_npz(path)
    return None if saved is None else State(saved["last_position"], saved["last_velocity"], saved["last_box"])


def _assemble(spec: Spec, work: Path, n_segments: int, n_frames: int, box: np.ndarray, provenance: dict) -> xr.Dataset:
    """The last ``n_frames`` of the segments."""
    chunks = [dict(np.load(work / f"{k:05d}.npz")) for k in range(n_segments)]
    kinds, mass, bond = spec.topology()
    scale = LENGTH[spec.units]
    position = scale * np.concatenate([c["position"] for c in chunks])[-n_frames:]
    if len(box):
        # Momentum is zero up to the thermostat's noise of one step; what that adds up to is no motion of the system.
        centre = np.average(position, axis=1, weights=mass)
        position -= (centre - centre[0])[:, None].astype(np.float32)
    dataset = trajectory.make(
        position,
        time=spec.frame_interval * np.arange(1, len(position) + 1),
        particle_type=kinds,
        type_name=spec.type_name,
        mass=mass,
        bond=bond,
        component=spec.component(),
        component_name=spec.component_name,
        charge=spec.charge,
        box=scale * box if len(box) else None,
        system=spec.name,
        units=spec.units,
        provenance=provenance,
        condition=spec.condition,
    )
    for name in [key for key in ("kinetic_energy", "potential_energy") if key in chunks[0]]:
        dataset[name] = ("frame", np.concatenate([c[name] for c in chunks])[-n_frames:].astype(np.float32))
    with np.load(work / "start.npz") as start:
        if "equilibration_volume" in start:
            dataset["equilibration_potential_energy"] = ("equilibration", start["equilibration_potential_energy"].astype(np.float32))
            dataset["equilibration_volume"] = ("equilibration", (scale**3 * start["equilibration_volume"]).astype(np.float32))
    return dataset


def run_many(
    jobs: Sequence[tuple[Spec, Path]], processes: int | None = None, drifts: Callable[[xr.Dataset], str] | None = None
) -> list[Path]:
    """Run :func:`run_md` on each (spec, path), with ``drifts`` as there, one process per core, with a progress bar.

    OpenMM's CPU platform hands work between two threads; held to one core that costs half as much as on two.
    """
    with parallel.one_core() if len(jobs) == 1 else nullcontext():
        parallel.each(run_md, [(*job, False, drifts) for job in jobs], processes, label="MD", unit="system")
    return [path for _, path in jobs]
