"""One run at a time in a remote workdir: a file that the run renews while it lives.

A second run watches the file before it begins. If it changes, the first run is alive, and the
second is refused. If it does not for `LIFE` seconds, the first is taken for dead, and the second
goes on in its place. No clocks of different hosts are compared.

What this cannot do: an object store has no lock, so two runs that begin within `SETTLE` seconds of
each other may both find the place free, though all but one then read another's name back and
withdraw, unless the store took longer than that between a run's look and its write. A run that was
cut off from the store, or suspended, for longer than `LIFE` may find that another has taken its
place: it stops at its next checkpoint, without having written over the other's.
"""

import json
import os
import socket
import threading
import time
from typing import Any

from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.storage.object_store import RemoteError, RemoteFolder

NAME = "lease.json"
BEAT = 20.0  # seconds between renewals
LIFE = 60.0  # seconds without one after which a run counts as dead
SETTLE = 2.0  # seconds after which a new lease is read back
LOOK = 1.0  # seconds between looks at another run's lease


class Lease:
    """The lease of one run, held from entering to leaving.

    Args:
      folder: the remote workdir.
      identity: of the local copy, which this process has locked: a run that held the lease for the
        same copy is dead.
    """

    def __init__(self, folder: RemoteFolder, identity: str) -> None:
        self._folder, self._identity = folder, identity
        self._owner = f"process {os.getpid()} on host {socket.gethostname()}"
        self._beats = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.lost = False  # whether another run has taken the workdir

    def __enter__(self) -> "Lease":
        """Takes the lease; InputError where a living run has it, RemoteError if the store fails."""
        found = self._read()
        if found is not None and found.get("id") != self._identity:
            self._outlive(found)
        self._write()
        time.sleep(SETTLE)
        found = self._read()
        if found is None or found.get("id") != self._identity:
            self._refuse(found or {})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()
        try:
            if not self.lost and self._is_own():
                self._folder.remove(NAME)
        except RemoteError as failure:
            warn(f"{failure}; the next run will wait {LIFE:g} s for this one")

    def still_held(self) -> bool:
        """Looks again; False once another run has taken the workdir."""
        self.lost = self.lost or not self._is_own()
        return not self.lost

    def _is_own(self) -> bool:
        found = self._read()
        return found is None or found.get("id") == self._identity

    def _outlive(self, found: dict[str, Any]) -> None:
        """Returns when the run that wrote this is gone."""
        holder = found.get("owner", "unknown")
        warn(
            f"{self._folder.url} was in use by another run, {holder}: waiting {LIFE:g} s for a "
            "sign of life"
        )
        end = time.monotonic() + LIFE
        while time.monotonic() < end:
            time.sleep(LOOK)
            now = self._read()
            if now is None:
                return
            if now != found:
                self._refuse(now)
        warn(f"{holder} gave no sign of life: this run takes its place")

    def _refuse(self, found: dict[str, Any]) -> None:
        raise InputError(
            f"--workdir: {self._folder.url} is in use by another run, "
            f"{found.get('owner', 'unknown')}: wait until it ends, or name another workdir"
        )

    def _renew(self) -> None:
        while not self._ending.wait(BEAT):
            try:
                if not self.still_held():
                    return
                self._write()
            except InputError:  # what training publishes will say so
                continue

    def _read(self) -> dict[str, Any] | None:
        content = self._folder.read(NAME)
        if content is None:
            return None
        try:
            return dict(json.loads(content))
        except (ValueError, TypeError):
            return {}

    def _write(self) -> None:
        self._beats += 1
        content = {"id": self._identity, "owner": self._owner, "beat": self._beats}
        content["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # for people
        self._folder.write(NAME, (json.dumps(content) + "\n").encode())
