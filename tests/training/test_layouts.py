"""The same numbers on any layout: devices, backends, micro-batches.

Everything is compared with the step that is not mapped at all. The cases, and the measure of
difference, are those of the benchmark that prints the table of the documents.
"""

import os
import re
import subprocess
import sys
from functools import cache, partial

import jax
import numpy as np
import pytest

from benchmarks import layouts
from benchmarks.layouts import BOUND, VALID, Layout, difference
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.parallel import BACKENDS, check_batch_size

ALONE = Layout(None)
outcome = cache(layouts.outcome)

# The whole matrix is the slow test below; these cover each kind of reduction by both backends.
MAPPED = [
    ("wae_rnf", Layout("pmap", 4)),
    ("wae_rnf", Layout("shard_map", 4)),
    ("lm", Layout("shard_map", 2)),
    ("vmf", Layout("shard_map", 2)),
    pytest.param("wae_vmf", Layout("pmap", 4), marks=pytest.mark.slow),
    pytest.param("dilated_cnn", Layout("pmap", 4), marks=pytest.mark.slow),
    pytest.param("bn_vae", Layout("shard_map", 2), marks=pytest.mark.slow),
    pytest.param("transformer", Layout("pmap", 2), marks=pytest.mark.slow),
    pytest.param("semi_amortized", Layout("shard_map", 4), marks=pytest.mark.slow),
    ("lagging", Layout("pmap", 4)),
]


@pytest.mark.parametrize("system, layout", MAPPED, ids=str)
def test_devices_and_backends_change_no_number(system, layout):
    assert jax.local_device_count() >= layout.num_devices
    actual, expected = outcome(system, layout), outcome(system, ALONE)
    assert difference(actual, expected) <= BOUND
    if system == "wae_rnf":
        assert bool(actual.state.codebook.ready)


@pytest.mark.parametrize("system", ["lm", pytest.param("wae_rnf", marks=pytest.mark.slow)])
def test_several_processes_change_no_number(system):
    """Two of two devices each, which reduce over all four."""
    found = layouts.outcomes_of_processes([system])
    assert found.keys() == {(system, backend) for backend in BACKENDS}
    for actual in found.values():
        assert difference(actual, outcome(system, ALONE)) <= BOUND


def test_pmap_and_shard_map_agree():
    one, other = (outcome("wae_rnf", Layout(backend, 4)) for backend in BACKENDS)
    assert difference(one, other) <= BOUND


@pytest.mark.parametrize("layout", [Layout("pmap", 4), Layout("shard_map", 2)], ids=str)
def test_groups_of_the_mmd_are_the_same_rows_on_any_layout(layout, monkeypatch):
    """Of four rows: two devices' of two, and one device's of four."""
    of_system, of_all = layouts.tiny_config, outcome("wae_vmf", ALONE)

    def grouped(system):
        config = of_system(system)
        config.train.mmd_group = 4
        return config

    monkeypatch.setattr(layouts, "tiny_config", grouped)
    layouts.first_state.cache_clear()
    alone = layouts.outcome("wae_vmf", ALONE)
    assert difference(layouts.outcome("wae_vmf", layout), alone) <= BOUND
    assert abs(alone.losses - of_all.losses).max() > 1e-4  # estimates of the same
    layouts.first_state.cache_clear()


def test_masks_are_the_same_on_any_layout(monkeypatch):
    """Those of words and of weights too, and in micro-batches."""
    of_system, without = layouts.tiny_config, outcome("vmf", ALONE)

    def dropping(system):
        config = of_system(system)
        config.model.update(dropout=0.3, locked_dropout=True, embedding_dropout=0.3)
        config.model.encoder_word_dropout = 0.3
        config.encoder.recurrent_dropout = config.decoder.recurrent_dropout = 0.3
        return config

    monkeypatch.setattr(layouts, "tiny_config", dropping)
    layouts.first_state.cache_clear()
    alone = layouts.outcome("vmf", ALONE)
    for layout in (Layout("pmap", 4), Layout("shard_map", 2, 2)):
        assert difference(layouts.outcome("vmf", layout), alone) <= BOUND
    assert abs(alone.losses - without.losses).max() > 1e-3
    layouts.first_state.cache_clear()


def test_the_measure_sees_a_single_wrong_tensor():
    expected = outcome("lm", ALONE)
    params = dict(expected.state.params, embedding=1.0001 * expected.state.params["embedding"])
    actual = expected._replace(state=expected.state.replace(params=params))
    assert difference(actual, expected) == pytest.approx(1e-4, rel=0.1)


@pytest.mark.parametrize(
    "system, layout",
    [
        ("wae_rnf", Layout("pmap", 4)),
        ("wae_rnf", Layout("shard_map", 2)),
        ("wae_vmf", Layout("pmap", 4)),
    ],
    ids=str,
)
def test_evaluation_counts_each_sentence_once_on_any_layout(system, layout):
    (sums, codes), (expected, expected_codes) = (
        layouts.evaluation(system, x) for x in (layout, ALONE)
    )
    assert sums["num_sentences"] == sum(VALID)
    assert sums.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(sums[name], value, rtol=1e-5, err_msg=name)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, codes, expected_codes)


@pytest.mark.slow
def test_micro_batches_take_the_step_of_the_whole_batch():
    """With dropout, and micro-batches of nothing but padding: no term of `vae` is a batch's."""
    for layout in (Layout(None, accumulate=4), Layout("shard_map", 2, accumulate=2)):
        assert difference(outcome("vae", layout), outcome("vae", ALONE)) <= BOUND


@pytest.mark.slow
def test_micro_batches_are_the_same_on_any_layout():
    """MMD and batch norm are the micro-batches' own, and those hold the same rows everywhere.

    Batch norm over four rows magnifies rounding.
    """
    alone = outcome("wae_rnf", Layout(None, accumulate=2))
    assert difference(outcome("wae_rnf", Layout("shard_map", 2, 2)), alone) <= 5 * BOUND
    assert difference(alone, outcome("wae_rnf", ALONE)) > 100 * BOUND  # estimates, as is said
    np.testing.assert_allclose(alone.losses, outcome("wae_rnf", ALONE).losses, rtol=0.3)


def test_groups_must_fit_the_rows_of_a_device():
    check_batch_size(32, 1, 4)
    check_batch_size(32, 1, 16)
    with pytest.raises(InputError, match=r"mmd_group is 3; it must divide the 32 sentences"):
        check_batch_size(32, 1, 3)
    with pytest.raises(InputError, match=r"mmd_group is 8; .* and divide the 6 of each device"):
        check_batch_size(24, 1, 8)


def test_devices_times_micro_batches_must_divide_the_batch():
    check_batch_size(8, 2)
    with pytest.raises(
        InputError, match=r"4 devices × 3 micro-batches do not divide.*multiple of 12"
    ):
        check_batch_size(8, 3)


@pytest.mark.slow
def test_every_system_on_every_layout():
    """Prints the table of docs/scaling.md."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8"}
    command = [sys.executable, "-m", "benchmarks.layouts"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    print(run.stdout)
    head, _, *rows = run.stdout.splitlines()
    assert re.findall(r"(\w+), D = (\d)", head) == [(b, d) for b in BACKENDS for d in "1248"]
    assert re.findall(r"(\w+), 2 × 2", head) == list(BACKENDS)
    assert [row.split("`")[1] for row in rows] == list(layouts.SYSTEMS)
    worst = [float(cell) for row in rows for cell in re.findall(r"\d\.\de[+-]\d+", row)]
    assert len(worst) == len(layouts.SYSTEMS) * len(BACKENDS) * 5
    assert max(worst) <= BOUND
