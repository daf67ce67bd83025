"""Regularizers against closed forms on linear and quadratic critics, and numerical gradients."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ganforge import objectives
from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.objective import PenaltyInput, Regularizer
from ganforge.objectives import regularizers
from ganforge.registry.plugins import Plugin, empty_registry

SHAPE = (5, 2, 3, 3)
DIM = 18


def build(name: str, **options: object) -> Regularizer:
    registry = empty_registry()
    registry.register(objectives, Plugin("objectives", "ganforge.objectives", "ganforge", "0"))
    return registry.build(Regularizer, name, options, "loss.regularizers")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def images(offset: float = 0.0) -> Tensor:
    return torch.randn(SHAPE, dtype=torch.float64) + offset


def inputs(
    critic: Callable[[Tensor], Tensor],
    real_img: Tensor | None = None,
    gen_img: Tensor | None = None,
    generator: nn.Module | None = None,
    synthesize: Callable[[int], tuple[Tensor, Tensor]] | None = None,
) -> PenaltyInput:
    def unused(n: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("not needed here")

    gen = images(1.0) if gen_img is None else gen_img
    return PenaltyInput(
        discriminator=nn.Identity(),
        generator=generator or nn.Identity(),
        critic=critic,
        real_img=images() if real_img is None else real_img,
        gen_img=lambda: gen,
        synthesize=synthesize or unused,
    )


def linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """D(x) = <w, x>: the gradient is w everywhere."""
    return lambda img: img.flatten(1) @ weight


def quadratic(img: Tensor) -> Tensor:
    """D(x) = |x|^2 / 2: the gradient is x."""
    return img.flatten(1).square().sum(1, keepdim=True) / 2


class SmoothCritic(nn.Module):
    """A small float64 network with a non-trivial second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2, dtype=torch.float64)
        self.out = nn.Linear(12, 1, dtype=torch.float64)

    def forward(self, img: Tensor) -> Tensor:
        return self.out(torch.tanh(self.conv(img)).flatten(1))


# R1 and R2 -------------------------------------------------------------------------------------


def test_r1_of_linear_critic_is_half_gamma_times_squared_weight():
    weight = torch.randn(DIM, dtype=torch.float64)
    got = build("r1", gamma=3.0).penalty(inputs(linear(weight)))
    assert_close(got, 1.5 * weight.square().sum())


def test_r1_of_quadratic_critic_is_the_mean_squared_norm_of_real_images():
    real, gen = images(), images(2.0)
    got = build("r1", gamma=2.0).penalty(inputs(quadratic, real, gen))
    assert_close(got, real.square().sum() / SHAPE[0])


def test_r2_of_quadratic_critic_is_the_mean_squared_norm_of_generated_images():
    real, gen = images(), images(2.0)
    got = build("r2", gamma=2.0).penalty(inputs(quadratic, real, gen))
    assert_close(got, gen.square().sum() / SHAPE[0])


def test_r1_of_patch_critic_equals_r1_of_its_mean():
    critic = nn.Conv2d(2, 1, 2, dtype=torch.float64)
    real = images()
    patches = build("r1").penalty(inputs(critic, real))
    assert_close(patches, build("r1").penalty(inputs(lambda x: critic(x).mean((1, 2, 3)), real)))


def test_r1_of_a_weight_has_the_gradient_of_the_closed_form():
    weight = torch.randn(DIM, dtype=torch.float64, requires_grad=True)
    penalty = build("r1", gamma=3.0).penalty(inputs(linear(weight)))
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert_close(gradient, 3.0 * weight.detach())  # d/dw gamma/2 |w|^2


# Gradient penalty ------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "one_sided", "want"), [
    (3.0, False, 40.0), (3.0, True, 40.0), (0.5, False, 2.5), (0.5, True, 0.0), (1.0, False, 0.0),
])  # fmt: skip
def test_gradient_penalty_of_linear_critic_is_closed_form(norm, one_sided, want):
    weight = torch.randn(DIM, dtype=torch.float64)
    critic = linear(weight / weight.norm() * norm)
    got = build("gradient_penalty", one_sided=one_sided).penalty(inputs(critic))
    assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_gradient_penalty_of_quadratic_critic_uses_the_norm_over_all_axes():
    # real = 0 and gen = 1 everywhere: the point is (1 - eps) * ones, of norm (1 - eps) sqrt(DIM).
    real, gen = torch.zeros(SHAPE).double(), torch.ones(SHAPE).double()
    torch.manual_seed(7)
    got = build("gradient_penalty", weight=1.0).penalty(inputs(quadratic, real, gen))
    torch.manual_seed(7)
    epsilon = torch.rand(SHAPE[0], 1, 1, 1, dtype=torch.float64).flatten()
    assert_close(got, ((1 - epsilon) * math.sqrt(DIM) - 1).square().mean())


