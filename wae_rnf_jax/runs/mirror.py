"""The local mirror of a workdir on an object store: fetched, and published.

    ~/.cache/wae_rnf_jax/workdirs/DIGEST OF THE URL/
      lock           held by the run that trains in the mirror; see `lock`
      reading        held while the mirror is brought up to date
      mirror.json    what is known of the remote workdir
      NAME           the mirror, a workdir like any other

The remote folder has the workdir's files, `lease.json` while a run trains (see `lease`), and
`published.json`, a token that is new each time a run has published: by it a mirror knows whether
the remote workdir is the one that it was last equal to. If it is not, the mirror is fetched anew.

Files are published before the manifests of checkpoints, manifests before the token, and what is old
goes last. A checkpoint without a manifest is one that was cut short, and is not fetched.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wae_rnf_jax.errors import warn
from wae_rnf_jax.runs.snapshots import MANIFEST
from wae_rnf_jax.runs.workdir import write_json
from wae_rnf_jax.storage.files import home_expanded, new_file
from wae_rnf_jax.storage.locks import lock
from wae_rnf_jax.storage.object_store import RemoteError, RemoteFolder

DIRECTORY = "~/.cache/wae_rnf_jax/workdirs"
TOKEN = "published.json"
UNTOLD = ""  # in place of the token of a workdir that was fetched and has none
# What a run writes beside its checkpoints. Other commands publish their own files themselves.
OF_TRAINING = (
    "config.json",
    "init_from.json",
    "metrics.jsonl",
    "trackers.json",
    "corpus",
    "tensorboard",
    "profile",
)
NOT_FETCHED = ("lease.json", TOKEN, "lock", "tensorboard", "profile")
RESULTS = "results.json"  # of `evaluate`, perhaps on another host
TRIES = 3  # to fetch a workdir from under a run that publishes


class Mirror:
    """A remote workdir and its local copy."""

    def __init__(self, url: str) -> None:
        self.url, self.remote = url, RemoteFolder(url)
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.base = Path(home_expanded(DIRECTORY)) / digest
        self.path = self.base / url.rpartition("/")[2]
        self._sent: dict[str, tuple[int, int]] = {}  # size and time of the files published
        self._there: set[str] | None = None  # checkpoints in the remote folder, whole or not
        self._whole: set[str] = set()  # those of them known to be the mirror's

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process brings the mirror up, and keeps them from it."""
        self.base.mkdir(parents=True, exist_ok=True)

        def waiting(holder: str) -> None:
            warn(f"{holder} is fetching {self.url}: waiting for it to finish")

        with lock(self.base / "reading", waiting=waiting):
            yield

    def identity(self) -> str:
        """Returns a name that this copy alone has."""
        known = self._known()
        if "id" not in known:
            self._write_known({**known, "id": uuid.uuid4().hex})
        return self._known()["id"]

    def bring_up(self) -> None:
        """Makes the mirror what the remote workdir is, unless it is that already or more.

        Raises:
          RemoteError: the remote workdir cannot be read; the mirror is as before.
        """
        for _ in range(TRIES):
            token = self._remote_token()
            if self._continues(token):
                self._fetch_results()
                return
            try:
                fetched = self._fetched()
            except FileNotFoundError:  # a run has published, and removed what was old, meanwhile
                continue
            self._replace(fetched, token)
            return
        raise RemoteError(f"{self.url} cannot be read: it keeps changing")

    def _continues(self, token: str | None) -> bool:
        """Whether the mirror is the remote workdir, or has come from it and got further."""
        if not (self.path / "config.json").exists():
            return False
        return token in self._known().get("tokens", [None])

    def _remote_token(self) -> str | None:
        content = self.remote.read(TOKEN)
        try:
            return None if content is None else str(json.loads(content)["token"])
        except (ValueError, KeyError, TypeError):
            return None

    def _fetch_results(self) -> None:
        content = self.remote.read(RESULTS)
        if content is not None:
            with new_file(self.path / RESULTS) as file:
                file.write(content)

    def _fetched(self) -> Path | None:
        """Fetches the remote workdir beside the mirror; None where there is none."""
        names = self.remote.names()
        if "config.json" not in names:
            return None
        incoming = self.base / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        whole = [name for name in names if _checkpoint(name, MANIFEST)]
        for manifest in whole:
            self._fetch_checkpoint(manifest.removesuffix(f"/{MANIFEST}"), names, incoming)
        for name in names:
            if not name.startswith("checkpoints/") and name.partition("/")[0] not in NOT_FETCHED:
                self.remote.download(name, incoming / name)
        return incoming

    def _fetch_checkpoint(self, folder: str, names: list[str], incoming: Path) -> None:
        manifest = self.remote.read(f"{folder}/{MANIFEST}")
        own = self.path / folder / MANIFEST
        if own.exists() and own.read_bytes() == manifest:
            shutil.copytree(self.path / folder, incoming / folder, copy_function=os.link)
            return
        for name in names:
            if name.startswith(f"{folder}/"):
                self.remote.download(name, incoming / name)

    def _replace(self, fetched: Path | None, token: str | None) -> None:
        """Puts what was fetched in the mirror's place."""
        if self.path.exists():
            if set(self._checkpoints()) - set(self._known().get("checkpoints", [])):
                aside = self.base / f"{self.path.name}.unpublished-{uuid.uuid4().hex[:8]}"
                self.path.rename(aside)
                warn(
                    f"{self.url} was changed by another run, or removed, since the local copy was "
                    f"published; the copy has checkpoints of its own and is kept in {aside}"
                )
            else:
                shutil.rmtree(self.path)
        known = {"id": self.identity()}
        if fetched is not None:
            fetched.rename(self.path)
            known["tokens"] = [UNTOLD if token is None else token]
            known["checkpoints"] = self._checkpoints()
        self._write_known(known)

    def publish(self) -> None:
        """Makes the remote workdir what the mirror is; what is half done is done again next time.

        Raises:
          RemoteError: it could not be done; the checkpoints that were whole there still are.
        """
        if not (self.path / "config.json").exists():
            return
        changed = [self._send(path) for path in self._files_of_training()]
        checkpoints = self._checkpoints()
        if self._there is None:
            self._there = {c for name in self.remote.names() if (c := _checkpoint(name))}
        changed += [self._send_checkpoint(folder) for folder in checkpoints]
        known = self._known()
        if any(changed):
            before, token = known.get("tokens", [None]), uuid.uuid4().hex
            # Until it is there: whichever of these is found, this mirror comes from it.
            before = [None if old == UNTOLD else old for old in before]
            self._write_known({**known, "tokens": [*before, token]})
            self.remote.write(TOKEN, (json.dumps({"token": token}) + "\n").encode())
            self._write_known({**known, "tokens": [token], "checkpoints": checkpoints})
        for old in self._there - set(checkpoints):
            self.remote.remove(f"{old}/{MANIFEST}")
            self.remote.remove_folder(old)
            self._there.remove(old)

    def _files_of_training(self) -> list[Path]:
        found = []
        for name in OF_TRAINING:
            path = self.path / name
            found += [path] if path.is_file() else sorted(path.rglob("*"))
        return [path for path in found if path.is_file() and not path.name.startswith(".")]

    def _send(self, path: Path) -> bool:
        """Publishes a file that has changed since; returns whether it had."""
        name, stat = path.relative_to(self.path).as_posix(), path.stat()
        if self._sent.get(name) == (stat.st_size, stat.st_mtime_ns):
            return False
        self.remote.upload(path, name)
        self._sent[name] = (stat.st_size, stat.st_mtime_ns)
        return True

    def _send_checkpoint(self, folder: str) -> bool:
        manifest = self.path / folder / MANIFEST
        if folder in self._whole:
            return False
        if folder in self._there:
            if self.remote.read(f"{folder}/{MANIFEST}") == manifest.read_bytes():
                self._whole.add(folder)
                return False
            # It was cut short, or is another run's.
            self.remote.remove(f"{folder}/{MANIFEST}")
            self.remote.remove_folder(folder)
        self._there.add(folder)
        files = [path for path in sorted((self.path / folder).rglob("*")) if path.is_file()]
        for path in [*(path for path in files if path != manifest), manifest]:
            self.remote.upload(path, path.relative_to(self.path).as_posix())
        self._whole.add(folder)
        return True

    def _checkpoints(self) -> list[str]:
        """The mirror's whole checkpoints, as `checkpoints/latest/120`, the oldest first."""
        paths = [path.parent for path in self.path.glob(f"checkpoints/*/*/{MANIFEST}")]
        paths = sorted((path for path in paths if path.name.isdecimal()), key=lambda p: int(p.name))
        return [path.relative_to(self.path).as_posix() for path in paths]

    def _known(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.base / "mirror.json").read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _write_known(self, content: dict[str, Any]) -> None:
        write_json(self.base / "mirror.json", {"url": self.url, **content})


def _checkpoint(name: str, file: str = "") -> str | None:
    """The folder of the checkpoint that a file, or a file of this name, belongs to, or None."""
    parts = name.split("/")
    if len(parts) < 4 or parts[0] != "checkpoints" or not parts[2].isdecimal():
        return None
    return "/".join(parts[:3]) if not file or parts[3:] == [file] else None
