"""What the functions that run the authors' code share."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from parity import formula

Rules = list[tuple[str, str | Callable]]


@dataclass
class Theirs:
    """The authors' side of a case.

    Attributes:
        networks: by role of ganforge.
        rules: for each role, patterns that turn their parameters' names into ganforge's.
        phases: name -> (roles, function that runs backward and returns loss terms).
        generate: (z, c) -> images.
        score: (images, c) -> logits.
    """

    networks: dict
    rules: dict[str, Rules]
    phases: dict
    generate: Callable | None = None
    score: Callable | None = None


def their_name(rules, name):
    """A parameter's name in ganforge."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def fit(values, shape):
    """The same values in another framework's shape: equal, transposed, or with other axes of 1."""
    if values.dim() == 2 and values.T.shape == shape != values.shape:
        return values.T
    return values.reshape(shape)


@torch.no_grad()
def fill(theirs, ours, case):
    """Give the authors' networks the weights of the formula; spectral norms are then exact."""
    for role, network in theirs.networks.items():
        shapes = {name: p.shape for name, p in formula.plain_names(ours[role]).items()}
        found = {their_name(theirs.rules[role], n): p for n, p in network.named_parameters()}
        found = {name: p for name, p in found.items() if not name.startswith("-")}
        assert sorted(found) == sorted(shapes), (role, set(found) ^ set(shapes))
        for name, tensor in found.items():
            tensor.copy_(fit(formula.parameter(name, shapes[name], case.equalized), tensor.shape))
        network.train(case.training)
        for module in network.modules():
            _set_singular_vectors(module)


def _set_singular_vectors(module):
    weight = getattr(module, "weight_orig", getattr(module, "weight", None))
    if hasattr(module, "u0"):
        left, _ = formula.singular_vectors(weight.flatten(1))
        module.u0.copy_(left[None])
    elif hasattr(module, "weight_u"):
        if isinstance(module, torch.nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        left, right = formula.singular_vectors(weight.flatten(1))
        module.weight_u.copy_(left)
        module.weight_v.copy_(right)


def stub(*names):
    """Stand-ins for modules that the networks import and do not use."""
    for name in names:
        sys.modules.setdefault(name, MagicMock())


def stub_nvlabs():
    """What code derived from NVIDIA's imports and newer machines lack."""
    version = __import__("packaging.version").version
    sys.modules.setdefault("pkg_resources", SimpleNamespace(parse_version=version.parse))
    stub("requests")


def adversarial(generator, discriminator, rules, d_loss, g_loss, generate=None, score=None):
    """The two phases of a noise-to-image GAN: D on generated and real images, then G."""
    generate, score = generate or generator, score or discriminator

    def train_discriminator(z, img, c):
        with torch.no_grad():
            gen_img = generate(z, c)
        terms = d_loss(score(img, c), score(gen_img, c), img, gen_img)
        sum(terms.values()).backward()
        return terms

    def train_generator(z, img, c):
        terms = {"adversarial": g_loss(score(generate(z, c), c))}
        sum(terms.values()).backward()
        return terms

    return Theirs(
        {"generator": generator, "discriminator": discriminator},
        dict(zip(("generator", "discriminator"), rules, strict=True)),
        {
            "discriminator": (["discriminator"], train_discriminator),
            "generator": (["generator"], train_generator),
        },
        generate,
        score,
    )
