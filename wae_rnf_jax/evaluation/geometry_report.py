"""The report of `wae-rnf geometry`: paths, picture and results of one trained model."""

import functools
import textwrap
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.decoding import decoded_sentences
from wae_rnf_jax.evaluation.geometry import (
    Paths,
    Plane,
    check_flat_support,
    compared_paths,
    magnification_map,
    pair_ratios,
    principal_plane,
    volume_changes,
)
from wae_rnf_jax.evaluation.latent_space import (
    encode_sentences,
    interpolate,
    sentence_arrays,
)
from wae_rnf_jax.evaluation.plane_picture import PlanePicture
from wae_rnf_jax.evaluation.splits import random_rows, token_split
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.curves import resampled_curve
from wae_rnf_jax.runs.trained_model import TrainedModel

UNITS = {"fisher": "Fisher–Rao", "state": "decoder state"}
_BETWEEN = "  |  "  # the columns of two paths
Progress = Callable[[str, int, int], None]  # stage, done, in all


class Report(NamedTuple):
    """What is said of a model's latent space.

    Attributes:
      picture: of the latent plane.
      results: both paths' lengths and sentences, the correlation and, where asked for, the
        statistics over pairs.
      unknown: for each given sentence, the words read as `<unk>`.
    """

    picture: PlanePicture
    results: dict[str, Any]
    unknown: tuple[tuple[str, ...], ...]


