"""R3GAN."""

import sys

from parity.authors.common import Rules, Theirs, stub_nvlabs


def _r3_rules(first_block) -> Rules:
    """`first_block`: index of the first residual block within a stage of theirs."""

    def place(match):
        return f"stages.{2 * int(match[1])}.{int(match[2]) - first_block}."

    layer = {"1": "expand", "2": "mix", "3": "reduce"}
    blocks = r"^MainLayers\.(\d+)\.Layers\.(\d+)\."
    return [
        (r"^Model\.", ""),
        (r"^EmbeddingLayer", "embed"),
        (r"^AggregationLayer\.Layer", "to_image"),
        (r"^ExtractionLayer\.Layer", "from_image"),
        (rf"{blocks}LinearLayer(\d)\.Layer", lambda m: place(m) + layer[m[3]]),
        (rf"{blocks}NonLinearity(\d)\.Bias", lambda m: f"{place(m)}{layer[m[3]]}.bias"),
        (rf"{blocks}Basis(\.weight)?$", "basis"),
    ]


_R3_GENERATOR: Rules = [
    *_r3_rules(1),
    (r"^MainLayers\.0\.Layers\.0\.LinearLayer\.weight", "scale.weight"),
    (
        r"^MainLayers\.(\d+)\.Layers\.0\.LinearLayer\.Layer",
        lambda m: f"stages.{2 * int(m[1]) - 1}.0",
    ),
]
_R3_DISCRIMINATOR: Rules = [
    *_r3_rules(0),
    (
        r"^MainLayers\.(\d+)\.Layers\.2\.LinearLayer\.Layer",
        lambda m: f"stages.{2 * int(m[1]) + 1}.1",
    ),
    (r"^MainLayers\.\d+\.Layers\.2\.LinearLayer", "out"),
]


def r3gan(case, folder):
    """brownvc/R3GAN."""
    stub_nvlabs()
    sys.path.insert(0, str(folder))
    from R3GAN.Trainer import AdversarialTraining
    from training.networks import Discriminator, Generator

    o, c_dim = case.options, case.spec.num_classes
    sides = [4 << level for level in range(case.side.bit_length() - 2)]
    widths = [min(o["channel_max"], o["channel_base"] // side) for side in sides]
    groups = [2 * width // o["group_width"] for width in widths]
    common = {
        "BlocksPerStage": [2] * len(widths),
        "ExpansionFactor": 2,
        "FP16Stages": [],
        "c_dim": c_dim,
        "img_resolution": case.side,
    }
    generator = Generator(
        NoiseDimension=o["z_dim"],
        ConditionEmbeddingDimension=o["z_dim"],
        WidthPerStage=widths,
        CardinalityPerStage=groups,
        **common,
    )
    discriminator = Discriminator(
        ConditionEmbeddingDimension=widths[0],
        WidthPerStage=widths[::-1],
        CardinalityPerStage=groups[::-1],
        **common,
    )
    trainer = AdversarialTraining(generator, discriminator)

    def train_discriminator(z, img, c):
        adversarial, _, r1, r2 = trainer.AccumulateDiscriminatorGradients(z, img, c, 0.5)
        half = 0.25
        return {"adversarial": adversarial.mean(), "r1": half * r1.mean(), "r2": half * r2.mean()}

    def train_generator(z, img, c):
        return {"adversarial": trainer.AccumulateGeneratorGradients(z, img, c)[0].mean()}

    return Theirs(
        {"generator": generator, "discriminator": discriminator},
        {"generator": _R3_GENERATOR, "discriminator": _R3_DISCRIMINATOR},
        {
            "discriminator": (["discriminator"], train_discriminator),
            "generator": (["generator"], train_generator),
        },
        generator,
        discriminator,
    )
