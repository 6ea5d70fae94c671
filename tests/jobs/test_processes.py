"""What processes tell each other, with the others' answers made up; test_hosts.py has real ones."""

import signal
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.training.conftest import tiny_config
from wae_rnf_jax.errors import InputError, TrainingFailed
from wae_rnf_jax.jobs import agreement, processes, signals
from wae_rnf_jax.jobs.agreement import check_agreement, config_facts, program_facts
from wae_rnf_jax.jobs.processes import gathered_rows, together
from wae_rnf_jax.jobs.signals import SIGNAL, Interrupted, StopSignals


@pytest.fixture
def answers(monkeypatch):
    """Has process 0 of several hear these from the processes after it."""

    def answer(*others):
        monkeypatch.setattr(jax, "process_count", lambda: 1 + len(others))
        for module in (processes, agreement):
            monkeypatch.setattr(module, "gathered", lambda own: [own, *others])

    return answer


def test_alone_a_process_agrees_with_itself():
    check_agreement({**program_facts(), **config_facts(tiny_config().to_dict())})
    with pytest.raises(KeyError), together():
        raise KeyError("unchanged")


def test_a_difference_is_named_with_the_processes_that_have_each_value(answers):
    answers({"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 1, "b": "x"})
    with pytest.raises(InputError) as raised:
        check_agreement({"a": 1, "b": "x"})
    assert "differ: a is 1 on processes 0, 1, 3 and 2 on process 2: start all" in str(raised.value)


def test_a_fact_that_a_process_lacks_is_a_difference(answers):
    answers({"a": 1, "c": ""})
    with pytest.raises(
        InputError, match="b is 2 on process 0 and absent on process 1; c is absent"
    ):
        check_agreement({"a": 1, "b": 2})


def test_places_may_differ_between_hosts_and_the_seed_may_not():
    names = config_facts(tiny_config().to_dict())
    assert {"config.train.seed", "config.train.log_every", "config.objective.name"} <= names.keys()
    assert not {"config.data.path", "config.data.cache_dir"} & names.keys()


def test_the_failure_of_one_process_ends_the_others_alike(answers):
    answers(None, ("input", "no such folder", None))
    with pytest.raises(InputError, match=r"^process 2: no such folder$"), together():
        pass
    answers(("training", "no room", None))
    with pytest.raises(TrainingFailed, match=r"^process 1: no room$"), together():
        pass
    answers(("signal", "stopped", int(signal.SIGTERM)))
    with pytest.raises(Interrupted, match=r"^process 1: stopped$") as raised, together():
        pass
    assert raised.value.exit_code == 143


@pytest.mark.parametrize(
    "error, kind, message",
    [
        (OSError(28, "No space left on device", "file"), InputError, "file: No space left"),
        (ZeroDivisionError("by zero"), TrainingFailed, "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), Interrupted, "interrupted before"),
        (InputError("as it was"), InputError, "^as it was$"),
    ],
)
def test_a_process_ends_by_its_own_failure(answers, error, kind, message, capsys):
    answers(None)
    with pytest.raises(kind, match=message), together():
        raise error


def test_rows_are_gathered_in_the_order_of_one_process(monkeypatch):
    rows = np.arange(24).reshape(3, 4, 2)  # three batches of four rows
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    gather = SimpleNamespace(process_allgather=lambda own: np.stack([own, rows[:, 2:]]))
    monkeypatch.setattr(processes, "multihost_utils", gather)
    np.testing.assert_array_equal(gathered_rows(rows[:, :2]), rows)


def test_a_signal_is_answered_once_every_process_has_heard_it(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    heard = []
    with StopSignals() as stop:
        for step in range(1, 7):
            if step == 2:
                signal.raise_signal(signal.SIGTERM)
            told = stop.told({"where": np.ones(3, bool)})[SIGNAL]
            assert told.shape == (3,)
            heard.append(stop.heard(told.max()))
    assert heard == [0, 0, 0, 15, 15, 15]
    assert heard.index(15) == 2 - 1 + signals.STEPS_IN_FLIGHT


def test_alone_a_signal_is_answered_at_once():
    batch = {"where": np.ones(3, bool)}
    with StopSignals() as stop:
        assert stop.told(batch) is batch
        assert stop.heard(None) == 0
        signal.raise_signal(signal.SIGINT)
        assert stop.heard(None) == signal.SIGINT
    assert Interrupted(signal.SIGINT, "").exit_code == 130
    assert Interrupted(signal.SIGTERM, "").exit_code == 0
