"""In 64-bit mode a run is trained as without it, in single precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import of_corpus, stop_after, tiny_config
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.training import loop


def trained(config, workdir, *, double):
    jax.config.update("jax_enable_x64", double)
    try:
        return loop.train(config, workdir)
    finally:
        jax.config.update("jax_enable_x64", False)


@pytest.mark.slow
def test_a_run_may_change_the_mode_on_resuming(text_folder, tmp_path, monkeypatch):
    """Of the system with most parts: flow, batch norm, MMD, codebook."""
    config = of_corpus(tiny_config(), text_folder, tmp_path)
    config.posterior.batch_norm = True
    config.train.update(select="last", log_every=1)
    whole = trained(config, tmp_path / "whole", double=False)
    for first in (True, False):
        workdir = tmp_path / f"begun_{first}"
        with monkeypatch.context() as patch:
            stop_after(patch, 4)
            with pytest.raises(loop.Interrupted):
                trained(config, workdir, double=first)
        trained(config, workdir, double=not first)
        variables = [load_trained_model(path).model.variables for path in (whole, workdir)]
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
        jax.tree.map(np.testing.assert_array_equal, *variables)
