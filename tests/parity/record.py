"""Write down what an authors' code computes: `python -m parity.record NAME FOLDER`, in tests/.

NAME is a case of `cases.py`, or `ada`; FOLDER is a clone of the authors' repository.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import torch
from parity import formula
from parity.authors import SOURCES, common
from parity.cases import BATCH, CASES, latents, networks
from parity.frozen import registered

NUMBERS = Path(__file__).parent / "numbers"


def record(case, build, folder):
    """Outputs, loss terms by phase, and gradients by phase and parameter, of the authors' code."""
    with formula.precision(case.double), registered():
        return _record(case, build, folder)


def _record(case, build, folder):
    ours = networks(case, case.build())
    theirs = build(case, folder)
    common.fill(theirs, ours, case)
    inputs = (latents(BATCH, case.options.get("z_dim", 1)), case.images(), case.condition())
    losses, gradients = {}, {}
    for phase, (roles, run) in theirs.phases.items():
        for role, network in theirs.networks.items():
            network.requires_grad_(role in roles).zero_grad()
            if hasattr(network, "feature_network"):
                network.feature_network.requires_grad_(False)
        with formula.fixed_draws():
            losses[phase] = {term: value.item() for term, value in run(*inputs).items()}
        gradients[phase] = {
            key: value for role in roles for key, value in _gradients(theirs, ours, role)
        }
    z, img, c = inputs
    with formula.fixed_draws(), torch.no_grad():
        outputs = {
            "image": formula.summary(theirs.generate(z, c)),
            "logits": formula.summary(theirs.score(img, c)),
        }
    return {"outputs": outputs, "losses": losses, "gradients": gradients}


def _gradients(theirs, ours, role):
    shapes = {name: tensor.shape for name, tensor in formula.plain_names(ours[role]).items()}
    for name, tensor in theirs.networks[role].named_parameters():
        own = common.their_name(theirs.rules[role], name)
        if tensor.grad is not None and own in shapes:
            yield f"{role}.{own}", formula.summary(common.fit(tensor.grad, shapes[own]))


def commit(folder):
    """The commit that a clone has checked out."""
    return subprocess.check_output(["git", "-C", str(folder), "rev-parse", "HEAD"], text=True)


def write(name, found):
    """As JSON, one line for each tensor."""
    text = json.dumps(found, indent=1)
    text = re.sub(r"\[[^\]]*\]", lambda match: " ".join(match[0].split()), text)
    NUMBERS.mkdir(exist_ok=True)
    (NUMBERS / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    repository, build = SOURCES[name]
    found = build(folder) if name == "ada" else record(CASES[name], build, folder)
    write(name, {"repository": repository, "commit": commit(folder).strip()} | found)
