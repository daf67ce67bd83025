"""Parameters at the papers' sizes: what the authors' code has (docs/parity.md lists commits)."""

from ganforge.api import ImageSpec

CIFAR = tuple("abcdefghij")
IMAGENET = tuple(map(str, range(1000)))


def rgb(side, classes=(), source_channels=None):
    """Square RGB images."""
    return ImageSpec(side, side, 3, source_channels=source_channels, class_names=classes)


R3_IMAGENET = {"channel_max": 1536, "group_width": 32}
BIGGAN_DEEP = {"z_dim": 128, "channels": 128, "attention": 64}
LITE0 = {"features": "lite0_shapes"}
SNGAN_64 = {
    "generator_channels": [1024, 512, 256, 128, 64],
    "discriminator_channels": [64, 128, 256, 512, 1024],
    "discriminator_down_blocks": 5,
    "discriminator_plain_blocks": 0,
}
SG2_CIFAR = {"mapping_layers": 2, "discriminator": "plain"}

COUNTS = [
    # architecture, options, images, {role: parameters}
    ("stylegan", {}, rgb(1024), {"generator": 26_212_019, "discriminator": 23_077_137}),
    ("stylegan", {}, rgb(256), {"generator": 26_078_915, "discriminator": 23_042_625}),
    ("stylegan2", {}, rgb(1024), {"generator": 30_370_060, "discriminator": 29_012_513}),
    (
        "stylegan2",
        {"channel_base": 16384},
        rgb(256),
        {"generator": 24_767_458, "discriminator": 24_001_089},
    ),
    (
        "stylegan2",
        SG2_CIFAR,
        rgb(32, CIFAR),
        {"generator": 20_215_315, "discriminator": 23_089_664},
    ),
    ("stylegan3", {}, rgb(1024), {"generator": 22_313_167}),
    ("stylegan3", {"channel_base": 16384}, rgb(256), {"generator": 23_320_443}),
    (
        "biggan",
        {"attention": 64},
        rgb(128, IMAGENET),
        {"generator": 70_433_988, "discriminator": 87_982_370},
    ),
    (
        "biggan_deep",
        BIGGAN_DEEP,
        rgb(128, IMAGENET),
        {"generator": 50_244_484, "discriminator": 34_590_210},
    ),
    ("r3gan", {}, rgb(32, CIFAR), {"generator": 20_781_952, "discriminator": 21_280_512}),
    (
        "r3gan",
        R3_IMAGENET | {"channel_base": 49152},
        rgb(32, IMAGENET),
        {"generator": 82_914_304, "discriminator": 86_548_992},
    ),
    (
        "r3gan",
        R3_IMAGENET | {"channel_base": 98304},
        rgb(64, IMAGENET),
        {"generator": 103_570_432, "discriminator": 107_205_120},
    ),
    ("r3gan", {}, rgb(64), {"generator": 22_429_824, "discriminator": 22_381_440}),
    ("r3gan", {}, rgb(256), {"generator": 23_057_952, "discriminator": 23_009_568}),
    (
        "cyclegan",
        {"num_blocks": 9},
        rgb(256, (), 3),
        {"generator_target": 11_378_179, "discriminator_target": 2_764_737},
    ),
    ("cyclegan", {"num_blocks": 6}, rgb(128, (), 3), {"generator_target": 7_837_699}),
    ("sngan", {}, rgb(32), {"generator": 4_276_739, "discriminator": 1_053_825}),
    ("sngan", SNGAN_64, rgb(64), {"generator": 12_220_675, "discriminator": 10_141_441}),
    (
        "resnet_gan",
        {"generator_channels": 256},
        rgb(32),
        {"generator": 4_276_739, "discriminator": 1_053_825},
    ),
    ("projected_gan", LITE0, rgb(256), {"generator": 105_684_175, "discriminator": 10_331_328}),
]
