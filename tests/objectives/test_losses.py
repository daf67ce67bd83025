"""Adversarial losses against closed forms and against the theorems of their papers."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganforge import objectives
from ganforge.errors import ConfigError, PluginContractError, ShapeError
from ganforge.interfaces.objective import AdversarialLoss
from ganforge.registry.plugins import Plugin, empty_registry

NAMES = ["minimax", "nonsaturating", "least_squares", "wasserstein", "hinge", "relativistic"]
REAL = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64)
GEN = torch.tensor([-0.3, 0.7, 1.1], dtype=torch.float64)

# Two densities on four points, as ten samples each: means over samples are exact expectations.
REAL_COUNTS = torch.tensor([4, 3, 2, 1])
GEN_COUNTS = torch.tensor([1, 2, 3, 4])
P, Q = (counts.double() / 10 for counts in (REAL_COUNTS, GEN_COUNTS))


def build(name: str, **options: object) -> AdversarialLoss:
    registry = empty_registry()
    registry.register(objectives, Plugin("objectives", "ganforge.objectives", "ganforge", "0"))
    return registry.build(AdversarialLoss, name, options, "loss")


def at_samples(table: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of all real and all generated samples from one logit per point."""
    return table.repeat_interleave(REAL_COUNTS), table.repeat_interleave(GEN_COUNTS)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


# Closed forms ----------------------------------------------------------------------------------


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


CLOSED = {
    "minimax": (
        lambda r, g: -log_sigmoid(r) - log_sigmoid(-g),
        lambda r, g: log_sigmoid(-g),
    ),
    "nonsaturating": (
        lambda r, g: -log_sigmoid(r) - log_sigmoid(-g),
        lambda r, g: -log_sigmoid(g),
    ),
    "least_squares": (
        lambda r, g: 0.5 * (r - 1) ** 2 + 0.5 * g**2,
        lambda r, g: 0.5 * (g - 1) ** 2,
    ),
    "wasserstein": (lambda r, g: g - r, lambda r, g: -g),
    "hinge": (lambda r, g: max(0, 1 - r) + max(0, 1 + g), lambda r, g: -g),
    "relativistic": (lambda r, g: -log_sigmoid(r - g), lambda r, g: -log_sigmoid(g - r)),
}


@pytest.mark.parametrize("name", NAMES)
def test_loss_on_known_logits_matches_closed_form(name):
    loss = build(name)
    disc, gen = CLOSED[name]
    pairs = list(zip(REAL.tolist(), GEN.tolist(), strict=True))
    want_disc = torch.tensor(sum(disc(r, g) for r, g in pairs) / 3, dtype=torch.float64)
    want_gen = torch.tensor(sum(gen(r, g) for r, g in pairs) / 3, dtype=torch.float64)
    assert_close(loss.discriminator(REAL, GEN), want_disc)
    assert_close(loss.generator(GEN, REAL), want_gen)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(12,), (12, 1), (3, 1, 2, 2), (2, 3, 2)])
def test_loss_on_any_shape_is_the_same_mean(name, shape):
    loss = build(name)
    real, gen = torch.randn(2, 12, dtype=torch.float64)
    assert_close(
        loss.discriminator(real.reshape(shape), gen.reshape(shape)), loss.discriminator(real, gen)
    )
    assert_close(loss.generator(gen.reshape(shape), real.reshape(shape)), loss.generator(gen, real))


