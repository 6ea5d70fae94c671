"""Checkpoints that are damaged, foreign, of an earlier version, or that the disk does not take."""

import errno
import gc
import os
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from tests.runs.test_sinks import files_of_at_most
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.checkpoint import Checkpoints, NotSaved, Progress, restored_model
from wae_rnf_jax.runs.snapshots import MANIFEST, check_snapshot
from wae_rnf_jax.training.recipe import TrainState

KEY = jax.random.key(3)
BEST = {2: 7.0, 3: 6.0}  # step -> bound


def state_at(step, size=4):
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        params={"w": jnp.arange(size * 300.0) * step},
        batch_stats={},
        opt_state=(optax.EmptyState(), {"count": jnp.asarray(step)}),
        codebook=None,
    )


def save(checkpoints, step):
    best = max((k for k in BEST if k <= step), default=None)
    progress = Progress(BEST.get(best), best, step - best if best else 0)
    checkpoints.save(state_at(step), jax.random.fold_in(KEY, step), progress, best=step in BEST)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("template")
    checkpoints = Checkpoints(workdir, run="a")
    for step in (1, 2, 3, 4):
        save(checkpoints, step)
    return workdir


@pytest.fixture
def workdir(template, tmp_path):
    return shutil.copytree(template, tmp_path / "run")


def present(workdir):
    return sorted(
        path.relative_to(workdir / "checkpoints").as_posix() for path in snapshots(workdir)
    )


def snapshots(workdir):
    return list((workdir / "checkpoints").glob("[!.]*/*"))


def restored(workdir, run="a", size=4):
    found = Checkpoints(workdir, run=run).restore(state_at(0, size), KEY)
    if found is None:
        return None
    state, rng, progress = found
    step = int(state.step)
    jax.tree.map(np.testing.assert_array_equal, state, state_at(step, size))
    wanted = jax.random.key_data(jax.random.fold_in(KEY, step))
    np.testing.assert_array_equal(jax.random.key_data(rng), wanted)
    return step, progress


def data_file(path):
    return max((file for file in path.rglob("*") if file.is_file()), key=lambda f: f.stat().st_size)


def cut(path):
    os.truncate(data_file(path), data_file(path).stat().st_size // 2)


def flipped_bit(path):
    content = bytearray(data_file(path).read_bytes())
    content[-20] ^= 1
    data_file(path).write_bytes(content)


DAMAGES = {
    "cut": cut,
    "one bit": flipped_bit,
    "file gone": lambda path: data_file(path).unlink(),
    "state gone": lambda path: shutil.rmtree(path / "state"),
    "manifest cut": lambda path: os.truncate(path / MANIFEST, 50),
    "manifest of no digests": lambda path: (path / MANIFEST).write_text("[]"),
    "empty": lambda path: [shutil.rmtree(path), path.mkdir()],
}


def test_two_of_each_kind_are_kept_and_the_newest_is_restored(workdir):
    assert present(workdir) == ["best/2", "best/3", "latest/3", "latest/4"]
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["best", "latest"]
    assert Checkpoints(workdir, run="a").latest_step() == 4
    assert restored(workdir) == (4, Progress(6.0, 3, 1))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_one_before_a_damaged_one_serves_and_the_run_goes_on(workdir, damage, capsys):
    newest = workdir / "checkpoints" / "latest" / "4"
    damage(newest)
    assert restored(workdir) == (3, Progress(6.0, 3, 0))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{newest} " in said
    assert f"continuing from {newest.with_name('3')}" in said
    assert not newest.exists()
    save(Checkpoints(workdir, run="a"), 4)
    assert restored(workdir) == (4, Progress(6.0, 3, 1))
    assert not capsys.readouterr().err


def test_the_best_serves_where_no_latest_is_whole(workdir, capsys):
    for step in (3, 4):
        cut(workdir / "checkpoints" / "latest" / str(step))
    assert restored(workdir) == (3, Progress(6.0, 3, 0))
    assert capsys.readouterr().err.count("continuing from") == 2
    assert present(workdir) == ["best/2", "best/3"]


def test_where_none_is_whole_nothing_is_removed(workdir):
    for path in snapshots(workdir):
        cut(path)
    before = present(workdir)
    with pytest.raises(
        InputError, match=r"no checkpoint is intact: .*latest/4 is damaged"
    ) as error:
        restored(workdir)
    assert "\n" not in str(error.value)
    assert present(workdir) == before
    with pytest.raises(InputError, match=r"no checkpoint is intact: .*best/3 is damaged"):
        restored_model(workdir / "checkpoints", "best", run="a")


def test_a_checkpoint_of_another_run_is_refused_in_one_sentence(workdir):
    other = "latest/4 is a checkpoint of a run with another configuration than"
    with pytest.raises(InputError, match=other):
        restored(workdir, run="b")
    with pytest.raises(InputError, match=other):
        restored_model(workdir / "checkpoints", "last", run="b")
    with pytest.raises(InputError, match="does not fit this version's model") as error:
        restored(workdir, size=5)
    assert "\n" not in str(error.value)
    assert present(workdir) == ["best/2", "best/3", "latest/3", "latest/4"]


def test_checkpoints_without_a_manifest_are_read_if_they_can_be(workdir, capsys):
    for path in snapshots(workdir):
        (path / MANIFEST).unlink()
    assert restored(workdir) == (4, Progress(6.0, 3, 1))
    (workdir / "checkpoints" / "latest" / "4" / "state" / "manifest.ocdbt").unlink()
    assert restored(workdir) == (3, Progress(6.0, 3, 0))
    said = capsys.readouterr().err
    assert "latest/4 cannot be read (" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "lost, progress, said",
    [
        (
            ["best/3"],
            Progress(6.0, 3, 1),
            "step 3, is missing or damaged: restored from the latest",
        ),
        (["best/3", "latest/3"], Progress(7.0, 2, 1), "the best is now step 2"),
        (["best/2", "best/3", "latest/3"], Progress(None, None, 1), "now the next one measured"),
    ],
)
def test_training_does_not_rely_on_a_best_that_is_lost(workdir, lost, progress, said, capsys):
    for name in lost:
        cut(workdir / "checkpoints" / name)
    assert restored(workdir) == (4, progress)
    assert said in capsys.readouterr().err
    assert restored(workdir) == (4, progress)


