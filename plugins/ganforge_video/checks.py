"""What vid2vid refuses before any network is built, and clips that cannot be translated."""

from torch import Tensor

from ganforge.api import ConfigError, GenerateRequest, ImageSpec, Objective, ShapeError
from ganforge.layers import MultiScaleDiscriminator
from ganforge_video.config import Vid2vidConfig
from ganforge_video.teacher import RAFT_SMALLEST, RAFT_STRIDE


def check(config: Vid2vidConfig, spec: ImageSpec, objective: Objective, stride: int) -> None:
    """Raise a ConfigError for data, sizes and objectives that do not fit.

    `stride` is what the sides of frames must be multiples of.
    """
    if spec.source_channels is None or spec.num_frames < 2:
        raise ConfigError(
            "model.architecture: 'vid2vid' learns from pairs of clips, but the data have "
            f"{'clips without a source' if spec.num_frames > 1 else 'still images'}. Use "
            "data.source: {name: video, source: ..., target: ...}, or derive the source: "
            "{name: video, path: ...} with data.derive: edges."
        )
    for regularizer in objective.for_target("generator"):
        raise ConfigError(
            f"loss.regularizers: '{regularizer.name}' is made for a generator that starts from a "
            f"latent; those of 'vid2vid' start from frames. Remove it; penalties on the "
            f"discriminators (r1, r2, gradient_penalty, ...) work."
        )
    _check_foreground(config, spec)
    _check_size(config, spec, stride)


def _check_foreground(config: Vid2vidConfig, spec: ImageSpec) -> None:
    if not config.foreground:
        return
    if spec.source_kind != "labels":
        raise ConfigError(
            f"model.foreground={list(config.foreground)} are ids of labels, but the sources are "
            f"images. Set data.fields.source: {{kind: labels}} if they are label maps, or remove "
            f"foreground."
        )
    highest = (spec.source_channels or 0) - 1
    if not all(0 <= label <= highest for label in config.foreground):
        raise ConfigError(
            f"model.foreground={list(config.foreground)}: the labels of the sources go from 0 to "
            f"{highest}. Correct the ids, or raise data.fields.source.num_labels."
        )


def _check_size(config: Vid2vidConfig, spec: ImageSpec, stride: int) -> None:
    sides = (spec.height, spec.width)
    least = MultiScaleDiscriminator.smallest_size(config.discriminator_layers, config.num_scales)
    if min(sides) < least:
        raise ConfigError(
            f"data.resolution: {sides[0]}x{sides[1]} is too small for model.num_scales="
            f"{config.num_scales} discriminators with model.discriminator_layers="
            f"{config.discriminator_layers}, which want {least} pixels or more a side. Use larger "
            f"frames, or fewer scales or layers."
        )
    if any(side % stride for side in sides):
        near = [max(1, round(side / stride)) * stride for side in sides]
        raise ConfigError(
            f"data.resolution: 'vid2vid' with model.num_downs={config.num_downs} and "
            f"model.enhancers={config.enhancers} takes sides that are multiples of {stride}, but "
            f"the frames have {sides[0]}x{sides[1]}. Use {near}."
        )
    is_raft = config.raft_weights is not None
    if is_raft and (min(sides) < RAFT_SMALLEST or any(side % RAFT_STRIDE for side in sides)):
        raise ConfigError(
            f"model.raft_weights: RAFT takes sides of {RAFT_SMALLEST} pixels or more that are "
            f"multiples of {RAFT_STRIDE}, but the frames have {sides[0]}x{sides[1]}. Leave it out, "
            f"or use larger frames."
        )


def checked_clips(name: str, request: GenerateRequest, spec: ImageSpec, stride: int) -> Tensor:
    """The source [N, T, S, H, W] of a request, on its device.

    Args:
        name: of the architecture, for messages.
        request: of one clip for each seed.
        spec: of the model.
        stride: H and W must be multiples of this.

    Raises:
        ShapeError: there is no source, or its shape does not fit.
    """
    channels, source = spec.source_channels or spec.channels, request.source
    shape = [] if source is None else list(source.shape)
    fits = len(shape) == 5 and [shape[0], shape[2]] == [request.size, channels] and shape[1]
    if source is None or not fits or any(side % stride for side in shape[3:]):
        raise ShapeError(
            f"source has shape {shape}; '{name}' wants [{request.size}, T, {channels}, H, W], one "
            f"clip of frames per seed, with H and W multiples of {stride}. Use `translate_video`."
        )
    return source.to(request.device)
