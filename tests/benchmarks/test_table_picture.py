"""The picture of a table of the results: whose rows it takes, and that it is drawn."""

import pytest

from benchmarks import table_picture
from wae_rnf_jax.errors import InputError

TEXT = """# Results

## One

Words.

| system | nll_iw | kl | mi | au | nll_paper (no bound) |
| --- | ---: | ---: | ---: | ---: | ---: |
| `lm` | 5.50 ± 0.25 | 0 | 0 | 0 | 5.50 |
| `vae` (bfloat16) | 6.00 ± 0.50 | 0.00 | 0.00 | 0 | |

| system | nll_iw |
| --- | ---: |
| `other` | 1 |

## Two

Words alone.

## Three

| system | nll_iw |
| --- | ---: |
| `last` | 1 |
"""


def test_a_tables_rows_are_systems():
    found = table_picture.systems_of(TEXT, "One")
    assert list(found) == ["lm", "vae (bfloat16)"]
    assert [system.has_code for system in found.values()] == [False, True]
    assert all(system.tested for system in found.values())
    metrics = found["vae (bfloat16)"].metrics
    assert (metrics["nll_iw"], metrics["nll_iw_se"], metrics["kl"]) == (6.0, 0.5, 0.0)
    assert "nll_paper (no bound)" not in metrics


@pytest.mark.parametrize(("heading", "said"), [("Four", "no section"), ("Two", "no table")])
def test_what_is_not_there_is_named(heading, said):
    with pytest.raises(InputError, match=said):
        table_picture.systems_of(TEXT, heading)
    with pytest.raises(SystemExit, match="2"):
        table_picture.main(["No such section", "drawn"])


@pytest.mark.parametrize(
    "heading",
    ["Penn Treebank: eight epochs", "Sentences of reviews: what a code knows of the sentiment"],
)
def test_pictures_of_the_documents_tables(tmp_path, heading):
    systems = table_picture.systems_of(table_picture.RESULTS.read_text(), heading)
    assert len(systems) >= 4
    assert all({"nll_iw", "nll_iw_se", "kl", "mi"} <= set(s.metrics) for s in systems.values())
    assert table_picture.main([heading, str(tmp_path / "drawn")]) == 0
    assert (tmp_path / "drawn.png").stat().st_size > 10_000