def test_a_lost_best_is_no_reason_to_validate_again(tmp_path):
    checkpoints = Checkpoints(tmp_path, run="a")
    for step, progress in ((2, Progress(7.0, 2, 0, 2)), (3, Progress(6.0, 3, 0, 3))):
        rng = jax.random.fold_in(KEY, step)
        checkpoints.save(state_at(step), rng, progress, best=True)
    for step in (4, 5):
        rng = jax.random.fold_in(KEY, step)
        checkpoints.save(state_at(step), rng, Progress(6.0, 3, step - 3, step), best=False)
    cut(tmp_path / "checkpoints" / "best" / "3")
    assert restored(tmp_path) == (5, Progress(7.0, 2, 2, 5))


@pytest.mark.parametrize(
    "select, lost, step, used",
    [
        ("best", [], 3, ""),
        ("best", ["best/3"], 3, "using .*latest/3"),
        ("best", ["best/3", "latest/3"], 2, "using .*best/2"),
        ("best", ["best/3", "latest/3", "best/2"], 4, "using .*latest/4"),
        ("last", ["latest/4"], 3, "using .*latest/3"),
    ],
)
def test_evaluation_names_what_it_uses_instead(workdir, select, lost, step, used, capsys):
    for name in lost:
        cut(workdir / "checkpoints" / name)
    variables, found, _ = restored_model(workdir / "checkpoints", select, run="a")
    assert found == step
    np.testing.assert_array_equal(variables["params"]["w"], state_at(step).params["w"])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(lost)
    for text in said:
        assert re.search(used, text)


def test_evaluation_before_the_first_checkpoint_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        restored_model(tmp_path / "checkpoints", "best", run="a")
    assert restored(tmp_path) is None


def test_what_a_kill_left_is_removed_and_never_read(workdir, capsys):
    folder = workdir / "checkpoints"
    shutil.copytree(folder / "latest" / "4", folder / ".unfinished" / "latest")
    shutil.copytree(folder / "latest" / "4", folder / "latest" / "5.orbax-checkpoint-tmp")
    shutil.copytree(folder / "latest" / "4", folder / "best" / "5.orbax-checkpoint-tmp-17")
    assert restored(workdir) == (4, Progress(6.0, 3, 1))
    assert present(workdir) == ["best/2", "best/3", "latest/3", "latest/4"]
    assert not (folder / ".unfinished").exists()
    assert not capsys.readouterr().err


def test_a_kill_while_the_oldest_is_removed_leaves_no_part_and_no_third_one(workdir, monkeypatch):
    class Killed(BaseException):
        pass

    def killed_at_the_first_file(path, **options):
        for file in filter(Path.is_file, path.rglob("*")):
            file.unlink()
            raise Killed

    checkpoints = Checkpoints(workdir, run="a")
    shutil.copytree(workdir / "checkpoints/best/2", workdir / "checkpoints/best/1")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed_at_the_first_file)
        with pytest.raises(Killed):
            save(checkpoints, 5)
    for path in snapshots(workdir):
        check_snapshot(path, run="a")
    assert restored(workdir)[0] == 5
    assert present(workdir) == ["best/2", "best/3", "latest/4", "latest/5"]
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["best", "latest"]


def test_a_disk_that_takes_no_more_leaves_what_was_saved(workdir, monkeypatch, capfd):
    checkpoints = Checkpoints(workdir, run="a")
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    refused = r"step 5 could not be saved \(File too large\)"
    for size in (100, 1000):  # met by Python, and by TensorStore
        with files_of_at_most(size), pytest.raises(NotSaved, match=refused):
            save(checkpoints, 5)
    gc.collect()
    assert not capfd.readouterr().err  # no traceback of Orbax's threads and tasks either

    def full(self, directory, args):
        (directory.parent / "part").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", full)
        with pytest.raises(NotSaved, match=r"step 5 .*\(No space left on device\)"):
            save(checkpoints, 5)
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before
    save(checkpoints, 5)
    assert restored(workdir) == (5, Progress(6.0, 3, 2))
    assert present(workdir) == ["best/2", "best/3", "latest/4", "latest/5"]
