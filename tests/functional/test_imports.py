import subprocess
import sys

import pytest

import wae_rnf_jax

HEAVY = ("flax", "optax", "orbax", "grain", "tensorflow_datasets", "tensorflow", "matplotlib")


def test_the_package_loads_jax_when_it_is_used_and_never_a_heavier_library():
    program = (
        "import sys, wae_rnf_jax; print('jax' in sys.modules); from wae_rnf_jax import *;"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    before, after = done.stdout.splitlines()
    assert before == "False"
    assert {"jax", "wae_rnf_jax"} <= set(after.split())
    assert set(after.split()).isdisjoint(HEAVY)


PUBLIC = (*wae_rnf_jax.__all__, *wae_rnf_jax._WITH_FLAX)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_listed_name_exists(name):
    assert getattr(wae_rnf_jax, name).__doc__


def test_the_list_is_complete_and_sorted():
    """Everything public that __init__ imports from the functional package is listed."""
    public = {
        name
        for name in dir(wae_rnf_jax)
        if not name.startswith("_") and not isinstance(getattr(wae_rnf_jax, name), type(sys))
    }
    assert public == set(PUBLIC)
    for names in (wae_rnf_jax.__all__, wae_rnf_jax._WITH_FLAX):
        assert list(names) == sorted(names)
