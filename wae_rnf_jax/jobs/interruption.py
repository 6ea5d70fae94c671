"""Ctrl-C and SIGTERM as exceptions of the main thread, wherever they fall."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Terminated", "interrupting_signals"]

_AGAIN_AFTER = 0.05  # seconds; whatever dropped the exception has returned by then


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever is tidied up after Ctrl-C is tidied up after it."""

    signum = signal.SIGTERM


@contextmanager
def interrupting_signals() -> Iterator[None]:
    """SIGTERM raises `Terminated` as SIGINT raises KeyboardInterrupt, and neither gets lost.

    Python drops what is raised in a destructor or in a callback of its garbage collector, such as
    JAX has: an interruption that falls there is sent again.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone takes signals
        yield
        return

    def terminate(signum, frame):
        raise Terminated

    def send_again(unraisable) -> None:
        dropped = unraisable.exc_value
        if not isinstance(dropped, KeyboardInterrupt):
            hook(unraisable)
            return
        signum = getattr(dropped, "signum", signal.SIGINT)
        timer = threading.Timer(_AGAIN_AFTER, _thread.interrupt_main, [signum])
        timer.daemon = True
        timer.start()

    handler = signal.signal(signal.SIGTERM, terminate)
    hook, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)
