"""The authors' networks and losses, with the weights, inputs and draws of `formula`.

Nothing here runs in the test suite: `record.py` writes down what it computes. Each function takes a
case and the folder of a clone, imports the authors' modules, and returns `Theirs`. Clones share
names such as `training`, so a process serves one of them.
"""

from parity.authors.ada import ada
from parity.authors.biggan import biggan, biggan_deep
from parity.authors.cyclegan import cyclegan
from parity.authors.mimicry import sngan_32, sngan_64, wgan_gp_32
from parity.authors.projected import projected_gan
from parity.authors.r3gan import r3gan
from parity.authors.style import stylegan2, stylegan3
from parity.authors.stylegan1 import stylegan1

MIMICRY, NVLABS = "kwotsin/mimicry", "NVlabs/stylegan3"
BIGGAN = "ajbrock/BigGAN-PyTorch"

SOURCES = {
    "ada": (NVLABS, ada),
    "biggan": (BIGGAN, biggan),
    "biggan_deep": (BIGGAN, biggan_deep),
    "cyclegan": ("taesungp/contrastive-unpaired-translation", cyclegan),
    "projected_gan": ("autonomousvision/projected-gan", projected_gan),
    "r3gan": ("brownvc/R3GAN", r3gan),
    "sngan_32": (MIMICRY, sngan_32),
    "sngan_64": (MIMICRY, sngan_64),
    "stylegan1": ("NVlabs/stylegan", stylegan1),
    "stylegan2": (NVLABS, stylegan2),
    "stylegan3": (NVLABS, stylegan3),
    "wgan_gp_32": (MIMICRY, wgan_gp_32),
}
"""Repository on GitHub, and the function that runs its code, by case."""
