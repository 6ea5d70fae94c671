from command_runs import train_arguments

from wae_rnf_jax import cli


def test_prepare_says_what_the_corpus_holds(text_folder, capsys):
    arguments = train_arguments(text_folder, "unused")
    assert cli.main(["prepare", *(a for a in arguments[1:] if "workdir" not in a)]) == 0
    out = capsys.readouterr().out
    assert "train: 40 sentences" in out
    assert "padding: " in out