def test_interpolate_draws_one_number_per_pair_between_its_ends():
    points = regularizers.interpolate(torch.zeros(64, 2, 3, 3), torch.ones(64, 2, 3, 3))
    per_sample = points.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    assert per_sample[:, 0].unique().numel() == 64
    assert points.min() >= 0 and points.max() <= 1


def test_interpolate_stays_on_the_line_between_a_pair():
    real, gen = images(), images(3.0)
    step = (regularizers.interpolate(real, gen) - real) / (gen - real)
    assert_close(step, step[:, :1, :1, :1].expand_as(step))


def test_gradient_penalty_at_zero_gradient_has_finite_derivatives():
    weight = torch.zeros(DIM, dtype=torch.float64, requires_grad=True)
    penalty = build("gradient_penalty").penalty(inputs(linear(weight)))
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert_close(penalty.item(), 10.0)
    assert gradient.isfinite().all()


def test_gradient_penalty_of_unequal_batches_says_what_to_do():
    with pytest.raises(ShapeError, match=r"\[5, 2, 3, 3\].*\[4, 2, 3, 3\].*one image of the same"):
        build("gradient_penalty").penalty(inputs(quadratic, images(), images()[:4]))


def test_dragan_of_linear_critic_is_closed_form():
    weight = torch.randn(DIM, dtype=torch.float64)
    critic = linear(weight / weight.norm() * 3.0)
    assert_close(build("dragan").penalty(inputs(critic)).item(), 40.0)


def test_dragan_looks_above_real_images_by_half_a_deviation_at_most():
    seen = []

    def critic(img: Tensor) -> Tensor:
        seen.append(img.detach())
        return quadratic(img)

    real = images()
    build("dragan").penalty(inputs(critic, real))
    moved = (seen[0] - real) / real.std(correction=0)
    assert moved.min() >= 0 and moved.max() <= 0.5 and moved.max() > 0.4


# Common to all critic penalties ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalty_gradient_in_critic_weights_matches_numerical(name):
    critic, regularizer = SmoothCritic(), build(name)
    data = inputs(critic, images(), images(1.0))
    shapes = [p.shape for p in critic.parameters()]
    names = [n for n, _ in critic.named_parameters()]

    def penalty(*values: Tensor) -> Tensor:
        torch.manual_seed(3)
        weights = dict(zip(names, values, strict=True))
        data.critic = lambda img: torch.func.functional_call(critic, weights, (img,))
        return regularizer.penalty(data)

    start = [(0.5 * torch.randn(s, dtype=torch.float64)).requires_grad_(True) for s in shapes]
    # The last bias moves no gradient, so the penalty does not depend on it.
    assert torch.autograd.gradcheck(lambda *v: penalty(*v, start[-1].detach()), start[:-1])


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalty_on_low_precision_images_is_computed_in_float32(name):
    seen = []

    def critic(img: Tensor) -> Tensor:
        seen.append(img.dtype)
        return quadratic(img)

    data = inputs(critic, images().bfloat16(), images(1.0).bfloat16())
    assert build(name).penalty(data).dtype is torch.float32
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalty_leaves_no_gradient_on_images(name):
    real, gen = images().requires_grad_(True), images(1.0).requires_grad_(True)
    critic = SmoothCritic()
    build(name).penalty(inputs(critic, real, gen)).backward()
    if name != "gradient_penalty":
        assert real.grad is None
    assert critic.conv.weight.grad is not None and critic.conv.weight.grad.abs().sum() > 0


# Weight clipping -------------------------------------------------------------------------------


def test_weight_clipping_clamps_every_parameter_and_nothing_else():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    clipping = build("weight_clipping", limit=0.2)
    assert clipping.penalty(inputs(quadratic)) is None
    clipping.project(network)
    after = network.state_dict()
    for key, value in before.items():
        is_weight = key in dict(network.named_parameters())
        assert_close(after[key], value.clamp(-0.2, 0.2) if is_weight else value)


