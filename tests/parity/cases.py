"""The small networks that are compared with the authors', and what is measured on them."""

from dataclasses import dataclass, field

import torch
from parity import formula

from ganforge.api import Architecture, Batch, ImageSpec, Networks, Objective
from ganforge.interfaces.objective import AdversarialLoss, Regularizer
from ganforge.registry.plugins import get_registry

BATCH = 4
CLASSES = ("a", "b", "c")


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        architecture: name in ganforge.
        side: of the images, in pixels.
        options: of the architecture.
        loss: name of the adversarial loss.
        regularizers: their options, by name.
        labels: whether the model is class-conditional.
        equalized: whether weights have unit variance (equalized learning rate).
        training: whether the networks are in training mode.
        double: whether to compute with 64 bits.
    """

    architecture: str
    side: int
    options: dict
    loss: str
    regularizers: dict = field(default_factory=dict)
    labels: bool = False
    equalized: bool = False
    training: bool = True
    double: bool = False

    @property
    def tolerance(self):
        """Largest difference from the authors, as a part of the value plus its tensor's size."""
        return 1e-6 if self.double else 2e-5

    @property
    def spec(self):
        """The format of the images."""
        return ImageSpec(
            self.side,
            self.side,
            3,
            source_channels=3 if self.architecture == "cyclegan" else None,
            class_names=CLASSES if self.labels else (),
        )

    def build(self):
        """The architecture."""
        component, config = get_registry().configure(
            Architecture, self.architecture, self.options, "model"
        )
        return component(config, self.spec)

    def objective(self):
        """Loss and penalties, each applied in every step."""
        registry = get_registry()
        loss = registry.build(AdversarialLoss, self.loss, {}, "loss")
        return Objective(
            loss,
            tuple(
                registry.build(Regularizer, name, {"every": 1} | options, "loss")
                for name, options in self.regularizers.items()
            ),
        )

    def images(self, name="image"):
        """[N, 3, H, W]."""
        return formula.uniform(name, (BATCH, 3, self.side, self.side))

    def condition(self):
        """One-hot labels [N, c_dim]."""
        return torch.eye(len(CLASSES))[torch.arange(BATCH) % 3][:, : self.spec.num_classes]


def latents(num, size):
    """z [num, size]."""
    return formula.normal_like("z", (BATCH, size))[:num]


def networks(case, architecture):
    """Networks by role, with the weights of the formula."""
    found = architecture.networks()
    for network in found.values():
        formula.fill(network.to("cpu").train(case.training), case.equalized)
        if hasattr(network, "projection"):
            formula.fill(network.projection)
            network.fingerprint.zero_()  # else it would refuse these projections
    return found


def measure(case):
    """Outputs, loss terms by phase, and gradients by phase and parameter, of ganforge."""
    with formula.precision(case.double):
        return _measure(case)


def _measure(case):
    architecture = case.build()
    nets = networks(case, architecture)
    architecture.latent = lambda num, like: latents(num, architecture.z_dim)
    architecture.gen_condition = lambda objective, batch: architecture.condition(batch)
    fields = {name: case.images(name) for name in ("image", "source", "target")}
    batch = Batch(fields | {"label": case.condition()})
    losses, gradients = {}, {}
    for phase in architecture.phases(case.objective()):
        for role, network in nets.items():
            network.requires_grad_(role in phase.trains).zero_grad()
        with formula.fixed_draws():
            terms = phase.loss(Networks(nets), batch)
            sum(terms.values()).backward()
        losses[phase.name] = {name: value.item() for name, value in terms.items()}
        gradients[phase.name] = {
            f"{role}.{name}": formula.summary(tensor.grad)
            for role in phase.trains
            for name, tensor in formula.plain_names(nets[role]).items()
            if tensor.grad is not None
        }
    return {"outputs": outputs(case, architecture, nets), "losses": losses, "gradients": gradients}


