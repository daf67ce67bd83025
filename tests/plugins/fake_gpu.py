"""A GPU without a GPU: training steps on tensors that know only their shape, type and device.

Run as a program, it trains a step of each architecture that its arguments name, or of each entry of
`OBJECTIVES`. It prints what it found, one JSON object a line: `name`, and `fault` or the
`convolutions` of each phase.

The device is torch's place for new backends, here called "gpu", with CUDA's rules of autocast.
Registering it changes torch for the whole process. Code that asks for "cuda" by name sees none.
"""

import contextlib
import dataclasses
import json
import sys
import traceback

import torch
from ganforge_projected.discriminator import ProjectedDiscriminator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils import _pytree, backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.plugin_tools.cases import cases_of, generate, make_fields, requests
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.build import build_run
from ganforge.training.engine.host_copy import HostCopy
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper
from ganforge.training.runtime import Runtime

# What autocast does on CUDA: aten/src/ATen/autocast_mode.h in torch.
LOWER_PRECISION = """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d.input conv_transpose3d.input convolution
    prelu addmm addmv matmul mm mv linear addbmm baddbmm bmm
""".split()
FULL_PRECISION = """
    exp expm1 log log10 log2 log1p reciprocal rsqrt pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar
    softplus layer_norm group_norm cosine_similarity nll_loss kl_div l1_loss smooth_l1_loss mse_loss
    binary_cross_entropy_with_logits cdist logsumexp prod prod.dim_int softmax.int log_softmax.int
    cumsum sum sum.dim_IntList norm.Scalar norm.ScalarOpt_dim linalg_vector_norm
    upsample_nearest2d upsample_bilinear2d upsample_bicubic2d
""".split()
PRODUCTS = {f"aten::{name}" for name in ("mm", "bmm", "addmm", "baddbmm", "convolution")}
"""They take one type only, which fake tensors do not check."""
OBJECTIVES = {
    "relativistic": ("vanilla", {"loss": {"name": "relativistic"}}),
    "penalties": (
        "stylegan2",
        {
            "loss": {
                "name": "wasserstein",
                "regularizers": [
                    "r1", "r2", "gradient_penalty", "dragan", "orthogonal", "path_length",
                    "weight_clipping",
                ],
            }
        },
    ),
    "mixed penalties": (
        "stylegan2",
        {
            "loss": {
                "regularizers": [
                    {"name": name, "precision": "mixed"}
                    for name in ("r1", "path_length")
                ]
            }
        },
    ),
    "mismatched_pairs": ("cgan", {"loss": {"name": "minimax", "terms": ["mismatched_pairs"]}}),
    "unrolling": ("cgan", {"loss": {"terms": [{"name": "unrolling", "steps": 1, "lr": 0.1}]}}),
    "ada": ("vanilla", {"augment": "ada"}),
    "diffaugment": ("vanilla", {"augment": "diffaugment"}),
    "two slots": ("dcgan", {"train": {"slots": 2}}),
}  # fmt: skip
"""What else is tried: an architecture, and what its pipeline file says."""


class OnGpuError(Exception):
    """Something that would fail on a GPU, or make the host wait for it."""


