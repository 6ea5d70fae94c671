"""What a flow's regularizer is worth: the latent space of trained runs, measured and read.

python -m benchmarks.curved_space [--lm_workdir=RUN] [--num_codes=200] [--num_pairs=100] RUN ...

It takes minutes a run; with --rows=FOLDER each row is kept there, and is not measured again.

One row for each run, and for several seeds of one system (folders SYSTEM_SEED, with --by_system)
their mean ± sd:

- `nll_iw`, `kl`, `mi`, `au` of the run's results.json;
- over codes of test sentences, each teacher-forced on its own: the sd of the log-magnification of
  the decoder as a map of the codes before the flow (½ log|G(zk)| + Σ log|det J|) and after it
  (½ log|G(zk)|), both regressed on log T, since a longer sentence has a larger metric: a flow that
  flattens has the smaller one after it; and the correlation of ½ log|G(zk)| with Σ log|det J|;
- over random pairs of test sentences: geodesic over straight length, the median; the share that is
  shorter by more than the error of measuring;
- with a language model: of the sentences decoded inside these paths, ends left out, the share that
  is new (no training sentence, and neither end's) and likely (no less so a predicted token, by the
  language model, than nine in ten test sentences), along straight lines and along geodesics.
"""

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from benchmarks import measurement
from benchmarks.measurement import Row, regressed_on_length
from wae_rnf_jax.errors import progress_bar
from wae_rnf_jax.evaluation.geometry import Paths, compared_paths, pair_ratios, volume_changes
from wae_rnf_jax.evaluation.geometry_report import decoded_paths
from wae_rnf_jax.evaluation.latent_space import encode_sentences, sentence_arrays
from wae_rnf_jax.evaluation.scoring import score_sentences
from wae_rnf_jax.evaluation.splits import random_rows, token_split
from wae_rnf_jax.evaluation.text_metrics import novel
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.runs.trained_model import TrainedModel, load_trained_model
from wae_rnf_jax.runs.workdir import write_json

_POINTS, _KNOTS = 7, 6
_UNLIKELIEST = 0.9  # share of the test sentences that a likely one is no less likely than


def drawn_sentences(trained: TrainedModel, number: int, *, seed: int) -> list[str]:
    """Sentences of the test split drawn at random, each at most once."""
    test = token_split(trained, "test")
    rows = random_rows(test, number, seed=seed)
    return [trained.vocabulary.decode(test.sentence(row)) for row in rows]


def flow_and_decoder(trained: TrainedModel, sentences: list[str], *, seed: int) -> Row:
    """How the decoder magnifies around codes, before and after the flow, nats."""
    tokens, lengths = sentence_arrays(trained.vocabulary, sentences)
    posterior = encode_sentences(trained, sentences, batch_size=64).posterior
    z0 = posterior.sample(jax.random.split(random_key(seed), len(sentences)))
    log_det, after = (
        np.asarray(values, np.float64)
        for values in volume_changes(trained.model, z0, tokens, lengths)
    )
    known = np.isfinite(after)
    log_det, after, lengths = log_det[known], after[known], np.asarray(lengths)[known]
    varies = log_det.std() > 1e-6
    return {
        "sd before": float(regressed_on_length(after + log_det, lengths)[0].std()),
        "sd after": float(regressed_on_length(after, lengths)[0].std()),
        "correlation": float(np.corrcoef(log_det, after)[0, 1]) if varies else None,
    }


def between_pairs(trained: TrainedModel, *, num_pairs: int, seed: int) -> tuple[Row, dict]:
    """Lengths of both paths, and [(ends, sentences inside)] of each kind of path."""
    vocabulary, test = trained.vocabulary, token_split(trained, "test")
    inside: dict[str, list[tuple[list[str], list[str]]]] = {"straight": [], "geodesic": []}
    find = functools.partial(compared_paths, trained.model, num_points=_KNOTS)

    def paths(i: int, j: int) -> Paths:
        ends = [vocabulary.decode(test.sentence(k)) for k in (i, j)]
        codes = encode_sentences(trained, ends, batch_size=2).zk
        found = jax.device_get(find(*codes, *sentence_arrays(vocabulary, ends)))
        decoded = decoded_paths(trained, _POINTS, found)
        for name, sentences in zip(inside, decoded, strict=True):
            inside[name].append((ends, sentences[1:-1]))
        return found

    with progress_bar(total=num_pairs, unit="pair") as bar:
        found = pair_ratios(
            paths, len(test), num_pairs=num_pairs, seed=seed, progress=lambda *_: bar.update()
        )
    return {
        "geodesic / straight": found["ratio"]["median"],
        "shorter": found["share_shorter"],
    }, inside


