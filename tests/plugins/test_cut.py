"""CUT: the authors' networks, PatchNCE computed plainly, and what FastCUT changes."""

import pytest
import torch
from ganforge_translation.cut import Cut, CutConfig, Projector, draw_places, patch_nce, take_patches
from ganforge_translation.networks import Translator
from torch import nn
from torch.testing import assert_close
from translating import build, component, count, images_of, objective

from ganforge.api import ConfigError, GenerateRequest, ImageSpec, Networks
from ganforge.layers import InstanceNorm
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import Hinge, LeastSquares, NonSaturating, Relativistic
from ganforge.objectives.regularizers import R1, R2

SPEC = ImageSpec(16, 16, 3, source_channels=3)
TINY = {
    "generator_width": 4,
    "num_blocks": 2,
    "discriminator_width": 4,
    "discriminator_layers": 1,
    "num_patches": 9,
    "projector_width": 8,
}
FAST = {"nce_weight": 10.0, "nce_identity": False, "flip_equivariance": True}


def make(spec=SPEC, **options):
    return build(Cut, spec, TINY | options)


def make_batch(size=2, spec=SPEC):
    return images_of(spec, size)


def enlarge(nets):
    """Give the heads large weights: a vector is of length one if it was not nearly zero."""
    for parameter in nets["projector"].parameters():
        nn.init.normal_(parameter, 0.0, 0.5)


def plain_nce(architecture, nets, source, img):
    """PatchNCE by the paper's Eqs. 2 and 4, patch after patch, of one image."""
    generator, temperature = nets["generator"], architecture.config.temperature
    layers = []
    for layer, head in enumerate(nets["projector"].heads):
        query, key = (
            nn.functional.normalize(head(generator(x, generator.taps)[layer][0].flatten(1).T))
            for x in (img, source)
        )
        losses = []
        for place in range(len(query)):
            scores = torch.exp(key @ query[place] / temperature)
            losses.append(-torch.log(scores[place] / scores.sum()))
        layers.append(torch.stack(losses).mean())
    return torch.stack(layers).mean()


def all_places(x, num):
    """In place of `draw_places`: every place, in order."""
    return torch.arange(x.shape[2] * x.shape[3]).expand(len(x), -1)


# Networks --------------------------------------------------------------------------------------


def test_networks_at_the_papers_size_have_the_authors_parameters():
    networks = Cut(CutConfig(), ImageSpec(256, 256, 3, source_channels=3)).meta_networks()
    heads = [(3, 256), (128, 256), *[(256, 256)] * 3]
    projector = sum(i * o + o + o * o + o for i, o in heads)
    assert {role: count(network) for role, network in networks.items()} == {
        "generator": 11_378_179,
        "discriminator": 2_764_737,
        "projector": projector,
    }
    assert projector == 560_384


@pytest.mark.parametrize(
    ("blocks", "antialias", "taps"),
    [
        (9, True, (0, 4, 8, 12, 16)),  # the authors' numbers
        (9, False, (0, 4, 7, 10, 14)),
        (6, True, (0, 4, 8, 12, 15)),
        (1, True, (0, 4, 8, 12)),
    ],
)
def test_taps_are_pixels_two_convolutions_and_two_blocks(blocks, antialias, taps):
    network = Translator(3, 3, 2, blocks, antialias=antialias)
    assert network.taps == taps
    kinds = [type(network.layers[i]).__name__ for i in taps]
    assert kinds == ["ReflectionPad", "Conv2d", "Conv2d", *["ResidualBlock"] * (len(taps) - 3)]
    features = network(torch.rand(1, 3, 16, 16), taps)
    assert tuple(x.shape[1] for x in features) == network.tap_channels


