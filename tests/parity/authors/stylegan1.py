"""StyleGAN, the first one, whose authors' code is for TensorFlow 1.

It runs in the graph mode of TensorFlow 2. Its variables are shown as torch parameters in ganforge's
layout, so that they are filled, and their gradients read, like those of the other authors.
"""

import math
import sys
from types import SimpleNamespace

import torch
from parity import formula
from parity.authors.common import Rules, Theirs, stub
from parity.cases import BATCH
from torch import nn

# How far the filters of a layer reach over the border, in pixels of the larger grid.
_MARGIN = 4
# Their rectifiers have the gain of sqrt(2) in the weights, ganforge's behind it: a bias there is
# sqrt(2) times the one here, except where there is no weight or no rectifier.
_NOT_RECTIFIED = ("StyleMod", "ToRGB", "4x4_Dense1", "4x4_Const")

_GENERATOR: Rules = [
    (r"^mapping_Dense(\d)", r"mapping.layers.\1"),
    (r"^synthesis_4x4_Const_const", "synthesis.const"),
    (r"^synthesis_4x4_Const", "synthesis.layers.0"),
    (r"^synthesis_4x4_Conv", "synthesis.layers.1"),
    (r"^synthesis_(\d+)x\d+_Conv(\d)(_up)?", lambda m: f"synthesis.layers.{_layer(m)}"),
    (r"^synthesis_ToRGB_lod0", "synthesis.to_image"),
    (r"_Noise_weight", ".noise_strength"),
    (r"_StyleMod_(\w+)$", r".style.affine.\1"),
    (r"(layers\.\d+)_bias$", r"\1.bias"),
    (r"(synthesis\.layers\.\d+)_weight$", r"\1.conv.weight"),
    (r"_(weight|bias)$", r".\1"),
]


def _layer(match):
    return 2 * (int(match[1]).bit_length() - 3) + int(match[2])


def _discriminator(side) -> Rules:
    def block(match):
        return f"blocks.{side.bit_length() - int(match[1]).bit_length()}.conv{match[2]}.conv"

    return [
        (r"^FromRGB_lod0", "from_image.conv"),
        (r"^4x4_Conv_", "conv.conv."),
        (r"^4x4_Dense0", "hidden"),
        (r"^4x4_Dense1", "out"),
        (r"^(\d+)x\d+_Conv(\d)(_down)?", block),
        (r"_(weight|bias)$", r".\1"),
    ]


class _Variables(nn.Module):
    """The trainable variables of one TensorFlow scope, as parameters in ganforge's layout."""

    def __init__(self, variables, scope):
        super().__init__()
        self.variables = {
            v.op.name.removeprefix(f"{scope}/").replace("/", "_"): v for v in variables
        }
        for name, variable in self.variables.items():
            shape = self.to_torch(name, torch.zeros(variable.shape.as_list())).shape
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    @staticmethod
    def to_torch(name, values):
        """Kernels [h, w, in, out] and matrices [in, out] start with their outputs in torch."""
        if name.endswith("_up_weight"):  # ganforge's are those of a transposed convolution
            values = values.flip(0, 1)
        if name.endswith("weight") and values.dim() == 4:
            return values.permute(3, 2, 0, 1)
        return values.T if values.dim() == 2 else values

    @staticmethod
    def to_tensorflow(name, values):
        """The inverse."""
        if name.endswith("weight") and values.dim() == 4:
            values = values.permute(2, 3, 1, 0)
        if name.endswith("_up_weight"):
            return values.flip(0, 1)
        return values.T if values.dim() == 2 else values

    @staticmethod
    def factor(name):
        """Their variable as a multiple of ganforge's parameter."""
        is_offset = name.endswith("bias") or "Noise" in name
        rectified = not any(part in name for part in _NOT_RECTIFIED)
        return math.sqrt(2) if is_offset and rectified else 1.0

    def feed(self):
        """Values for the graph."""
        return {
            self.variables[name]: (self.to_tensorflow(name, p.detach()) * self.factor(name)).numpy()
            for name, p in self.named_parameters()
        }

    def accept(self, gradients):
        """Keep the graph's gradients, by variable, as those of the parameters."""
        for name, parameter in self.named_parameters():
            found = gradients[self.variables[name].ref()]
            parameter.grad = self.to_torch(name, torch.from_numpy(found)) * self.factor(name)


def _import(folder):
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    sys.modules["tensorflow"] = tf
    tflib = SimpleNamespace(lerp_clip=lambda a, b, t: a + (b - a) * tf.clip_by_value(t, 0.0, 1.0))
    sys.modules["dnnlib"] = SimpleNamespace(EasyDict=dict, tflib=tflib)
    sys.modules["dnnlib.tflib"] = tflib
    stub("dnnlib.tflib.autosummary")
    sys.path.insert(0, str(folder))
    from training import networks_stylegan

    return tf, networks_stylegan


