"""Any text encoder of the Hugging Face Hub or of a folder, through `transformers`.

The vector of a text is the mean of its last hidden states (Reimers and Gurevych 2019,
arXiv:1908.10084), its first state, or the pooled output of models that have one, as CLIP.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.config.models import StrictModel
from ganforge.encoders.words import revision_of
from ganforge.errors import ConfigError
from ganforge.interfaces.text_encoder import TextEncoder, unit_scale

_BATCH = 64


class TransformerConfig(StrictModel):
    """Options of `transformers`."""

    model: str = Field(description="Repository on the Hub, as org/name, or a folder.")
    hub_revision: str | None = Field(
        None, description="Branch, tag or commit of the repository. Default: main."
    )
    pooling: Literal["mean", "first", "pooled"] = Field(
        "mean",
        description="mean of the last hidden states, the first of them (BERT's [CLS]), or the "
        "model's own pooled output (CLIP).",
    )
    max_tokens: int = Field(77, gt=0, description="Longer captions are cut.")


class Transformer(TextEncoder[TransformerConfig]):
    """A pretrained language model: BERT, MiniLM, CLIP's text tower, T5's encoder, ..."""

    name, Config = "transformers", TransformerConfig
    local_options = ("model", "hub_revision")

    @cached_property
    def _loaded(self) -> tuple[Any, nn.Module]:
        """Tokenizer and model.

        Raises:
            ConfigError: `transformers` is not installed, or the model cannot be loaded.
        """
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as err:
            raise ConfigError(
                f"The text encoder 'transformers' (model {self.config.model}) needs the package "
                f"transformers, which is not installed: pip install 'ganforge[text]'"
            ) from err
        model, revision = self.config.model, self.config.hub_revision
        try:
            tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
            network = AutoModel.from_pretrained(model, revision=revision, dtype=torch.float32)
        except (OSError, ValueError) as err:
            reason = str(err).strip().splitlines()[0]
            raise ConfigError(
                f"The text encoder {model} cannot be loaded: {reason} Check the name, or your "
                f"network; a folder that `save_pretrained` wrote works offline "
                f"(data.text_encoder.model)."
            ) from err
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer, _text_tower(network).eval().requires_grad_(False)

    @cached_property
    def size(self) -> int:
        """Width of the model's hidden states."""
        return int(self._embed(["size"]).shape[1])

    @cached_property
    def revision(self) -> str:
        """Hash of weights, vocabulary, pooling and token limit, wherever the files come from."""
        tokenizer, network = self._loaded
        digest = hashlib.sha256()
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return revision_of(
            weights=digest.hexdigest(),
            vocabulary=hashlib.sha256(
                json.dumps(sorted(tokenizer.get_vocab().items())).encode()
            ).hexdigest(),
            pooling=self.config.pooling,
            max_tokens=self.config.max_tokens,
        )

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, size] with root mean square 1.

        Raises:
            DataError: the model gives zeros or no numbers for a text.
        """
        if not texts:
            return torch.zeros(0, self.size)
        parts = [
            self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)
        ]
        why = f"{self.config.model} gives no usable vector for it. Correct the caption."
        return unit_scale(torch.cat(parts), texts, why)

    @torch.no_grad()
    def _embed(self, texts: Sequence[str]) -> Tensor:
        tokenizer, network = self._loaded
        limit = min(self.config.max_tokens, tokenizer.model_max_length)
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        mask: Tensor = tokens["attention_mask"]
        out = network(input_ids=tokens["input_ids"], attention_mask=mask)
        if self.config.pooling == "pooled":
            pooled: Tensor | None = out.get("pooler_output")
            if pooled is None:
                raise ConfigError(
                    f"The text encoder {self.config.model} has no pooled output. Set "
                    f"data.text_encoder.pooling to mean or first."
                )
            return pooled.float()
        states: Tensor = out.last_hidden_state.float()
        if self.config.pooling == "first":
            return states[:, 0]
        weight = mask[:, :, None].float()
        return (states * weight).sum(dim=1) / weight.sum(dim=1)


def _text_tower(network: nn.Module) -> nn.Module:
    """The part that reads text: CLIP's tower, T5's encoder, or all of it."""
    tower = getattr(network, "text_model", None)
    if isinstance(tower, nn.Module):
        return tower
    config: Any = getattr(network, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        return network.get_encoder()  # type: ignore[operator,no-any-return]  # transformers' own
    return network
