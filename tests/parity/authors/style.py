"""StyleGAN2 and StyleGAN3-T."""

import sys

from parity import formula
from parity.authors.common import Rules, Theirs, stub_nvlabs

_MAPPING: Rules = [(r"^mapping\.fc", "mapping.layers.")]


def _layer_2(match):
    level = int(match[1]).bit_length() - 3
    return f"synthesis.layers.{2 * level - (match[2] == 'conv0')}."


def _modulated(prefix) -> Rules:
    return [(rf"^({prefix}\.)(affine\.\w+|weight)$", r"\1conv.\2")]


_GENERATOR_2: Rules = [
    *_MAPPING,
    (r"^synthesis\.b4\.const", "synthesis.const"),
    (r"^synthesis\.b(\d+)\.(conv\d)\.", _layer_2),
    (
        r"^synthesis\.b(\d+)\.torgb\.",
        lambda m: f"synthesis.to_image.{int(m[1]).bit_length() - 3}.",
    ),
    *_modulated(r"synthesis\.(?:layers|to_image)\.\d+"),
]
_GENERATOR_3: Rules = [
    *_MAPPING,
    (r"^synthesis\.L(\d+)_\d+_3\.", "synthesis.to_image."),
    (r"^synthesis\.L(\d+)_\d+_\d+\.", r"synthesis.layers.\1."),
    *_modulated(r"synthesis\.(?:layers\.\d+|to_image)"),
]


def _discriminator_2(side) -> Rules:
    def block(match):
        index = side.bit_length() - int(match[1]).bit_length()
        middle = "conv." if match[2] != "skip" else ""
        return f"blocks.{index}.{match[2]}.{middle}"

    return [
        *_MAPPING,
        (r"^b\d+\.fromrgb\.", "from_image.conv."),
        (r"^b4\.conv\.", "conv.conv."),
        (r"^b4\.fc\.", "hidden."),
        (r"^b4\.out\.", "out."),
        (r"^b(\d+)\.(conv0|conv1|skip)\.", block),
    ]


def _style_case(case, generator, generator_rules, **loss_options):
    from torch_utils import training_stats
    from training import loss
    from training.networks_stylegan2 import Discriminator

    options, c_dim = case.options, case.spec.num_classes
    mapping = {
        "num_layers": options["discriminator_mapping_layers"],
        "lr_multiplier": options["mapping_lr_mult"],
    }
    discriminator = Discriminator(
        c_dim,
        case.side,
        3,
        channel_base=options["channel_base"],
        channel_max=options["channel_max"],
        mapping_kwargs=mapping,
        epilogue_kwargs={"mbstd_group_size": options.get("mbstd_group", 4)},
    )
    rule = loss.StyleGAN2Loss("cpu", generator, discriminator, **loss_options)

    def phase(name, terms):
        def run(z, img, c):
            seen = {}
            training_stats.report = lambda key, value: seen.setdefault(key, value)
            loss.training_stats.report = training_stats.report
            rule.accumulate_gradients(name, img, c, z, c, gain=1, cur_nimg=0)
            return {term: seen[key].mean() for term, key in terms.items()}

        return run

    d_terms = {"adversarial": "Loss/D/loss", "r1": "Loss/D/reg"}
    g_terms = {"adversarial": "Loss/G/loss"}
    if loss_options.get("pl_weight"):
        g_terms["path_length"] = "Loss/G/reg"
    return Theirs(
        {"generator": generator, "discriminator": discriminator},
        {"generator": generator_rules, "discriminator": _discriminator_2(case.side)},
        {
            "discriminator": (["discriminator"], phase("Dboth", d_terms)),
            "generator": (["generator"], phase("Gboth", g_terms)),
        },
        generator,
        discriminator,
    )


def stylegan2(case, folder):
    """NVlabs/stylegan3 has the networks of stylegan2-ada-pytorch, and runs with newer torch."""
    sys.path.insert(0, str(folder))
    stub_nvlabs()
    from training.networks_stylegan2 import Generator

    o = case.options
    mapping = {"num_layers": o["mapping_layers"], "lr_multiplier": o["mapping_lr_mult"]}
    generator = Generator(
        o["z_dim"],
        case.spec.num_classes,
        o["w_dim"],
        case.side,
        3,
        mapping_kwargs=mapping,
        channel_base=o["channel_base"],
        channel_max=o["channel_max"],
    )
    return _style_case(case, generator, _GENERATOR_2, r1_gamma=2.0, pl_weight=2.0, pl_decay=0.3)


def stylegan3(case, folder):
    """Needs scipy, for the filters."""
    sys.path.insert(0, str(folder))
    stub_nvlabs()
    from training.networks_stylegan3 import Generator

    o = case.options
    generator = Generator(
        o["z_dim"],
        case.spec.num_classes,
        o["w_dim"],
        case.side,
        3,
        mapping_kwargs={"num_layers": 2, "lr_multiplier": o["mapping_lr_mult"]},
        channel_base=o["channel_base"],
        channel_max=o["channel_max"],
        num_layers=o["num_layers"],
        magnitude_ema_beta=1.0,
    )
    wave = generator.synthesis.input
    name = "synthesis.input."
    wave.freqs.copy_(formula.uniform(f"{name}frequencies", wave.freqs.shape))
    wave.phases.copy_(formula.uniform(f"{name}phases", wave.phases.shape))
    return _style_case(case, generator, _GENERATOR_3, r1_gamma=2.0)