# Path length -----------------------------------------------------------------------------------


def linear_synthesis(
    scale: float, num_ws: int = 0
) -> tuple[Callable[[int], tuple[Tensor, Tensor]], Tensor]:
    """img = J w, and J: with w one vector, or the mean of num_ws vectors."""
    jacobian = scale * torch.randn(2 * 4 * 4, 6, dtype=torch.float64)

    def synthesize(n: int) -> tuple[Tensor, Tensor]:
        shape = (n, num_ws, 6) if num_ws else (n, 6)
        latents = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        w = latents.sum(1) if num_ws else latents
        return (w @ jacobian.T).reshape(n, 2, 4, 4), latents

    return synthesize, jacobian


@pytest.mark.parametrize("num_ws", [0, 3])
def test_path_lengths_of_linear_generator_are_closed_form(num_ws):
    synthesize, jacobian = linear_synthesis(1.0, num_ws)
    img, latents = synthesize(7)
    torch.manual_seed(5)
    got = regularizers.path_lengths(img, latents)
    torch.manual_seed(5)
    noise = torch.randn(7, 2, 4, 4, dtype=torch.float64).flatten(1) / 4  # / sqrt(4 * 4)
    # Each of the num_ws vectors has the same gradient, so their mean square is that of one.
    assert_close(got, (noise @ jacobian).norm(dim=1))


def test_path_lengths_of_images_in_bf16_draw_the_noise_of_float32() -> None:
    latents = torch.ones(2, 4).requires_grad_()
    weight = torch.arange(48.0).reshape(4, 12) / 64  # exact in bf16
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        img = (latents.to(dtype) @ weight.to(dtype)).view(2, 3, 2, 2)
        found.append(regularizers.path_lengths(img, latents))
    assert_close(found[1], found[0], rtol=0.02, atol=0)


def test_path_lengths_do_not_depend_on_the_size_of_a_repeated_image():
    # y has unit variance over the area (appendix B), whatever its two sides.
    latents = torch.randn(4000, 3, dtype=torch.float64, requires_grad=True)
    for height, width in ((2, 8), (8, 2), (4, 4)):
        img = latents.sum(1)[:, None, None, None].expand(-1, 1, height, width)
        lengths = regularizers.path_lengths(img, latents)
        # J^T y is the sum of y, of variance 1, in each of three latents.
        assert lengths.square().mean().item() == pytest.approx(3, rel=0.1)


def test_path_length_penalty_is_zero_only_around_its_running_mean():
    synthesize, _ = linear_synthesis(1.0)
    regularizer = build("path_length", decay=1.0, batch_shrink=5)
    got = regularizer.penalty(inputs(quadratic, synthesize=synthesize))
    # One image and decay 1: the running mean is that image's own length.
    assert_close(got.item(), 0.0, atol=1e-12, rtol=0)
    regularizer = build("path_length", decay=0.25, batch_shrink=5, weight=3.0)
    torch.manual_seed(5)
    got = regularizer.penalty(inputs(quadratic, images(), synthesize=synthesize))
    length = regularizer.mean_length.double() / 0.25
    assert_close(got, 3.0 * (0.75 * length) ** 2, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("shrink", "want"), [(1, 5), (2, 2), (9, 1)])
def test_path_length_uses_part_of_the_batch(shrink, want):
    asked = []
    synthesize, _ = linear_synthesis(1.0)

    def spy(n: int) -> tuple[Tensor, Tensor]:
        asked.append(n)
        return synthesize(n)

    build("path_length", batch_shrink=shrink).penalty(inputs(quadratic, synthesize=spy))
    assert asked == [want]


def test_path_length_running_mean_converges_to_the_mean_length():
    synthesize, jacobian = linear_synthesis(1.0)
    regularizer = build("path_length", decay=0.05, batch_shrink=1)
    data = inputs(quadratic, torch.zeros(50, 1, 1, 1), torch.zeros(1), synthesize=synthesize)
    for _ in range(200):
        regularizer.penalty(data)
    want = math.sqrt(jacobian.square().sum() / 16)
    assert regularizer.mean_length.dtype is torch.float32
    assert_close(regularizer.mean_length.item(), want, rtol=0.1, atol=0)
    assert "mean_length" in regularizer.state_dict()