def new_and_likely(
    trained: TrainedModel, judge: TrainedModel, paths: list, *, limit: float
) -> float:
    """The share of the sentences inside paths that is both.

    Args:
      trained: whose training split tells what is new.
      judge: a language model.
      paths: (ends, sentences inside) of each.
      limit: nats a predicted token that a likely sentence has at most.
    """
    sentences = [sentence for _, inside in paths for sentence in inside]
    no_ends = np.array([sentence not in ends for ends, inside in paths for sentence in inside])
    new = novel(sentences, trained.vocabulary, token_split(trained, "train")) & no_ends
    likely = score_sentences(judge, sentences, num_buckets=3).nll_per_token <= limit
    return float((new & likely).mean())


def likelihood_limit(judge: TrainedModel) -> float:
    """Nats a predicted token that nine in ten test sentences have at most."""
    test = token_split(judge, "test")
    sentences = [judge.vocabulary.decode(test.sentence(row)) for row in range(len(test))]
    return float(np.quantile(score_sentences(judge, sentences).nll_per_token, _UNLIKELIEST))


def row_of(
    workdir: Path, judge: TrainedModel | None, limit: float, *, num_codes: int, num_pairs: int
) -> Row:
    """All that is measured of one run."""
    trained = load_trained_model(workdir)
    row: Row = {"run": workdir.name}
    results = workdir / "results.json"
    if results.is_file():
        metrics = json.loads(results.read_text())["metrics"]
        row |= {name: metrics[name] for name in ("nll_iw", "kl", "mi", "au")}
    sentences = drawn_sentences(trained, num_codes, seed=0)
    row |= flow_and_decoder(trained, sentences, seed=0)
    lengths, inside = between_pairs(trained, num_pairs=num_pairs, seed=0)
    row |= lengths
    if judge is not None:
        for name, paths in inside.items():
            row[f"new and likely, {name}"] = new_and_likely(trained, judge, paths, limit=limit)
    return row


def kept_row(path: Path, settings: dict, measure: Callable[[], Row]) -> Row:
    """The row that an earlier start with these settings left in a file, else a new one, left there.

    Args:
      path: of the file.
      settings: whatever the row depends on.
      measure: gives the row.
    """
    if path.is_file() and (found := json.loads(path.read_text()))["settings"] == settings:
        return found["row"]
    row = measure()
    write_json(path, {"settings": settings, "row": row})
    return row


def by_system(rows: list[Row]) -> list[Row]:
    """One row a system, each number as mean ± sd (of one run fewer) over the runs SYSTEM_SEED."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[str(row["run"]).rpartition("_")[0]].append(row)
    found = []
    for name, members in groups.items():
        joined: Row = {"system": name, "runs": len(members)}
        for key in members[0]:
            if key != "run":
                values = [row[key] for row in members if row.get(key) is not None]
                spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
                joined[key] = f"{np.mean(values):.3f}{spread}" if values else None
        found.append(joined)
    return found


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("workdirs", metavar="RUN", type=Path, nargs="+")
    flags.add_argument("--lm_workdir", type=Path, help="a language model of the same vocabulary")
    flags.add_argument("--num_codes", type=int, default=200)
    flags.add_argument("--num_pairs", type=int, default=100)
    flags.add_argument("--rows", type=Path, help="folder that keeps each run's row")
    flags.add_argument("--by_system", action="store_true", help="mean ± sd of folders SYSTEM_SEED")
    arguments = flags.parse_args(argv)
    judge = load_trained_model(arguments.lm_workdir) if arguments.lm_workdir else None
    limit = likelihood_limit(judge) if judge else float("nan")
    if arguments.rows is not None:
        arguments.rows.mkdir(parents=True, exist_ok=True)
    counts = {"num_codes": arguments.num_codes, "num_pairs": arguments.num_pairs}
    rows = []
    for workdir in arguments.workdirs:
        measure = functools.partial(row_of, workdir, judge, limit, **counts)
        if arguments.rows is None:
            rows.append(measure())
        else:
            lm = str(arguments.lm_workdir.absolute()) if judge else ""
            settings = {**counts, "lm_workdir": lm, "run": str(workdir.absolute())}
            rows.append(kept_row(arguments.rows / f"{workdir.name}.json", settings, measure))
        print(json.dumps(rows[-1]), flush=True)
    notes = [f"{counts['num_codes']} codes, {counts['num_pairs']} pairs of test sentences"]
    if judge:
        notes.append(f"likely: at most {limit:.3f} nats a token by {arguments.lm_workdir.name}")
    shown = by_system(rows) if arguments.by_system else rows
    measurement.report("The curved space of runs", shown, notes=notes, output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
