"""The test suite on each Python that README names: nox, or a part on one, as README shows."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Installs the pinned requirements and runs pytest as launch/test.sh does."""
    session.install("--no-compile", "--requirement", "requirements.txt")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    workers = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile"]
    session.run("python", "-m", "pytest", *workers, "--no-loadscope-reorder", *session.posargs)
