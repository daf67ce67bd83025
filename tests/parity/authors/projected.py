"""Projected GAN."""

import re
import sys
from types import SimpleNamespace

import torch
from parity import formula, frozen
from parity.authors.common import Rules, Theirs, stub, stub_nvlabs


def _level(side):
    return int(side).bit_length() - 3


def _fast_layer(match):
    return f"layers.{2 * _level(match[1]) - 2 + int(match[2]) // 5}."


_FAST_PARTS: Rules = [
    (r"^(layers\.\d+\.)[15]\.", r"\1conv."),
    (r"^(layers\.\d+\.)[26]\.weight", r"\1noise_strength"),
    (r"^(layers\.\d+\.)[37]\.", r"\1norm."),
]
_FAST_GENERATOR: Rules = [
    (r"\.weight_orig$", ".weight"),
    (r"^synthesis\.", ""),
    (r"^(feat|se)_256", r"-\1_256"),
    (r"^init\.init\.", "start."),
    (r"^to_big\.", "to_img."),
    (r"^feat_(\d+)\.(?=(\d))", _fast_layer),
    *_FAST_PARTS,
    (
        r"^se_(\d+)\.main\.([13])\.",
        lambda m: f"excitations.{_level(m[1])}.{'squeeze' if m[2] == '1' else 'excite'}.",
    ),
]
_PROJECTED_DISCRIMINATOR: Rules = [
    (r"\.weight_orig$", ".weight"),
    (r"^feature_network", "-feature_network"),
    (
        r"^discriminator\.mini_discs\.(\d+)\.main\.(\d+)\.main\.(\d+)\.",
        lambda m: f"scales.{m[1]}.body.{3 * int(m[2]) + int(m[3])}.",
    ),
    (r"^discriminator\.mini_discs\.(\d+)\.main\.\d+\.", r"scales.\1.last."),
]


def _small_timm(name, pretrained):
    """What the authors' code takes apart, made of `frozen.small_layers`."""
    first, *others = frozen.small_layers()
    same = torch.nn.Identity()
    blocks = [same, same, others[0], others[1], same, others[2]]
    return SimpleNamespace(conv_stem=first, bn1=same, act1=same, blocks=blocks)


@torch.no_grad()
def _fill_projection(scratch):
    for name, tensor in scratch.named_parameters():
        own = re.sub(r"^layer(\d)_ccm\.", r"across_channels.\1.", name)
        own = re.sub(r"^layer(\d)_csm\.out_conv\.", r"across_scales.\1.", own)
        tensor.copy_(formula.parameter(own, tensor.shape, equalized=False))


def projected_gan(case, folder):
    """autonomousvision/projected-gan, --cfg=fastgan, with a small feature network."""
    stub_nvlabs()
    sys.path.insert(0, str(folder))
    stub("timm")
    sys.modules["timm"].create_model = _small_timm
    from pg_modules.discriminator import ProjectedDiscriminator
    from pg_modules.networks_fastgan import Generator
    from training import loss

    o = case.options
    generator = Generator(z_dim=o["z_dim"], img_resolution=case.side, ngf=o["channels"])
    discriminator = ProjectedDiscriminator(
        diffaug=False,
        interp224=False,
        backbone_kwargs={
            "cout": o["projection_channels"],
            "expand": True,
            "proj_type": 2,
            "num_discs": 4,
            "separable": False,
            "cond": False,
        },
    )
    _fill_projection(discriminator.feature_network.scratch)
    rule = loss.ProjectedGANLoss("cpu", generator, discriminator, None)

    def phase(name, key):
        def run(z, img, c):
            seen = {}
            loss.training_stats.report = lambda key, value: seen.setdefault(key, value)
            rule.accumulate_gradients(name, img, c, z, c, gain=1, cur_nimg=0)
            return {"adversarial": seen[key].mean()}

        return run

    return Theirs(
        {"generator": generator, "discriminator": discriminator},
        {"generator": _FAST_GENERATOR, "discriminator": _PROJECTED_DISCRIMINATOR},
        {
            "discriminator": (["discriminator"], phase("Dmain", "Loss/D/loss")),
            "generator": (["generator"], phase("Gmain", "Loss/G/loss")),
        },
        generator,
        discriminator,
    )
