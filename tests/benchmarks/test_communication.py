"""Collectives are read from a program's text, iterations from its trace, and both are kept."""

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import communication

PROGRAM = """\
%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%body (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  ROOT %next = (s32[], f32[4]{0}) tuple(%i, %x)
}

ENTRY %main (p: f32[3,5]) -> f32[3,5] {
  %r = (f32[3,5]{1,0}, s32[], /*index=2*/bf16[7]{0}) all-reduce(%p, %q, %s), to_apply=%add
  %r.2 = f32[2]{0} all-reduce(%t), to_apply=%add
  %g = f32[8,6]{1,0} all-gather(%u), dimensions={0}
  %g.2 = pred[32]{0} all-gather(%v), dimensions={0}
  %s.2 = f32[1,6]{1,0} reduce-scatter(%g), dimensions={0}, to_apply=%add
  %w = (s32[], f32[4]{0}) while(%start), condition=%cond, body=%body
}
"""


def test_traffic_is_what_one_device_gives():
    numbers, sizes = communication.traffic(PROGRAM, 8)
    assert numbers == {"all-reduce": 2, "all-gather": 2, "reduce-scatter": 1}
    assert sizes == {
        "all-reduce": 4 * 15 + 4 + 2 * 7 + 4 * 2,
        "all-gather": 4 * 6 + 4,
        "reduce-scatter": 4 * 8 * 6,
    }


def test_an_overlapped_collective_counts_once():
    """The compiler for TPUs writes it into each fusion that it runs beside."""
    line = (
        "  %g.{} = f32[8,6]{{1,0}} all-gather(%u), dimensions={{0}}, "
        'metadata={{op_name="{}"}}, backend_config={{"async_collective_fusion_config":{{}}}}\n'
    )
    program = "".join(line.format(i, name) for i, name in enumerate(["means", "means", "codes"]))
    assert communication.traffic("ENTRY %main {\n" + program + "}\n", 8) == (
        {"all-gather": 2},
        {"all-gather": 2 * 24},
    )


def test_a_collective_in_a_loop_is_refused():
    looping = PROGRAM.replace("tuple(%i, %x)", "all-reduce(%i, %x), to_apply=%add")
    with pytest.raises(ValueError, match="stands in the loop body"):
        communication.traffic(looping, 8)


def test_cycles_are_those_of_an_iteration():
    estimate = 'backend_config={{"estimated_cycles":"{}"}}'
    program = PROGRAM.replace("tuple(%i, %x)", f"fusion(%i), {estimate.format(40)}").replace(
        "body=%body", 'body=%body, metadata={op_name="jit(f)/shard_map/lstm/while"}'
    )
    program = program.replace("to_apply=%add\n  %g", f"to_apply=%add, {estimate.format(7)}\n  %g")
    assert communication.loop_cycles(program) == {"": 7, "lstm/while": 40}
    assert communication.loop_cycles(PROGRAM) == {}


def test_ring_sends_what_its_steps_say():
    """D − 1 steps of a D-th for each pass, and an all-reduce is two of them."""
    sizes = {"all-reduce": 80, "all-gather": 3, "reduce-scatter": 24}
    assert communication.ring_bytes(sizes, 8) == 2 * 7 * 10 + 7 * 3 + 7 * 3
    assert communication.ring_bytes(sizes, 1) == 0


def test_iterations_are_those_of_the_innermost_loops():
    def nested(x: jax.Array) -> jax.Array:
        def inner(x: jax.Array) -> jax.Array:
            return jax.lax.scan(lambda x, _: (x + 1, None), x, length=5)[0]

        x = jax.lax.scan(lambda x, _: (inner(inner(x)), None), x, length=3)[0]
        x = jax.lax.cond(x > 0, inner, lambda x: x, x)
        return jax.lax.while_loop(lambda x: x < 9, lambda x: x + 1, x)

    assert communication.loop_iterations(jax.make_jaxpr(nested)(jnp.zeros(())).jaxpr) == 31


def test_the_file_keeps_other_programs(tmp_path):
    output = tmp_path / "programs.json"
    program = {"system": "vae", "compiler": "cpu", "devices": 2, "rows": 4, "mmd_group": 0}
    program |= {"parameters": 1}
    grouped = program | {"mmd_group": 4}
    for new in (program, program | {"devices": 8}, grouped, program | {"parameters": 2}):
        communication.kept(output, new)
    rows = json.loads(output.read_text())
    assert [(row["devices"], row["parameters"]) for row in rows] == [(2, 2), (2, 1), (8, 1)]
