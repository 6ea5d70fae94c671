import pytest

from wae_rnf_jax.evaluation import report

METRICS = {
    "nll_iw": 105.944,
    "nll_iw_se": 0.98,
    "ppl_iw": 125.6,
    "neg_elbo": 106.1,
    "rec": 105.5,
    "kl": 0.56,
    "kl_base": 0.61,
    "mi": 0.51,
    "marginal_kl": 0.05,
    "au": 3,
    "log_num_sentences": 8.2324,
    "nll_paper": 89.65,
    "num_samples": 100,
    "num_kl_samples": 100,
    "num_sentences": 3761,
    "num_tokens": 82430,
}
EXACT = {**METRICS, "nll_iw": 9.5, "true_nll": 9.25, "true_nll_ratio": 1.027}
WITHOUT_PAPER = {name: value for name, value in METRICS.items() if name != "nll_paper"}


def test_table_of_one_model_names_every_metric():
    lines = report.metric_table(METRICS).splitlines()
    values = {line.split()[0]: line.split()[1] for line in lines[: lines.index("")]}
    assert values["nll_iw"] == "105.94"
    assert values["kl"] == "0.560"
    assert values["au"] == "3"
    assert set(values) == set(METRICS) - {"log_num_sentences", "num_kl_samples"}
    assert any("cannot exceed log N = 8.23" in line for line in lines)


def test_draws_of_a_proposal_are_told_from_the_posteriors():
    own, other = "over the same S draws that nll_iw weights", "nll_iw weights draws of a proposal"
    scaled = {**METRICS, "proposal_scale": 1.2}
    assert "average over 100 others, of the posterior" in report.metric_table(scaled)
    for results, notes in (
        ([METRICS], [own]),
        ([scaled], [other]),
        ([METRICS, scaled], [own, other]),
    ):
        table = report.comparison_table(dict(zip("ab", results, strict=False)))
        assert [note for note in (own, other) if note in table] == notes
        assert ("Scale" in table.split("\n", 1)[0]) == (scaled in results)


def test_comparison_is_aligned_and_leaves_out_what_a_model_lacks():
    table = report.comparison_table({"wae_rnf": METRICS, "grammar": EXACT})
    header, first, second = table.splitlines()[:3]
    assert header.split()[0] == "model"
    assert len(header) == len(second) >= len(first)
    for title in ("NLL (IW)", "KL", "Tokens"):
        end = header.index(title) + len(title)
        for line in (first, second):
            assert line[end - 1].isdigit()
            assert line[end : end + 1] in ("", " ")
    assert "9.250" in second
    assert "9.250" not in first


def test_markdown_rows_have_as_many_cells_as_the_header():
    lines = report.markdown_table({"a": METRICS, "b": EXACT}).splitlines()
    rows = lines[: lines.index("")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].startswith("| a | 105.94 | 0.98 | 125.60 |")
    assert rows[1].startswith("| --- | ---: |")


@pytest.mark.parametrize(
    "table",
    [
        report.metric_table,
        lambda metrics: report.comparison_table({"a": metrics}),
        lambda metrics: report.markdown_table({"a": metrics}),
    ],
)
def test_nll_paper_never_stands_without_its_warning(table):
    assert report.NLL_PAPER_NOTE in table(METRICS)
    assert report.NLL_PAPER_NOTE not in table(WITHOUT_PAPER)
    assert "not a bound" in report.NLL_PAPER_NOTE
    assert "½·Z nats" in report.NLL_PAPER_NOTE


TEXT = {
    "recon_bleu": 12.345,
    "num_reconstructions": 3761,
    "distinct_1": 0.0712,
    "self_bleu": 41.5,
    "num_self_bleu": 200,
    "num_generated": 1000,
}


def test_text_metrics_stand_in_a_table_of_their_own():
    results = {"wae_rnf": {**METRICS, **TEXT}, "grammar": EXACT}
    lines = report.comparison_table(results).splitlines()
    first, second = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in first] == ["model", "wae_rnf", "grammar"]
    assert [line.split()[0] for line in second[: second.index("")]] == ["model", "wae_rnf"]
    assert "12.35" in second[1].split()
    assert any("depend on the number of samples" in line for line in second)
    markdown = report.markdown_table(results).splitlines()
    assert any(line.startswith("| wae_rnf | 12.35 | 3761 |") for line in markdown)
    assert "41.50" in report.metric_table(results["wae_rnf"])


def test_tab_separated_values_keep_full_precision():
    results = {"a": {**METRICS, **TEXT}, "b": WITHOUT_PAPER}
    header, *rows = (line.split("\t") for line in report.tsv_table(results).splitlines())
    a, b = (dict(zip(header, row, strict=True)) for row in rows)
    assert a["model"] == "a"
    assert a["nll_iw"] == b["nll_iw"] == "105.944"
    assert a["recon_bleu"] == "12.345"
    assert b["recon_bleu"] == b["nll_paper"] == ""


@pytest.mark.parametrize("table", [report.comparison_table, report.markdown_table])
def test_tables_of_models_say_what_the_likelihood_is(table):
    assert report.NLL_IW_NOTE in table({"a": METRICS})
    assert report.NLL_IW_NOTE not in table({"a": {"nll_paper": 91}})


def test_a_code_that_has_collapsed_is_said_in_words():
    assert report.collapse_in_words(METRICS) == ""
    for mi, au, shown in ((0.02, 0, "0.02 nats"), (-0.01, 1, "0.00 nats"), (0.1, 10, "10 active")):
        said = report.collapse_in_words({**METRICS, "mi": mi, "au": au})
        assert said.startswith("The code has collapsed: it carries ")
        assert shown in said


def test_a_code_of_one_sentence_and_means_that_hardly_vary_are_no_collapse():
    of_one = {**METRICS, "mi": 0.0, "au": -1, "log_num_sentences": 0.0}
    assert report.collapse_in_words(of_one) == ""
    assert report.collapse_in_words({**METRICS, "mi": 8.0, "au": 0}) == ""
    assert "in 0 active units" in report.collapse_in_words({**METRICS, "mi": 0.0, "au": -1})


def test_what_refines_posteriors_is_shown():
    metrics = {**METRICS, "refinement_steps": 20, "neg_elbo_encoder": 107.5}
    lines = report.metric_table(metrics).splitlines()
    assert any(line.split()[:2] == ["refinement_steps", "20"] for line in lines)
    assert any(line.split()[:2] == ["neg_elbo_encoder", "107.50"] for line in lines)
