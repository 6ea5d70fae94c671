"""Every benchmark at tiny sizes: it runs, its numbers hang together, its yardsticks agree."""

import json
import mmap
from collections import Counter

import command_runs
import jax
import numpy as np
import pytest

from benchmarks import (
    evaluate,
    every_system,
    fisher_estimate,
    generate,
    input,
    large_corpus,
    measurement,
    mmd_memory,
    mmd_variance,
    pieces,
    regularizers,
    startup,
    train_step,
    workload,
)
from wae_rnf_jax import cli
from wae_rnf_jax.runs.lock import sole_use


@pytest.fixture(autouse=True)
def process_left_as_it_was(monkeypatch):
    """The allocator's settings last as long as the process, which has other tests to run."""
    for module in (evaluate, every_system, generate, input, pieces, regularizers, train_step):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: None)
    monkeypatch.delenv("WAE_RNF_DATA_DIR", raising=False)


def rows_of(benchmark, folder, *flags):
    output = folder / "result.json"
    assert benchmark.main(["--smoke", "--repetitions=2", f"--output={output}", *flags]) == 0
    found = json.loads(output.read_text())
    assert found["environment"]["cores"] >= 1
    assert found["notes"]
    return found["rows"]


def test_candidates_take_turns_and_ratios_are_those_of_the_rounds():
    calls = []
    samples = measurement.interleaved(
        {name: lambda name=name: calls.append(name) for name in "ab"}, repetitions=3
    )
    assert "".join(calls) == "ab" * 4  # a round of warming up, three that count
    assert all(len(taken.wall) == len(taken.cpu) == 3 for taken in samples.values())
    fast = measurement.Samples(np.array([1.0, 2.0, 10.0]), np.ones(3))
    slow = measurement.Samples(np.array([2.0, 6.0, 40.0]), np.array([5.0, 1.0, 7.0]))
    assert measurement.speedup(fast, slow) == (3.0, 5.0)
    assert fast.seconds == 2.0


def test_peak_memory_is_that_since_the_reset():
    measurement.reset_peak_memory()
    before = measurement.peak_memory_mib()
    kept = mmap.mmap(-1, 1 << 28)  # of the system, where an array may lie in freed memory
    kept.write(b"1" * len(kept))
    assert measurement.peak_memory_mib() > before + 128
    kept.close()
    measurement.reset_peak_memory()
    assert measurement.peak_memory_mib() > 1


def test_table_has_every_column_and_leaves_missing_cells_empty():
    lines = measurement.table([{"name": "a", "x": 0.12345}, {"name": "bc", "y": 12345.6}])
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines()] == [
        ["name", "x", "y"],
        ["----", "-----", "------"],
        ["a", "0.123", ""],
        ["bc", "", "12,346"],
    ]


@pytest.mark.slow
def test_train_step(tmp_path):
    flags = ("--system=vae", "--num_batches=1", "--no_memory")
    rows = {row["candidate"]: row for row in rows_of(train_step, tmp_path, *flags)}
    assert {"program", "materialized", "products"} <= set(rows)
    assert rows["program"]["program is faster by"] == 1
    tokens = {row["tokens/s"] * row["ms/step"] for row in rows.values()}
    np.testing.assert_allclose(list(tokens), tokens.pop())  # one and the same batch


@pytest.mark.slow
def test_pieces(tmp_path):
    rows = rows_of(pieces, tmp_path, "--batch_size=2", "--num_words=3")
    assert {"LSTM", "Adam with clipping", "cross entropy, blocks of 512"} <= {
        row["piece"] for row in rows
    }
    assert all(row["ms"] > 0 for row in rows)


def test_step_products_are_those_of_output_layer_and_lstms():
    size = workload.SMOKE._replace(vocab_size=30, embedding_dim=5, hidden_dim=7)
    lstm = (5 + 7) * 4 * 7
    assert train_step.step_products(size, 11) == 11 * 3 * 2 * (7 * 30 + 2 * lstm)


@pytest.mark.slow
def test_evaluate(tmp_path):
    """The benchmark itself compares the loop's metrics with the program's."""
    rows = rows_of(evaluate, tmp_path, "--num_buckets=1", "--memory_limit_rows=8")
    assert [row["candidate"] for row in rows] == ["loop", "program, 8 rows"]
    assert rows[0]["faster than the loop by"] == 1


@pytest.mark.slow
def test_generate(tmp_path):
    """The benchmark itself compares the loop's sentences with the program's."""
    rows = rows_of(generate, tmp_path)
    assert [row["strategy"] for row in rows] == ["greedy", "greedy", "sample", "sample"]
    assert all(row["sentences/s"] > 0 for row in rows)