def geometry_report(
    trained: TrainedModel,
    start: str,
    end: str,
    *,
    through: str | None = None,
    features: str = "fisher",
    grid: int = 32,
    num_codes: int = 300,
    num_points: int = 7,
    num_knots: int = 8,
    num_pairs: int = 0,
    num_shown: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Measures and draws the latent space between two sentences; writes nothing.

    Args:
      trained: a model with at least two latent dimensions; any centers it has are shown.
      start: text.
      end: text.
      through: a third sentence for the plane to go through; the principal axes if None.
      features: "fisher" or "state", what the metric is pulled back from.
      grid: points of the map along either axis.
      num_codes: validation sentences whose codes are shown and measured.
      num_points: sentences decoded along each path.
      num_knots: of the geodesic's spline.
      num_pairs: random pairs of test sentences; 0 for none.
      num_shown: how many of these pairs have their paths decoded.
      seed: of pairs and codes.
      progress: called with (stage, done, in all).

    Raises:
      InputError: as `encode_sentences`, for one latent dimension, equal sentences, or a metric
        that is degenerate everywhere.
    """
    model, corpus, system = trained.model, trained.corpus, trained.config["system"]
    valid = token_split(trained, "valid")
    check_flat_support(model, features)
    if model.latent_dim == 1:
        raise InputError("a plane needs at least 2 latent dimensions, but this model has 1")
    if start.split() == end.split():
        raise InputError("--start and --end are the same sentence: there is no path between them")
    tell = progress or (lambda stage, done, total: None)
    given = [start, end, *([through] if through else [])]
    encoded = encode_sentences(trained, given)
    rows = random_rows(valid, num_codes, seed=seed)
    shown = [corpus.vocabulary.decode(valid.sentence(row)) for row in rows]
    codes = encode_sentences(trained, shown)
    ends = sentence_arrays(corpus.vocabulary, given[:2])
    find = functools.partial(compared_paths, model, features=features, num_points=num_knots)
    paths = jax.device_get(find(*encoded.zk[:2], *ends))
    describe = functools.partial(_path_results, trained, num_points)
    results = {
        "system": system,
        "features": features,
        "paths": describe(paths),
        "correlation": _correlation(model, corpus, shown, codes, features, seed),
    }
    plane = principal_plane(encoded.zk if through else codes.zk)
    picture = _picture(model, plane, codes.zk, trained.centers, paths, ends, grid, features, tell)
    labels = None if valid.labels is None else [corpus.labels[n] for n in valid.labels[rows]]
    if num_pairs:
        count = {"num_pairs": num_pairs, "num_shown": num_shown}
        results["pairs"] = _pairs(trained, find, describe, tell, seed, **count)
    where = "plane through three sentences" if through else "plane of the principal axes"
    picture = picture._replace(
        labels=labels,
        given=plane.coordinates(encoded.zk),
        sentences=given,
        title=f"{system}: {where}",
    )
    return Report(picture, results, encoded.unknown)


def side_by_side(paths: Mapping[str, Any], features: str, *, width: int) -> str:
    """Both decoded paths in two columns headed by their lengths.

    Args:
      paths: as in the report's results.
      features: of the metric, whose unit the lengths have.
      width: of a line, at most; longer sentences go on, indented, on the next.

    Returns:
      Text without a final newline.
    """
    straight, geodesic = paths["straight"], paths["geodesic"]
    heads = [
        f"straight path, {UNITS[features]} length {straight['length']:.3f}",
        f"geodesic, {UNITS[features]} length {geodesic['length']:.3f}",
    ]
    rows = [heads, *zip(straight["sentences"], geodesic["sentences"], strict=True)]
    half = max(20, (width - len(_BETWEEN)) // 2)

    def wrapped(sentence: str) -> list[str]:
        return textwrap.wrap(sentence, half, subsequent_indent="  ") or [""]

    lines = [pair for row in rows for pair in zip_longest(*map(wrapped, row), fillvalue="")]
    column = max(len(left) for left, _ in lines)
    return "\n".join(f"{left.ljust(column)}{_BETWEEN}{right}".rstrip() for left, right in lines)


def pairs_in_words(pairs: Mapping[str, Any]) -> str:
    """The statistics over pairs, as in the report's results, in one sentence."""
    lower, upper = pairs["ratio"]["quartiles"]
    return (
        f"geodesic over straight length, {pairs['num_pairs']} pairs: median "
        f"{pairs['ratio']['median']:.3f}, quartiles {lower:.3f} to {upper:.3f}; "
        f"{pairs['share_shorter']:.0%} shorter by more than the error of measurement; "
        f"{pairs['share_converged']:.0%} converged"
    )


def decoded_paths(
    trained: TrainedModel, num_points: int, paths: Paths
) -> tuple[list[str], list[str]]:
    """So many sentences along the straight path and along the geodesic, ends included."""
    curve = jnp.asarray(paths.geodesic.curve)
    straight, geodesic = (
        list(decoded_sentences(trained, line, batch_size=num_points))
        for line in (
            interpolate(curve[0], curve[-1], num_points=num_points),
            resampled_curve(curve, num_points=num_points),
        )
    )
    return straight, geodesic


def _path_results(trained: TrainedModel, num_points: int, paths: Paths) -> dict[str, Any]:
    straight, geodesic = decoded_paths(trained, num_points, paths)
    return {
        "straight": {
            "length": float(paths.straight_length),
            "error": float(paths.straight_error),
            "sentences": straight,
        },
        "geodesic": {
            "length": float(paths.geodesic.length),
            "error": float(paths.geodesic.length_error),
            "energy": float(paths.geodesic.energy),
            "iterations": int(paths.geodesic.num_iterations),
            "converged": bool(paths.geodesic.converged),
            "sentences": geodesic,
        },
    }


def _correlation(model, corpus, sentences, codes, features, seed) -> float | None:
    """Of the flow's Σ log|det J| with ½·log|G(zk)|; None where one of them does not vary."""
    tokens, lengths = sentence_arrays(corpus.vocabulary, sentences)
    z0 = codes.posterior.sample(jax.random.split(random_key(seed), len(sentences)))
    log_det, magnification = (
        np.asarray(values, np.float64)
        for values in volume_changes(model, z0, tokens, lengths, features=features)
    )
    known = np.isfinite(magnification)
    if known.sum() < 3 or log_det[known].std() < 1e-6 or magnification[known].std() < 1e-6:
        return None
    return float(np.corrcoef(log_det[known], magnification[known])[0, 1])


def _picture(
    model, plane: Plane, codes, centers, paths: Paths, ends, grid, features, tell
) -> PlanePicture:
    shown = plane.coordinates(codes)
    geodesic = np.asarray(resampled_curve(jnp.asarray(paths.geodesic.curve), num_points=100))
    curves = {
        "straight": plane.coordinates(np.linspace(geodesic[0], geodesic[-1], 100)),
        "geodesic": plane.coordinates(geodesic),
    }
    inside = np.concatenate([np.percentile(shown, (1, 99), axis=0), *curves.values()])
    low, high = inside.min(0), inside.max(0)
    margin = 0.1 * (high - low).max()
    x, y = (np.linspace(low[i] - margin, high[i] + margin, grid) for i in (0, 1))
    points = plane.points(np.stack(np.meshgrid(x, y), -1))
    magnification = magnification_map(
        model,
        points,
        *ends,
        features=features,
        progress=functools.partial(tell, "map"),
    )
    if centers is not None:
        centers, _ = model.flow_forward(jnp.asarray(centers))
    return PlanePicture(
        x=x,
        y=y,
        log_magnification=magnification,
        codes=shown,
        labels=None,
        centers=np.zeros((0, 2)) if centers is None else plane.coordinates(centers),
        geodesic=curves["geodesic"],
        straight=curves["straight"],
        given=np.zeros((0, 2)),
        sentences=(),
        title="",
        magnification_label=f"log-magnification ½ log|G| ({UNITS[features]}, nats)",
        axis_labels=tuple(
            f"{name} axis of the plane ({share:.0%} of the codes' variance)"
            for name, share in zip(("first", "second"), _variance_shares(plane, codes), strict=True)
        ),
    )


def _variance_shares(plane: Plane, codes) -> np.ndarray:
    """The share of the codes' variance that lies along either axis, [2]."""
    codes = np.asarray(codes, np.float64)
    return plane.coordinates(codes).var(0) / codes.var(0).sum()


def _pairs(
    trained: TrainedModel, find, describe, tell, seed, *, num_pairs, num_shown
) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    vocabulary, test = trained.vocabulary, token_split(trained, "test")

    def paths(i: int, j: int) -> Paths:
        texts = [vocabulary.decode(test.sentence(k)) for k in (i, j)]
        codes = encode_sentences(trained, texts, batch_size=2).zk
        found = jax.device_get(find(*codes, *sentence_arrays(vocabulary, texts)))
        if len(shown) < num_shown:
            shown.append(describe(found))
        return found

    statistics = pair_ratios(
        paths,
        len(test),
        num_pairs=num_pairs,
        seed=seed,
        progress=functools.partial(tell, "pairs"),
    )
    return {**statistics, "shown": shown}
