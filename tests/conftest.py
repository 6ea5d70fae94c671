"""Settings of every test: four CPU devices, no rank promotion by accident, shared fixtures."""

import ctypes
import gc
import os
from importlib.metadata import version
from pathlib import Path

# Read by jax when it is first imported, so they are set before that. Four devices need as many
# threads to meet in a collective, which two cores would not give them by default (NPROC).
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["NPROC"] = "64"
# The tests compile much and compute little: LLVM's optimizations would cost most of their time, and
# the newer emitters of fused loops the most of what is left; one part of code a program is compiled
# faster than many. What is compiled twice in a run, or again in the next run, is kept beside
# pytest's own cache.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache/jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.03"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0"
    + " --xla_cpu_parallel_codegen_split_count=1"
    # Later versions have no others.
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10.")
)

import jax
import pytest

# JAX makes many small objects that live on, which the collector would go through again and again.
gc.set_threshold(100_000, 20, 50)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of whole runs come first: with short ones last, no worker waits long for another."""
    items.sort(key=lambda item: item.path.parent.name not in ("commands", "training"))


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_let_go():
    """Frees what was compiled, before Linux's limit of 65,530 mappings kills the process.

    The C library keeps freed memory unless it is told to give it back.
    """
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real corpora."""
    if not os.environ.get("WAE_RNF_DATA_DIR"):
        pytest.skip("WAE_RNF_DATA_DIR is not set: it names the folder that holds ptb/")
    return Path(os.environ["WAE_RNF_DATA_DIR"])


@pytest.fixture(scope="session")
def checkout_with_run(tmp_path_factory):
    """A folder with a tiny trained run of labelled sentences in `runs/reviews`."""
    from command_runs import train_arguments, write_labelled_text

    from wae_rnf_jax import cli

    folder = tmp_path_factory.mktemp("checkout")
    text = write_labelled_text(tmp_path_factory.mktemp("reviews"))
    workdir = folder / "runs" / "reviews"
    labelled = {"data.label": "leading", "train.num_epochs": 4}
    assert cli.main(train_arguments(text, workdir, "wae_nf", **labelled)) == 0
    return folder


@pytest.fixture
def x64():
    """Runs the test in double precision."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