def test_the_mmd_varies_more_in_smaller_groups(tmp_path):
    rows = rows_of(mmd_variance, tmp_path)
    matched = [row["times that of all rows"] for row in rows[: len(rows) // 2]]
    assert matched == sorted(matched)
    assert matched[-1] > 1.2


def test_input_is_read_by_the_program_and_by_the_loop():
    size = workload.SMOKE
    split, _ = workload.drawn_split(size)
    config = workload.config_of("vae", size, 8)
    rows = input.reading(split, config, number=20, repetitions=2)
    assert [row["what"].split(":")[0] for row in rows] == ["loop", "program"]
    assert all(row["batches/s"] > 0 for row in rows)


@pytest.mark.slow
def test_regularizers(tmp_path):
    flags = ("--system=wae_rnf_repel", "--system=wae_rnf_fisher", "--num_batches=1")
    rows = {row["system"]: row for row in rows_of(regularizers, tmp_path, *flags)}
    assert list(rows) == ["wae_nf", "wae_rnf_repel", "wae_rnf_fisher"]
    assert rows["wae_nf"]["times wae_nf"] == 1
    assert rows["wae_rnf_fisher"]["by cpu time"] > 1  # the Jacobian of every sentence


@pytest.mark.slow
def test_input(tmp_path):
    *reading, training = rows_of(input, tmp_path, "--system=vae", "--num_steps=1")
    assert len(reading) == 2
    assert 0 <= training["waits for input, % of the time"] <= 100
    assert all(row["batches/s"] > training["batches/s"] for row in reading)


def test_compilations_are_counted_by_name(monkeypatch):
    def compiled_by_the_test(x):
        return x + 1

    def command(arguments):
        step = jax.jit(compiled_by_the_test)
        return sum(int(step(jax.numpy.ones(n)).sum()) for n in (1, 2, 2)) - 10

    monkeypatch.setattr(cli, "main", command)
    found = startup.watched_command([])
    assert found["exit_code"] == 0
    counts = [n for name, n in found["compilations"].items() if "compiled_by_the_test" in name]
    assert counts == [2]  # two shapes
    assert startup.of_steps({"jit(train_step)": 3, "x": 1}) == {"train_step": 3, "eval_step": 0}


@pytest.mark.slow
def test_startup_counts_the_compilations_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)  # mapped steps have no name
    text = command_runs.write_text(tmp_path)
    workdir = tmp_path / "run"
    arguments = command_runs.train_arguments(text, workdir, **{"train.num_epochs": 1})
    found = startup.watched_command(arguments)
    assert found["exit_code"] == 0
    assert found["first_step"] > 0
    assert startup.of_steps(found["compilations"]) == {"train_step": 1, "eval_step": 1}
    with sole_use(workdir):  # the run is over
        assert (workdir / "metrics.jsonl").is_file()


def test_a_large_text_has_the_words_and_lengths_it_should(tmp_path):
    found = large_corpus.written_text(tmp_path, num_bytes=200_000, vocab_size=50)
    content = (tmp_path / "train.txt").read_bytes()
    assert (len(content), content.count(b"\n"), len(content.split())) == found
    assert 200_000 <= found.num_bytes < 220_000
    counts = Counter(content.split()).most_common()
    assert len(counts) == 50
    assert counts[0][1] / counts[9][1] == pytest.approx(10, rel=0.2)  # Zipf's law
    assert {len(line.split()) for line in content.splitlines()} <= set(range(1, 83))


@pytest.mark.slow
def test_large_corpus(tmp_path):
    write, prepare, train = rows_of(large_corpus, tmp_path)
    assert write["phase"] == "write the text"
    assert prepare["million words a cpu s"] > 0
    assert train["batches/s"] > 0
    for row in (prepare, train):  # Python alone takes that
        assert 10 < row["largest process, MiB"] <= row["all processes, MiB"] < 2048


def test_a_large_corpus_is_prepared_by_any_tokenizer(tmp_path):
    _, prepare = rows_of(large_corpus, tmp_path, "--tokenizer=char", "--num_steps=0")
    assert prepare["phase"] == "prepare"
    assert prepare["MB a cpu s"] > 0


def test_memory_of_the_mmd_is_read_from_the_program(monkeypatch):
    monkeypatch.setattr(mmd_memory, "CODES", 256)
    whole, blocks = (
        mmd_memory.compiled(2, size).memory_analysis().temp_size_in_bytes for size in (256, 8)
    )
    assert blocks < whole


def test_lengths_are_drawn_where_there_is_no_text(tmp_path, monkeypatch):
    lengths, origin = workload.sentence_lengths(4000)
    assert "log-normal" in origin
    np.testing.assert_allclose(lengths.mean(), 21.5, rtol=0.05)
    assert lengths.min() >= 1
    assert lengths.max() <= 82
    (tmp_path / "ptb").mkdir()
    (tmp_path / "ptb" / "train.txt").write_text(" a b \n\n c \n")
    monkeypatch.setenv("WAE_RNF_DATA_DIR", str(tmp_path))
    assert workload.sentence_lengths(4000)[0].tolist() == [2, 1]


@pytest.mark.slow
def test_every_system_has_parameters_and_a_time_beside_the_vae(tmp_path):
    rows = rows_of(every_system, tmp_path, "lm", "vae", "lagging")
    assert [row["system"] for row in rows] == ["lm", "vae", "lagging"]
    found = {row["system"]: row for row in rows}
    assert found["lm"]["parameters"] < found["vae"]["parameters"] == found["lagging"]["parameters"]
    assert found["vae"]["times a vae step"] == 1
    assert all(row["ms/step"] > 0 for row in rows)


def test_agreement_is_of_what_length_does_not_tell():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 60, 300)
    own = rng.normal(size=300)
    exact = 5 * np.log(lengths + 1) + own
    found = fisher_estimate.agreement(lengths, exact, exact - 2)
    assert found["correlation"] == pytest.approx(1)
    assert found["bias"] == pytest.approx(-2)
    of_length_alone = 5 * np.log(lengths + 1) + rng.normal(size=300)
    assert abs(fisher_estimate.agreement(lengths, exact, of_length_alone)["correlation"]) < 0.2
    steeper = fisher_estimate.agreement(lengths, exact, exact + 0.5 * np.log(lengths + 1))
    assert steeper["its slope on log T"] == pytest.approx(0.5)
    exact[:3] = np.nan
    assert fisher_estimate.agreement(lengths, exact, exact)["sentences"] == 297
