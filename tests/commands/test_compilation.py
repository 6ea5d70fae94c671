"""Where the command keeps compiled programs; that it does is seen in `test_faults`."""

import jax
import pytest

from wae_rnf_jax.commands.compilation import DIRECTORY, enable_compilation_cache

KEYS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def settings(monkeypatch):
    """JAX's settings of the cache, as values; they are restored after the test."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    before = {key: getattr(jax.config, key) for key in KEYS}
    yield lambda: {key: getattr(jax.config, key) for key in KEYS}
    for key, value in before.items():
        jax.config.update(key, value)


def test_the_users_cache_folder_unless_another_is_named(tmp_path, monkeypatch, settings, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    before = settings()
    with monkeypatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
        enable_compilation_cache()
        assert settings() == before
    enable_compilation_cache()
    assert settings()["jax_compilation_cache_dir"] == str(tmp_path / DIRECTORY.removeprefix("~/"))
    assert settings()["jax_persistent_cache_min_compile_time_secs"] == before[KEYS[1]]  # as set
    assert not capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch, settings, capsys):
    before = settings()
    (tmp_path / ".cache").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    enable_compilation_cache()
    assert settings() == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "compiled programs are not cached" in said
    assert "Not a directory" in said
