"""StyleGAN3-T: a generator without aliasing, whose images move with the waves they start from.

Source: Karras et al. 2021, arXiv:2106.12423, Sec. 3 and appendices B, C and F.

Deviations from the paper: sizes other than powers of two, height and width that differ, and class
labels as in arXiv:2006.06676. Weights are not normalized beforehand: demodulation cancels it.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.api import (
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Objective,
    OptimizerConfig,
    full_precision,
)
from ganforge.layers import (
    EqualizedLinear,
    FilteredLeakyReLU,
    ModulatedConv2d,
    kaiser_taps,
    run_layer,
)
from ganforge_stylegan.config import Stylegan3Config
from ganforge_stylegan.family import StyleFamily
from ganforge_stylegan.generator import Synthesis
from ganforge_stylegan.schedule import FIRST_CUTOFF, Band, Plan, check_size

_RECTIFIER_RATE = 2
"""Times the sampling rate of a layer at which its nonlinearity works."""
_OUTPUT_SCALE = 0.25
"""Unit variance at the last layer is a quarter of the range of the image."""


class FourierInput(nn.Module):
    """w [N, w_dim] -> features [N, C, H, W]: random plane waves, moved and turned by w, mixed.

    Frequencies are uniform over a disc, fixed like the phases when the network is built.

    Args:
        band: size, sampling rate and channels of the features.
        w_dim: size of w.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self, band: Band, w_dim: int) -> None:
        super().__init__()
        self.band = band
        radius, angle = FIRST_CUTOFF * torch.rand(band.channels).sqrt(), torch.rand(band.channels)
        waves = torch.polar(radius, 2 * math.pi * angle)
        self.register_buffer("frequencies", torch.view_as_real(waves).contiguous())
        self.register_buffer("phases", torch.rand(band.channels))
        self.weight = nn.Parameter(torch.randn(band.channels, band.channels))
        # Cosine and sine of a rotation, and a translation: at first none.
        self.affine = EqualizedLinear(w_dim, 4)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # type: ignore[union-attr]

    def forward(self, w: Tensor, shift: Tensor | None = None) -> Tensor:
        """Make the features of every image.

        Args:
            w: [N, w_dim].
            shift: [N, 2], by how much to move the image to the right and down, in short sides.
        """
        with full_precision(w):
            pose = self.affine(w.float())
            cos, sin, right, down = (pose / pose[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
            offset = torch.stack([right, down], dim=1)
            offset = offset if shift is None else offset + shift
            x, y = self.frequencies.unbind(dim=1)
            turned_x = cos[:, None] * x + sin[:, None] * y
            turned_y = cos[:, None] * y - sin[:, None] * x
            start = self.phases - turned_x * offset[:, :1] - turned_y * offset[:, 1:]
            rows = turned_y[:, :, None] * self._positions(0) + start[:, :, None]
            columns = turned_x[:, :, None] * self._positions(1)
            waves = torch.sin(2 * math.pi * (rows[:, :, :, None] + columns[:, :, None]))
            mix = self.weight / math.sqrt(self.band.channels)
            return torch.einsum("oc,nchw->nohw", mix, waves)

    def _positions(self, axis: int) -> Tensor:
        """Pixel centers along one axis, in short sides from the middle of the image."""
        length = self.band.grid[axis]
        index = torch.arange(length, device=self.phases.device)
        return (index - (length - 1) / 2) / self.band.rate


class AliasFreeLayer(nn.Module):
    """Modulated 3x3 convolution and filtered leaky ReLU, from one band to the next.

    The input is divided by its root mean square, of which a running mean is kept, so that neither
    a batch nor a pixel changes what the others are divided by.

    Args:
        before: the band of the input.
        after: the band of the output.
        config: options.
    """

    magnitude: Tensor

    def __init__(self, before: Band, after: Band, config: Stylegan3Config) -> None:
        super().__init__()
        # The convolution goes beyond the borders; the filters cut that off.
        self.conv = ModulatedConv2d(before.channels, after.channels, 3, config.w_dim, padding=2)
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.decay = config.magnitude_decay
        self.register_buffer("magnitude", torch.ones(()))
        rate = max(before.rate, after.rate) * _RECTIFIER_RATE
        up, down = rate // before.rate, rate // after.rate
        up_taps, down_taps = config.filter_taps * up, config.filter_taps * down
        self.rectify = FilteredLeakyReLU(
            up,
            down,
            kaiser_taps(up_taps, before.cutoff, 2 * before.half_width, rate),
            kaiser_taps(down_taps, after.cutoff, 2 * after.half_width, rate),
            _centered(before.grid[0] + 2, up, up_taps, after.grid[0], down, down_taps),
            clamp=config.conv_clamp,
        )

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, in_channels, h, w] and [N, w_dim] -> [N, out_channels, H, W]."""
        y = self.conv(x, w, _gain(self, x))
        rectified: Tensor = self.rectify(y + self.bias.to(y.dtype)[:, None, None])
        return rectified


class ToImage(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation.

    Args:
        before: the band of the input.
        img_channels: channels of the image.
        config: options.
    """

    magnitude: Tensor

    def __init__(self, before: Band, img_channels: int, config: Stylegan3Config) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(
            before.channels, img_channels, 1, config.w_dim, demodulate=False
        )
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.decay, self.clamp = config.magnitude_decay, config.conv_clamp
        self.register_buffer("magnitude", torch.ones(()))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, in_channels, H, W] and [N, w_dim] -> [N, C, H, W] float32."""
        y: Tensor = self.conv(x, w, _gain(self, x)).float() + self.bias[:, None, None]
        y = y if self.clamp is None else y.clamp(-self.clamp, self.clamp)
        return y * _OUTPUT_SCALE


def _gain(layer: AliasFreeLayer | ToImage, x: Tensor) -> Tensor:
    """One over the running root mean square of a layer's input, which training updates."""
    if layer.training:
        with torch.no_grad(), full_precision(x):
            # Linear in the mean square, so the mean over slots is the update by all of them.
            layer.magnitude.lerp_(x.float().square().mean(), 1.0 - layer.decay)
    return layer.magnitude.rsqrt()


