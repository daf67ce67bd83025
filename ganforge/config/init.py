"""The `init` section: what a run starts from, and what stays frozen (docs/transfer.md)."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from ganforge.config.base import StrictModel


def _or_path(schema: dict[str, Any]) -> None:
    """Let the JSON schema accept a path alone, as `_from_path` does."""
    section = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, section]


class InitConfig(StrictModel):
    """Start from trained networks, and freeze parts. A bare path is short for `from`."""

    model_config = ConfigDict(serialize_by_alias=True, json_schema_extra=_or_path)

    source: str | None = Field(
        None,
        alias="from",
        min_length=1,
        description="A run's folder, a checkpoint, an export folder, or org/name on the Hub.",
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit of a repository on the Hub. Default: main."
    )
    roles: dict[str, str] = Field(
        default_factory=dict,
        description="Networks to initialize, each with the network of the source to copy from, "
        "e.g. {generator: generator}. Default: each network that the source has too.",
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="Networks, modules or parameters that stay as they are, e.g. "
        "[discriminator.layers.0].",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        if value is None:
            return {}
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _source_for_its_options(self) -> "InitConfig":
        for name in ("revision", "roles"):
            if getattr(self, name) and self.source is None:
                raise ValueError(f"{name} needs a source; add `from: RUN, EXPORT or org/name`")
        return self
