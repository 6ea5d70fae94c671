"""SIGINT and SIGTERM while a run trains: the step is finished, and all processes stop at the same.

Of several processes, each puts the signal it was sent, or 0, into the batch it feeds; the step
reduces these with its metrics, so that no collective of its own is needed, and every process reads
the same number. It is read some steps later, when it is there without waiting for a device: a
signal is answered at most `STEPS_IN_FLIGHT` + 1 steps after the one it came in.
"""

import signal
import threading
from collections import deque

import jax
import numpy as np

from wae_rnf_jax.errors import warn

SIGNAL = "signal"  # in a batch, the rows' of their process; in the metrics, the highest of all
STEPS_IN_FLIGHT = 2  # that the devices have been given and the host does not wait for


class Interrupted(Exception):
    """A signal asked the run to stop; the message says what is saved and how to resume."""

    def __init__(self, signum: int, message: str, *, saved: bool = True) -> None:
        super().__init__(message)
        self.signum, self.saved = signum, saved

    @property
    def exit_code(self) -> int:
        """That of the command: a run that was terminated and could save has done what it should."""
        return 0 if self.saved and self.signum == signal.SIGTERM else 128 + self.signum


class StopSignals:
    """Takes SIGINT and SIGTERM while it is entered, for the loop to ask about after each step.

    In another thread than the main one, which alone may take signals, it takes none.
    """

    def __init__(self) -> None:
        self._own = 0
        self._reduced: deque[jax.Array] = deque()
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        in_main_thread = threading.current_thread() is threading.main_thread()
        for signum in (signal.SIGINT, signal.SIGTERM) if in_main_thread else ():
            self._handlers[signum] = signal.signal(signum, self._take)
        return self

    def __exit__(self, *error) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _take(self, signum: int, frame) -> None:
        if not self._own:
            warn("stopping once this step is finished and saved")
        self._own = signum

    def told(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns a batch that tells the other processes, where there are any, of this one's."""
        if jax.process_count() == 1:
            return batch
        return {**batch, SIGNAL: np.full(len(batch["where"]), self._own, np.int32)}

    def heard(self, reduced: jax.Array | None) -> int:
        """Returns the signal to stop for now, or 0; called after every step.

        Args:
          reduced: what the step's metrics have as `SIGNAL`; None where there is one process. Of two
            different signals it is SIGTERM, which has the higher number.
        """
        if reduced is None:
            return self._own
        self._reduced.append(reduced)
        if len(self._reduced) <= STEPS_IN_FLIGHT:
            return 0
        return int(self._reduced.popleft())
