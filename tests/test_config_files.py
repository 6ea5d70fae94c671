"""Configurations are found by name, in a checkout and where the package is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wae_rnf_jax.config_files import loaded_config, shipped_folder, shipped_names
from wae_rnf_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
OWN = """
from configs import systems
from configs.grammar import base
from configs.beside import WIDTH

def get_config():
    config = systems.wae_nf(base.get_config())
    config.model.hidden_dim = WIDTH
    return config
"""


@pytest.mark.parametrize("name", ["grammar/lm", "configs/grammar/lm.py", "configs/grammar/lm"])
def test_one_of_the_package_is_found_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert loaded_config(name).system == "lm"


def test_a_file_goes_before_one_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "configs" / "grammar" / "lm.py"
    file.parent.mkdir(parents=True)
    file.write_text((ROOT / "configs/grammar/vae.py").read_text())
    assert loaded_config("configs/grammar/lm.py").system == "vae"


def test_one_of_ones_own_imports_the_packages_and_its_neighbors(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "beside.py").write_text("WIDTH = 17\n")
    (folder / "own.py").write_text(OWN)
    config = loaded_config(str(folder / "own.py"))
    assert (config.system, config.model.hidden_dim) == ("wae_nf", 17)


def test_what_is_no_configuration_is_refused(tmp_path):
    file = tmp_path / "own.py"
    for content in ("def get_config():\n    return {'train': {}}\n", "value = 1\n"):
        file.write_text(content)
        with pytest.raises(InputError, match=r"own\.py must define get_config\(\)"):
            loaded_config(str(file))


def test_every_configuration_has_a_name():
    files = {file for file in (ROOT / "configs").glob("*/*.py") if file.stem != "base"}
    assert shipped_folder() == ROOT / "configs"
    assert {ROOT / "configs" / f"{name}.py" for name in shipped_names()} == files


def test_the_nearest_name_is_told():
    with pytest.raises(
        InputError, match=r"grammar/wae_rfn is neither a file .*; did you mean grammar/wae_rnf"
    ):
        loaded_config("grammar/wae_rfn")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What is in the wheel, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_needs_no_checkout(installed, tmp_path):
    assert not list(installed.rglob("__pycache__"))
    (tmp_path / "own.py").write_text(OWN.replace("from configs.beside import WIDTH", "WIDTH = 9"))
    for config in ("grammar/wae_rnf", "own.py"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "wae_rnf_jax", "train", f"--config={config}", "--dry_run"),
                *("--config.data.num_sentences=(60,20,20)", "--config.data.num_buckets=1"),
                *("--config.model.hidden_dim=4", "--config.model.embedding_dim=4"),
            ],
            cwd=tmp_path,
            env={
                **{"PYTHONPATH": str(installed), "PATH": "", "HOME": str(tmp_path)},
                **{name: value for name, value in os.environ.items() if "XLA" in name},
                **{name: value for name, value in os.environ.items() if name.startswith("JAX_")},
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "parameters" in done.stdout
