"""The sequential generator of vid2vid: the next frame from sources and the frames before it.

Source: Wang et al. 2018, arXiv:1808.06601, section 3 and appendix.
Shapes: N clips, S channels of a source, C of a frame, P past frames, H height, W width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from ganforge_translation.coarse_to_fine import CoarseToFine, entry, half_size, to_image
from ganforge_translation.networks import ResidualBlock, down, up
from torch import Tensor, nn

from ganforge.layers import Upsampling, init_translation, warp


class Made(NamedTuple):
    """Generated frames and what they are composed of, each [N, ..., H, W] float32."""

    frame: Tensor
    """[N, C, H, W] in [-1, 1]: (1 - mask) * warp(past, flow) + mask * raw."""
    raw: Tensor
    """[N, C, H, W] in [-1, 1]: the frame as it is made without the past frame's pixels."""
    flow: Tensor
    """[N, 2, H, W]: where each pixel was in the past frame, (x, y) in pixels."""
    mask: Tensor
    """[N, 1, H, W] in [0, 1]: 1 where nothing in the past frame shows the pixel."""


class CoarseTrunk(nn.Module):
    """Two encoders whose features are added, then a branch for the image and one for the flow."""

    def __init__(
        self,
        channels: tuple[int, int],
        width: int,
        num_downs: int,
        num_blocks: int,
        upsampling: Upsampling,
    ) -> None:
        """`channels` are those of all sources and of all past frames."""
        super().__init__()
        widths = [width << level for level in range(num_downs + 1)]
        self.source_encoder, self.past_encoder = (_encoder(ins, widths) for ins in channels)
        in_branch = num_blocks // 2
        self.shared = nn.Sequential(*_blocks(widths[-1], num_blocks - in_branch))
        self.image, self.flow = (_decoder(widths, in_branch, upsampling) for _ in range(2))

    def forward(self, sources: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, width, H, W] of the image and of the flow."""
        shared = self.shared(self.source_encoder(sources) + self.past_encoder(past))
        return self.image(shared), self.flow(shared)


class FineTrunk(nn.Module):
    """As `CoarseTrunk`, at twice the size: its features are added to those of the coarse one."""

    def __init__(
        self, channels: tuple[int, int], width: int, num_blocks: int, upsampling: Upsampling
    ) -> None:
        super().__init__()
        widths = [width, 2 * width]
        self.source_encoder, self.past_encoder = (_encoder(ins, widths) for ins in channels)
        self.image, self.flow = (_decoder(widths, num_blocks, upsampling) for _ in range(2))

    def forward(
        self, sources: Tensor, past: Tensor, coarse: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Features [N, width, H, W]; `coarse` are two maps [N, 2 width, H/2, W/2]."""
        joined = self.source_encoder(sources) + self.past_encoder(past)
        return self.image(joined + coarse[0]), self.flow(joined + coarse[1])


class Heads(nn.Module):
    """From features to the raw image, the flow and the mask."""

    def __init__(self, width: int, channels: int, flow_scale: float) -> None:
        super().__init__()
        self.flow_scale = flow_scale
        self.raw, self.flow, self.mask = (to_image(width, outs) for outs in (channels, 2, 1))

    def forward(self, image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of both branches -> raw image, flow and mask, as in `Made`."""
        raw = torch.tanh(self.raw(image).float())
        return raw, self.flow_scale * self.flow(flow).float(), self.mask(flow).float().sigmoid()


class SequentialGenerator(nn.Module):
    """Sources [N, (P + 1) S, H, W] and past frames [N, P C, H, W], the latest last -> `Made`.

    The tensors of the coarse trunk have the same names and shapes with and without the fine one,
    so that a second stage starts from the first. The layers to image, flow and mask differ.
    """

    def __init__(
        self,
        source_channels: int,
        channels: int,
        width: int,
        *,
        num_past: int = 2,
        num_downs: int = 3,
        num_blocks: int = 9,
        has_enhancer: bool = False,
        local_blocks: int = 3,
        upsampling: Upsampling = "transposed",
        flow_scale: float = 20.0,
        foreground: Sequence[int] = (),
    ) -> None:
        """Build it.

        Args:
            source_channels: S.
            channels: C.
            width: channels of the coarse trunk at its full size, twice those of the fine one.
            num_past: P.
            num_downs: how often the coarse trunk halves the size.
            num_blocks: residual blocks on the way through the coarse trunk.
            has_enhancer: whether there is a fine trunk; the coarse one then works at half the size.
            local_blocks: residual blocks on the way through the fine trunk.
            upsampling: how layers double the size.
            flow_scale: pixels that a 1 of the last flow layer stands for.
            foreground: channels of the source that are foreground, which a separate network
                draws from the source alone; empty for none.
        """
        super().__init__()
        self.channels, self.source_channels = channels, source_channels
        self.foreground_labels = list(foreground)
        inputs = (num_past + 1) * source_channels, num_past * channels
        self.coarse = CoarseTrunk(inputs, width, num_downs, num_blocks, upsampling)
        self.fine: FineTrunk | None = None
        if has_enhancer:
            self.fine = FineTrunk(inputs, width // 2, local_blocks, upsampling)
            self.fine_heads = Heads(width // 2, channels, flow_scale)
        else:
            self.coarse_heads = Heads(width, channels, flow_scale)
        self.foreground: CoarseToFine | None = None
        if foreground:
            self.foreground = CoarseToFine(
                source_channels,
                channels,
                width,
                num_downs=num_downs,
                num_blocks=num_blocks - num_blocks // 2,
                has_enhancer=has_enhancer,
                local_blocks=local_blocks,
                upsampling=upsampling,
            )
        self.apply(init_translation)

    def forward(self, sources: Tensor, past: Tensor) -> Made:
        """The next frame."""
        if self.fine is None:
            raw, flow, mask = self.coarse_heads(*self.coarse(sources, past))
        else:
            coarse = self.coarse(half_size(sources), half_size(past))
            raw, flow, mask = self.fine_heads(*self.fine(sources, past, coarse))
        raw = self._with_foreground(sources[:, -self.source_channels :], raw)
        moved = warp(past[:, -self.channels :], flow)
        return Made(torch.lerp(moved, raw, mask), raw, flow, mask)

    def _with_foreground(self, source: Tensor, raw: Tensor) -> Tensor:
        """The foreground, painted from the current source, over the raw image."""
        if self.foreground is None:
            return raw
        share = source[:, self.foreground_labels].sum(1, keepdim=True).float()
        return torch.lerp(raw, self.foreground(source), share)


def _encoder(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    layers = entry(in_channels, widths[0])
    for before, after in zip(widths, widths[1:], strict=False):
        layers += down(before, after)
    return nn.Sequential(*layers)


def _decoder(widths: Sequence[int], num_blocks: int, upsampling: Upsampling) -> nn.Sequential:
    layers: list[nn.Module] = [*_blocks(widths[-1], num_blocks)]
    for after, before in reversed([*zip(widths, widths[1:], strict=False)]):
        layers += up(before, after, upsampling)
    return nn.Sequential(*layers)


def _blocks(channels: int, count: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(count)]
