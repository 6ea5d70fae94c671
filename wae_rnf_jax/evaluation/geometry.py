"""The curved latent space of a trained model: its metric, its shortest paths, a plane of it.

Letters: B sentences, L words, V vocabulary, Z latent, P points, G grid.

All codes here are zk, which the decoder reads. Their metric is pulled back from what they decode
to, the features of `models/features.py`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.curves import Geodesic, curve_length, geodesic
from wae_rnf_jax.functional.distributions import StandardNormal
from wae_rnf_jax.functional.pullback import metric_log_magnification, pullback_metric
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.features import code_features

_STRAIGHT_REFINEMENT = 100  # pieces of a straight line when its length is measured
_TOLERANCE = 0.01  # of the geodesic: a relative error of its length below that of measuring it
_POSITION_STEP = 32  # positions are rounded up to it, so that few shapes are compiled


class Paths(NamedTuple):
    """The straight and the geodesic path between two codes.

    Attributes:
      straight_length: [] Fisher–Rao (or state) length of the image of the straight line.
      straight_error: [] its change when it is measured twice as finely.
      geodesic: the geodesic, its length and error among the rest.
    """

    straight_length: jax.Array
    straight_error: jax.Array
    geodesic: Geodesic


def check_flat_support(model: BoundModel, features: str = "fisher") -> None:
    """Raises InputError for a model whose codes do not fill R^Z, or have no such features."""
    if features == "state" and not model.has_state:
        raise InputError(
            "the decoder has no initial state to pull a metric back from: use --features=fisher"
        )
    if not isinstance(model.prior, StandardNormal):
        raise InputError(
            "this model's codes lie on the unit sphere, but geodesics and maps need codes in R^Z: "
            "follow the sphere with `wae-rnf interpolate --path=spherical`"
        )


class Plane(NamedTuple):
    """A plane of the latent space.

    Attributes:
      origin: [Z].
      axes: [2, Z], orthonormal.
    """

    origin: np.ndarray
    axes: np.ndarray

    def coordinates(self, points: np.ndarray) -> np.ndarray:
        """Projects points [..., Z] onto the plane: [..., 2]."""
        return (np.asarray(points) - self.origin) @ self.axes.T

    def points(self, coordinates: np.ndarray) -> np.ndarray:
        """Places coordinates [..., 2] in the latent space: [..., Z]."""
        return self.origin + np.asarray(coordinates) @ self.axes


def compared_paths(
    model: BoundModel,
    start: jax.Array,
    end: jax.Array,
    tokens: jax.Array,
    lengths: jax.Array,
    *,
    features: str = "fisher",
    num_points: int = 8,
    num_steps: int = 200,
) -> Paths:
    """The straight and the geodesic path between two codes.

    Args:
      model: with a latent code.
      start: [Z], a code zk.
      end: [Z].
      tokens: [B, L], the sentences whose words the decoder is forced to.
      lengths: [B], words of each.
      features: "fisher" or "state".
      num_points: P, knots of the geodesic's spline.
      num_steps: most iterations of the optimizer.

    Returns:
      Both paths' lengths and the geodesic's curve [P, Z].
    """
    return _compared_paths(
        model,
        start,
        end,
        tokens,
        lengths,
        features=features,
        num_positions=_num_positions(lengths),
        num_points=num_points,
        num_steps=num_steps,
    )


@functools.partial(
    jax.jit, static_argnames=("features", "num_positions", "num_points", "num_steps")
)
def _compared_paths(
    model, start, end, tokens, lengths, *, features, num_positions, num_points, num_steps
):
    decode = functools.partial(_decode, model, tokens, lengths, features, num_positions)
    ends = jnp.stack([start, end])
    straight, finer = (
        curve_length(decode, ends, refinement=times * _STRAIGHT_REFINEMENT) for times in (1, 2)
    )
    found = geodesic(
        decode, start, end, num_points=num_points, num_steps=num_steps, tolerance=_TOLERANCE
    )
    return Paths(straight, jnp.abs(finer - straight), found)


def pair_ratios(
    paths: Callable[[int, int], Paths],
    num_sentences: int,
    *,
    num_pairs: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """How much shorter geodesics are than straight lines, over random pairs of sentences.

    Args:
      paths: the paths between the codes of two sentences, given by their numbers.
      num_sentences: how many there are.
      num_pairs: pairs drawn, each of two different sentences.
      seed: of the draw.
      progress: called with (pairs done, pairs in all) after each.

    Returns:
      Of the pairs whose codes differ, `ratio`: geodesic over straight length, its `median` and
      `quartiles`; `share_shorter`: of those whose geodesic is shorter by more than both lengths'
      discretisation errors; `share_converged`. Of all, `num_pairs`; and `pairs`: the sentences'
      numbers with both lengths.

    Raises:
      InputError: fewer than 2 sentences, or no two of different codes.
    """
    if num_sentences < 2:
        raise InputError(
            f"a pair needs 2 sentences, but the number of sentences is {num_sentences}"
        )
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(num_pairs):
        i, j = (int(k) for k in rng.choice(num_sentences, 2, replace=False))
        found = jax.device_get(paths(i, j))
        pairs.append(
            {
                "sentences": [i, j],
                "straight": float(found.straight_length),
                "geodesic": float(found.geodesic.length),
                "error": float(found.straight_error + found.geodesic.length_error),
                "converged": bool(found.geodesic.converged),
            }
        )
        if progress is not None:
            progress(number + 1, num_pairs)
    straight, shortest, error, converged = (
        np.array([pair[name] for pair in pairs])
        for name in ("straight", "geodesic", "error", "converged")
    )
    differ = straight > 0  # a sentence can stand in a split twice
    if not differ.any():
        raise InputError(
            "the sentences of every pair have the same code: there are no paths between them"
        )
    lower, median, upper = np.percentile(shortest[differ] / straight[differ], (25, 50, 75))
    return {
        "ratio": {"median": float(median), "quartiles": [float(lower), float(upper)]},
        "share_shorter": float(np.mean((straight - shortest > error)[differ])),
        "share_converged": float(np.mean(converged[differ])),
        "num_pairs": num_pairs,
        "pairs": pairs,
    }


def principal_plane(codes: np.ndarray) -> Plane:
    """The plane of the two directions in which codes vary most; through three codes, theirs.

    Args:
      codes: [N, Z].

    Returns:
      The plane; its origin is the codes' mean, either axis' largest entry is positive.

    Raises:
      InputError: fewer than two latent dimensions, or codes that do not span a plane.
    """
    codes = np.asarray(codes, np.float64)
    origin = codes.mean(0)
    _, spread, directions = np.linalg.svd(codes - origin, full_matrices=False)
    if codes.shape[1] < 2:
        raise InputError("a plane needs at least 2 latent dimensions, but this model has 1")
    if len(spread) < 2 or spread[1] <= 1e-6 * spread[0] or spread[0] == 0:
        raise InputError("these codes lie on one line: they do not span a plane")
    axes = directions[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    return Plane(origin, axes * np.sign(largest))


def magnification_map(
    model: BoundModel,
    points: np.ndarray,
    tokens: jax.Array,
    lengths: jax.Array,
    *,
    features: str = "fisher",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The log-magnification ½·log|G(zk)| of the pullback metric over a grid.

    Args:
      model: with a latent code.
      points: [G, G', Z] codes.
      tokens: [B, L], the sentences whose words the decoder is forced to.
      lengths: [B], words of each.
      features: "fisher" or "state".
      progress: called with (points done, points in all) after each row.

    Returns:
      [G, G'] nats; NaN where the metric has not full rank in single precision.

    Raises:
      InputError: the metric is degenerate at every point.
    """
    rows = []
    for number, row in enumerate(jnp.asarray(points, jnp.float32), start=1):
        rows.append(
            np.asarray(
                _log_magnifications(
                    model,
                    row,
                    tokens,
                    lengths,
                    features=features,
                    num_positions=_num_positions(lengths),
                )
            )
        )
        if progress is not None:
            progress(number * points.shape[1], points.shape[0] * points.shape[1])
    found = np.stack(rows)
    if not np.isfinite(found).any():
        raise InputError(
            "the metric is degenerate everywhere on this plane: some latent dimensions "
            "have no effect on what is decoded, as after a collapse of the posterior"
        )
    return found