def _centered(
    length: int, up: int, up_taps: int, after: int, down: int, down_taps: int
) -> tuple[int, int]:
    """Padding with which the middle of the input stays the middle of the output.

    Args:
        length: of the input.
        up: factor of enlargement.
        up_taps: length of its filter.
        after: length of the output.
        down: factor of reduction.
        down_taps: length of its filter.
    """
    # From the first sample that an output depends on to the middle, on both sides.
    twice = down * (after - 1) + up_taps + down_taps - 2 - up * (length - 1)
    assert twice % 2 == 0
    start = twice // 2
    return start, twice - start - (up - 1)


class Stylegan3Synthesis(Synthesis):
    """Fourier features, layers that follow the schedule, and a step to the image."""

    def __init__(self, config: Stylegan3Config, spec: ImageSpec) -> None:
        super().__init__()
        plan = Plan(spec, config.num_layers, config.margin, config.channel_base, config.channel_max)
        *bands, last = plan.bands()
        self.input = FourierInput(bands[0], config.w_dim)
        self.layers = nn.ModuleList(
            AliasFreeLayer(before, after, config)
            for before, after in zip([bands[0], *bands[:-1]], bands, strict=True)
        )
        self.to_image = ToImage(bands[-1], last.channels, config)
        self.num_ws = len(bands) + 2
        # The sampling rate is the short side without its margins.
        self.in_float32 = [config.in_float32((band.rate, band.rate)) for band in bands]

    def forward(self, ws: Tensor, shift: Tensor | None = None) -> Tensor:
        """Make images.

        Args:
            ws: one w for the input, one per layer and one for the step to the image.
            shift: [N, 2], by how much to move the image to the right and down, in short sides.
        """
        x = self.input(ws[:, 0], shift)
        for index, layer in enumerate(self.layers, start=1):
            x = run_layer(layer, x, ws[:, index], in_float32=self.in_float32[index - 1])
        return run_layer(self.to_image, x, ws[:, -1], in_float32=self.in_float32[-1])


class Stylegan3(StyleFamily[Stylegan3Config]):
    """StyleGAN3-T, equivariant to translation (Karras et al. 2021)."""

    name, Config = "stylegan3", Stylegan3Config
    paper = "Karras et al. 2021, arXiv:2106.12423"
    optimizers = {"discriminator": OptimizerConfig(lr=0.002)}
    generate_options = {
        **StyleFamily.generate_options,
        "shift_x": "moves the image to the right, in short sides; default 0",
        "shift_y": "moves the image down, in short sides; default 0",
    }
    example_options = {
        **StyleFamily.example_options,
        "num_layers": 4,
        "margin": 2,
        "magnitude_decay": 0.9,
    }

    def check(self, objective: Objective) -> None:
        """Refuse sizes that the schedule does not reach."""
        check_size(self.spec, self.name)
        super().check(objective)

    @classmethod
    def check_request(cls, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and values."""
        super().check_request(truncation, options)
        for name in ("shift_x", "shift_y"):
            value = options.get(name, 0.0)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(
                    f"The generation option '{name}' of '{cls.name}' is {value!r}; give a number "
                    f"of short sides of the image, e.g. 0.1."
                )

    def synthesis(self) -> Stylegan3Synthesis:
        """The alias-free network."""
        return Stylegan3Synthesis(self.config, self.spec)

    def second_input(self, synthesis: Synthesis, request: GenerateRequest) -> Tensor:
        """The same shift for all images [N, 2]."""
        shift = [float(request.options.get(name, 0.0)) for name in ("shift_x", "shift_y")]
        return torch.tensor([shift]).to(request.device).expand(request.size, -1)
