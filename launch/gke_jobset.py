"""Fills in gke_jobset.yaml and prints it; nothing is started, and nothing is touched.

    python launch/gke_jobset.py --name=wae-rnf --image=IMAGE --accelerator=tpu-v6e-slice \
      --topology=4x4 --hosts=4 --chips_per_host=4 -- \
      --config=configs/ptb/wae_rnf.py --workdir=gs://BUCKET/wae_rnf | kubectl apply -f -

What stands after `--` goes to `wae-rnf train`. `kubectl apply --dry-run=server -f -` in its place
has the cluster check it. The image is that of launch/Dockerfile.
"""

import argparse
import json
import math
import re
import string
import sys
from pathlib import Path
from typing import NoReturn

TEMPLATE = Path(__file__).with_name("gke_jobset.yaml")
STOPPED = 75  # exit code of a run that was told to stop and has saved
ONLY_WITH_SPOT = "# with --spot only"
# What a value may be made of. Pods' names, which are host names, hold that of the JobSet.
LABEL = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
FORMS = {
    "name": (LABEL, "at most 40 small letters, digits and hyphens, such as wae-rnf"),
    "namespace": (LABEL, "at most 40 small letters, digits and hyphens"),
    "service_account": (r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", "the name of one of the namespace"),
    "image": (r"[\w.-]+(:\d+)?(/[\w.-]+)*([:@][\w.:-]+)?", "a container image's name"),
    "accelerator": (r"[a-z0-9-]+", "such as tpu-v6e-slice"),
    "topology": (r"\d+x\d+(x\d+)?", "such as 4x4 or 2x2x4"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Says in one sentence what is wrong; exit code 2."""
        sys.exit(_refusal(message))


def _refusal(message: str) -> int:
    print(f"gke_jobset.py: {message}", file=sys.stderr)
    return 2


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        description="Prints a JobSet that trains on a slice of TPUs, for `kubectl apply -f -`.",
        allow_abbrev=False,
    )
    for name, text in (
        ("name", "of the JobSet"),
        ("image", "container image, made by launch/Dockerfile and pushed"),
        ("accelerator", "GKE's name of the TPU, such as tpu-v6e-slice"),
        ("topology", "of the slice, such as 4x4"),
    ):
        parser.add_argument(f"--{name}", required=True, help=text)
    for name, text in (("hosts", "of the slice"), ("chips_per_host", "TPU chips of each host")):
        parser.add_argument(f"--{name}", required=True, type=_positive, help=text)
    parser.add_argument("--namespace", default="default", help="default: %(default)s")
    parser.add_argument(
        "--service_account",
        default="default",
        help="of Kubernetes, which may read and write the workdir's bucket; default: %(default)s",
    )
    parser.add_argument("--max_restarts", type=_positive, default=100, help="default: %(default)s")
    parser.add_argument(
        "--grace_seconds",
        type=_positive,
        default=120,
        help="to save in, after SIGTERM; spot nodes may grant less; default: %(default)s",
    )
    parser.add_argument(
        "--run_as_user",
        type=int,
        default=1000,
        help="0 where only root may open the nodes' TPUs; default: %(default)s",
    )
    parser.add_argument("--spot", action="store_true", help="on spot nodes")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="of wae-rnf train")
    return parser


def _check(values: argparse.Namespace) -> str | None:
    """Returns what is wrong, or None."""
    for name, (form, right) in FORMS.items():
        value = getattr(values, name)
        if not re.fullmatch(form, value):
            return f"--{name} is {value!r}: it must be {right}"
    chips = math.prod(map(int, values.topology.split("x")))
    if chips != values.hosts * values.chips_per_host:
        return (
            f"--topology={values.topology} has {chips} chips, and {values.hosts} hosts of "
            f"{values.chips_per_host} have {values.hosts * values.chips_per_host}: they must agree"
        )
    for name in ("--config", "--workdir"):
        if not any(argument.startswith(f"{name}=") for argument in values.arguments):
            return f"{name}=… is missing: give the arguments of wae-rnf train after --"
    if not any(argument.startswith("--workdir=gs://") for argument in values.arguments):
        return "--workdir must be on gs://: what a pod writes elsewhere goes with it"
    return None


def main() -> int:
    """Prints the manifest; returns the exit code."""
    values = _parser().parse_args()
    wrong = _check(values)
    if wrong:
        return _refusal(wrong)
    command = ["train", "--distributed", f"--stop_code={STOPPED}", *values.arguments]
    # A list of JSON is one of YAML; it knows no $(VARIABLE), which Kubernetes would replace.
    arguments = json.dumps(command, ensure_ascii=False).replace("$(", "$$(")
    lines = [
        line.removesuffix(ONLY_WITH_SPOT).rstrip()
        for line in TEMPLATE.read_text(encoding="utf-8").splitlines()
        if values.spot or not line.endswith(ONLY_WITH_SPOT)
    ]
    text = "\n".join(lines)
    print(string.Template(text).substitute({**vars(values), "arguments": arguments}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