@pytest.mark.parametrize(("tap", "field"), [(0, 1), (1, 9), (2, 15), (3, 35), (4, 99)])
def test_features_see_patches_of_the_papers_sizes(tap, field):
    network = Translator(1, 1, 1, 9, antialias=True).double()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, InstanceNorm):  # it sees the whole image
                module.register_module(name, nn.Identity())
            elif type(child).__name__ == "ReLU":
                module.register_module(name, nn.Identity())
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    img = torch.rand(1, 1, 160, 160, dtype=torch.double, requires_grad=True)
    feature = network(img, network.taps)[tap]
    feature[0, 0, feature.shape[2] // 2, feature.shape[3] // 2].backward()
    rows, columns = (img.grad[0, 0] != 0).nonzero().T
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field


def test_translator_features_are_those_of_the_translation():
    network = Translator(3, 3, 4, 2, antialias=True)
    img = torch.rand(2, 3, 16, 16)
    last = len(network.layers) - 1
    assert_close(torch.tanh(network(img, (last,))[0]), network(img))


def test_networks_without_antialias_are_those_of_cyclegan():
    _, nets = make(antialias=False)
    strides = [m.stride[0] for m in nets["generator"].layers if isinstance(m, nn.Conv2d)]
    assert strides == [1, 2, 2, 1]
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in nets["generator"].layers) == 2
    assert [m.stride[0] for m in nets["discriminator"].layers if isinstance(m, nn.Conv2d)][0] == 2


def test_networks_start_with_the_authors_deviation():
    _, nets = make(generator_width=32)
    weight = nets["generator"].layers[8].weight
    wanted = 0.02 * (2 / (9 * (weight.shape[0] + weight.shape[1]))) ** 0.5
    assert_close(weight.std().item(), wanted, rtol=0.02, atol=0)
    assert all(not p.any() for p in nets["projector"].parameters() if p.ndim == 1)


def test_projector_gives_unit_vectors_and_a_finite_gradient_at_zero():
    projector = Projector([3, 5], 8)
    patches = [torch.randn(2, 4, 3), torch.randn(2, 4, 5)]
    for vectors in projector(patches):
        assert vectors.shape == (2, 4, 8)
        assert_close(vectors.norm(dim=2), torch.ones(2, 4))
    zero = torch.zeros(1, 1, 3, requires_grad=True)
    for parameter in projector.heads[0].parameters():
        nn.init.zeros_(parameter)
    projector([zero, patches[1]])[0].sum().backward()
    assert zero.grad.isfinite().all()


# Patches ---------------------------------------------------------------------------------------


def test_draw_places_gives_different_places_for_each_image():
    places = draw_places(torch.zeros(3, 2, 8, 8), 20)
    assert places.shape == (3, 20)
    assert all(len(row.unique()) == 20 for row in places)
    assert not torch.equal(places[0], places[1])
    assert int(places.max()) < 64


def test_draw_places_of_a_small_map_takes_all_of_it():
    assert draw_places(torch.zeros(1, 2, 2, 3), 256).sort().values.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_take_patches_counts_row_by_row():
    x = torch.arange(24.0).reshape(2, 2, 2, 3)
    assert take_patches(x, torch.tensor([[4], [2]])).tolist() == [[[4.0, 10.0]], [[14.0, 20.0]]]


def test_patch_nce_is_the_cross_entropy_among_the_patches_of_one_image():
    query, key = (nn.functional.normalize(torch.randn(2, 5, 3), dim=2) for _ in range(2))
    found = patch_nce(query, key, 0.07)
    for n in range(2):
        logits = query[n] @ key[n].T / 0.07
        assert_close(found[n], nn.functional.cross_entropy(logits, torch.arange(5)))


def test_patch_nce_under_bf16_autocast_keeps_float32():
    query = nn.functional.normalize(torch.randn(1, 6, 16), dim=2)
    with torch.autocast("cpu", torch.bfloat16):
        found = patch_nce(query, query.flip(1), 0.07)
    assert_close(found, patch_nce(query, query.flip(1), 0.07))


# Terms -----------------------------------------------------------------------------------------


def test_generator_terms_are_the_papers(monkeypatch):
    monkeypatch.setattr("ganforge_translation.cut.draw_places", all_places)
    architecture, nets = make()
    enlarge(nets)
    batch = make_batch(1)
    terms = architecture.generator_terms(objective(), nets, batch)
    logits = nets["discriminator"](nets["generator"](batch["source"]))
    assert_close(terms["adversarial"], (logits - 1).square().mean())
    for name, field in (("nce", "source"), ("nce_identity", "target")):
        wanted = plain_nce(architecture, nets, batch[field], nets["generator"](batch[field]))
        assert_close(terms[name], wanted / 2)
    assert sorted(terms) == ["adversarial", "nce", "nce_identity"]


