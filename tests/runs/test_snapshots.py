"""What is said of a checkpoint that was not written, cannot be read, or is another model's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs import orbax
from wae_rnf_jax.runs.snapshots import MANIFEST, Damaged, read_snapshot, write_snapshot
from wae_rnf_jax.runs.versions import fitted

STATE = {
    "params": {
        "w": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "b": np.float32([np.nan, -0.0]),
    },
    "opt": (optax.EmptyState(), optax.ScaleByScheduleState(np.array(3, np.int32))),
    "codebook": None,
}
PROGRESS = {"best_bound": 0.1, "best_step": None}


@pytest.fixture
def snapshot(tmp_path):
    write_snapshot(tmp_path / "3", STATE, PROGRESS, run="r")
    return tmp_path / "3"


def read_like(snapshot, like):
    state, progress = read_snapshot(snapshot, run="r")
    return fitted(state, like, place=str(snapshot)), progress


def test_a_state_comes_back_bit_for_bit_in_the_structure_asked_for(snapshot):
    like = jax.tree.map(jnp.zeros_like, STATE)
    state, progress = read_like(snapshot, like)
    assert progress == PROGRESS
    assert jax.tree.structure(state) == jax.tree.structure(like)
    for found, wanted in zip(jax.tree.leaves(state), jax.tree.leaves(STATE), strict=True):
        assert isinstance(found, np.ndarray)
        assert found.dtype == wanted.dtype
        assert np.asarray(found).tobytes() == wanted.tobytes()


def test_empty_fields_more_or_fewer_are_no_other_model(snapshot):
    like = {**STATE, "more": {}, "and": None, "opt": (*STATE["opt"], optax.EmptyState())}
    del like["codebook"]
    state, _ = read_like(snapshot, like)
    assert jax.tree.structure(state) == jax.tree.structure(like)


@pytest.mark.parametrize(
    "changed, said",
    [
        (
            {"w": np.zeros((2, 4), np.float32)},
            r"params/w is float32\[2, 3\] there and float32\[2, 4\] here",
        ),
        (
            {"w": np.zeros((2, 3), np.int32)},
            r"params/w is float32\[2, 3\] there and int32\[2, 3\] here",
        ),
        ({"c": np.zeros(1)}, r"params/c is absent there and float64\[1\] here"),
    ],
)
def test_another_model_is_told_by_its_first_array_that_differs(snapshot, changed, said):
    like = {**STATE, "params": {**STATE["params"], **changed}}
    with pytest.raises(
        InputError, match=rf"3 is intact but does not fit this version's .*\({said}\)"
    ):
        read_like(snapshot, like)
    without = {**STATE, "params": {"w": STATE["params"]["w"]}}
    with pytest.raises(InputError, match=r"\(params/b is float32\[2\] there and absent here\)"):
        read_like(snapshot, without)


def test_one_that_cannot_be_read_is_not_said_to_be_another_models(snapshot, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ocp.Checkpointer, "restore", fail)
    with pytest.raises(InputError, match=r"3 is intact but cannot be read .*open"):
        read_snapshot(snapshot, run="r")
    (snapshot / MANIFEST).unlink()
    with pytest.raises(Damaged, match=r"3 cannot be read \(Too many open files\)"):
        read_snapshot(snapshot, run="r")


def test_what_cannot_be_read_back_is_not_whole(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no such array")

    monkeypatch.setattr(ocp.Checkpointer, "restore", fail)
    with pytest.raises(OSError, match=r"^it cannot be read back: no such array$"):
        write_snapshot(tmp_path / "1", STATE, PROGRESS, run="r")


OTHERS = {
    "one array more": {**STATE, "codebook": np.zeros(1)},
    "one array less": {**STATE, "opt": ()},
    "another sign of zero": {
        **STATE,
        "params": {**STATE["params"], "b": np.float32([np.nan, 0.0])},
    },
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_read_back_as_another_one_is_not_whole(tmp_path, monkeypatch, other):
    save = orbax.save
    monkeypatch.setattr(orbax, "save", lambda path, state, progress: save(path, other, progress))
    with pytest.raises(OSError, match=r"^what is read back differs$"):
        write_snapshot(tmp_path / "1", STATE, PROGRESS, run="r")