@torch.no_grad()
def outputs(case, architecture, nets):
    """Summaries of generated images and of the logits of real ones."""
    if case.architecture == "cyclegan":
        image = nets["generator_target"](case.images("source"))
        logits = nets["discriminator_target"](case.images("target"))
    else:
        c, z = case.condition(), latents(BATCH, architecture.z_dim)
        with formula.fixed_draws():
            image, logits = nets["generator"](z, c), nets["discriminator"](case.images(), c)
    return {"image": formula.summary(image), "logits": formula.summary(logits)}


CASES = {
    "stylegan1": Case(
        "stylegan",
        32,
        {
            "z_dim": 16,
            "w_dim": 16,
            "mapping_layers": 2,
            "mapping_lr_mult": 1.0,
            "channel_base": 256,
            "channel_max": 16,
            "style_mixing": 0,
            "mbstd_group": 2,
        },
        "nonsaturating",
        {"r1": {"gamma": 2.0}},
        equalized=True,
    ),
    "stylegan2": Case(
        "stylegan2",
        32,
        {
            "z_dim": 16,
            "w_dim": 16,
            "mapping_layers": 2,
            "mapping_lr_mult": 1.0,
            "channel_base": 256,
            "channel_max": 16,
            "discriminator_mapping_layers": 2,
            "style_mixing": 0,
            "mbstd_group": 2,
        },
        "nonsaturating",
        {"r1": {"gamma": 2.0}, "path_length": {"decay": 0.3}},
        labels=True,
        equalized=True,
    ),
    "stylegan3": Case(
        "stylegan3",
        32,
        {
            "z_dim": 16,
            "w_dim": 16,
            "mapping_lr_mult": 1.0,
            "channel_base": 256,
            "channel_max": 16,
            "num_layers": 6,
            "discriminator_mapping_layers": 2,
        },
        "nonsaturating",
        {"r1": {"gamma": 2.0}},
        labels=True,
        equalized=True,
        training=False,
    ),
    "r3gan": Case(
        "r3gan",
        32,
        {"z_dim": 8, "channel_base": 512, "channel_max": 32, "group_width": 8},
        "relativistic",
        {"r1": {"gamma": 0.5}, "r2": {"gamma": 0.5}},
        labels=True,
    ),
    "biggan": Case(
        "biggan",
        64,
        {"z_dim": 20, "channels": 8, "shared_dim": 8, "attention": 32, "norm_eps": 1e-5},
        "hinge",
        labels=True,
        double=True,
    ),
    "biggan_deep": Case(
        "biggan_deep",
        64,
        {"z_dim": 20, "channels": 8, "shared_dim": 8, "attention": 32, "norm_eps": 1e-5},
        "hinge",
        labels=True,
        double=True,
    ),
    "sngan_32": Case(
        "sngan",
        32,
        {"z_dim": 16, "generator_channels": 16, "discriminator_channels": 8},
        "hinge",
        double=True,
    ),
    "sngan_64": Case(
        "sngan",
        64,
        {
            "z_dim": 16,
            "generator_channels": [64, 32, 16, 8, 4],
            "discriminator_channels": [4, 8, 16, 32, 64],
            "discriminator_down_blocks": 5,
            "discriminator_plain_blocks": 0,
        },
        "hinge",
        double=True,
    ),
    "cyclegan": Case(
        "cyclegan",
        32,
        {"generator_width": 8, "num_blocks": 6, "discriminator_width": 8, "pool_size": 0},
        "least_squares",
        double=True,
    ),
    "projected_gan": Case(
        "projected_gan",
        128,
        {"z_dim": 16, "channels": 8, "features": "small_features", "projection_channels": 8},
        "hinge",
        double=True,
    ),
    "wgan_gp_32": Case(
        "resnet_gan",
        32,
        {"z_dim": 16, "generator_channels": 16, "discriminator_channels": 8},
        "wasserstein",
        {"gradient_penalty": {"weight": 10.0}},
        double=True,
    ),
}