@pytest.mark.parametrize("name", NAMES)
def test_loss_pulls_logits_in_the_right_direction(name):
    loss = build(name)
    real, gen = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    d_real, d_gen = torch.autograd.grad(loss.discriminator(real, gen), [real, gen])
    (g_gen,) = torch.autograd.grad(loss.generator(gen, real.detach()), gen)
    assert (d_real < 0).all(), "the discriminator must raise real logits"
    assert g_gen.max() < 0, "the generator must raise its logits"
    # Least squares with a = 0 is content with a generated logit of 0.
    assert (d_gen == 0).all() if name == "least_squares" else (d_gen > 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loss_on_low_precision_logits_is_computed_in_float32(name, dtype):
    loss = build(name)
    real, gen = REAL.to(dtype), GEN.to(dtype)
    got = loss.discriminator(real, gen)
    assert got.dtype is torch.float32
    assert_close(got, loss.discriminator(real.float(), gen.float()))
    assert loss.generator(gen, real).dtype is torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_loss_on_huge_logits_is_finite_with_exact_gradient(name):
    loss = build(name)
    real = torch.tensor([-3e4, 3e4], requires_grad=True)
    gen = torch.tensor([3e4, -3e4], requires_grad=True)
    value = loss.discriminator(real, gen)
    grads = torch.autograd.grad(value, [real, gen])
    assert value.isfinite()
    assert all(g.isfinite().all() for g in grads)
    if name != "least_squares":
        assert_close(grads[0][0], torch.tensor(-0.5))  # a wrong logit pulls with slope 1 / n


# Theory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
def test_logistic_at_optimal_discriminator_is_jensen_shannon(name):
    loss = build(name)
    table = (P / Q).log().requires_grad_(True)  # D* = p / (p + q)
    value = -loss.discriminator(*at_samples(table))
    assert_close(value, 2 * jensen_shannon(P, Q) - math.log(4))
    (gradient,) = torch.autograd.grad(value, table)
    assert_close(gradient, torch.zeros_like(gradient))


def test_minimax_on_two_gaussians_is_jensen_shannon():
    # Midpoint quantiles make the sample mean a quadrature rule for the expectation.
    levels = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    standard = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    shifted = torch.distributions.Normal(torch.ones((), dtype=torch.float64), 1.5)
    x_real, x_gen = standard.icdf(levels), shifted.icdf(levels)

    def optimal(x: Tensor) -> Tensor:
        return standard.log_prob(x) - shifted.log_prob(x)

    value = -build("minimax").discriminator(optimal(x_real), optimal(x_gen))
    x = torch.linspace(-12, 14, 40001, dtype=torch.float64)
    p, q = standard.log_prob(x).exp(), shifted.log_prob(x).exp()
    divergence = torch.trapezoid((p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()) / 2, x)
    assert_close(value, 2 * divergence - math.log(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "relativistic"])
def test_logistic_at_equilibrium_discriminator_is_one_half(name):
    loss = build(name)
    table = torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    for _ in range(400):  # equal densities, all pairs: descend to the best discriminator
        value = loss.discriminator(*torch.broadcast_tensors(table[:, None], table[None]))
        (gradient,) = torch.autograd.grad(value, table)
        table = (table - 2 * gradient).detach().requires_grad_(True)
    level = table - (table.mean() if name == "relativistic" else 0)  # only differences count there
    assert_close(level.sigmoid(), torch.full_like(table, 0.5), atol=1e-6, rtol=0)
    want = math.log(2) if name == "relativistic" else math.log(4)
    assert_close(loss.discriminator(table, table).item(), want)


def test_minimax_and_nonsaturating_generators_share_direction_not_strength():
    logit = torch.tensor([-4.0], dtype=torch.float64, requires_grad=True)
    d = logit.sigmoid().item()
    (saturating,) = torch.autograd.grad(build("minimax").generator(logit), logit)
    (strong,) = torch.autograd.grad(build("nonsaturating").generator(logit), logit)
    assert_close(saturating.item(), -d)
    assert_close(strong.item(), d - 1)


@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
def test_label_smoothing_scales_only_the_optimal_real_odds(name):
    # Salimans et al. 2016: with real label t and generated label 0, D* = t p / (p + q).
    target = 0.9
    best = target * P / (P + Q)
    table = best.logit().requires_grad_(True)
    value = build(name, real_target=target).discriminator(*at_samples(table))
    (gradient,) = torch.autograd.grad(value, table)
    assert_close(gradient, torch.zeros_like(gradient))
    assert_close(
        value, -(P * (target * best.log() + 0.1 * (1 - best).log()) + Q * (1 - best).log()).sum()
    )


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 0.9)])
def test_least_squares_optimum_is_the_weighted_label(a, b):
    table = ((b * P + a * Q) / (P + Q)).requires_grad_(True)
    value = build("least_squares", a=a, b=b).discriminator(*at_samples(table))
    (gradient,) = torch.autograd.grad(value, table)
    assert_close(gradient, torch.zeros_like(gradient))


def test_least_squares_with_paper_labels_is_pearson_chi_squared():
    # Mao et al. 2017, Eq. 7: with b - c = 1, b - a = 2 the criterion 2 C(G) is
    # chi^2(p + q || 2 q); both expectations count, and the generator's own is its loss.
    loss = build("least_squares", a=-1, b=1, c=0)
    real, gen = at_samples((P - Q) / (P + Q))
    twice_criterion = 2 * (loss.generator(real) + loss.generator(gen))
    assert_close(twice_criterion, ((2 * Q - (P + Q)) ** 2 / (P + Q)).sum())


