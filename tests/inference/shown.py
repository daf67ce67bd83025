"""Models whose images show their latents as numbers, so that each method has a closed form."""

import numpy as np
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.hub.format import ModelInfo, conditioning
from ganforge.imaging.images import from_uint8
from ganforge.inference.pretrained import PretrainedGan
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec

LAYERS, SIZE, SCALE = 4, 8, 16.0
CLASSES = ("bag", "boot", "shirt")


class Shown(Architecture[StrictModel]):
    """Rows of the image are z / 16; the last columns are the label."""

    name, paper, optional_inputs = "shown", "none", ("label", "attributes")

    def networks(self):
        return {"generator": nn.Linear(1, 1)}

    def phases(self, objective):
        return []

    def generate(self, nets, request):
        return self.draw(request.noise(SIZE)[:, None].expand(-1, LAYERS, -1), request)

    def draw(self, ws, request):
        img = (ws / SCALE)[:, None].repeat(1, 3, 1, 1)
        for shown in (request.label, request.attributes):
            if shown is not None:
                img = torch.cat([img, shown[:, None, None].expand(-1, 3, LAYERS, -1)], 3)
        return img


class Styled(Shown):
    """With a mapped space: row l shows layer l of w = z^2, without truncation."""

    name, latent_spaces = "styled", ("z", "w")

    @classmethod
    def check_truncation(cls, truncation):
        pass

    def num_styles(self, nets):
        return LAYERS

    def generate(self, nets, request):
        return self.draw(request.blended("w", self.mapped), request)

    def mapped(self, request):
        psi = 1.0 if request.truncation is None else request.truncation
        return psi * request.noise(SIZE).square()[:, None].repeat(1, LAYERS, 1)


class Translator(Shown):
    name, directions = "translator", ("source_to_target",)


def pretrained(kind, **fields):
    architecture = kind(StrictModel(), ImageSpec(LAYERS, SIZE, 3, **fields))
    info = ModelInfo(
        ganforge_version="1",
        architecture=architecture.name,
        options={},
        plugin={"distribution": "tiny", "version": "1"},
        image_spec=architecture.spec,
        conditioning=conditioning(architecture),
        roles=("generator",),
        nimg=0,
        weights_sha256="0" * 64,
    )
    return PretrainedGan(architecture, architecture.networks(), info, "cpu")


def latents(*seeds):
    return GenerateRequest(seeds).noise(SIZE)


def numbers(image, layer=0):
    """The latent that an image shows in a row."""
    pixels = torch.from_numpy(np.asarray(image).astype(np.float32))[layer, :SIZE, 0]
    return from_uint8(pixels) * SCALE


def shown_label(image):
    pixels = torch.from_numpy(np.asarray(image).astype(np.float32))[0, SIZE:, 0]
    return from_uint8(pixels)


def assert_shows(image, latent, layer=0):
    assert_close(numbers(image, layer), latent, atol=SCALE / 250, rtol=0)


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))
