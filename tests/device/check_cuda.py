"""Checks that ganforge computes right on an NVIDIA GPU, and measures how fast it trains there.

    make check-device
    python tests/device/check_cuda.py [--out FOLDER] [--only B,D.stylegan2-256-b16] [--minutes 9]
    python tests/device/check_cuda.py --device cpu --tiny    # each case at toy sizes, on a CPU

It runs from a checkout, installed or not, with Python 3.11 or newer and torch 2.11 or newer. It
needs these packages, as wheels where nothing can be downloaded:

- accelerate, click, filelock, huggingface_hub, jinja2, numpy, packaging, pillow, pluggy, pyyaml,
  rich, safetensors, tensorboard, torch, torchvision
- annotated-types, braceexpand, omegaconf, pydantic, pydantic-core, simplejpeg, typing-extensions
  (4.16), typing-inspection, webdataset

Each case runs in a process with a deadline. Its rows are added at once to `rows.jsonl` and
`table.md` in the output folder, so that an interrupted session keeps what it measured. The exit
code is 1 if a check failed, was late or did not run; measurements do not count. Groups: A the
machine, B correctness, C single operations, D training throughput, E data loading.

One file, longer than this project's limit, so that it can be carried to a machine and read there.
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _write(path: Path, text: str) -> None:
    """Write a file that other cases may be reading: at once, and only if it changes."""
    if not path.is_file() or path.read_text() != text:
        part = path.with_name(f"{path.name}-{os.getpid()}")
        part.write_text(text)
        part.replace(path)


def find_ganforge() -> list[str]:
    """Folders for `sys.path`: the checkout, its plugins, and their entry points."""
    folder = Path(tempfile.gettempdir()) / f"ganforge-entry-points-{os.getuid()}"
    described = folder / "ganforge-0.dist-info"
    described.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["ganforge"].items()]
    _write(described / "METADATA", "Metadata-Version: 2.1\nName: ganforge\nVersion: 0\n")
    _write(described / "entry_points.txt", "\n".join(["[ganforge]", *lines, ""]))
    return [str(folder), str(ROOT), str(ROOT / "plugins")]


sys.path[:0] = find_ganforge()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

from ganforge.config.models import DataConfig, PipelineConfig  # noqa: E402
from ganforge.data.loader import SlotLoader  # noqa: E402
from ganforge.data.shards.index import DatasetIndex, FieldSchema  # noqa: E402
from ganforge.data.shards.writer import EncodedSample, write_stream  # noqa: E402
from ganforge.errors import NonFiniteError  # noqa: E402
from ganforge.hub.card import CardInfo  # noqa: E402
from ganforge.hub.export import export_model  # noqa: E402
from ganforge.imaging.codec import encode_pixels  # noqa: E402
from ganforge.inference.pretrained import PretrainedGan  # noqa: E402
from ganforge.interfaces.architecture import Phase  # noqa: E402
from ganforge.interfaces.numerics import cudnn_benchmark  # noqa: E402
from ganforge.interfaces.spec import ImageSpec  # noqa: E402
from ganforge.layers import Resample2d, resample  # noqa: E402
from ganforge.objectives import penalties  # noqa: E402
from ganforge.registry.components import resolve  # noqa: E402
from ganforge.training.build import build_run  # noqa: E402
from ganforge.training.compiler import compiler_fault  # noqa: E402
from ganforge.training.engine import step as engine_step  # noqa: E402
from ganforge.training.engine.loop import make_batches  # noqa: E402
from ganforge.training.engine.step import Stepper, StepResult  # noqa: E402
from ganforge.training.runtime import Runtime  # noqa: E402
from ganforge.training.state import checkpoint as checkpoints  # noqa: E402
from ganforge.training.state.run_state import TrainingRun  # noqa: E402

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Setup:
    """Where a case runs.

    Attributes:
        device: "cuda" or "cpu".
        tiny: toy sizes, to test this script.
        out: folder of the results.
    """

    device: str
    tiny: bool
    out: Path

    def size(self, full: int, tiny: int) -> int:
        """`full`, or `tiny` in a dry run."""
        return tiny if self.tiny else full


@dataclasses.dataclass(frozen=True)
class Case:
    """A process with a deadline. `checks`: whether it decides the exit code."""

    name: str
    run: Callable[[Setup], Iterator[Row]]
    seconds: int
    checks: bool


CASES: dict[str, Case] = {}
LEGS: dict[str, Callable[[Setup, Path], None]] = {}
"""Parts of cases that need a process without the GPU, or one that dies; by name."""


def case(name: str, seconds: int, checks: bool = False) -> Callable[..., Any]:
    """Register a function that yields rows; `ok` in a row is the outcome of a check."""

    def register(run: Callable[[Setup], Iterator[Row]]) -> Callable[[Setup], Iterator[Row]]:
        CASES[name] = Case(name, run, seconds, checks)
        return run

    return register


# ------------------------------------------------------------------------------------------------
# Recipes


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained: the sections of a pipeline file that matter, and the images."""

    model: Mapping[str, Any]
    loss: Any
    side: int
    batch: int
    classes: int = 0
    paired: bool = False

    @property
    def spec(self) -> ImageSpec:
        """The images."""
        names = tuple(map(str, range(self.classes)))
        size = (self.side, self.side, 3)
        if self.paired:
            return ImageSpec(*size, class_names=names, source_channels=3)
        return ImageSpec(*size, class_names=names)

    def fields(self, step: int, slots: int = 1) -> list[dict[str, Tensor]]:
        """What the loader would give; depends on step and slot alone."""
        found = []
        for slot in range(slots):
            draw = torch.Generator().manual_seed(1000 * step + slot)
            shape = (self.batch // slots, 3, self.side, self.side)
            names = ("source", "target") if self.paired else ("image",)
            values = {
                name: torch.randint(256, shape, dtype=torch.uint8, generator=draw) for name in names
            }
            if self.classes:
                values["label"] = torch.randint(self.classes, shape[:1], generator=draw)
            found.append(values)
        return found


def style_loss(gamma: float = 1.0) -> dict[str, Any]:
    """The loss of StyleGAN2."""
    r1, path = {"name": "r1", "gamma": gamma, "every": 16}, {"name": "path_length", "every": 4}
    return {"name": "nonsaturating", "regularizers": [r1, path]}


R1_LOSS = {"name": "nonsaturating", "regularizers": [{"name": "r1", "every": 16}]}
R3_LOSS = {"name": "relativistic", "regularizers": [{"name": "r1"}, {"name": "r2"}]}
ORTHOGONAL = {"name": "hinge", "regularizers": [{"name": "orthogonal", "weight": 1e-4}]}
TINY_STYLE = {
    "z_dim": 16, "w_dim": 16, "mapping_layers": 2, "channel_base": 256, "channel_max": 16,
}  # fmt: skip
TINY_R3GAN = {"z_dim": 8, "channel_base": 512, "channel_max": 32, "group_width": 8}


def small_recipe(name: str, side: int) -> Recipe:
    """A network that also a CPU trains in seconds."""
    style = {"architecture": name, **TINY_STYLE}
    recipes = {
        "stylegan2": Recipe(style, style_loss(), side, 8),
        "stylegan3": Recipe({**style, "num_layers": 6}, R1_LOSS, side, 4),
        "biggan": Recipe({"architecture": "biggan", "channels": 8}, ORTHOGONAL, 32, 8, classes=4),
        "r3gan": Recipe({"architecture": "r3gan", **TINY_R3GAN}, R3_LOSS, side, 8),
        "cyclegan": Recipe(
            {
                "architecture": "cyclegan",
                "generator_width": 8,
                "num_blocks": 2,
                "discriminator_width": 8,
                "discriminator_layers": 1,
            },
            {"name": "least_squares"},
            side,
            2,
            paired=True,
        ),
    }
    return recipes[name]


def open_run(recipe: Recipe, slots: int = 1, **train: Any) -> TrainingRun:
    """A fresh run of a recipe; float32 and uncompiled unless `train` says otherwise."""
    settings = {"precision": "fp32", "compile": False, "trackers": [], **train}
    config = PipelineConfig.model_validate(
        {
            "name": "check",
            "model": recipe.model,
            "loss": recipe.loss,
            "train": {"batch_size": recipe.batch, "slots": slots, **settings},
        }
    )
    fp16 = settings["precision"] == "fp16" and not torch.cuda.is_available()
    runtime = Runtime("fp32" if fp16 else settings["precision"], cpu_kernels=False)
    if fp16:  # which Runtime refuses on a CPU; good enough for a dry run
        runtime.precision = "fp16"
    return build_run(resolve(config), recipe.spec, runtime)


def train_step(run: TrainingRun, stepper: Stepper, fields: list[dict[str, Tensor]]) -> StepResult:
    """One step as the loop takes it, from the loader's bytes to the averaged weights."""
    batch = run.config.train.batch_size
    result = stepper.step(make_batches(run, fields), run.progress)
    run.progress.advance(batch)
    run.ema.update(run.progress.nimg, batch)
    return result


def train_steps(run: TrainingRun, recipe: Recipe, steps: int) -> dict[str, Tensor]:
    """Train from where the run is; returns the losses of each step, on the CPU."""
    stepper, losses = Stepper(run), {}
    for _ in range(steps):
        step = run.progress.step
        result = train_step(run, stepper, recipe.fields(step, run.num_slots))
        for name, value in result.sums.items():
            if name.startswith("loss/"):
                losses[f"{name}@{step}"] = value.cpu()
    stepper.finite.settle()
    return losses


def weights_of(run: TrainingRun) -> dict[str, Tensor]:
    """All parameters and buffers of the networks, on the CPU."""
    return {
        f"{role}.{name}": value.detach().cpu().float().clone()
        for role, network in run.nets.modules().items()
        for name, value in network.state_dict().items()
    }


def norm_difference(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """Norm of the difference over the norm, all tensors together; NaN counts as infinite."""
    keys = sorted(expected)
    apart = torch.stack([(found[k] - expected[k]).double().norm() for k in keys]).norm()
    value = float(apart / torch.stack([expected[k].double().norm() for k in keys]).norm())
    return value if value == value else float("inf")


class HostNoise(TorchFunctionMode):
    """Draws all random numbers on the CPU, so that a GPU sees those that a CPU sees."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Draw on the CPU and move the result."""
        kwargs = dict(kwargs or {})
        if func in (torch.rand, torch.randn, torch.randint, torch.randperm):
            device = kwargs.pop("device", None) or "cpu"
            return func(*args, **kwargs, device="cpu").to(device)
        if func in (torch.rand_like, torch.randn_like):
            draw = torch.rand if func is torch.rand_like else torch.randn
            like = args[0]
            return draw(like.shape, dtype=like.dtype, device="cpu").to(like.device)
        return func(*args, **kwargs)


def start_leg(setup: Setup, name: str, file: Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start a part of a case as a process that writes `file`."""
    command = [sys.executable, __file__, "--leg", name, str(file), "--device", setup.device]
    command += ["--out", str(setup.out), *(["--tiny"] if setup.tiny else [])]
    return subprocess.Popen(command, env={**os.environ, **environ})


# ------------------------------------------------------------------------------------------------
# A: the machine


def version_of(command: str) -> str:
    """First line of `command --version`; empty if there is none."""
    found = shutil.which(command)
    if found is None:
        return ""
    return subprocess.run([found, "--version"], capture_output=True, text=True).stdout.split("\n")[
        0
    ]


@case("A.machine", 60)
def machine(setup: Setup) -> Iterator[Row]:
    """Versions, compilers and switches, and whether a toy compiles."""
    cudnn = torch.backends.cudnn
    yield {
        "card": card(setup),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version() if cudnn.is_available() else None,
        "triton": getattr(_module("triton"), "__version__", None),
        "gcc": version_of(os.environ.get("CC", "gcc")),
        "g++": version_of(os.environ.get("CXX", "g++")),
        "Python.h": (Path(sysconfig.get_path("include")) / "Python.h").is_file(),
        "cpu_cores": os.cpu_count(),
        "torch_default_tf32": [cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
    }
    begin = time.perf_counter()
    fault = compiler_fault(setup.device)
    seconds = round(time.perf_counter() - begin, 1)
    yield {"form": "compile", "sec": seconds, "note": fault or "", "ok": fault is None}


def _module(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def card(setup: Setup) -> str:
    """The name of the GPU."""
    return torch.cuda.get_device_name() if setup.device == "cuda" else "CPU"


# ------------------------------------------------------------------------------------------------
# B: correctness

STEP_ARCHITECTURES = ("stylegan2", "stylegan3", "biggan", "r3gan", "cyclegan")


def step_recipe(setup: Setup, name: str) -> Recipe:
    """The recipe that CPU and GPU both train."""
    return small_recipe(name, setup.size(64, 16))


def three_steps(setup: Setup, name: str) -> dict[str, Tensor]:
    """Losses and weights of three steps whose noise is drawn on the CPU."""
    recipe = step_recipe(setup, name)
    with HostNoise():
        run = open_run(recipe)
        losses = train_steps(run, recipe, 3)
    return losses | {f"weight/{key}": value for key, value in weights_of(run).items()}


def register_step_case(name: str) -> None:
    """B.step.NAME: three steps on the GPU are those of the CPU."""

    def reference(setup: Setup, file: Path) -> None:
        # Without oneDNN the sums are rounded in another order, so that a dry run compares two
        # different computations as well.
        with torch.backends.mkldnn.flags(enabled=not setup.tiny):
            torch.save(three_steps(setup, name), file)

    def compare(setup: Setup) -> Iterator[Row]:
        file = setup.out / f"step-{name}.pt"
        leg = start_leg(setup, f"step.{name}", file, CUDA_VISIBLE_DEVICES="")
        found = three_steps(setup, name)
        if leg.wait():
            raise RuntimeError(f"the CPU's three steps ended with status {leg.returncode}")
        expected = torch.load(file)
        losses = [key for key in expected if key.startswith("loss/")]
        apart = max(
            float((found[key] - expected[key]).abs() / expected[key].abs().clamp(min=1.0))
            for key in losses
        )
        weights = {key: value for key, value in expected.items() if key not in losses}
        moved = norm_difference({key: found[key] for key in weights}, weights)
        # The gradient of a bias in front of InstanceNorm is rounding, which Adam makes a full step.
        limit = 1e-2 if name == "cyclegan" else 1e-3
        ok = apart <= 1e-4 and moved <= limit and found.keys() == expected.keys()
        yield {"losses_apart": apart, "weights_apart": moved, "ok": ok}

    LEGS[f"step.{name}"] = reference
    case(f"B.step.{name}", 120, checks=True)(compare)


for _name in STEP_ARCHITECTURES:
    register_step_case(_name)


def generated(setup: Setup, device: str, name: str) -> dict[str, Tensor]:
    """Images of 14 seeds from an export, one at a time and seven at a time."""
    recipe = step_recipe(setup, name)
    torch.manual_seed(0)
    config = {"name": "seeds", "model": recipe.model, "loss": recipe.loss}
    components = resolve(PipelineConfig.model_validate(config))
    architecture = components.bound_architecture(recipe.spec)
    with tempfile.TemporaryDirectory() as folder:
        export_model(
            Path(folder) / "export",
            architecture=architecture,
            networks=architecture.networks(),
            nimg=0,
            card=CardInfo(name="seeds"),
        )
        gan = PretrainedGan.from_pretrained(Path(folder) / "export", device=device)
    seeds = list(range(14))
    return {
        f"batch {size}": gan.generate(seeds=seeds, batch_size=size, output_type="pt")
        for size in (1, 7)
    }


def register_seed_case(name: str) -> None:
    """B.seeds.NAME: a seed is one image, on a GPU as on a CPU, in any batch."""

    def reference(setup: Setup, file: Path) -> None:
        with torch.backends.mkldnn.flags(enabled=not setup.tiny):
            torch.save(generated(setup, "cpu", name), file)

    def compare(setup: Setup) -> Iterator[Row]:
        file = setup.out / f"seeds-{name}.pt"
        leg = start_leg(setup, f"seeds.{name}", file, CUDA_VISIBLE_DEVICES="")
        found = generated(setup, setup.device, name)
        if leg.wait():
            raise RuntimeError(f"the CPU's images ended with status {leg.returncode}")
        expected = torch.load(file)["batch 1"]
        for size, img in found.items():
            apart = (img - expected).abs() / 2  # of the range from black to white
            near = float((apart < 1 / 255).float().mean())
            largest = round(float(apart.max()) * 255, 3)
            yield {"form": size, "near": near, "largest_of_255": largest, "ok": near >= 0.999}

    LEGS[f"seeds.{name}"] = reference
    case(f"B.seeds.{name}", 90, checks=True)(compare)


for _name in ("stylegan2", "stylegan3", "biggan", "r3gan"):
    register_seed_case(_name)

PLAIN_STEP = {"optimizer": {"name": "sgd", "lr": 10.0}}


@contextlib.contextmanager
def slot_is(number: int) -> Iterator[None]:
    """Seed the only slot of a run as if it had this number."""
    seed_slot = engine_step.seed_slot
    engine_step.seed_slot = lambda seed, step, purpose, _: seed_slot(seed, step, purpose, number)
    try:
        yield
    finally:
        engine_step.seed_slot = seed_slot


def one_phase(recipe: Recipe, slots: int, phase: int, fields: Any) -> dict[str, Tensor]:
    """The weights and buffers after one phase, from fresh weights, without momentum."""
    run = open_run(recipe, slots, **PLAIN_STEP)
    run.phases = [dataclasses.replace(run.phases[phase], every=1)]
    train_step(run, Stepper(run), fields)
    return weights_of(run)


@case("B.slots", 120, checks=True)
def slots_merge(setup: Setup) -> Iterator[Row]:
    """Eight slots in turn give the mean of eight single ones; constants keep their bits."""
    recipe = dataclasses.replace(step_recipe(setup, "stylegan2"), batch=16)
    single = dataclasses.replace(recipe, batch=2)
    start = weights_of(open_run(recipe, 8, **PLAIN_STEP))
    fields = recipe.fields(0, 8)
    for phase, name in ((0, "discriminator"), (1, "generator")):
        merged = one_phase(recipe, 8, phase, fields)
        alone = []
        for slot in range(8):
            with slot_is(slot):
                alone.append(one_phase(single, 1, phase, [fields[slot]]))
        mean = {key: torch.stack([each[key] for each in alone]).mean(0) for key in merged}
        constant = [key for key in start if all(torch.equal(a[key], start[key]) for a in alone)]
        kept = all(torch.equal(merged[key], start[key]) for key in constant)
        apart, moved = norm_difference(merged, mean), norm_difference(merged, start)
        ok = apart <= 1e-5 and moved > 1e-4 and kept and len(constant) > 3
        yield {"form": name, "apart": apart, "moved": moved, "constants_kept": kept, "ok": ok}


@case("B.compiled", 240, checks=True)
def compiled_is_eager(setup: Setup) -> Iterator[Row]:
    """Compiled networks train as eager ones, and nothing is compiled after every phase ran."""
    recipe = small_recipe("stylegan2", setup.size(64, 8))
    eager = train_steps(open_run(recipe), recipe, 3)
    run = open_run(recipe, compile=True)
    compiled = train_steps(run, recipe, 3)
    by_step = [0.0, 0.0, 0.0]
    for key, expected in eager.items():
        apart = float((compiled[key] - expected).abs() / expected.abs().clamp(min=1))
        step = int(key.rpartition("@")[2])
        by_step[step] = max(by_step[step], apart)
    # Adam turns gradients that are rounding into full steps, so that later losses part.
    yield {"form": "losses of three steps", "apart": by_step, "ok": by_step[0] <= 1e-4}
    counters = torch._dynamo.utils.counters["stats"]
    train_steps(run, recipe, 14)
    before = counters["unique_graphs"]
    train_steps(run, recipe, 17)
    after = counters["unique_graphs"]
    yield {"form": "graphs", "step_17": before, "step_34": after, "ok": 0 < before == after}


def resumable(setup: Setup) -> tuple[Recipe, TrainingRun]:
    """A run with momentum, averages and penalties, computed the same way each time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read with the first product
    torch.use_deterministic_algorithms(True, warn_only=True)
    recipe = step_recipe(setup, "stylegan2")
    return recipe, open_run(recipe, slots=2)


def first_half(setup: Setup, folder: Path) -> None:
    """Three steps, a checkpoint, and sudden death."""
    recipe, run = resumable(setup)
    train_steps(run, recipe, 3)
    checkpoints.save(folder, run.snapshot())
    os.kill(os.getpid(), signal.SIGKILL)


LEGS["resume"] = first_half


@case("B.resume", 150, checks=True)
def resume_continues(setup: Setup) -> Iterator[Row]:
    """Six steps are three, kill -9, and three more."""
    folder = setup.out / "resume" / checkpoints.directory_name(24)
    folder.parent.mkdir(parents=True, exist_ok=True)
    leg = start_leg(setup, "resume", folder)
    recipe, run = resumable(setup)
    train_steps(run, recipe, 6)
    expected = weights_of(run)
    status = leg.wait()
    recipe, run = resumable(setup)
    run.restore(checkpoints.load(folder), str(folder))
    train_steps(run, recipe, 3)
    found = weights_of(run)
    apart = norm_difference(found, expected)
    bits = all(torch.equal(found[key], expected[key]) for key in expected)
    yield {"apart": apart, "same_bits": bits, "ok": apart <= 1e-6 and status == -signal.SIGKILL}


@case("B.no_sync", 90, checks=True)
def host_never_waits(setup: Setup) -> Iterator[Row]:
    """A step that logs nothing does not wait for the GPU."""
    for name in ("stylegan2", "biggan"):
        recipe = step_recipe(setup, name)
        run = open_run(recipe)
        stepper = Stepper(run)
        for step in range(16):  # every phase has run once, and is due again
            train_step(run, stepper, recipe.fields(step))
        fields = recipe.fields(16)
        if setup.device == "cuda":
            fields = [{key: value.pin_memory() for key, value in fields[0].items()}]
            torch.cuda.set_sync_debug_mode("error")
        try:
            train_step(run, stepper, fields)
            error = ""
        except RuntimeError as err:
            error = str(err).splitlines()[0]
        finally:
            if setup.device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        yield {"form": name, "note": error, "ok": not error}


@case("B.nan", 90, checks=True)
def nan_stops(setup: Setup) -> Iterator[Row]:
    """A NaN stops a GPU run one step late, a CPU run at once; the checkpoint stays whole."""
    recipe = step_recipe(setup, "stylegan2")
    run = open_run(recipe)
    train_steps(run, recipe, 2)
    folder = setup.out / "nan" / checkpoints.directory_name(16)
    folder.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(folder, run.snapshot())
    stepper, stopped_after = Stepper(run), -1
    for late in range(3):
        batches = make_batches(run, recipe.fields(2 + late))
        if late == 0:
            batches[0].fields["image"][0, 0, 0, 0] = float("nan")
        try:
            stepper.step(batches, run.progress)
        except NonFiniteError:
            stopped_after = late
            break
        run.progress.advance(recipe.batch)
    saved = checkpoints.load(folder).tensors["networks"]
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in saved.values())
    expected = 1 if setup.device == "cuda" else 0
    yield {"steps_late": stopped_after, "ok": finite and stopped_after == expected}


@case("B.fp16", 90, checks=True)
def overflow_skips(setup: Setup) -> Iterator[Row]:
    """A gradient that overflows float16 skips the update and halves the scale; then it trains."""
    recipe = step_recipe(setup, "r3gan")
    run = open_run(recipe, precision="fp16")
    stepper, start = Stepper(run), weights_of(run)
    train_step(run, stepper, recipe.fields(0))  # the scales exist now
    for scaler in run.scalers.values():
        scaler._scale.fill_(2.0**120)
    before = weights_of(run)
    train_step(run, stepper, recipe.fields(1))
    scales = [scaler.get_scale() for scaler in run.scalers.values()]
    same = all(torch.equal(value, before[key]) for key, value in weights_of(run).items())
    yield {"form": "overflow", "ok": same and all(scale == 2.0**119 for scale in scales)}
    for scaler in run.scalers.values():
        scaler._scale.fill_(2.0**10)
    train_step(run, stepper, recipe.fields(2))
    moved = norm_difference(weights_of(run), start)
    yield {"form": "after", "moved": moved, "ok": 0 < moved < 1}


# ------------------------------------------------------------------------------------------------
# Timing


def milliseconds(
    action: Callable[[], Any], setup: Setup, warm_up: int = 2, repeats: int = 5
) -> float:
    """Median time of an action, by the GPU's own clock where there is one."""
    warm_up, repeats = (1, 1) if setup.tiny else (warm_up, repeats)
    for _ in range(warm_up):
        action()
    if setup.device != "cuda":
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            action()
            times.append(1000 * (time.perf_counter() - begin))
        return statistics.median(times)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    torch.cuda.synchronize()
    marks[0].record()
    for mark in marks[1:]:
        action()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(marks[i].elapsed_time(marks[i + 1]) for i in range(repeats))


def launches(action: Callable[[], Any], setup: Setup) -> tuple[int, float]:
    """Kernels of an action and the milliseconds that they take; operations on a CPU."""
    activity = torch.profiler.ProfilerActivity
    is_cuda = setup.device == "cuda"
    with torch.profiler.profile(activities=[activity.CUDA if is_cuda else activity.CPU]) as profile:
        action()
        if is_cuda:
            torch.cuda.synchronize()
    kind = torch.autograd.DeviceType.CUDA if is_cuda else torch.autograd.DeviceType.CPU
    events = [
        event
        for event in profile.events()
        if event.device_type == kind and (is_cuda or event.cpu_parent is None)
    ]
    return len(events), sum(event.time_range.elapsed_us() for event in events) / 1000


def forward_backward(module: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """An action: the module on x, and the gradient at x."""
    x = x.detach().requires_grad_()
    grad = torch.randn_like(module(x))

    def action() -> None:
        x.grad = None
        module(x).backward(grad)

    return action


# ------------------------------------------------------------------------------------------------
# C: single operations


@case("C.penalties", 60)
def penalty_times(setup: Setup) -> Iterator[Row]:
    """R1 and path length of StyleGAN2: ours, in bf16 too, and by torch's second derivatives."""
    recipe = throughput_recipe(setup, "stylegan2-256-b16")
    run = open_run(recipe, precision="bf16", cudnn_benchmark=True)
    stepper, lazy = Stepper(run), [phase for phase in run.phases if phase.lazy]
    cheap = penalties.cheap_second_derivatives
    forms = (
        ("ours", "fp32", cheap),
        ("ours", "mixed", cheap),
        ("torch", "fp32", contextlib.nullcontext),
    )
    for form, precision, context in forms:
        penalties.cheap_second_derivatives = context
        for regularizer in run.objective.regularizers:
            regularizer.config = regularizer.config.model_copy(update={"precision": precision})
        for phase in lazy:
            time_ms = milliseconds(phase_action(run, stepper, recipe, phase), setup, 1, 3)
            yield {"form": f"{phase.name}, {form}, {precision}", "ms": round(time_ms, 2)}


@case("C.resample", 90)
def resample_times(setup: Setup) -> Iterator[Row]:
    """Filtered resampling, forward and backward: both layouts, both forms, eager and compiled."""
    shape = (4, 8, 16, 16) if setup.tiny else (16, 128, 128, 128)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(shape, device=setup.device, dtype=torch.bfloat16)
        x = x.contiguous(memory_format=layout)
        for name, options in (("up", {"up": 2}), ("down", {"down": 2}), ("filter", {})):
            for how, longest in (("sums", 8), ("convolutions", 0)):
                resample._MAX_SUMMED_TAPS = longest
                torch.compiler.reset()
                module = Resample2d(**options).to(setup.device)
                for form, call in (("eager", module), ("compiled", torch.compile(module))):
                    time_ms = milliseconds(forward_backward(call, x), setup)
                    words = f"{name}, {str(layout).removeprefix('torch.')}, {how}, {form}"
                    yield {"form": words, "ms": round(time_ms, 3)}


@case("C.grouped", 30)
def grouped_times(setup: Setup) -> Iterator[Row]:
    """Grouped 3x3 convolutions of R3GAN, forward and backward, in both layouts."""
    sizes = [(16, 8)] if setup.tiny else [(1536, 16), (768, 64), (192, 256)]
    for channels, side in sizes:
        for layout in (torch.contiguous_format, torch.channels_last):
            conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels // 16)
            conv = conv.to(setup.device, torch.bfloat16, memory_format=layout)
            x = torch.randn(8, channels, side, side, device=setup.device, dtype=torch.bfloat16)
            x = x.contiguous(memory_format=layout)
            time_ms = milliseconds(forward_backward(conv, x), setup)
            yield {"form": f"{channels} at {side}x{side}, {layout}", "ms": round(time_ms, 3)}


# ------------------------------------------------------------------------------------------------
# D: throughput

PUBLISHED = {  # one A100: seconds for 1,000 images, GB (NVlabs/stylegan3, docs/configs.md)
    "stylegan2-256-b16": (12.53, 4.5),
    "stylegan2-1024-b4": (90.39, 7.2),
    "stylegan3-256-b16": (49.81, 9.5),
}


def throughput_recipe(setup: Setup, name: str) -> Recipe:
    """A recipe of group D by its name: architecture, side, batch."""
    architecture, side, batch = name.split("-")
    if setup.tiny:
        return small_recipe(architecture, 16)
    pixels, images = int(side), int(batch.removeprefix("b"))
    base = 16384 if pixels <= 256 else 32768
    style = {"architecture": architecture, "channel_base": base}
    recipes = {
        "stylegan2": Recipe(style, style_loss(), pixels, images),
        "stylegan3": Recipe(style, R1_LOSS, pixels, images),
        "biggan": Recipe(
            {"architecture": "biggan", "z_dim": 120, "channels": 96, "attention": 64},
            ORTHOGONAL,
            pixels,
            images,
            classes=1000,
        ),
        "r3gan": Recipe({"architecture": "r3gan"}, R3_LOSS, pixels, images),
    }
    return recipes[architecture]


def phase_action(
    run: TrainingRun, stepper: Stepper, recipe: Recipe, phase: Phase
) -> Callable[[], None]:
    """An action: a step with this phase alone, the copy of its images included."""
    fields = recipe.fields(0)
    if torch.cuda.is_available():
        fields = [{key: value.pin_memory() for key, value in fields[0].items()}]
    alone = dataclasses.replace(phase, every=1, due=None)

    def action() -> None:
        run.phases = [alone]
        stepper.step(make_batches(run, fields), run.progress)

    return action


def throughput(setup: Setup, name: str, **train: Any) -> Row:
    """Seconds for 1,000 images, by phase; memory, kernels a step, and how busy the GPU is."""
    recipe = throughput_recipe(setup, name)
    run = open_run(recipe, precision="bf16", **train)
    stepper, begin = Stepper(run), time.perf_counter()
    if setup.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    total = kernels = busy = 0.0
    by_phase = {}
    average = lambda: run.ema.update(run.progress.nimg, recipe.batch)  # noqa: E731
    actions = [(p.name, p.every, phase_action(run, stepper, recipe, p)) for p in run.phases]
    for phase, every, action in [*actions, ("ema", 1, average)]:
        by_phase[phase] = round(milliseconds(action, setup), 2)
        count, active = launches(action, setup)
        total += by_phase[phase] / every
        kernels += count / every
        busy += active / every
    memory = torch.cuda.max_memory_allocated() / 1e9 if setup.device == "cuda" else None
    return {
        "batch": recipe.batch,
        "slots": run.num_slots,
        "s_per_kimg": round(total / recipe.batch, 2),
        "gb": None if memory is None else round(memory, 1),
        "kernels": round(kernels),
        "busy_percent": round(100 * busy / total),
        "need_img_per_sec": round(1000 * recipe.batch / total),
        "ms": by_phase,
        "warm_up_and_all_sec": round(time.perf_counter() - begin, 1),
    }


def register_throughput(name: str, form: str, seconds: int, **train: Any) -> None:
    """D.NAME.FORM."""

    def measure(setup: Setup) -> Iterator[Row]:
        if form == "graphs":
            # What `build_run` calls; an option of the pipeline file if it turns out to pay.
            torch.compile = functools.partial(torch.compile, mode="reduce-overhead")
        with cudnn_benchmark(True):
            yield {"form": form, **throughput(setup, name, **train)}

    case(f"D.{name}.{form}", seconds)(measure)


for _name, _form, _seconds in (
    ("stylegan2-256-b16", "eager", 45),
    ("stylegan2-256-b16", "compiled", 120),
    ("stylegan2-256-b32", "compiled", 100),
    ("r3gan-256-b8", "eager", 45),
    ("stylegan2-1024-b4", "eager", 50),
    ("stylegan2-64-b32", "compiled", 100),
    ("stylegan3-256-b16", "eager", 60),
    ("biggan-128-b64", "eager", 60),
    ("r3gan-64-b32", "eager", 45),
    ("stylegan2-256-b32", "eager", 45),
    ("stylegan2-64-b32", "graphs", 100),
):
    register_throughput(_name, _form, _seconds, compile=_form != "eager")


# ------------------------------------------------------------------------------------------------
# E: data loading


def write_images(folder: Path, side: int, extension: str, count: int) -> None:
    """A data set of smooth random images, 8 of them different."""
    import simplejpeg

    draw = np.random.default_rng(0)
    files = []
    for _ in range(8):
        coarse = draw.integers(0, 256, (max(2, side // 8), max(2, side // 8), 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((side, side)))
        is_jpeg = extension == "jpg"
        files.append(simplejpeg.encode_jpeg(pixels, 90) if is_jpeg else encode_pixels(pixels))
    folder.mkdir(parents=True)
    samples = (
        EncodedSample(f"{n:06d}", {f"image.{extension}": files[n % 8]}) for n in range(count)
    )
    shards = write_stream(folder, "main", samples, ("image",), 256)
    schema = FieldSchema(kind="image", height=side, width=side, channels=3)
    index = DatasetIndex.build(ImageSpec(side, side, 3), {"main": shards}, {"image": schema})
    (folder / "index.json").write_text(index.to_json())


def images_per_second(folder: Path, workers: int, seconds: float) -> float:
    """The rate of a loader, started and warm."""
    loader = SlotLoader(
        DataConfig(workers=workers), str(folder), fields=["image"], seed=0, num_slots=1,
        local_slots=range(1), micro_batch=8, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    steps, count = iter(loader), 0
    for _ in range(2 * workers):
        next(steps)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        next(steps)
        count += 8
    rate = count / (time.perf_counter() - begin)
    loader.close()
    return rate


@case("E.loader", 90)
def loader_rates(setup: Setup) -> Iterator[Row]:
    """Images a second of PNG and JPEG, by the number of workers."""
    sides = (16, 32) if setup.tiny else (256, 1024)
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            for extension in ("png", "jpg"):
                data = Path(folder) / f"{side}-{extension}"
                write_images(data, side, extension, setup.size(512, 64))
                for workers in (1, 2) if setup.tiny else (1, 4, 8):
                    rate = images_per_second(data, workers, 0.2 if setup.tiny else 2.0)
                    form = f"{extension} at {side}x{side}, {workers} workers"
                    yield {"form": form, "img_per_sec": round(rate), "side": side}


# ------------------------------------------------------------------------------------------------
# Running and writing


class Table:
    """Rows, written to `rows.jsonl` and `table.md` as they come."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.rows = setup, [self._header(setup)]
        self._lock = threading.Lock()
        (setup.out / "rows.jsonl").unlink(missing_ok=True)

    @staticmethod
    def _header(setup: Setup) -> Row:
        when = time.strftime("%Y-%m-%d %H:%M")
        return {"case": "run", "date": when, "card": card(setup), "torch": torch.__version__}

    def add(self, row: Row) -> None:
        """Write a row to both files and to the terminal."""
        with self._lock:
            self.rows.append(row)
            with (self.setup.out / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            (self.setup.out / "table.md").write_text(render(self.rows))
        shown = {key: value for key, value in row.items() if key != "case"}
        print(f"{row['case']:32} {json.dumps(shown)}", flush=True)  # noqa: T201


def render(rows: Sequence[Row]) -> str:
    """All rows as Markdown: checks, throughput, everything else."""
    header = rows[0]
    lines = [f"{header['date']}, {header['card']}, torch {header['torch']}", ""]
    checks = [row for row in rows if "ok" in row]
    lines += ["| check | form | passed | values |", "|---|---|---|---|"]
    for row in checks:
        outcome = "yes" if row["ok"] else "**no**"
        lines.append(f"| {row['case']} | {row.get('form', '')} | {outcome} | {values(row)} |")
    lines += [
        "",
        "| training | batch | slots | form | s/kimg | A100, published | GB | published GB ",
    ]
    lines[-1] += "| kernels a step | busy % | images/s needed | loader, 8 workers |"
    lines.append("|---" * 12 + "|")
    for row in rows:
        if "s_per_kimg" in row:
            lines.append(throughput_line(row, rows))
    lines += ["", "| measured | form | values |", "|---|---|---|"]
    for row in rows[1:]:
        if "ok" not in row and "s_per_kimg" not in row:
            lines.append(f"| {row['case']} | {row.get('form', '')} | {values(row)} |")
    return "\n".join([*lines, ""])


def values(row: Row) -> str:
    """What a row holds beside its name, for a cell."""
    rest = {k: v for k, v in row.items() if k not in ("case", "form", "ok") and v not in (None, "")}
    return ", ".join(f"{key} {format_value(value)}" for key, value in rest.items()).replace(
        "|", "/"
    )


def format_value(value: Any) -> str:
    """A number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def throughput_line(row: Row, rows: Sequence[Row]) -> str:
    """A line of the table of group D."""
    name = row["case"].split(".")[1]
    seconds, memory = PUBLISHED.get(name, ("", ""))
    side = name.split("-")[1]
    loads = []
    for other in rows:
        if str(other.get("side")) == side and other["form"].endswith("8 workers"):
            loads.append(f"{other['form'].split()[0]} {other['img_per_sec']}")
    cells = [name, row["batch"], row["slots"], row["form"], row["s_per_kimg"], seconds, row["gb"],
             memory, row["kernels"], row["busy_percent"], row["need_img_per_sec"],
             ", ".join(loads)]  # fmt: skip
    return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"


def run_case(chosen: Case, table: Table, left: float, environ: Mapping[str, str]) -> bool:
    """Run a case in a process; returns whether its checks passed."""
    setup, limit = table.setup, min(chosen.seconds * (10 if table.setup.tiny else 1), left)
    if limit < 1:
        table.add({"case": chosen.name, "note": "not run: no time left"} | failed(chosen))
        return not chosen.checks
    command = [sys.executable, __file__, "--case", chosen.name, "--device", setup.device]
    command += ["--out", str(setup.out), *(["--tiny"] if setup.tiny else [])]
    with (setup.out / f"{chosen.name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # so that the parts it starts end with it
            env={**environ, **os.environ},
        )
        late = threading.Timer(limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        late.start()
        assert process.stdout is not None
        outcomes = []
        for line in process.stdout:
            if line.startswith('{"case": '):
                row = json.loads(line)
                outcomes.append(row.get("ok", True))
                table.add(row)
        status = process.wait()
        is_late = not late.is_alive()
        late.cancel()
    if status or not outcomes:
        log_tail = (setup.out / f"{chosen.name}.log").read_text().strip().splitlines()[-1:]
        note = " ".join([f"ended with status {status}", *log_tail])[:300]
        if is_late:
            note = f"late: stopped after {limit:.0f} s"
        elif not status:
            note = "gave no result"
        table.add({"case": chosen.name, "note": note} | failed(chosen))
        return not chosen.checks
    return not chosen.checks or all(outcomes)


def failed(chosen: Case) -> Row:
    """The outcome of a check that has none."""
    return {"ok": False} if chosen.checks else {}


def run_all(chosen: Sequence[Case], setup: Setup, minutes: float) -> bool:
    """Run groups A and B side by side, then the rest in turn; returns whether all checks passed."""
    end, table, passed = time.monotonic() + 60 * minutes, Table(setup), []
    together = [case for case in chosen if case.checks or case.name.startswith("A.")]
    workers = max(1, min(6, (os.cpu_count() or 1) // 2))
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environ = {"OMP_NUM_THREADS": threads, "GANFORGE_NUM_THREADS": threads}  # if not set
    with ThreadPoolExecutor(workers) as pool:
        passed += pool.map(lambda c: run_case(c, table, end - time.monotonic(), environ), together)
    for one in chosen:
        if one not in together:
            run_case(one, table, end - time.monotonic(), {})
    good = all(passed)
    print(f"{len(passed)} checks: {'all passed' if good else 'NOT all passed'}; {setup.out}")  # noqa: T201
    return good


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to test this script")
    parser.add_argument("--out", type=Path, help="folder of the results; default: a new one")
    parser.add_argument("--only", default="", help="cases or groups, by prefix, with commas")
    parser.add_argument("--minutes", type=float, default=9.0, help="limit; measurements give way")
    parser.add_argument("--list", action="store_true", help="print the cases")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--leg", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for."""
    options = parse()
    prefixes = tuple(filter(None, options.only.split(",")))
    chosen = [c for name, c in CASES.items() if not prefixes or name.startswith(prefixes)]
    if options.list:
        print("\n".join(one.name for one in chosen))  # noqa: T201
        return 0
    if options.device == "cuda" and not torch.cuda.is_available() and options.leg is None:
        print("No CUDA device here: nothing is checked. See docs/benchmarks.md, 'On a GPU'.")  # noqa: T201
        return 0
    out = (options.out or Path(tempfile.mkdtemp(prefix="check-cuda-"))).resolve()
    out.mkdir(parents=True, exist_ok=True)
    setup = Setup(options.device, options.tiny, out)
    if options.leg is not None:
        LEGS[options.leg[0]](setup, Path(options.leg[1]))
    elif options.case is not None:
        for row in CASES[options.case].run(setup):
            print(json.dumps({"case": options.case, **row}), flush=True)  # noqa: T201
    else:
        return 0 if run_all(chosen, setup, options.minutes) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
