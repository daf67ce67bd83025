"""BigGAN and BigGAN-deep."""

import sys

from parity.authors.common import Rules, adversarial

_ATTENTION: Rules = [
    (r"\.gamma$", ".gain"),
    (r"\.theta\.", ".query."),
    (r"\.phi\.", ".key."),
    (r"\.g\.", ".value."),
    (r"\.o\.", ".out."),
]
_BIGGAN_COMMON: Rules = [
    (r"^linear\.", "project."),
    (r"^output_layer\.0\.gain", "norm.norm.weight"),
    (r"^output_layer\.0\.bias", "norm.norm.bias"),
    (r"^output_layer\.2", "to_image"),
    *((rf"^blocks\.(\d+)\.1{a}", rf"attention.\1{b}") for a, b in _ATTENTION),
]
_BIGGAN_HEAD: Rules = [(r"^linear\.", "head.out."), (r"^embed\.", "head.embed.")]
_BIGGAN_BLOCK: Rules = [(r"\.conv_sc\.", ".skip."), (r"\.bn(\d)\.", r".norm\1.")]


def _minus_one(word):
    return lambda m: f".{word}.{int(m[1]) - 1}."


_DEEP_BLOCK: Rules = [
    (r"\.conv(\d)\.", _minus_one("convs")),
    (r"\.bn(\d)\.", _minus_one("norms")),
    (r"\.conv_sc\.", ".more."),
]


def _first_of_pair(pattern) -> Rules:
    return [(pattern, lambda m: f"blocks.{2 * int(m[1])}.")]


def _biggan(case, folder, module, generator_block, discriminator_rules):
    sys.path.insert(0, str(folder))
    biggan = __import__(module)
    import losses

    o, classes = case.options, case.spec.num_classes
    common = {"resolution": case.side, "n_classes": classes, "no_optim": True, "SN_eps": 1e-12}
    generator = biggan.Generator(
        G_ch=o["channels"],
        dim_z=o["z_dim"],
        G_attn=str(o["attention"]),
        shared_dim=o["shared_dim"],
        hier=True,
        BN_eps=o["norm_eps"],
        G_init="N02",
        **common,
    )
    discriminator = biggan.Discriminator(
        D_ch=o["channels"], D_attn=str(o["attention"]), D_init="N02", **common
    )

    def d_loss(real, gen, img, gen_img):
        real_loss, gen_loss = losses.loss_hinge_dis(gen, real)
        return {"adversarial": real_loss + gen_loss}

    attention = [(rf"^blocks\.(\d+)\.[12]{a}", rf"blocks.@\1{b}") for a, b in _ATTENTION]
    return adversarial(
        generator,
        discriminator,
        (
            [*_BIGGAN_COMMON, *generator_block, (r"^blocks\.(\d+)\.0\.", r"blocks.\1.")],
            [*attention, *_BIGGAN_HEAD, *generator_block, *discriminator_rules],
        ),
        d_loss,
        losses.loss_hinge_gen,
        lambda z, c: generator(z, generator.shared(c.argmax(1))),
        lambda img, c: discriminator(img, c.argmax(1)),
    )


def biggan(case, folder):
    """ajbrock/BigGAN-PyTorch; its blocks and attentions alternate in ganforge's discriminator."""
    rules: Rules = [
        (r"^blocks\.(\d+)\.0\.", lambda m: f"blocks.{2 * int(m[1])}."),
        (r"^blocks\.@(\d+)\.", lambda m: f"blocks.{2 * int(m[1]) + 1}."),
    ]
    return _biggan(case, folder, "BigGAN", _BIGGAN_BLOCK, rules)


def biggan_deep(case, folder):
    """ajbrock/BigGAN-PyTorch; a convolution, then two blocks and an attention at each size."""
    rules: Rules = [
        (r"^input_conv\.", "blocks.0."),
        (r"^blocks\.(\d+)\.([01])\.", lambda m: f"blocks.{3 * int(m[1]) + int(m[2]) + 1}."),
        (r"^blocks\.@(\d+)\.", lambda m: f"blocks.{3 * int(m[1]) + 3}."),
    ]
    return _biggan(case, folder, "BigGANdeep", _DEEP_BLOCK, rules)
