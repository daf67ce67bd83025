"""SNGAN and WGAN-GP, as in mimicry."""

import sys
import types

from parity.authors.common import Rules, adversarial, stub
from torch.nn import functional

_BLOCK: Rules = [
    (r"\.weight_orig$", ".weight"),
    (r"\.c_sc\.", ".skip."),
    (r"\.c([12])\.", r".conv\1."),
    (r"\.b([12])\.", r".norm\1.norm."),
]


def _mimicry(case, folder, name, side, loss_type):
    root = folder / "torch_mimicry"
    for package, path in (("torch_mimicry", root), ("torch_mimicry.nets", root / "nets")):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(path)]
    stub("torch_mimicry.utils", "torch_mimicry.utils.common")
    from torch_mimicry.modules import resblocks

    # The authors of both papers double by repetition; mimicry interpolates.
    resblocks.GBlock._upsample_conv = lambda self, x, conv: conv(
        functional.interpolate(x, scale_factor=2)
    )
    module = __import__(f"torch_mimicry.nets.{name}.{name}_{side}", fromlist=["*"])
    kind = {"sngan": "SNGAN", "wgan_gp": "WGANGP"}[name]
    o = case.options
    widths = [o[f"{part}_channels"] for part in ("generator", "discriminator")]
    ngf, ndf = (max(w) if isinstance(w, list) else w for w in widths)
    generator = getattr(module, f"{kind}Generator{side}")(
        nz=o["z_dim"], ngf=ngf, loss_type=loss_type
    )
    discriminator = getattr(module, f"{kind}Discriminator{side}")(ndf=ndf, loss_type=loss_type)
    for layer in discriminator.modules():
        # In place, a block would rectify its input before the skip reads it.
        layer.inplace = False
    last = side.bit_length() - 1

    def d_loss(real, gen, img, gen_img):
        terms = {"adversarial": discriminator.compute_gan_loss(real, gen)}
        if name == "wgan_gp":
            penalty = discriminator.compute_gradient_penalty_loss(img, gen_img, 10.0)
            terms["gradient_penalty"] = penalty
        return terms

    def blocks(first):
        return (r"^block(\d)\.", lambda m: f"blocks.{int(m[1]) - first}.")

    generator_rules: Rules = [
        *_BLOCK,
        (r"^l1\.", "project."),
        blocks(2),
        (rf"^b{last}\.", "norm.norm."),
        (rf"^c{last}\.", "to_image."),
    ]
    return adversarial(
        generator,
        discriminator,
        (generator_rules, [*_BLOCK, blocks(1), (r"^l\d\.", "out.")]),
        d_loss,
        generator.compute_gan_loss,
        lambda z, c: generator(z),
        lambda img, c: discriminator(img),
    )


def sngan_32(case, folder):
    """kwotsin/mimicry."""
    return _mimicry(case, folder, "sngan", 32, "hinge")


def sngan_64(case, folder):
    """kwotsin/mimicry."""
    return _mimicry(case, folder, "sngan", 64, "hinge")


def wgan_gp_32(case, folder):
    """kwotsin/mimicry."""
    return _mimicry(case, folder, "wgan_gp", 32, "wasserstein")