def test_path_length_mean_over_slots_equals_one_large_batch():
    start = torch.tensor(2.0)
    first, second = build("path_length", decay=0.1), build("path_length", decay=0.1)
    lengths = []
    for slot in (first, second):
        slot.mean_length.copy_(start)
        synthesize, _ = linear_synthesis(1.0)
        slot.penalty(inputs(quadratic, synthesize=synthesize))
        lengths.append((slot.mean_length - start) / 0.1 + start)
    reduced = (first.mean_length + second.mean_length) / 2
    assert_close(reduced, start.lerp((lengths[0] + lengths[1]) / 2, 0.1))


@pytest.mark.parametrize("decay", [1e-9, 0.3])
def test_path_length_gradient_in_generator_weights_matches_numerical(decay):
    """Also through the batch's part of the running mean, as in the authors' code."""
    noise = torch.randn(2, 3, dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        def synthesize(n: int) -> tuple[Tensor, Tensor]:
            latents = noise.clone().requires_grad_(True)
            return torch.tanh(latents @ weight).reshape(2, 1, 2, 2), latents

        torch.manual_seed(3)
        regularizer = build("path_length", decay=decay)
        return regularizer.penalty(inputs(quadratic, synthesize=synthesize))

    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(penalty, weight)


# Orthogonal ------------------------------------------------------------------------------------


def test_orthogonal_of_known_filters_is_closed_form():
    network = nn.Linear(2, 2)
    network.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # inner product 11, twice
    got = build("orthogonal", weight=0.5).penalty(inputs(quadratic, generator=network))
    assert_close(got.item(), 0.5 * 2 * 121.0)


def test_orthogonal_of_orthogonal_filters_is_zero_whatever_their_norm():
    network = nn.Linear(3, 3)
    network.weight.data = torch.diag(torch.tensor([1.0, 5.0, -2.0]))
    got = build("orthogonal").penalty(inputs(quadratic, generator=network))
    assert got.item() == 0.0


def test_orthogonal_of_transposed_convolution_compares_output_filters():
    network = nn.ConvTranspose2d(2, 3, 2, bias=False)
    filters = network.weight.detach().transpose(0, 1).flatten(1)
    gram = filters @ filters.T
    want = gram.square().sum() - gram.diagonal().square().sum()
    got = build("orthogonal", weight=1.0).penalty(inputs(quadratic, generator=network))
    assert_close(got, want)


def test_orthogonal_skips_biases_embeddings_and_excluded_modules():
    network = nn.ModuleDict(
        {"embed": nn.Embedding(4, 4), "shared": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4)}
    )
    got = build("orthogonal", exclude=["shared"]).penalty(inputs(quadratic, generator=network))
    assert got.item() == 0.0


def test_orthogonal_sees_weights_under_spectral_normalization():
    plain = nn.Linear(3, 4)
    want = build("orthogonal").penalty(inputs(quadratic, generator=plain))
    normed = nn.utils.parametrizations.spectral_norm(plain)
    got = build("orthogonal").penalty(inputs(quadratic, generator=normed))
    assert_close(got, want)
    got.backward()
    assert normed.parametrizations.weight.original.grad.abs().sum() > 0


# Configuration ---------------------------------------------------------------------------------


def test_regularizer_targets_and_intervals_follow_the_papers():
    targets = {cls.name: cls.target for cls in objectives.ganforge_regularizers()}
    assert {k for k, v in targets.items() if v == "generator"} == {"path_length", "orthogonal"}
    assert build("path_length").every == 4
    assert build("r1", every=16).every == 16


def test_regularizer_with_unknown_option_names_the_valid_one():
    with pytest.raises(ConfigError, match=r"loss\.regularizers\.gama.*Did you mean 'gamma'"):
        build("r1", gama=1.0)


def test_regularizer_with_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.regularizers\.weight.*greater than 0.*-1"):
        build("gradient_penalty", weight=-1)


def test_off_diagonal_energy_of_many_filters_is_exact_and_takes_the_small_side():
    filters = torch.randn(64, 3, 2, dtype=torch.float64, requires_grad=True)
    gram = filters.flatten(1) @ filters.flatten(1).T
    expected = gram.square().sum() - gram.diagonal().square().sum()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.numel()) or x, lambda x: x
    ):
        found = regularizers.off_diagonal_energy(filters)
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=0)
    (ours,) = torch.autograd.grad(found, filters)
    (theirs,) = torch.autograd.grad(expected, filters)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert max(kept) <= filters.numel()  # not 64 * 64
