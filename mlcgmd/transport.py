"""Transport: mean squared displacements, self-diffusion, ionic conductivity and transference.

Positions are unwrapped, in angstrom; times in ps; diffusion coefficients in cm^2/s.
"""

import numpy as np

CM2_PER_S = 1e-4
"""1 angstrom^2/ps in cm^2/s."""


def endpoint_diffusion(position: np.ndarray, duration: float) -> float:
    """Mean over particles of |r(T) - r(0)|^2 / (6 T) in cm^2/s, from ``position`` (F, n, 3) whose ends are ``duration`` T ps apart.

    The definition of TRI-AMDD/htp_md: the two ends only, no removal of the motion of the centre of mass.

    Raises:
        ValueError: not a trajectory of two or more frames of finite positions, or a duration that is not positive.
    """
    position = np.asarray(position)
    if position.ndim != 3 or position.shape[2] != 3 or len(position) < 2 or not position.shape[1]:
        raise ValueError(f"position must have shape (frames, particles, 3) with two or more frames, not {position.shape}")
    if not duration > 0:
        raise ValueError(f"the duration must be positive, not {duration}")
    step = position[-1].astype(np.float64) - position[0]
    if not np.isfinite(step).all():
        raise ValueError(f"particle {np.argwhere(~np.isfinite(step))[0][0]} is not finite in the first or last frame; cut the run")
    return float((step**2).sum(axis=1).mean() / (6 * duration) * CM2_PER_S)
