"""One command runs the suite on each Python that the project names."""

import re
import subprocess
import sys

from command_runs import ROOT


def test_there_is_a_session_for_each_python_that_readme_and_package_name():
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    sessions = re.findall(r"^\* tests-(\S+) ", listed.stdout, re.MULTILINE)
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| Python | jax | flax |")[1]
    tested = re.findall(r"^\| (3\.\d+) \|", table.split("\n\n")[0], re.MULTILINE)
    package = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", package)
    assert sessions == tested == named
