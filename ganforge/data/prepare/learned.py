"""Facts known only after the last sample: white, the largest label id, the shortest clip."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ganforge.config.data import DataConfig, FieldConfig
from ganforge.data.prepare.sample_encoder import Encoded
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.errors import DataError

logger = logging.getLogger(__name__)


@dataclass
class Learned:
    """Completes the schema of fields after the last sample."""

    largest: dict[str, int] = field(default_factory=dict)
    """White of images, the largest id of label maps."""
    num_frames: dict[str, int] = field(default_factory=dict)
    """Frames of the shortest clip."""

    def add(self, encoded: Encoded) -> None:
        """Learn from a sample."""
        for name, value in encoded.largest.items():
            self.largest[name] = max(value, self.largest.get(name, 0))
        for name, count in encoded.num_frames.items():
            self.num_frames[name] = min(count, self.num_frames.get(name, count))

    def complete(
        self,
        fields: Mapping[str, FieldSchema],
        class_names: Sequence[str],
        config: DataConfig,
        like: DatasetIndex | None,
    ) -> dict[str, FieldSchema]:
        """The schema of all fields, completed with what was learned.

        Args:
            fields: by name.
            class_names: of the source.
            config: with `data.fields`.
            like: the training data, for validation data: white, ids and classes must agree.

        Raises:
            DataError: validation data have other classes, or ids that the training data lack.
        """
        if like is not None and tuple(class_names) != like.image_spec.class_names:
            raise DataError(
                f"The validation data have the classes {', '.join(class_names) or 'none'}, the "
                f"training data {', '.join(like.image_spec.class_names) or 'none'}. Give both the "
                f"same classes, so that labels mean the same."
            )
        completed: dict[str, FieldSchema] = {}
        for name, schema in fields.items():
            update: dict[str, object] = {"num_frames": self.num_frames.get(name, 1)}
            if schema.kind == "label":
                update["size"] = len(class_names)
            elif schema.kind == "image":
                known = None if like is None else like.fields[name].max_value
                update["max_value"] = known or self.largest[name]
            elif schema.kind == "labels":
                options = config.fields.get(name, FieldConfig())
                update["size"] = self._num_labels(name, options, like)
            completed[name] = schema.model_copy(update=update)
        return completed

    def _num_labels(self, name: str, options: FieldConfig, like: DatasetIndex | None) -> int:
        largest = self.largest[name]
        if like is not None:
            known = like.fields[name].size
            if options.num_labels is None and known and largest >= known:
                raise DataError(
                    f"The label maps '{name}' of the validation data hold the id {largest}, those "
                    f"of the training data 0 to {known - 1}. Correct them, or set data.fields."
                    f"{name}.num_labels."
                )
            return known
        if options.num_labels is not None:
            return options.num_labels
        logger.info(
            "The largest id in '%s' is %d, so networks see %d one-hot channels. If some ids are no "
            "classes, set data.fields.%s.num_labels.",
            name,
            largest,
            largest + 1,
            name,
        )
        return largest + 1
