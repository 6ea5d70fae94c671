"""The commands are of single precision in 64-bit mode too, which is taken from the environment."""

import os
import subprocess
import sys

import numpy as np
from command_runs import ROOT


def test_codes_are_the_same_in_64_bit_mode(workdir, tmp_path):
    (tmp_path / "input.txt").write_text("the cat sat\nbirds sing\n")
    found = []
    for mode in ("0", "1"):
        output = tmp_path / f"{mode}.npz"
        subprocess.run(
            [
                *(sys.executable, "-m", "wae_rnf_jax", "encode", f"--workdir={workdir}"),
                *(f"--input={tmp_path / 'input.txt'}", f"--output={output}"),
            ],
            env={**os.environ, "JAX_ENABLE_X64": mode, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        with np.load(output) as arrays:
            found.append({name: arrays[name] for name in ("codes", "mean", "log_var")})
    for name, values in found[0].items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, found[1][name])
