"""Runs `evaluate` on every rank and writes what each got: WORKER SHARDS PAIRS CLIPS OUT."""

import json
import sys
from pathlib import Path

from metrics.tiny import (
    fake_generator,
    negative_translator,
    negative_video_translator,
    tiny_registry,
)

from ganforge.config.models import DataConfig, EvaluateConfig
from ganforge.errors import MetricError
from ganforge.metrics import choices, evaluation
from ganforge.training.runtime import Runtime

METRICS = (
    {"name": "fid", "extractor": "other"},
    "fid",
    {"name": "is", "splits": 2},
    {"name": "kid", "subset_size": 8},
    "precision_recall",
)


def fail() -> None:
    raise MetricError("only rank 0 saw this")


def main(shards: str, pairs: str, clips: str, out: Path) -> None:
    registry = tiny_registry()
    choices.get_registry = lambda: registry
    runtime, data = Runtime("fp32"), DataConfig(workers=0)
    common = {
        "extractor": "tiny", "num_images": 13, "batch_size": 4, "cache_dir": str(out / "cache")
    }  # fmt: skip
    config = EvaluateConfig(metrics=METRICS, **common)
    records = evaluation.evaluate(fake_generator(), config, shards, runtime, data=data)
    config = EvaluateConfig(metrics=("psnr", {"name": "ssim"}, "fid"), **common)
    records += evaluation.evaluate(negative_translator(), config, pairs, runtime, data=data)
    config = EvaluateConfig(metrics=("psnr", "dtssd", "fid"), **common)
    records += evaluation.evaluate(negative_video_translator(), config, clips, runtime, data=data)
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
    main(*sys.argv[1:4], Path(sys.argv[4]))
