"""Architectures that translate pairs, and read fields of their own."""

from functools import partial

import torch
from torch import nn

from ganforge.api import Architecture, ComponentOptions, ConfigError, Field, FieldSpec, Phase


class TranslatorConfig(ComponentOptions):
    takes_labels: bool = True
    takes_gray: bool = True
    width: int = Field(4, gt=0, description="Channels of the hidden layer.")


class Judge(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(channels, 1, 4, 2)

    def forward(self, *shown):
        return self.layer(torch.cat(shown, 1)).mean((1, 2, 3))


class Translator(Architecture[TranslatorConfig]):
    """An architecture of pairs that keeps the contract, with any source."""

    name, Config, paper = "translator", TranslatorConfig, "Nobody 2026"
    inputs = ("source", "target")
    directions = ("source_to_target",)

    def check(self, objective):
        if objective.regularizers or objective.augmentation:
            raise ConfigError("It takes no loss.regularizers and no augment. Remove them.")
        if self.spec.source_kind == "labels" and not self.config.takes_labels:
            raise ConfigError("It takes no label maps. Give images.")
        if self.spec.source_channels != self.spec.channels and not self.config.takes_gray:
            raise ConfigError("Source and target have different channels. Convert one.")

    def further_channels(self):
        return 0

    def further(self, batch):
        return ()

    def networks(self):
        source, channels = self.spec.source_channels, self.spec.channels
        generator = nn.Sequential(nn.Conv2d(source, channels, 3, padding=1), nn.Tanh())
        return {
            "generator": generator,
            "discriminator": Judge(source + channels + self.further_channels()),
        }

    def phases(self, objective):
        gen, disc = (partial(f, objective) for f in (self.gen_terms, self.disc_terms))
        return [
            Phase("generator", ("generator",), gen, every=objective.n_critic),
            Phase("discriminator", ("discriminator",), disc),
        ]

    def judge(self, nets, batch, img):
        return nets["discriminator"](batch["source"], img, *self.further(batch))

    def gen_terms(self, objective, nets, batch):
        gen_img = nets["generator"](batch["source"])
        real = partial(self.judge, nets, batch, batch["target"])
        return objective.generator(self.judge(nets, batch, gen_img), real)

    def disc_terms(self, objective, nets, batch):
        with torch.no_grad():
            gen_img = nets["generator"](batch["source"])
        real_logits = self.judge(nets, batch, batch["target"])
        return objective.discriminator(batch, real_logits, self.judge(nets, batch, gen_img))

    def generate(self, nets, request):
        return nets["generator"](request.source)


class OfAnyChannels(Translator):
    """Takes images only."""

    name, example_options = "of_any_channels", {"takes_labels": False}


class OfEqualChannels(Translator):
    name, example_options = "of_equal_channels", {"takes_labels": False, "takes_gray": False}


class WithInstances(Translator):
    """Its discriminator also reads instance ids, boxes, and optional depth."""

    name = "with_instances"
    inputs = ("source", "target", "instances", "boxes")
    optional_inputs = ("depth",)
    example_fields = {
        "instances": FieldSpec("labels", 0),
        "boxes": FieldSpec("vector", 4),
        "depth": FieldSpec("image", 1),
    }

    def further_channels(self):
        return 5 + ("depth" in self.spec.fields)

    def further(self, batch):
        boxes = batch["boxes"][:, :, None, None].expand(-1, -1, *batch["target"].shape[2:])
        depth = (batch["depth"],) if "depth" in self.spec.fields else ()
        return batch["instances"].float(), boxes, *depth


class UndescribedField(Translator):
    name, inputs = "undescribed_field", ("source", "target", "keypoints")