def test_fastcut_compares_the_mirrored_translation_mirrored_back(monkeypatch):
    monkeypatch.setattr("ganforge_translation.cut.draw_places", all_places)
    architecture, nets = make(**FAST)
    enlarge(nets)
    chosen = torch.tensor([True, False]).view(2, 1, 1, 1)
    monkeypatch.setattr(Cut, "_draw_mirrored", lambda self, img: chosen)
    batch = make_batch(2)
    terms = architecture.generator_terms(objective(), nets, batch)
    assert sorted(terms) == ["adversarial", "nce"]
    generator = nets["generator"]
    first, second = batch["source"].split(1)
    mirrored = generator(first.flip(3))
    assert_close(batch.memory["gen_img"], torch.cat([mirrored, generator(second)]))

    class Back(nn.Module):
        """The encoder, whose features of the mirrored translation are mirrored back."""

        taps = generator.taps

        def forward(self, x, taps):
            found = generator(x, taps)
            return [y.flip(3) for y in found] if x is mirrored else found

    back = {"generator": Back(), "projector": nets["projector"]}
    losses = [
        plain_nce(architecture, back, first, mirrored),
        plain_nce(architecture, nets, second, generator(second)),
    ]
    assert_close(terms["nce"], 10 * torch.stack(losses).mean())


@pytest.mark.parametrize("options", [{}, FAST])
def test_identity_loss_is_that_of_cyclegan_and_leaves_the_other_terms(options, monkeypatch):
    monkeypatch.setattr("ganforge_translation.cut.draw_places", all_places)
    mirrored = torch.tensor([True, False, False, True]).view(4, 1, 1, 1)
    batch = make_batch(2)
    found = []
    for weight in (0.0, 5.0):
        architecture, nets = make(identity_weight=weight, **options)
        enlarge(nets)
        flips = mirrored if options else None
        monkeypatch.setattr(Cut, "_draw_mirrored", lambda self, img, flips=flips: flips)
        if options and not weight:
            monkeypatch.setattr(Cut, "_draw_mirrored", lambda self, img: mirrored[:2])
        found.append(architecture.generator_terms(objective(), nets, batch))
    without, with_identity = found
    shown = batch["target"]
    if options:
        shown = torch.where(mirrored[2:], shown.flip(3), shown)
    wanted = 5 * (nets["generator"](shown) - shown).abs().mean()
    assert_close(with_identity.pop("identity"), wanted)
    assert_close(with_identity, without)


def test_flips_are_drawn_for_about_half_of_the_images():
    architecture, _ = make(**FAST)
    torch.manual_seed(0)
    mirrored = architecture._draw_mirrored(torch.zeros(1000, 3, 1, 1))
    assert 0.45 < mirrored.float().mean() < 0.55


def test_nce_does_not_reach_the_translator_through_the_source():
    architecture, nets = make(nce_identity=False)
    seen = []
    projector = nets["projector"]
    projector.register_forward_hook(lambda module, args, out: seen.append(out[0].requires_grad))
    architecture.generator_terms(objective(), nets, make_batch())
    assert seen == [True, False]


def test_nce_takes_the_same_places_of_source_and_translation():
    architecture, nets = make(nce_identity=False)
    batch = make_batch()
    # A translator that changes nothing: all features agree, so every query finds its key best.
    nets.modules()["generator"].register_forward_hook(
        lambda module, args, out: args[0] if isinstance(out, torch.Tensor) else out
    )
    queries = []
    nets["projector"].register_forward_hook(lambda module, args, out: queries.append(out))
    architecture.generator_terms(objective(), nets, batch)
    for query, key in zip(*queries, strict=True):
        assert query.shape[1] == 9
        assert_close(query, key)


def test_discriminator_terms_are_half_of_both_squares():
    architecture, nets = make()
    batch = make_batch()
    terms = architecture.discriminator_terms(objective(), nets, batch)
    real = nets["discriminator"](batch["target"])
    gen = nets["discriminator"](nets["generator"](batch["source"]))
    assert_close(terms["adversarial"], ((real - 1).square().mean() + gen.square().mean()) / 2)
    assert list(terms) == ["adversarial"]


