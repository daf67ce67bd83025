"""Runs `evaluate` on every rank and writes what each got: WORKER SHARDS OUT."""

import json
import sys
import types
from pathlib import Path

from metrics.tiny import TinyExtractor, fake_generator

import ganforge.metrics
from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.interfaces.component import hookimpl
from ganforge.metrics import evaluation
from ganforge.registry.plugins import Plugin, empty_registry
from ganforge.training.runtime import Runtime


def fail() -> None:
    raise MetricError("only rank 0 saw this")


def main(shards: str, out: Path) -> None:
    plugin = types.ModuleType("tiny_plugin")
    plugin.ganforge_feature_extractors = hookimpl(lambda: [TinyExtractor])
    registry = empty_registry()
    registry.register(ganforge.metrics, Plugin("metrics", "ganforge.metrics", "ganforge", "0"))
    registry.register(plugin, Plugin("tiny", "tiny_plugin", "tiny", "0"))
    evaluation.get_registry = lambda: registry
    runtime = Runtime("fp32")
    config = EvaluateConfig(
        metrics=("fid", {"name": "is", "splits": 2}, {"name": "kid", "subset_size": 8},
                 "precision_recall"),
        extractor="tiny", num_images=13, batch_size=4, cache_dir=str(out / "cache"),
    )  # fmt: skip
    records = evaluation.evaluate(
        fake_generator(), config, shards, runtime, nimg=1, data=DataConfig(workers=0)
    )
    error = ""
    try:
        runtime.on_main(fail)
    except MetricError as err:
        error = str(err)
    out.mkdir(parents=True, exist_ok=True)
    found = {"records": [r.model_dump(mode="json") for r in records], "error": error}
    (out / f"rank{runtime.rank}.json").write_text(json.dumps(found))
    runtime.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
