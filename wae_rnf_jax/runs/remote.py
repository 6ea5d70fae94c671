"""Workdirs on object stores: a run works in a local mirror and publishes it.

How it is published is said in `mirror`; what keeps a second run away, in `lease`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wae_rnf_jax.errors import InputError, TrainingFailed, warn
from wae_rnf_jax.runs.lease import Lease
from wae_rnf_jax.runs.lock import is_held, sole_use
from wae_rnf_jax.runs.mirror import Mirror
from wae_rnf_jax.storage.files import home_expanded
from wae_rnf_jax.storage.object_store import RemoteError, RemoteFolder, checked_url, is_remote

SCHEMES = ("gs", "s3", "az")  # of stores that take one file after another; tests cover the first


def local_workdir(name: str, flag: str = "workdir") -> Path:
    """Returns the folder of a workdir to read from: for a remote one, its mirror, up to date.

    Args:
      name: as the user gave it.
      flag: that gave it, for messages.

    Raises:
      InputError: it is remote, and holds no run or cannot be read.
    """
    if not is_remote(name):
        return Path(home_expanded(name, f"--{flag}: "))
    mirror = Mirror(_url(name, flag))
    try:
        with mirror.alone():
            if not is_held(mirror.base):  # else a run is at work in it, and nothing is newer
                mirror.bring_up()
    except RemoteError as error:
        raise InputError(f"--{flag}: {error}") from error
    if not (mirror.path / "config.json").exists():
        raise InputError(
            f"--{flag}: {mirror.url} holds no run (no config.json): name a workdir of "
            "`wae-rnf train`"
        )
    return mirror.path


def publish_file(name: str, path: Path) -> str:
    """Copies a file that a command wrote into a workdir to where the workdir is, if it is remote.

    Args:
      name: the workdir as the user gave it.
      path: the file, directly in the folder that `local_workdir` returned.

    Returns:
      Where it is, for the user.

    Raises:
      InputError: it cannot be written there; it is kept here.
    """
    if not is_remote(name):
        return str(path)
    url = _url(name)
    try:
        RemoteFolder(url).upload(path, path.name)
    except RemoteError as error:
        # Under another name, as what the remote workdir has comes back under this one.
        kept = path.replace(path.with_name(f"{path.stem}.unpublished{path.suffix}"))
        raise InputError(f"--workdir: {error}; the file is kept in {kept}") from error
    return f"{url}/{path.name}"


def training_workdir(name: str) -> Path:
    """Returns the folder that a run trains in; for a remote workdir, its mirror, as it is."""
    if not is_remote(name):
        return Path(home_expanded(name, "--workdir: "))
    return Mirror(_url(name)).path


def _url(name: str, flag: str = "workdir") -> str:
    try:
        return checked_url(name, SCHEMES)
    except InputError as error:
        raise InputError(f"--{flag}: {error}") from error


@contextmanager
def published_run(name: str) -> Iterator[Callable[[], None]]:
    """Holds a workdir for a run of this process; a remote one is brought up, and published.

    Args:
      name: the workdir as the user gave it.

    Yields:
      What to call after each checkpoint. It says once what fails, and returns.

    Raises:
      InputError: another run holds the workdir, or it cannot be read.
      TrainingFailed: on leaving, what the run has saved cannot be published, or another run has
        taken its place; it is kept here.
    """
    if not is_remote(name):
        yield lambda: None
        return
    mirror = Mirror(_url(name))
    try:
        with ExitStack() as held:
            try:
                with mirror.alone():
                    held.enter_context(sole_use(mirror.base))
                    lease = held.enter_context(Lease(mirror.remote, mirror.identity()))
                    mirror.bring_up()
            except RemoteError as error:
                raise InputError(f"--workdir: {error}") from error
            yield from _publishing(mirror, lease)
    except InputError as error:
        text = str(error).replace(str(mirror.path), mirror.url)
        raise InputError(text.replace(str(mirror.base), mirror.url)) from error


def _publishing(mirror: Mirror, lease: Lease) -> Iterator[Callable[[], None]]:
    said = False

    def publish(*, at_end: bool = False) -> None:
        nonlocal said
        try:
            if not lease.still_held():
                raise TrainingFailed(
                    f"another run has taken over {mirror.url}: this one stops and is kept in "
                    f"{mirror.path}"
                )
            mirror.publish()
            said = False
        except RemoteError as error:
            if at_end:
                raise TrainingFailed(
                    f"{error}; the run is whole in {mirror.path}, and the same command publishes it"
                ) from error
            if not said:
                warn(f"{error}; training continues, and each checkpoint tries again")
            said = True

    try:
        yield publish
    except TrainingFailed:
        if not lease.lost:
            publish()
        raise
    except Exception as error:
        if hasattr(error, "signum"):  # stopped by a signal, its state saved
            publish(at_end=True)
        raise
    publish(at_end=True)
