"""The JobSet against the schema of the fields it uses, and the image it runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from command_runs import ROOT

SCHEMA = json.loads(Path(__file__).with_name("jobset_schema.json").read_text())
FLAGS = {
    "name": "wae-rnf",
    "image": "registry.example:5000/group/wae-rnf:1.0",
    "accelerator": "tpu-v6e-slice",
    "topology": "4x4",
    "hosts": "4",
    "chips_per_host": "4",
}
RUN = ["--config=configs/ptb/wae_rnf.py", '--workdir=gs://bucket/it\'s "$(HOME)" ${name}']


def call(*arguments, run=RUN, **changes):
    flags = {**FLAGS, **changes}
    given = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return subprocess.run(
        [sys.executable, ROOT / "launch" / "gke_jobset.py", *arguments, *given, "--", *run],
        capture_output=True,
        text=True,
        check=False,
    )


def manifest(*arguments, **changes):
    result = call(*arguments, **changes)
    assert (result.returncode, result.stderr) == (0, "")
    content = yaml.safe_load(result.stdout)
    jsonschema.validate(content, SCHEMA, cls=jsonschema.Draft202012Validator)
    return content


def parts(content):
    """The specifications of the JobSet, of its job, and of the job's pods."""
    (job,) = content["spec"]["replicatedJobs"]
    return content["spec"], job["template"]["spec"], job["template"]["spec"]["template"]["spec"]


def test_each_host_is_a_pod_that_joins_the_others():
    content = manifest(namespace="team", grace_seconds="7", max_restarts="3")
    spec, job, pod = parts(content)
    assert content["metadata"]["name"] == "wae-rnf"
    assert content["metadata"]["namespace"] == "team"
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (4, 4, "Indexed")
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    (container,) = pod["containers"]
    assert container["image"] == FLAGS["image"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    literal = [argument.replace("$(", "$$(") for argument in RUN]  # as Kubernetes reads them
    assert container["args"] == ["train", "--distributed", "--stop_code=75", *literal]
    assert (pod["terminationGracePeriodSeconds"], spec["failurePolicy"]["maxRestarts"]) == (7, 3)


def test_a_stopped_host_starts_all_again_and_bad_input_ends_the_set():
    spec, job, pod = parts(manifest())
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    (of_pods,) = job["podFailurePolicy"]["rules"]
    assert of_pods["action"] == "FailJob"
    assert of_pods["onExitCodes"]["values"] == [2]
    assert of_pods["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    (of_jobs,) = spec["failurePolicy"]["rules"]
    assert of_jobs["action"] == "FailJobSet"
    assert of_jobs["onJobFailureReasons"] == ["PodFailurePolicy"]


def test_spot_nodes_are_asked_for():
    _, _, pod = parts(manifest("--spot"))
    assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"


def test_the_schema_refuses_what_the_api_does_not_know():
    content = manifest()
    content["spec"]["replicatedJobs"][0]["template"]["spec"]["backofLimit"] = 0
    with pytest.raises(jsonschema.ValidationError, match="backofLimit"):
        jsonschema.validate(content, SCHEMA)


MISUSES = {
    "no image": ({"image": None}, "required: --image"),
    "an image with a blank": ({"image": "a b"}, "--image is 'a b': it must be a container image"),
    "capitals": ({"name": "Run"}, "--name is 'Run': it must be at most 40 small letters"),
    "a topology of words": ({"topology": "big"}, "--topology is 'big': it must be such as 4x4"),
    "hosts": ({"hosts": "2"}, "--topology=4x4 has 16 chips, and 2 hosts of 4 have 8"),
    "no number": ({"hosts": "0"}, "'0' must be a whole number from 1 on"),
    "an unknown flag": ({"host": "2"}, "--host=2"),
    "no workdir": ({"run": RUN[:1]}, "--workdir=… is missing"),
    "a folder": ({"run": [RUN[0], "--workdir=runs/a"]}, "--workdir must be on gs://"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_sentence(name):
    changes, said = MISUSES[name]
    result = call(**changes)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def instructions(text):
    """(instruction, arguments) of a Dockerfile, continued lines joined."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def test_the_image_is_pinned_and_runs_as_no_root():
    found = instructions((ROOT / "launch" / "Dockerfile").read_text())
    known = set("ARG CMD COPY ENTRYPOINT ENV FROM RUN USER WORKDIR".split())
    assert {name for name, _ in found} == known
    (base,) = [arguments for name, arguments in found if name == "FROM"]
    assert re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-\w+", base)
    runs = [arguments for name, arguments in found if name == "RUN"]
    assert runs[0] == "pip install --requirement requirements.txt"
    assert "--constraint requirements.txt" in runs[1]
    last_user = [number for number, (name, _) in enumerate(found) if name == "USER"][-1]
    assert found[last_user] == ("USER", "1000")
    assert all(name in ("ENV", "ENTRYPOINT", "CMD") for name, _ in found[last_user + 1 :])
    assert json.loads(dict(found)["ENTRYPOINT"]) == ["wae-rnf"]


def test_the_image_gets_all_that_it_copies_and_nothing_else():
    found = instructions((ROOT / "launch" / "Dockerfile").read_text())
    copied = [
        source.removeprefix("./")
        for name, arguments in found
        if name == "COPY"
        for source in arguments.split()[:-1]
    ]
    ignored = (ROOT / "launch" / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in ignored if not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied)
    assert all((ROOT / source).exists() for source in copied)
