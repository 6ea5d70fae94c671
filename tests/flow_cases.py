"""Flow steps at ordinary and awkward parameters, in double precision."""

import numpy as np
import references

DIM = 4


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def planar_params(slope, seed=0):
    """A planar step with wᵀû = slope."""
    w, u = draw(seed, 2, DIM)
    u = u - (w @ u) * w / (w @ w)
    return {"u": u + references.softplus_inverse(1 + slope) * w / (w @ w), "w": w, "b": np.ones(())}


def radial_params(alpha_raw, beta_raw, seed=0):
    reference = draw(seed, DIM)
    return {
        "reference": reference,
        "alpha_raw": np.float64(alpha_raw),
        "beta_raw": np.float64(beta_raw),
    }


# name: (flow, parameters, least slope of the map's radial or planar part, s or β/α)
CASES = {
    "planar": ("planar", planar_params(1.5), 1.5),
    "planar expanding": ("planar", planar_params(60.0), 60.0),
    "planar identity": ("planar", planar_params(0.0), 0.0),
    "planar contracting": ("planar", planar_params(-0.9), -0.9),
    "planar nearly folded": ("planar", planar_params(-0.999), -0.999),
    "planar folded, wᵀu = -20": ("planar", planar_params(np.exp(-20) - 1), -1.0),
    "planar constant": ("planar", {**planar_params(0.5), "w": np.zeros(DIM)}, 0.0),
    "planar_paper": ("planar_paper", planar_params(1.5), 1.5),
    "planar_paper contracting": ("planar_paper", planar_params(-0.9), -0.9),
    "radial": ("radial", radial_params(0.5, 2.0), 1.0),
    "radial identity": ("radial", radial_params(0.5, 0.5), 0.0),
    "radial contracting": ("radial", radial_params(0.5, -1.8), -0.84),
    "radial nearly folded": ("radial", radial_params(0.5, -9.0), -0.9999),
}

# name: (flow, parameters, a point)
AWKWARD = {
    "planar, wᵀu = -20": ("planar", planar_params(np.exp(-20) - 1), draw(7, DIM)),
    "planar, wᵀu = -200": (
        "planar",
        {"u": -200 * np.eye(DIM)[0], "w": np.eye(DIM)[0], "b": np.zeros(())},
        np.zeros(DIM),
    ),
    "planar on the fold": (
        "planar",
        {**planar_params(np.exp(-20) - 1), "b": np.zeros(())},
        np.zeros(DIM),
    ),
    "planar, w = 0": ("planar", {**planar_params(0.5), "w": np.zeros(DIM)}, np.ones(DIM)),
    "planar far away": ("planar", planar_params(5.0), np.full(DIM, 1e4)),
    "radial at its reference": ("radial", radial_params(0.5, 2.0), draw(0, DIM)),
    "radial folded at its reference": ("radial", radial_params(0.5, -20.0), draw(0, DIM)),
    "radial far away": ("radial", radial_params(0.5, 2.0), np.full(DIM, 1e4)),
}
