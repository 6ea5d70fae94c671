"""`wae-rnf geometry`: a picture of the curved latent space, and two paths through it."""

import shutil

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import progress_bar

_COUNTS = {  # default, least and meaning
    "grid": (32, 2, "points of the map along each axis"),
    "num_codes": (300, 3, "number of validation sentences whose codes are shown and measured"),
    "num_points": (7, 2, "sentences decoded along each path, including both ends"),
    "num_knots": (8, 2, "knots of the geodesic's spline"),
    "num_pairs": (
        0,
        0,
        "random pairs of test sentences whose geodesic and straight lengths are compared",
    ),
    "num_shown": (0, 0, "how many of these pairs have both paths decoded and printed"),
}


def _define_flags(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.geometry_report import UNITS

    options.define_workdir(values)
    flags.DEFINE_string("start", None, "the first sentence of the paths", flag_values=values)
    flags.DEFINE_string("end", None, "the last sentence of the paths", flag_values=values)
    flags.DEFINE_string(
        "through",
        None,
        "a third sentence: the plane then contains all three, not the principal axes",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "features",
        "fisher",
        list(UNITS),
        "what the metric is pulled back from: the Fisher–Rao distances of the distributions of the "
        "next word, or the decoder's initial state",
        flag_values=values,
    )
    for name, (default, least, text) in _COUNTS.items():
        flags.DEFINE_integer(name, default, text, lower_bound=least, flag_values=values)
    options.define_seed(values, "seed for drawing the pairs and the codes")
    flags.DEFINE_string(
        "output",
        None,
        "path of the output files without their suffixes; WORKDIR/geometry if not given",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.geometry_report import geometry_report, pairs_in_words, side_by_side
    from wae_rnf_jax.evaluation.plane_picture import save_plane
    from wae_rnf_jax.evaluation.results_file import json_text
    from wae_rnf_jax.storage.files import new_file

    start, end = (options.given_sentence(values, name) for name in ("start", "end"))
    through = options.given_sentence(values, "through") if values["through"].value else None
    workdir = options.workdir_path(values)
    run = options.open_run(workdir).trained
    flag, stem = "output", options.path_of(values["output"].value or "")
    if not values["output"].value:
        flag, stem = "workdir", workdir / "geometry"
    elif stem.suffix in (".png", ".svg", ".pdf", ".json"):  # one of the files was named
        stem = stem.with_suffix("")
    options.check_folder(stem.parent, flag)
    report = geometry_report(
        run,
        start,
        end,
        through=through,
        progress=_Progress(),
        **{name: values[name].value for name in ("features", "seed", *_COUNTS)},
    )
    options.report_unknown(report.unknown)
    pairs = report.results.get("pairs", {})
    width = shutil.get_terminal_size((160, 24)).columns
    for paths in [report.results["paths"], *pairs.get("shown", [])]:
        print(side_by_side(paths, report.results["features"], width=width), end="\n\n")
    if pairs:
        print(pairs_in_words(pairs))
    results = stem.with_name(stem.name + ".json")
    with options.writing(stem, flag):
        files = save_plane(report.picture, stem)
        with new_file(results) as file:
            file.write(f"{json_text(report.results)}\n".encode())
    for path in (*files, results):
        print(f"written to {options.published(values, path) if flag == 'workdir' else path}")


class _Progress:
    """A progress bar for each stage, shown once it has begun."""

    def __init__(self) -> None:
        self._stage, self._bar = None, None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar = progress_bar(desc=stage, total=total)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()


COMMAND = Command(
    summary="Draw the curved latent space, with a straight and a geodesic path through it.",
    examples=(
        'wae-rnf geometry --workdir=runs/grammar/wae_rnf --start="the singers play the song" '
        '--end="these sailors do not launch the boat"',
    ),
    run=_run,
    takes_less="--grid or --num_codes",
    define_flags=_define_flags,
)
