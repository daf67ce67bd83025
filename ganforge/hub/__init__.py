"""Publishing: the export folder, the model card, push, pull and the ready-to-use generator."""

from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.hub.format import ModelInfo
from ganforge.hub.pretrained import PretrainedGan
from ganforge.hub.pull import pull
from ganforge.hub.push import PushResult, push_folder
from ganforge.hub.samples import save_images
from ganforge.hub.sheets import Film, Sheet

__all__ = [
    "CardInfo",
    "Film",
    "ModelInfo",
    "PretrainedGan",
    "PushResult",
    "Sheet",
    "export_model",
    "pull",
    "push_folder",
    "save_images",
]
