"""The model's arithmetic against cases that can be done by hand, and the laws it reads."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import scaling_model
from benchmarks.chips import CHIPS, Chip, Switches, Torus
from benchmarks.layouts import SYSTEMS
from benchmarks.scaling_model import Law, efficiency, law, slower, step_parts

PROGRAMS = json.loads(Path(scaling_model.__file__).with_name("communication.json").read_text())
TORUS = Torus(link=10.0, axes=2, ring=4, hop=1.0)
CHIP = Chip(
    "made up",
    flops=500.0,
    vector=4.0,
    memory=16.0,
    inner=TORUS,
    inner_chips=16,
    outer=Switches(link=2.0, step=100.0),
    host_chips=4,
    start=7.0,
    iteration=0.5,
    sources=(),
)
LAW = Law(
    parameters=16,
    reduced=160.0,
    exchanged=4.0,
    passes=3,
    collectives=2,
    compares=False,
    groups=False,
    flops=(100.0, 50.0),
    iterations=(6.0, 1.0),
)


@pytest.mark.parametrize(
    "num_chips, shape, rate, latency",
    [(1, [], 0, 0), (2, [2], 10, 1), (4, [2, 2], 20, 2), (8, [2, 4], 30, 3), (16, [4, 4], 40, 4)],
)
def test_torus_has_rings_and_lines(num_chips, shape, rate, latency):
    assert sorted(TORUS.shape(num_chips)) == shape
    assert TORUS.rate(num_chips) == rate
    assert TORUS.latency(num_chips) == latency


def test_chips_come_in_powers_of_two():
    with pytest.raises(ValueError, match="12 chips: take a power of two"):
        TORUS.shape(12)


def test_switches_halve_the_distance():
    network = Switches(link=3.0, step=2.0)
    assert [network.latency(n) for n in (1, 2, 3, 8, 9)] == [0, 2, 4, 6, 8]
    assert network.rate(1000) == 3.0


def test_pass_goes_between_groups_and_inside_them():
    """64 chips are 4 groups of 16; between groups a chip passes on its sixteenth."""
    assert CHIP.bytes_time(640.0, 16) == pytest.approx(15 / 16 * 640 / 40)
    assert CHIP.bytes_time(640.0, 64) == pytest.approx(15 / 16 * 640 / 40 + 3 / 4 * 40 / 2)
    assert CHIP.steps_time(64) == 4 + 2 * 100


def test_step_is_the_sum_of_its_parts_done_by_hand():
    alone = step_parts(LAW, CHIP, 1, 4)
    assert alone == {
        "loops": 5.0,
        "products": 3.0,
        "optimizer": 16.0,
        "MMD": 0.0,
        "gradient's bytes": 0.0,
        "rows' bytes": 0.0,
        "latency": 0.0,
    }
    together = step_parts(LAW, CHIP, 16, 4)
    assert together["gradient's bytes"] == pytest.approx(2 * 15 / 16 * 160 / 40)
    assert together["rows' bytes"] == pytest.approx(15 / 16 * 4 * 64 / 40)
    assert together["latency"] == 3 * 4 + 2 * 7
    assert efficiency(LAW, CHIP, 16, 4) == pytest.approx(24 / (24 + 7.5 + 6 + 26))


def test_mmd_grows_with_the_rows_of_a_chip_times_those_of_all():
    of = LAW._replace(compares=True)
    time = step_parts(of, CHIP, 1, 1)["MMD"]
    assert time > 0
    assert step_parts(of, CHIP, 16, 4)["MMD"] == pytest.approx(16 * 4 * 4 * time)


def test_mmd_takes_at_least_the_iterations_over_its_blocks():
    of, fast = LAW._replace(compares=True), dataclasses.replace(CHIP, vector=1e12)
    assert step_parts(of, fast, 16, 64)["MMD"] < fast.iteration  # 1,024 codes are no loop
    assert step_parts(of, fast, 64, 64)["MMD"] == 5 * 4 * fast.iteration


def test_assumptions_move_the_parts_they_are_about():
    of = LAW._replace(compares=True)
    parts = step_parts(of, CHIP, 64, 4)
    for what, moved in [
        ("iterations", {"loops"}),
        ("vector operations", {"MMD"}),
        ("latencies", {"latency"}),
    ]:
        other = step_parts(of, slower(CHIP, what, 2.0), 64, 4)
        assert {name for name in parts if other[name] != parts[name]} == moved
        assert all(other[name] == pytest.approx(2 * parts[name]) for name in moved)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
@pytest.mark.parametrize("system", ["lm", "wae_rnf"])
def test_efficiency_falls_with_the_chips(chip, system):
    """On whole rings: a part of a torus is wired as lines, at half the rate."""
    of = law(PROGRAMS, system, chip.compiler)
    shares = [efficiency(of, chip, n, 32) for n in (1, 256, 1024, 4096)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] > 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_compiled_programs_keep_the_law(system):
    """The gradient on any layout, a row's codes to every device: what the model extrapolates."""
    own = [p for p in PROGRAMS if p["system"] == system and p["compiler"] == "cpu"]
    own = [p for p in own if not p["mmd_group"]]
    assert {(2, 32), (4, 32), (8, 32)} <= {(p["devices"], p["rows"]) for p in own}
    assert len({tuple(sorted(p["numbers"].items())) for p in own}) == 1
    assert len({p["bytes"]["all-reduce"] for p in own}) == 1
    assert len({p["bytes"].get("all-gather", 0) / p["rows"] for p in own}) == 1
    scattered = {p["bytes"].get("reduce-scatter", 0) / (p["rows"] * p["devices"]) for p in own}
    assert len(scattered) == 1


def test_law_counts_gathers_made_into_reductions_as_two_passes():
    few = {
        "system": "wae",
        "compiler": "cpu",
        "devices": 8,
        "rows": 4,
        "mmd_group": 0,
        "parameters": 90,
        "numbers": {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1},
        "bytes": {"all-reduce": 100, "all-gather": 4 * 5, "reduce-scatter": 8 * 4 * 3},
        "flops": 14,
        "iterations": 10,
    }
    many = few | {"rows": 32, "flops": 70}
    many["bytes"] = {"all-reduce": 100, "all-gather": 32 * 5, "reduce-scatter": 8 * 32 * 3}
    reductions = {"numbers": {"all-reduce": 4}, "bytes": {"all-reduce": 100 + 64 * 32 * 8}}
    programs = [few, many, many | {"compiler": "tpu", "devices": 64} | reductions]
    of = law(programs, "wae")
    assert of == Law(90, 100, 5 + 3, 6, 4, True, False, (6, 2), (10, 0))
    assert law(programs, "wae", "tpu") == of._replace(exchanged=2 * (5 + 3), passes=8)


def test_in_groups_a_chips_comparisons_do_not_grow_with_the_chips():
    of = law(PROGRAMS, "wae_rnf", groups=True)
    whole = law(PROGRAMS, "wae_rnf")
    alone, many = (step_parts(of, CHIP, n, 32)["MMD"] for n in (1, 4096))
    assert alone == many == step_parts(whole, CHIP, 1, 32)["MMD"] > 0
    # The codebook's codes are gathered still; the MMD's are not, nor is their gradient scattered.
    assert 0 < of.exchanged < whole.exchanged / 3


def test_law_needs_two_numbers_of_rows():
    with pytest.raises(ValueError, match="two numbers of rows"):
        law([p for p in PROGRAMS if p["rows"] == 32], "wae_rnf")