@functools.partial(jax.jit, static_argnames=("features", "num_positions"))
def _log_magnifications(model, codes, tokens, lengths, *, features, num_positions):
    decode = functools.partial(_decode, model, tokens, lengths, features, num_positions)
    return jax.lax.map(lambda z: metric_log_magnification(pullback_metric(decode, z)), codes)


def _decode(model, tokens, lengths, features, num_positions, z):
    return code_features(model, z, tokens, lengths, features=features, num_positions=num_positions)


def _num_positions(lengths: jax.Array) -> int:
    """Positions of sentences that are scored, their ends included, rounded up."""
    return -(-int(np.sum(np.asarray(lengths) + 1)) // _POSITION_STEP) * _POSITION_STEP


@functools.partial(jax.jit, static_argnames="features")
def volume_changes(
    model: BoundModel,
    z0: jax.Array,
    tokens: jax.Array,
    lengths: jax.Array,
    *,
    features: str = "fisher",
) -> tuple[jax.Array, jax.Array]:
    """What the flow does to the volume at codes, and the magnification of what they decode to.

    Args:
      model: with a latent code.
      z0: [B, Z], codes before the flow, one a sentence.
      tokens: [B, L].
      lengths: [B], words of each.
      features: "fisher" or "state".

    Returns:
      Σ log|det J| of the flow [B], and ½·log|G(zk)| of each code, teacher-forced on its own
      sentence [B]; nats.
    """
    zk, log_det = model.flow_forward(z0)

    def magnification(example: tuple[jax.Array, ...]) -> jax.Array:
        z, tokens, length = example
        sentence = tokens[None], length[None]
        decode = functools.partial(_decode, model, *sentence, features, None)
        return metric_log_magnification(pullback_metric(decode, z))

    return log_det, jax.lax.map(magnification, (zk, tokens, lengths))
