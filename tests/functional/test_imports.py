import subprocess
import sys

import pytest

import wae_rnf_jax

HEAVY = ("flax", "optax", "orbax", "grain", "tensorflow_datasets", "tensorflow", "matplotlib")


def test_importing_the_package_loads_no_heavy_library():
    program = "import sys, wae_rnf_jax; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert {"jax", "wae_rnf_jax"} <= loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", wae_rnf_jax.__all__)
def test_every_listed_name_exists(name):
    assert getattr(wae_rnf_jax, name).__doc__


def test_the_list_is_complete_and_sorted():
    """Everything public that __init__ imports from the functional package is listed."""
    public = {
        name
        for name, value in vars(wae_rnf_jax).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public == set(wae_rnf_jax.__all__)
    assert list(wae_rnf_jax.__all__) == sorted(wae_rnf_jax.__all__)