def test_wasserstein_with_optimal_critic_is_the_transport_distance():
    # Between a distribution and its shift by 0.7 the best 1-Lipschitz critic is -x.
    x = torch.randn(50, dtype=torch.float64)
    loss = build("wasserstein")
    assert_close(-loss.discriminator(-x, -(x + 0.7)).item(), 0.7)
    assert_close(loss.generator(-(x + 0.7)), (x + 0.7).mean())


def test_hinge_at_optimal_discriminator_is_total_variation():
    # D* = sign(p - q), where the loss is 2 sum min(p, q) = 2 (1 - TV).
    value = build("hinge").discriminator(*at_samples((P - Q).sign()))
    assert_close(value, 2 * (1 - (P - Q).abs().sum() / 2))


def test_hinge_beyond_the_margin_has_no_gradient():
    real = torch.tensor([1.5, 0.5], requires_grad=True)
    gen = torch.tensor([-1.5, -0.5], requires_grad=True)
    grads = torch.autograd.grad(build("hinge").discriminator(real, gen), [real, gen])
    assert_close(grads[0], torch.tensor([0.0, -0.5]))
    assert_close(grads[1], torch.tensor([0.0, 0.5]))


def test_relativistic_generator_is_the_discriminator_with_roles_exchanged():
    loss = build("relativistic")
    assert loss.generator_needs_real
    assert_close(loss.generator(GEN, REAL), loss.discriminator(GEN, REAL))
    assert_close(loss.discriminator(REAL + 3, GEN + 3), loss.discriminator(REAL, GEN))


# Errors ----------------------------------------------------------------------------------------


def test_relativistic_of_unequal_shapes_says_what_to_do():
    with pytest.raises(ShapeError, match=r"\[3\] and \[2\].*as many generated as real"):
        build("relativistic").discriminator(REAL, GEN[:2])


def test_relativistic_generator_without_real_says_what_to_call():
    with pytest.raises(PluginContractError, match=r"no real logits.*loss\.generator\(gen_logits"):
        build("relativistic").generator(GEN)


def test_loss_with_unknown_option_names_the_valid_one():
    with pytest.raises(ConfigError, match=r"loss\.real_taget.*Did you mean 'real_target'"):
        build("nonsaturating", real_taget=0.9)


def test_label_smoothing_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.real_target.*got 1\.2"):
        build("minimax", real_target=1.2)


# Equilibrium -----------------------------------------------------------------------------------

SMOOTH = -0.45 * math.log(0.45) - 0.55 * math.log(0.55)  # entropy of half a label of 0.9


@pytest.mark.parametrize(
    ("name", "options", "loss", "gradient"),
    [
        ("minimax", {}, 2 * math.log(2), 0.5),
        ("nonsaturating", {}, 2 * math.log(2), 0.5),
        ("nonsaturating", {"real_target": 0.9}, 2 * SMOOTH, 0.55),
        ("least_squares", {}, 0.25, 0.5),
        ("least_squares", {"a": -1, "b": 1, "c": 0}, 1.0, 0.0),
        ("hinge", {}, 2.0, 1.0),
        ("relativistic", {}, math.log(2), 0.5),
    ],
)
def test_equilibrium_has_the_best_logit_that_is_the_same_for_all_images(
    name, options, loss, gradient
):
    chosen = build(name, **options)
    assert chosen.equilibrium.discriminator == pytest.approx(loss)
    assert chosen.equilibrium.generator_gradient == pytest.approx(gradient)
    for logit in torch.linspace(-3, 3, 25):
        others = float(chosen.discriminator(logit[None], logit[None]))
        assert others >= chosen.equilibrium.discriminator - 1e-6


def test_equilibrium_of_a_loss_without_scale_is_none():
    assert build("wasserstein").equilibrium is None


@pytest.mark.parametrize("name", NAMES)
def test_generator_gradient_is_the_mean_size_at_a_logit(name):
    loss, gen = build(name), torch.tensor([[0.4, -2.0]], requires_grad=True)
    real = torch.tensor([[1.0, 0.5]])
    (gradient,) = torch.autograd.grad(loss.generator(gen, real), gen)
    assert_close(loss.generator_gradient(real, gen), gradient.abs().sum())


def test_generator_gradient_vanishes_only_where_the_loss_saturates():
    won = torch.full((4,), 20.0)
    assert build("minimax").generator_gradient(won, -won) < 1e-6
    assert build("nonsaturating").generator_gradient(won, -won) == pytest.approx(1.0)
