"""Accelerators: published values, and how long a collective takes on their networks.

Letters: D chips, X chips along an axis of a torus.

A pass is an all-gather or a reduce-scatter, of so many bytes over all chips; an all-reduce is one
of each. It takes its bytes' time and its steps' time, one after the other (the α–β model). Rates
are bytes a second, one way; times are seconds.
"""

from dataclasses import dataclass

_CLOUD = "https://docs.cloud.google.com/tpu/docs/"
_BOOK = "https://jax-ml.github.io/scaling-book/"


@dataclass(frozen=True)
class Torus:
    """Links to the nearest neighbors along each axis.

    Attributes:
      link: rate of one link, one way.
      axes: of the torus.
      ring: an axis is closed to a ring where its length is a multiple of this, else it is a line.
      hop: time that a link adds, whatever it carries.
    """

    link: float
    axes: int
    ring: int
    hop: float

    def shape(self, num_chips: int) -> list[int]:
        """The most even shape of D chips, axes of one chip left out.

        Raises:
          ValueError: D is no power of two.
        """
        exponent = num_chips.bit_length() - 1
        if num_chips != 1 << exponent:
            raise ValueError(f"{num_chips} chips: take a power of two")
        exponents = [(exponent + axis) // self.axes for axis in range(self.axes)]
        return [1 << e for e in exponents if e]

    def rate(self, num_chips: int) -> float:
        """Bytes a second out of a chip: both ways around a ring, one way along a line."""
        return self.link * sum(1 if x % self.ring else 2 for x in self.shape(num_chips))

    def latency(self, num_chips: int) -> float:
        """Time of a pass without bytes: half way around each ring, all along each line."""
        return self.hop * sum(x - 1 if x % self.ring else x / 2 for x in self.shape(num_chips))


@dataclass(frozen=True)
class Switches:
    """Every chip reaches every other; a pass halves the distance at each step.

    Attributes:
      link: rate out of one chip.
      step: time of a step, whatever it carries.
    """

    link: float
    step: float

    def rate(self, num_chips: int) -> float:
        """Bytes a second out of a chip."""
        return self.link

    def latency(self, num_chips: int) -> float:
        """Time of a pass without bytes: log2 D steps, rounded up."""
        return self.step * (num_chips - 1).bit_length()


@dataclass(frozen=True)
class Chip:
    """An accelerator and its networks.

    Attributes:
      name: of the chip.
      flops: peak of bfloat16 products, a second.
      vector: float32 operations of the vector units, a second.
      memory: rate of the memory.
      inner: network of the chips next to each other.
      inner_chips: how many it joins.
      outer: network between those groups; a chip sends by its own share of it.
      host_chips: fed by one host.
      start: time of a collective before its first step.
      iteration: time of one iteration of a small loop, such as an LSTM's step.
      sources: pages of the published values.
    """

    name: str
    flops: float
    vector: float
    memory: float
    inner: Torus | Switches
    inner_chips: int
    outer: Switches
    host_chips: int
    start: float
    iteration: float
    sources: tuple[str, ...]

    @property
    def compiler(self) -> str:
        """Whose collectives it runs, as `benchmarks.communication` names it."""
        return "tpu" if self.name.startswith("TPU") else "cpu"

    def _levels(self, num_chips: int):
        """Network, chips on it, and its share of a pass's bytes, from the outside in."""
        inside = min(num_chips, self.inner_chips)
        groups = -(-num_chips // inside)
        return (self.outer, groups, 1 / inside), (self.inner, inside, 1.0)

    def bytes_time(self, size: float, num_chips: int) -> float:
        """Time that the bytes of a pass take.

        Between groups each chip passes on the part that it keeps of its group's bytes.
        """
        return sum(
            (n - 1) / n * share * size / network.rate(n)
            for network, n, share in self._levels(num_chips)
            if n > 1
        )

    def steps_time(self, num_chips: int) -> float:
        """Time that the steps of a pass take."""
        return sum(network.latency(n) for network, n, _ in self._levels(num_chips) if n > 1)


_DATA_CENTRE_STEP = 50e-6
_TPU = {"start": 5e-6, "iteration": 4e-6}
CHIPS = (
    Chip(
        "TPU v4",
        flops=275e12,
        vector=275e12 / 32,
        memory=1.2e12,
        inner=Torus(45e9, axes=3, ring=4, hop=1e-6),
        inner_chips=4096,
        outer=Switches(25e9 / 4, _DATA_CENTRE_STEP),
        host_chips=4,
        sources=(_CLOUD + "v4", _BOOK + "tpus"),
        **_TPU,
    ),
    Chip(
        "TPU v5e",
        flops=197e12,
        vector=4096 * 1.5e9,
        memory=819e9,
        inner=Torus(50e9, axes=2, ring=16, hop=1e-6),
        inner_chips=256,
        outer=Switches(6.4e12 / 8 / 256, _DATA_CENTRE_STEP),
        host_chips=8,
        sources=(_CLOUD + "v5e", _BOOK + "tpus"),
        **_TPU,
    ),
    Chip(
        "TPU v5p",
        flops=459e12,
        vector=459e12 / 32,
        memory=2765e9,
        inner=Torus(100e9, axes=3, ring=4, hop=1e-6),
        inner_chips=8192,  # of 8,960: the largest power of two
        outer=Switches(50e9 / 8, _DATA_CENTRE_STEP),
        host_chips=4,
        sources=(_CLOUD + "v5p",),
        **_TPU,
    ),
    Chip(
        "TPU v6e",
        flops=918e12,
        vector=918e12 / 128,
        memory=1638e9,
        inner=Torus(100e9, axes=2, ring=16, hop=1e-6),
        inner_chips=256,
        outer=Switches(25e9 / 8, _DATA_CENTRE_STEP),
        host_chips=8,
        sources=(_CLOUD + "v6e", _BOOK + "tpus"),
        **_TPU,
    ),
    Chip(
        "H100",
        flops=990e12,
        vector=33.5e12,
        memory=3.35e12,
        inner=Switches(450e9, 2e-6),
        inner_chips=8,
        outer=Switches(50e9, 5e-6),
        host_chips=8,
        start=10e-6,
        iteration=15e-6,
        sources=(_BOOK + "gpus",),
    ),
)
