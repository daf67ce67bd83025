"""Building blocks that architectures share.

All state is in parameters and float buffers. All blocks run under bfloat16 autocast, in
channels_last, through torch.compile, and can be differentiated twice.
"""

from ganforge.layers.activation import (
    LeakyReLU,
    PixelNorm,
    ReLU,
    ScaledLeakyReLU,
    leaky_relu,
    pixel_norm,
    relu,
    scaled_leaky_relu,
)
from ganforge.layers.attention import SelfAttention
from ganforge.layers.conditional import ConditionalBatchNorm2d
from ganforge.layers.equalized import EqualizedConv2d, EqualizedLinear
from ganforge.layers.filtered import FilteredLeakyReLU, kaiser_taps
from ganforge.layers.flow import estimate_flow, flow_confidence, resize_flow
from ganforge.layers.grid import base_grid
from ganforge.layers.image_to_image import (
    Dropping,
    InstanceNorm,
    LowPassDown,
    LowPassUp,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    ReflectionPad,
    ResizeConv,
    UNet,
    Upsampling,
    init_translation,
)
from ganforge.layers.init import init_normal, init_orthogonal, init_xavier
from ganforge.layers.minibatch import MinibatchDiscrimination, MinibatchStdDev
from ganforge.layers.modulated import (
    ModulatedConv2d,
    ModulationForm,
    demodulation,
    modulated_conv2d,
)
from ganforge.layers.precision import run_layer
from ganforge.layers.resample import (
    BINOMIAL_TAPS,
    ConvResampler,
    Resample2d,
    ResampleMode,
    fir_kernel,
    resample2d,
    same_padding,
    upsample_nearest,
)
from ganforge.layers.residual import ResidualDownBlock, ResidualUpBlock
from ganforge.layers.spectral import SpectralNorm, spectral_norm
from ganforge.layers.sync_batchnorm import SyncBatchNorm, convert_sync_batchnorm, sum_over_ranks
from ganforge.layers.warp import sample_bilinear, warp

__all__ = [
    "BINOMIAL_TAPS",
    "ConditionalBatchNorm2d",
    "ConvResampler",
    "Dropping",
    "EqualizedConv2d",
    "EqualizedLinear",
    "FilteredLeakyReLU",
    "InstanceNorm",
    "LeakyReLU",
    "LowPassDown",
    "LowPassUp",
    "MinibatchDiscrimination",
    "MinibatchStdDev",
    "ModulatedConv2d",
    "ModulationForm",
    "MultiScaleDiscriminator",
    "PatchDiscriminator",
    "PixelNorm",
    "ReLU",
    "ReflectionPad",
    "Resample2d",
    "ResampleMode",
    "ResidualDownBlock",
    "ResidualUpBlock",
    "ResizeConv",
    "ScaledLeakyReLU",
    "SelfAttention",
    "SpectralNorm",
    "SyncBatchNorm",
    "UNet",
    "Upsampling",
    "base_grid",
    "convert_sync_batchnorm",
    "demodulation",
    "estimate_flow",
    "fir_kernel",
    "flow_confidence",
    "init_normal",
    "init_orthogonal",
    "init_translation",
    "init_xavier",
    "kaiser_taps",
    "leaky_relu",
    "modulated_conv2d",
    "pixel_norm",
    "relu",
    "resample2d",
    "resize_flow",
    "run_layer",
    "same_padding",
    "sample_bilinear",
    "scaled_leaky_relu",
    "spectral_norm",
    "sum_over_ranks",
    "upsample_nearest",
    "warp",
]