class Backend(backend_registration._DummyBackendModule):
    """What torch asks of a backend."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


def register():
    """Make the device known to torch; returns it, and what must live as long."""
    backend_registration._setup_privateuseone_for_python_backend("gpu", Backend())
    library = torch.library.Library("aten", "IMPL")
    for names, dtype in ((LOWER_PRECISION, torch.bfloat16), (FULL_PRECISION, torch.float32)):
        for name in names:
            base, _, overload = name.partition(".")
            operation = getattr(getattr(torch.ops.aten, base), overload or "default")
            library.impl(name, _casting(operation, dtype), "AutocastPrivateUse1")
    others = torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    return torch.device("gpu", 0), (library, others)


def _casting(operation, dtype):
    autocast = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value):
        is_cast = isinstance(value, Tensor) and value.dtype in (torch.float32, torch.bfloat16)
        return value.to(dtype) if is_cast else value

    def run(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(autocast):
            return operation(*_pytree.tree_map(cast, args), **_pytree.tree_map(cast, kwargs))

    return run


class FakeGpu(TorchDispatchMode):
    """Runs operations on fake tensors, and refuses what a GPU refuses or waits for.

    Attributes:
        device: the GPU.
        convolutions: their number, with their gradients, since it was last set to 0.
    """

    def __init__(self, device):
        super().__init__()
        self.device, self.convolutions = device, 0
        self._tensors = FakeTensorMode(allow_non_fake_inputs=True)
        self._crosses = True

    def __enter__(self):
        self._tensors.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._tensors.__exit__(*error)

    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        name, kwargs = func.name(), kwargs or {}
        given = [x for x in _pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name == "aten::_local_scalar_dense" and self._crosses and given[0].device == self.device:
            return 1  # there are no values
        if name == "aten::_to_copy" and isinstance(given[0], FakeTensor):
            given[0].constant = None  # the value of a small tensor, which the GPU could not take
        self.convolutions += "convolution" in name
        if name.startswith("aten::_fused_sgd_"):  # has no rule for shapes
            return self._check(name, given, kwargs)
        out = func(*args, **kwargs)
        self._check(name, [*given, *_pytree.tree_leaves(out)], kwargs)
        return out

    def _check(self, name, values, kwargs):
        tensors = [x for x in values if isinstance(x, Tensor)]
        devices = {x.device for x in tensors if x.ndim or name == "aten::_to_copy"}
        if len(devices) > 1 and not self._crosses:
            shapes = [list(x.shape) for x in tensors]
            raise OnGpuError(f"{name} of {shapes} takes tensors from host to GPU or back")
        types = {x.dtype for x in tensors} if name in PRODUCTS else ()
        if len(types) > 1:
            raise OnGpuError(f"{name} of {sorted(map(str, types))}")
        generator = kwargs.get("generator")
        if generator is not None and any(x.device != generator.device for x in tensors):
            raise OnGpuError(f"{name} draws with the generator of another device")

    @contextlib.contextmanager
    def strict(self):
        """Where no tensor with dimensions may go from host to GPU or back."""
        self._crosses = False
        try:
            yield
        finally:
            self._crosses = True

    def move(self, module, change):
        """As `nn.Module._apply`, which cannot replace real tensors by fake ones."""
        for child in module.children():
            child._apply(change)
        for name, value in module._parameters.items():
            if value is not None:
                moved = change(self._fake(value.data))
                module._parameters[name] = nn.Parameter(moved, value.requires_grad)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = change(self._fake(value))
        return module

    def _fake(self, tensor):
        return tensor if isinstance(tensor, FakeTensor) else self._tensors.from_tensor(tensor)

    def check(self, tensors):
        """Refuse tensors, by name, that are elsewhere."""
        elsewhere = [name for name, tensor in tensors.items() if tensor.device != self.device]
        if elsewhere:
            raise OnGpuError(f"not on the GPU: {elsewhere[:5]}")


def on_real_tensors(function):
    """`function` outside of the fake GPU."""

    def run(*args):
        with unset_fake_temporarily():
            return function(*args)

    return run


def open_run(case):
    """A run in bf16 on the fake GPU, whose networks are made on the CPU and moved there."""
    components = on_real_tensors(resolve)(case.config)
    on_real_tensors(lambda: components.objective)()
    runtime = on_real_tensors(Runtime)("fp32")
    runtime.cpu_kernels, runtime.precision = None, "bf16"
    return build_run(components, case.spec, runtime)


def state_of(run):
    """All tensors that live on the GPU between steps, by name."""
    modules = {**run.nets.modules(), **run.stateful_modules()}
    modules |= {f"average of {role}": network for role, network in run.ema.networks.items()}
    found = {
        f"{owner}.{name}": tensor
        for owner, module in modules.items()
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    for optimizer in run.optimizers.values():
        for number, values in enumerate(optimizer.state.values()):
            found |= {f"optimizer state {number}.{key}": value for key, value in values.items()}
    for slot, values in enumerate(run.slot_state):
        found |= {f"slot {slot}.{key}": value for key, value in values.items()}
    return found


def train_step(gpu, run, case):
    """A step in which every phase has its turn; the convolutions of each phase."""
    counts = {}
    current = None

    def ends_phase():
        counts[current] = max(counts.get(current, 0), gpu.convolutions)
        gpu.convolutions = 0

    def watched(phase):
        def loss(nets, batch):
            nonlocal current
            ends_phase()
            current = phase.name
            return phase.loss(nets, batch)

        return dataclasses.replace(phase, every=1, loss=loss)

    run.phases = [watched(phase) for phase in run.phases]
    stepper, size = Stepper(run), run.config.train.batch_size
    stepper.finite.late = True  # as on CUDA
    fields = [make_fields(case, run.progress.step, slot) for slot in run.local_slots]
    fields = [{name: value.to(gpu.device) for name, value in slot.items()} for slot in fields]
    with gpu.strict():
        result = stepper.step(make_batches(run, fields), run.progress)
        run.progress.advance(size)
        run.ema.update(run.progress.nimg, size)
        if run.objective.augmentation is not None:
            run.objective.augmentation.step_end(size)
    ends_phase()
    gpu.check(state_of(run) | result.sums)
    del counts[None]
    return counts


def try_case(case, device):
    """Train, save, go back to the save, and generate; the convolutions of each phase."""
    gpu = FakeGpu(device)
    nn.Module._apply = lambda module, change, recurse=True: gpu.move(module, change)
    with gpu:
        run = open_run(case)
        gpu.check(state_of(run))
        counts = train_step(gpu, run, case)
        run.restore(run.snapshot(), "memory")
        gpu.check(state_of(run))
        request, _ = next(requests(case, [1, 2]))
        request.device = device
        request = request.take([0, 1])
        gpu.check({"images": generate(run, request)})
    return counts


def case_of(name):
    """What is tried under a name: of `OBJECTIVES`, or an architecture."""
    architecture, changes = OBJECTIVES.get(name, (name, {}))
    case = cases_of(architecture)[-1]
    values = case.config.model_dump(exclude_unset=True)
    for section, value in changes.items():
        is_update = isinstance(value, dict) and section in values
        values[section] = {**values[section], **value} if is_update else value
    return dataclasses.replace(case, config=PipelineConfig.model_validate(values))


def refusals(device):
    """Which of these faults are found."""
    numbers = torch.arange(3.0)
    faults = {
        "host and GPU": lambda x: x + numbers,
        "copy": lambda x: x * torch.tensor([1.0, 2.0, 3.0], device=device),
        "list as index": lambda x: x[[0, 2]],
        "value": lambda x: x.sum().item(),
        "condition": lambda x: x.relu() if x.sum() > 0 else x,
        "nonzero": lambda x: x[x > 0],
        "generator": lambda x: torch.randn(3, device=device, generator=torch.Generator()),
        "types": lambda x: torch.mm(x.expand(3, 3).bfloat16(), x.expand(3, 3)),
    }
    found = []
    with (gpu := FakeGpu(device)):
        x = torch.ones(3, device=device)
        for name, fault in faults.items():
            try:
                with gpu.strict():
                    fault(x)
            except Exception:  # noqa: BLE001  # torch's errors differ
                found.append(name)
        with gpu.strict(), torch.autocast("gpu", torch.bfloat16):
            assert (x * torch.tensor(2.0)).device == device  # a number is no copy
            assert torch.mm(x.expand(3, 3), x.expand(3, 3)).dtype == torch.bfloat16
            assert x.bfloat16().exp().dtype == torch.float32
    return {"refused": found, "all": list(faults)}


def adapt(device):
    """Change, for this process, what has no place on a fake GPU."""
    Runtime.device = property(lambda self: device)
    HostCopy.read = lambda copy: [0.0] * copy._values.numel()
    registry = get_registry()
    for name in registry.names(Architecture):
        architecture = registry.find(Architecture, name)
        architecture.networks = on_real_tensors(architecture.networks)
    # It compares a stored hash with that of the frozen weights, once after loading.
    ProjectedDiscriminator.verify = lambda self: None


def main(names):
    """Print what is found, case by case."""
    device, _libraries = register()
    sys.stdout.write(json.dumps({"name": "refusals", **refusals(device)}) + "\n")
    adapt(device)
    for name in names:
        try:
            outcome = {"convolutions": try_case(case_of(name), device)}
        except Exception as err:  # noqa: BLE001  # it is what the test reports
            outcome = {"fault": "".join(traceback.format_exception(err))}
        sys.stdout.write(json.dumps({"name": name, **outcome}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
