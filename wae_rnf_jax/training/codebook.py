"""Centers and bandwidth of the RBF metric, kept and refreshed inside the training state.

Letters: B batch, Z latent, C centers, M codes remembered.

The centers are k-means centers of this model's own posterior means on its training sentences. The
last M means lie in a ring buffer that every step writes; from `warm_up` on, every `refresh_every`
steps, the centers are found anew. All of it is inside the step: nothing to resume apart, and no
gradient runs through it.

The bandwidth is h² = ½·E‖z0 − c‖², over codes z0 drawn from the posteriors, because it is at such
draws that the metric is read: ½·(mean ‖mean − c‖² + mean Σσ²). From the means alone it would be so
small, where posteriors are wide, that every draw lies far from all centers and the metric is flat.
Of fixed centers, it is that of draws from the prior, which the codes as a whole are to follow.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.clustering import kmeans
from wae_rnf_jax.functional.riemannian import Codebook, rbf_bandwidth

_DRAWS_OF_PRIOR = 4096  # that the bandwidth of fixed centers is taken from


class CodebookSettings(NamedTuple):
    """Sizes and times of the codebook; `num_centers` 0 is none, `refresh_every` 0 is fixed."""

    num_centers: int
    num_codes: int
    warm_up: int
    refresh_every: int
    num_iterations: int
    floor: float


def initial_codebook(
    settings: CodebookSettings, dim: int, centers: jax.Array | None = None
) -> Codebook | None:
    """Returns the codebook before its first refresh, or None for a system without centers.

    Args:
      settings: sizes and times.
      dim: Z.
      centers: [C, Z] where they are fixed, else None.
    """
    if not settings.num_centers:
        return None
    fixed = not settings.refresh_every
    if centers is None:
        centers = jnp.zeros((settings.num_centers, dim))
    bandwidth = jnp.ones(())
    if fixed:
        of_prior = jax.random.normal(random_key(0), (_DRAWS_OF_PRIOR, dim))
        bandwidth = rbf_bandwidth(of_prior, centers)
    return Codebook(
        codes=None if fixed else jnp.zeros((settings.num_codes, dim)),
        spreads=None if fixed else jnp.zeros((settings.num_codes,)),
        centers=centers,
        bandwidth=bandwidth,
        floor=jnp.asarray(settings.floor, jnp.float32),
        ready=jnp.asarray(fixed),
    )


def late_codebook(settings: CodebookSettings, num_steps: int) -> str | None:
    """What is wrong where a run has no codebook for half of its steps; None where nothing is.

    Args:
      settings: sizes and times.
      num_steps: of the run.
    """
    if not (settings.num_centers and settings.refresh_every) or settings.warm_up <= num_steps / 2:
        return None
    if settings.warm_up < num_steps:
        late = f"centers are found at codebook.warm_up, step {settings.warm_up:,} of {num_steps:,}"
        effect = "before that, the Riemannian regularizer does nothing"
    else:
        late = f"the run ends at step {num_steps:,}, before codebook.warm_up ({settings.warm_up:,})"
        effect = "it never finds centers, and the Riemannian regularizer does nothing"
    return f"{late}: {effect}; set codebook.warm_up to about the step at which λ begins to rise"


def updated_codebook(
    codebook: Codebook | None,
    centers: jax.Array,
    spreads: jax.Array,
    where: jax.Array,
    step: jax.Array,
    key: jax.Array,
    *,
    settings: CodebookSettings,
    axis_name: str | None,
) -> Codebook | None:
    """Remembers this batch's codes without noise and, when due, finds the codebook's centers anew.

    Args:
      codebook: the present one.
      centers: [B, Z] codes without noise of this device's rows, their posteriors' centers.
      spreads: [B] their posteriors' spreads, E‖z − center‖².
      where: [B] valid rows; others are not remembered.
      step: [] the step that is being taken, from 0.
      key: for the seeding of k-means.
      settings: sizes and times.
      axis_name: mapped axis of the batch, or None.

    Returns:
      The codebook after the step, the same on every device.
    """
    if codebook is None or codebook.codes is None:
        return codebook
    seen = jax.lax.stop_gradient((centers, spreads, where))
    if axis_name is not None:  # as one array: a gather costs its start more than its bytes
        rows = jnp.column_stack(seen)
        rows = jax.lax.all_gather(rows, axis_name, tiled=True, to="invarying")
        seen = rows[:, :-2], rows[:, -2], rows[:, -1] > 0
    means, spreads, where = seen
    batch, num_codes = len(means), settings.num_codes
    rows = (step * batch + jnp.arange(batch)) % num_codes
    means = jnp.where(where[:, None], means, codebook.codes[rows])
    spreads = jnp.maximum(spreads, jnp.finfo(spreads.dtype).tiny)
    spreads = jnp.where(where, spreads, codebook.spreads[rows])
    codebook = codebook._replace(
        codes=codebook.codes.at[rows].set(means), spreads=codebook.spreads.at[rows].set(spreads)
    )

    filled = codebook.spreads > 0

    def refreshed(book: Codebook) -> Codebook:
        centers, _ = kmeans(
            key,
            book.codes,
            num_clusters=settings.num_centers,
            num_iterations=settings.num_iterations,
            where=filled,
        )
        of_means = rbf_bandwidth(book.codes, centers, where=filled)
        variance = jnp.where(filled, book.spreads, 0).sum() / filled.sum()
        bandwidth = jnp.sqrt(jnp.square(of_means) + variance / 2)
        return book._replace(centers=centers, bandwidth=bandwidth, ready=jnp.ones((), bool))

    due = (step >= settings.warm_up) & ((step - settings.warm_up) % settings.refresh_every == 0)
    return jax.lax.cond(due & filled.any(), refreshed, lambda book: book, codebook)
