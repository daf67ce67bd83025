"""The scripts that make the published numbers: they must count, pad, pair and stop as they say."""

import json

import pytest
import torch
from benchmarks import judge_fashion_mnist, judge_quick, judge_translation
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn


def finished(folder, distance, kimg, per_class=None):
    folder.mkdir(parents=True)
    report = {"frechet_vs_60k_train": distance}
    if per_class is not None:
        report["asked_class_accuracy"] = sum(per_class) / len(per_class)
        report["asked_class_accuracy_per_class"] = per_class
    (folder / "judge.json").write_text(json.dumps(report))
    (folder / "log.jsonl").write_text(
        json.dumps({"kimg": 1.0, "elapsed_sec": 6.0})
        + "\n"
        + json.dumps({"kimg": kimg, "elapsed_sec": 60.0 * distance})
        + "\n"
    )


def test_the_table_shows_median_and_range_of_finished_runs(tmp_path):
    for seed, distance in enumerate([5.0, 2.0, 3.0]):
        finished(tmp_path / f"biggan-s{seed}", distance, 180.0, [0.5, 0.9])
    finished(tmp_path / "wgan_gp-s0", 8.8, 380.0)
    (tmp_path / "acgan-s0").mkdir()

    rows = judge_quick.table(tmp_path).splitlines()[2:]

    assert rows == [
        "| biggan | 3 | 3.0 (2.0 to 5.0) | 180.0 (180.0 to 180.0) | 3.0 (2.0 to 5.0) "
        "| 70.0 (70.0 to 70.0) | 50.0 (50.0 to 50.0) |",
        "| wgan_gp | 1 | 8.8 | 380.0 | 8.8 |  |  |",
    ]


def test_finished_runs_are_not_run_again_and_a_failure_stops_the_rest(tmp_path, monkeypatch):
    begun = []

    def train_and_judge(pipeline, seed, run_dir, cache, jobs):
        begun.append((pipeline.stem, seed))
        if seed == 1:
            raise RuntimeError("out of memory")
        finished(run_dir, 1.0, 1.0)

    monkeypatch.setattr(judge_quick, "train_and_judge", train_and_judge)
    cache, out = tmp_path / "judge", tmp_path / "quick"
    cache.mkdir()
    finished(out / "acgan-s0", 4.0, 180.0)
    arguments = ["acgan", "lsgan", "--cache", str(cache), "--out", str(out)]

    done = CliRunner().invoke(judge_quick.main, arguments)

    assert done.exit_code == 0, done.output
    assert begun == [("lsgan_fashion_mnist", 0)]
    failed = CliRunner().invoke(judge_quick.main, [*arguments, "--seeds", "0,1,2"])
    assert "out of memory" in str(failed.exception)
    assert begun[1:] == [("acgan_fashion_mnist", 1)]


def test_small_images_get_a_black_border_and_other_sizes_are_refused():
    img = judge_fashion_mnist.as_batch(torch.full((2, 28, 28), 7, dtype=torch.uint8).numpy())

    assert img.shape == (2, 1, 32, 32)
    assert img[:, :, 2:-2, 2:-2].eq(7).all()
    assert img.sum() == 7 * 2 * 28 * 28
    with pytest.raises(Exception, match="28x28 or 32x32"):
        judge_fashion_mnist.as_batch(torch.zeros(2, 64, 64, dtype=torch.uint8).numpy())


def test_the_distance_is_the_closed_form():
    torch.manual_seed(0)
    one = torch.randn(4000, 3, dtype=torch.float64)
    one = (one - one.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(one.T.cov())).T
    other = 2 * one + torch.tensor([1.0, 0.0, 2.0])

    # Of covariances I and 4 I: |mean|^2 + tr(I + 4 I - 2 * 2 I) = 5 + 3.
    assert judge_fashion_mnist.frechet(other, one) == pytest.approx(8.0, abs=1e-6)


class Reader(nn.Module):
    """Reads the class from an image's first pixel."""

    def forward(self, img):
        logits = nn.functional.one_hot(img[:, 0, 0, 0].long(), 10).float() * 20
        return logits, logits


def test_the_report_counts_the_classes_that_were_asked_for(tmp_path):
    asked = [i % 10 for i in range(200)]
    img = torch.zeros(200, 1, 32, 32, dtype=torch.uint8)
    drawn = [1 if c == 0 and i < 50 else c for i, c in enumerate(asked)]
    for corner in (0, -1):  # the mirror image reads the same
        img[:, 0, 0, corner] = torch.tensor(drawn, dtype=torch.uint8)
    labels = torch.arange(10).repeat(20)
    features = nn.functional.one_hot(labels, 10).float() * 20
    real = {"train": features, "test": features.clone(), "train_label": labels}
    save_file({**real, "unit": torch.tensor(2.0)}, tmp_path / "features.safetensors")

    found = judge_fashion_mnist.report(Reader(), tmp_path, img, asked)

    assert found["histogram"] == [15, 25, *[20] * 8]
    assert found["asked_class_accuracy"] == pytest.approx(195 / 200)
    assert found["asked_class_accuracy_per_class"] == pytest.approx([0.75, *[1.0] * 9])
    assert found["distinct_images"] == 10
    raw = judge_fashion_mnist.frechet(
        nn.functional.one_hot(torch.tensor(drawn), 10) * 20.0, features
    )
    assert found["frechet_vs_60k_train"] == pytest.approx(2 * raw, rel=1e-6)


def test_grain_is_the_checkerboard_alone():
    torch.manual_seed(0)
    noise = torch.randn(64, 3, 32, 32)
    board = (-1.0) ** torch.arange(32)
    board = board[:, None] * board

    assert judge_translation.grain(noise) == pytest.approx(1, abs=0.4)
    assert judge_translation.grain(noise + 0.2 * board) > 10


def test_the_classifier_tells_domains_apart_and_counts_the_wanted_one():
    torch.manual_seed(0)
    dark, light = (x + 0.3 * torch.randn(64, 3, 16, 16) for x in (-0.5, 0.5))
    model = judge_translation.train_classifier({"source": dark, "target": light})
    mixed = torch.cat([dark[:5], light[:15]])

    assert judge_translation.recognized(mixed, "target", model) == 75
    assert judge_translation.recognized(mixed, "source", model) == 25


def test_an_output_is_kept_if_the_nearest_target_shows_the_same_drawing():
    angle = torch.tensor([0.0, 0.3, 0.6, 0.9])
    targets = torch.stack([angle.cos(), angle.sin()], dim=1)
    seen = 2 * targets[[0, 0, 3, 3]]

    assert judge_translation.kept(seen, targets, ["a", "a", "b", "c"]) == 75