def _without_borders(tf, code):
    """Let filters see zeros beyond the border until a layer ends, as StyleGAN2's and ganforge's do.

    The authors' code cuts the image between two filters of one layer.
    """
    up, down, blur = code.upscale2d_conv2d, code.conv2d_downscale2d, code.blur2d
    open_layers = []

    def pad(x, margin):
        return tf.pad(x, [[0, 0], [0, 0], [margin, margin], [margin, margin]])

    def crop(x, margin):
        return x[:, :, margin:-margin, margin:-margin]

    def upscale2d_conv2d(x, *arguments, **options):
        open_layers.append("up")
        return up(pad(x, _MARGIN // 2), *arguments, **options)

    def blur2d(x, *arguments):
        if open_layers:
            open_layers.pop()
            return crop(blur(x, *arguments), _MARGIN)
        return blur(pad(x, _MARGIN), *arguments)

    def conv2d_downscale2d(x, *arguments, **options):
        return crop(down(x, *arguments, **options), _MARGIN // 2)

    code.upscale2d_conv2d, code.blur2d = upscale2d_conv2d, blur2d
    code.conv2d_downscale2d = conv2d_downscale2d


def _fixed_normal(tf):
    def random_normal(shape, dtype=None):
        dims = [BATCH, *(int(getattr(d, "value", d)) for d in shape[1:])]
        drawn = formula.normal_like("randn", [math.prod(dims)]).reshape(dims)
        return tf.constant(drawn.numpy(), dtype=dtype)

    return random_normal


class _Graph:
    """Networks, losses and gradients."""

    def __init__(self, case, tf, code):
        self.case, self.tf, self.code = case, tf, code
        self.session = tf.Session()
        self.z = tf.placeholder(tf.float32, [BATCH, case.options["z_dim"]])
        self.real = tf.placeholder(tf.float32, [BATCH, 3, case.side, case.side])
        self.labels = tf.zeros([BATCH, 0])
        self.image = self._generate()
        self.real_logits, self.gen_logits = self._score(self.real), self._score(self.image)
        roles = ("generator", "discriminator")
        self.networks = {role: _Variables(tf.trainable_variables(role), role) for role in roles}

    @property
    def _common(self):
        options = self.case.options
        return {
            "resolution": self.case.side,
            "fmap_base": options["channel_base"] // 2,
            "fmap_max": options["channel_max"],
            "structure": "fixed",  # no progressive growing
            "fused_scale": False,
        }

    def _generate(self):
        options = self.case.options
        with self.tf.variable_scope("generator/mapping"):
            w = self.code.G_mapping(
                self.z,
                self.labels,
                options["z_dim"],
                dlatent_size=options["w_dim"],
                dlatent_broadcast=2 * (self.case.side.bit_length() - 2),
                mapping_layers=options["mapping_layers"],
                mapping_fmaps=options["w_dim"],
                mapping_lrmul=options["mapping_lr_mult"],
            )
        with self.tf.variable_scope("generator/synthesis"):
            size = options["w_dim"]
            return self.code.G_synthesis(w, dlatent_size=size, use_noise=1, **self._common)

    def _score(self, img):
        group = self.case.options["mbstd_group"]
        with self.tf.variable_scope("discriminator", reuse=self.tf.AUTO_REUSE):
            return self.code.D_basic(img, self.labels, 3, mbstd_group_size=group, **self._common)

    def losses(self):
        """By phase and term: D_logistic_simplegp and G_logistic_nonsaturating of their loss.py."""
        tf, gamma = self.tf, self.case.regularizers["r1"]["gamma"]
        [slope] = tf.gradients(tf.reduce_sum(self.real_logits), [self.real])
        penalty = tf.reduce_sum(tf.square(slope), axis=[1, 2, 3])
        adversarial = tf.nn.softplus(self.gen_logits) + tf.nn.softplus(-self.real_logits)
        return {
            "discriminator": {
                "adversarial": tf.reduce_mean(adversarial),
                "r1": tf.reduce_mean(penalty * (gamma * 0.5)),
            },
            "generator": {"adversarial": tf.reduce_mean(tf.nn.softplus(-self.gen_logits))},
        }

    def run(self, fetches, **inputs):
        """Compute, with the weights that the parameters have now."""
        feed = {**self.networks["generator"].feed(), **self.networks["discriminator"].feed()}
        given = {getattr(self, name): value.numpy() for name, value in inputs.items()}
        return self.session.run(fetches, {**feed, **given})

    def phase(self, role, terms):
        """The function that runs backward and returns loss terms."""
        variables = list(self.networks[role].variables.values())
        gradients = self.tf.gradients(sum(terms.values()), variables)

        def train(z, img, c):
            values, found = self.run([terms, gradients], z=z, real=img)
            keys = [variable.ref() for variable in variables]
            self.networks[role].accept(dict(zip(keys, found, strict=True)))
            return {name: torch.tensor(value) for name, value in values.items()}

        return train


def stylegan1(case, folder):
    """Needs tensorflow-cpu beside torch."""
    tf, code = _import(folder)
    _without_borders(tf, code)
    tf.random_normal = _fixed_normal(tf)
    graph = _Graph(case, tf, code)
    losses = graph.losses()
    return Theirs(
        graph.networks,
        {"generator": _GENERATOR, "discriminator": _discriminator(case.side)},
        {role: ([role], graph.phase(role, losses[role])) for role in losses},
        lambda z, c: torch.from_numpy(graph.run(graph.image, z=z)),
        lambda img, c: torch.from_numpy(graph.run(graph.real_logits, real=img)),
    )