def test_discriminator_judges_what_the_generator_phase_made():
    architecture, nets = make(**FAST)  # with flips, a second pass could give another image
    batch = make_batch()
    architecture.generator_terms(objective(), nets, batch)
    made = batch.memory["gen_img"]
    architecture.discriminator_terms(objective(), nets, batch)
    assert batch.memory["gen_img"] is made
    assert len(made) == batch.size and not made.requires_grad


# Phases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, FAST, {"antialias": False, "upsampling": "resize"}])
@pytest.mark.parametrize("loss", [LeastSquares, Hinge, NonSaturating, Relativistic])
@pytest.mark.parametrize("augment", [None, DiffAugment, Ada])
def test_phases_reach_exactly_the_networks_they_name(options, loss, augment):
    architecture, nets = make(**options)
    extra = {"augmentation": component(augment)} if augment else {}
    chosen = objective(component(R1), component(R2), loss=loss, **extra)
    architecture.check(chosen)
    batch = make_batch()
    for phase in architecture.phases(chosen):
        for role in nets:
            nets[role].requires_grad_(role in phase.trains).zero_grad()
        terms = phase.loss(nets, batch)
        sum(terms.values()).backward()
        assert all(term.isfinite() for term in terms.values())
        for role in nets:
            reached = {p.grad is not None for p in nets[role].parameters()}
            assert reached == {role in phase.trains}
        if "discriminator" in phase.trains:
            assert {"r1", "r2"} <= set(terms)


def test_projector_learns_with_the_generator_and_lazy_penalties_follow():
    architecture, _ = make()
    phases = architecture.phases(objective(component(R1, every=16)))
    assert [phase.trains for phase in phases] == [
        ("generator", "projector"),
        ("discriminator",),
        ("discriminator",),
    ]
    assert phases[2].lazy and phases[2].every == 16
    assert architecture.ema_roles == ("generator",)  # the export has no projector


@pytest.mark.parametrize("options", [{}, FAST])
def test_losses_under_bf16_autocast_are_float32_and_near(options):
    architecture, nets = make(**options)
    batch = make_batch()
    for phase in architecture.phases(objective()):
        torch.manual_seed(1)
        exact = phase.loss(nets, batch)
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16):
            terms = phase.loss(nets, batch)
            assert all(term.dtype == torch.float32 for term in terms.values())
            for name, term in terms.items():
                assert_close(term, exact[name], rtol=0.1, atol=0.05)
        sum(terms.values()).backward()
        for role in phase.trains:
            assert all(p.grad is not None for p in nets[role].parameters())


def test_phases_compiled_networks_give_the_eager_losses():
    architecture, nets = make()
    plain = nets.modules()
    compiled = {role: torch.compile(net, backend="aot_eager") for role, net in plain.items()}
    for phase in architecture.phases(objective()):
        found = []
        for networks in (nets, Networks(plain, compiled)):
            torch.manual_seed(1)
            terms = phase.loss(networks, make_batch())
            sum(terms.values()).backward()
            found.append({name: term.item() for name, term in terms.items()})
        assert found[0] == pytest.approx(found[1], rel=1e-4)


# Generation ------------------------------------------------------------------------------------


def test_generate_has_no_way_back():
    architecture, nets = make()
    request = GenerateRequest(
        [0], source=torch.zeros(1, 3, 16, 16), options={"direction": "target_to_source"}
    )
    with pytest.raises(ConfigError, match="no direction 'target_to_source'"):
        architecture.generate(nets, request)


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        (ImageSpec(16, 16, 3), {}, "two domains.*data.source: .*unpaired"),
        (ImageSpec(16, 16, 3, source_channels=1), {}, "1 channels.*data.channels: 3"),
        (
            ImageSpec(16, 16, 3, source_channels=3, source_kind="labels"),
            {},
            "labels with 3 channels.*pix2pix for label maps",
        ),
        (SPEC, {"discriminator_layers": 3}, "16x16.*24 pixels or more"),
        (ImageSpec(18, 16, 3, source_channels=3), {}, r"18x16.*multiples of 4.*\[16, 16\]"),
    ],
)
def test_check_of_data_that_cannot_work_says_what_would(spec, options, match):
    architecture = Cut(CutConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=match):
        architecture.check(objective())
