import platform
import resource
import subprocess
import sys

from wae_rnf_jax.commands.memory import keep_freed_memory

# Page faults of 10 rounds of taking and freeing 64 MiB.
ROUNDS = """
import ctypes, resource, sys
from wae_rnf_jax.commands.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block = libc.malloc(1 << 26)
    ctypes.memset(block, 1, 1 << 26)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(setting: str) -> int:
    command = [sys.executable, "-c", ROUNDS, setting]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_freed_blocks_are_kept_where_the_c_library_is_glibc():
    if platform.libc_ver()[0] != "glibc":
        assert not keep_freed_memory()
        return
    pages = (1 << 26) // resource.getpagesize()
    assert page_faults("leave") > 8 * pages
    assert page_faults("keep") < 2 * pages


def test_other_systems_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
