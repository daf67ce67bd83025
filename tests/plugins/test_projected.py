import sys
import types

import pytest
import torch
from ganforge_projected.architecture import ProjectedGan
from ganforge_projected.discriminator import Projection, ScaleDiscriminator
from ganforge_projected.generator import Excitation, FastGenerator, NoisyLayer, ProjectedConfig
from ganforge_projected.timm_features import TimmConfig, TimmFeatures
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import (
    Architecture,
    Batch,
    ComponentChoice,
    ComponentOptions,
    ConfigError,
    FeatureExtractor,
    Field,
    FrozenFeatures,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    hookimpl,
)
from ganforge.registry.plugins import Plugin, get_registry

OPTIONS = ProjectedGan.example_options
SPEC = ImageSpec(32, 32, 1)


def tiny(spec=SPEC, **options):
    return ProjectedGan(ProjectedConfig(**(OPTIONS | options)), spec)


def objective(loss="hinge"):
    from ganforge.interfaces.objective import AdversarialLoss

    return Objective(get_registry().build(AdversarialLoss, loss, {}, "loss"))


def built(spec=SPEC, **options):
    torch.manual_seed(0)
    return {role: net.to("cpu") for role, net in tiny(spec, **options).networks().items()}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


class ToyConfig(ComponentOptions):
    seed: int = Field(0, description="Of the weights.")


class Toy(FeatureExtractor[ToyConfig]):
    """A frozen network of two random convolutions: maps of a half and a quarter of the size."""

    name, Config = "toy", ToyConfig

    def __init__(self, config):
        super().__init__(config)
        torch.manual_seed(config.seed)
        self.first, self.second = nn.Conv2d(3, 4, 4, 2, 1), nn.Conv2d(4, 6, 4, 2, 1)

    @property
    def sha256(self):
        return f"{self.config.seed:064x}"

    @classmethod
    def map_shapes(cls, config, height, width):
        return [(4, height // 2, width // 2), (6, height // 4, width // 4)]

    def maps(self, img):
        first = self.first(img)
        return [first, self.second(first.relu())]

    def forward(self, img):
        return {"pooled": self.maps(img / 127.5 - 1)[-1].mean((2, 3))}


class Lite0Shapes(Toy):
    """The maps of EfficientNet-Lite0, without the network."""

    name = "lite0_shapes"

    @classmethod
    def map_shapes(cls, config, height, width):
        channels = (24, 40, 112, 320)
        return [(c, height >> 2 + n, width >> 2 + n) for n, c in enumerate(channels)]


class Pooled(FeatureExtractor[ToyConfig]):
    """An extractor without maps."""

    name, Config = "pooled", ToyConfig
    sha256 = "0"

    def forward(self, img):
        return {"pooled": img.flatten(1)}


@pytest.fixture
def toy():
    registry, module = get_registry(), types.ModuleType("made_up")
    module.ganforge_feature_extractors = hookimpl(lambda: [Toy, Lite0Shapes, Pooled])
    registry.register(module, Plugin("made-up", "made_up", "made-up", "1"))
    yield
    registry.manager.unregister(module)
    del registry.plugins["made-up"]
    for component in (Toy, Lite0Shapes, Pooled):
        del registry._components[FeatureExtractor, component.name]


def test_projected_plugin_is_registered():
    assert get_registry().find(Architecture, "projected_gan") is ProjectedGan
    assert get_registry().find(FeatureExtractor, "timm") is TimmFeatures


# Sizes -----------------------------------------------------------------------------------------


def test_256_pixels_have_the_published_number_of_parameters(toy):
    spec, config = ImageSpec(256, 256, 3), ProjectedConfig(features="lite0_shapes")
    with torch.device("meta"):
        generator = FastGenerator(config, spec, "x")
        discriminator = ProjectedGan(config, spec).networks()["discriminator"]
    assert count(generator) == 105_684_175
    assert count(discriminator) == 10_331_328
    assert count(discriminator.projection) == 376_768
    assert not [name for name in discriminator.state_dict() if "features" in name]
    # Each scale ends on an 8x8 grid, and has 5x5 logits.
    assert [scale.last.kernel_size for scale in discriminator.scales] == [(4, 4)] * 4
    assert [len(scale.body) // 3 for scale in discriminator.scales] == [4, 3, 2, 1]


def test_256_pixels_have_the_skips_of_the_paper():
    with torch.device("meta"):
        generator = FastGenerator(ProjectedConfig(channels=64), ImageSpec(256, 256), "x")
    reach = [
        (e.squeeze.in_channels, e.squeeze.out_channels) for e in generator.excitations.values()
    ]
    # 4 -> 64, 8 -> 128, 16 -> 256 pixels
    assert reach == [(1024, 128), (512, 64), (256, 32)]


def test_1024_pixels_have_no_skip_to_the_last_grid():
    with torch.device("meta"):
        generator = FastGenerator(ProjectedConfig(channels=8), ImageSpec(1024, 1024), "x")
    assert list(generator.excitations) == ["4", "5", "6", "7"]


@pytest.mark.parametrize("spec", [SPEC, ImageSpec(32, 32, 3), ImageSpec(28, 28, 1)], ids=str)
def test_images_and_logits_have_their_shapes(spec):
    networks = built(spec)
    img = networks["generator"](torch.randn(2, 8), torch.zeros(2, 0))
    assert img.shape == (2, spec.channels, spec.height, spec.width)
    # Four scales, each a 4x4 grid seen whole.
    assert networks["discriminator"](img, torch.zeros(2, 0)).shape == (2, 4)


def test_discriminator_takes_odd_and_tiny_maps(toy):
    # Maps of 10 and 5: projected to 20 and 10, halved to 5 and 5. Of 4 and 2: halved to 2 and 2.
    for side, cells in ((20, 4), (8, 1)):
        discriminator = built(ImageSpec(side, side, 3), features="toy")["discriminator"]
        assert discriminator(torch.randn(2, 3, side, side), None).shape == (2, 2 * cells)


# What the networks do --------------------------------------------------------------------------


def test_excitation_is_the_formula():
    torch.manual_seed(0)
    gate, coarse, fine = Excitation(3, 5).eval(), torch.randn(2, 3, 4, 4), torch.randn(2, 5, 8, 8)
    z = functional.silu(torch.einsum("nchw,ochw->no", coarse, gate.squeeze.weight))
    s = torch.sigmoid(z @ gate.excite.weight[:, :, 0, 0].T)
    assert_close(gate(coarse, fine), fine * s[:, :, None, None])


def test_noisy_layer_equals_the_layers_in_order():
    torch.manual_seed(0)
    layer, x, noise = NoisyLayer(2, 3).eval(), torch.randn(2, 2, 4, 4), torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        layer.noise_strength.fill_(0.5)
    first, gate = layer.norm(layer.conv(x) + 0.5 * noise).chunk(2, dim=1)
    assert_close(layer(x, noise), first * torch.sigmoid(gate))
    assert not torch.equal(layer(x), layer(x))  # without noise it draws


def test_generated_noise_follows_the_seeds():
    networks = built()
    networks["generator"].eval()
    draw = lambda seeds: tiny().generate(networks, GenerateRequest(seeds))  # noqa: E731
    still = draw([1, 2])
    for layer in networks["generator"].layers:
        nn.init.constant_(layer.noise_strength, 0.3)
    noisy = draw([1, 2])
    assert not torch.allclose(still, noisy)
    assert_close(draw([2])[0], noisy[1])
    assert noisy.abs().max() <= 1


def test_projection_mixes_channels_and_then_scales():
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)]
    projection = Projection([3, 5], width=2, seed=7)
    enlarged = lambda x: functional.interpolate(  # noqa: E731
        x, scale_factor=2, mode="bilinear", align_corners=True
    )
    coarse = projection.across_scales[1](enlarged(projection.across_channels[1](maps[1])))
    fine = projection.across_channels[0](maps[0]) + coarse
    fine = projection.across_scales[0](enlarged(fine))
    found = projection(maps)
    assert [x.shape[1:] for x in found] == [(2, 16, 16), (2, 8, 8)]
    assert_close(found[1], coarse)
    assert_close(found[0], fine)


def test_projection_depends_on_its_seed_alone():
    first = Projection([3, 5], 2, seed=1)
    torch.manual_seed(99)
    again, other = Projection([3, 5], 2, seed=1), Projection([3, 5], 2, seed=2)
    assert all(a.equal(b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not first.across_scales[0].weight.equal(other.across_scales[0].weight)


def test_scale_discriminator_keeps_its_last_layer_in_float32():
    with torch.autocast("cpu", torch.bfloat16):
        logits = ScaleDiscriminator(4, [4, 8], (2, 2))(torch.randn(2, 4, 8, 8))
    assert logits.dtype == torch.float32 and logits.shape == (2, 1, 1, 1)


def test_discriminator_passes_gradients_to_images_and_none_to_what_is_frozen():
    discriminator = built()["discriminator"]
    img = torch.zeros(2, 1, 32, 32, requires_grad=True)
    discriminator.requires_grad_(True).train()(img, torch.zeros(2, 0)).sum().backward()
    assert img.grad.abs().sum() > 0
    for module in (discriminator.features.extractor, discriminator.projection):
        assert not any(p.requires_grad or p.grad is not None for p in module.parameters())
    assert not discriminator.features.extractor.training


def test_step_of_hinge_loss_is_the_mean_over_all_cells():
    architecture, nets = tiny(), Networks(built())
    batch = Batch({"image": torch.rand(4, 1, 32, 32) * 2 - 1})
    torch.manual_seed(3)
    found = architecture.discriminator_terms(objective(), nets, batch)["adversarial"]
    empty, d = torch.zeros(4, 0), built()["discriminator"]
    real = d(batch.image, empty)
    gen = d(batch.memory["generated"][0], empty)
    assert_close(found, (1 - real).relu().mean() + (1 + gen).relu().mean())


def test_building_leaves_the_random_numbers_of_the_others_alone():
    torch.manual_seed(0)
    features = FrozenFeatures(ComponentChoice(name="fashion_mnist"), "model.features")
    state = torch.get_rng_state()
    assert features.sha256
    assert torch.get_rng_state().equal(state)


def test_generation_needs_no_feature_network(monkeypatch):
    monkeypatch.setattr(FrozenFeatures, "extractor", property(lambda self: pytest.fail("built")))
    nets = tiny(SPEC).networks()
    nets["generator"].eval()
    with torch.no_grad():
        assert tiny().generate(nets, GenerateRequest([1, 2])).shape == (2, 1, 32, 32)


# Frozen, and the same after a resume -----------------------------------------------------------


def test_training_step_leaves_the_frozen_weights_and_the_state_has_only_their_hash(toy):
    spec = ImageSpec(16, 16, 3)
    networks = built(spec, features="toy")
    d = networks["discriminator"]
    before = [p.clone() for p in d.features.extractor.parameters()]
    before += [p.clone() for p in d.projection.parameters()]
    optimizer = torch.optim.SGD(d.requires_grad_(True).parameters(), 1.0)
    batch = Batch({"image": torch.rand(4, 3, 16, 16)})
    tiny(features="toy").discriminator_terms(objective(), Networks(networks), batch)[
        "adversarial"
    ].backward()
    optimizer.step()
    after = [*d.features.extractor.parameters(), *d.projection.parameters()]
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))
    assert d.fingerprint.equal(d.frozen_hash())


@pytest.mark.parametrize(
    "changed", [{"features": {"name": "toy", "seed": 1}}, {"projection_seed": 5}]
)
def test_state_of_other_features_is_refused_before_a_step(toy, changed):
    spec = ImageSpec(16, 16, 3)
    options = {"features": {"name": "toy", "seed": 0}}
    saved = built(spec, **options)["discriminator"].state_dict()
    networks = built(spec, **(options | changed))
    networks["discriminator"].load_state_dict(saved)
    batch = Batch({"image": torch.rand(4, 3, 16, 16)})
    with pytest.raises(ConfigError, match=r"model\.features.*'toy'.*Put those back"):
        tiny(**(options | changed)).discriminator_terms(objective(), Networks(networks), batch)


# Refusals --------------------------------------------------------------------------------------


def test_size_the_features_do_not_take_is_refused():
    with pytest.raises(ConfigError, match="fashion_mnist.*64x64.*data.resolution to 28 or 32"):
        tiny(ImageSpec(64, 64)).check(objective())


def test_size_that_is_not_reached_is_refused(toy):
    with pytest.raises(ConfigError, match=r"data\.resolution.*projected_gan"):
        tiny(ImageSpec(30, 30), features="toy").check(objective())


def test_maps_of_which_nothing_is_left_are_refused(toy):
    # Maps of 8 to 1 pixels of a 32x32 image; at 8x8 the coarsest has no pixel.
    with pytest.raises(ConfigError, match=r"\(2, 2\), \(1, 1\).*too small.*Use larger images"):
        tiny(ImageSpec(8, 8, 3), features="lite0_shapes").check(objective())


def test_transparency_is_refused():
    with pytest.raises(ConfigError, match="transparency.*data.channels: 3"):
        tiny(ImageSpec(32, 32, 4)).check(objective())


def test_unknown_features_are_refused_with_near_names():
    with pytest.raises(Exception, match="Unknown feature extractor 'fashion_mnits'.*fashion_mnist"):
        tiny(SPEC, features="fashion_mnits").check(objective())


def test_wrong_option_of_the_features_is_refused_with_its_place(toy):
    with pytest.raises(ConfigError, match=r"model\.features\.sed.*seed"):
        tiny(SPEC, features={"name": "toy", "sed": 1}).check(objective())


def test_extractor_without_maps_is_refused(toy):
    with pytest.raises(ConfigError, match="'pooled' has no feature maps.*docs/extractors.md"):
        tiny(SPEC, features="pooled").check(objective())
    with pytest.raises(ConfigError, match="has no feature maps"):
        Pooled(ToyConfig()).maps(torch.zeros(1, 3, 16, 16))


# timm ------------------------------------------------------------------------------------------


class FakeTimmModel(nn.Module):
    """Five maps, of half the size each, as timm's EfficientNets give them."""

    def __init__(self):
        super().__init__()
        self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
        self.convs = nn.ModuleList(nn.Conv2d(c, c + 1, 4, 2, 1) for c in range(3, 8))

    def forward(self, x):
        found = []
        for conv in self.convs:
            x = conv(x)
            found.append(x)
        return found


@pytest.fixture
def fake_timm(monkeypatch):
    calls = []

    def create_model(name, pretrained, **options):
        calls.append((name, pretrained, options))
        if pretrained and "pretrained_cfg_overlay" not in options:
            raise OSError("We couldn't connect to the Hub")
        torch.manual_seed(0)
        return FakeTimmModel()

    module = types.ModuleType("timm")
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return calls


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "w.safetensors").touch()
    return str(tmp_path / "w.safetensors")


def test_timm_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"needs the package timm.*install 'ganforge\[timm\]'"):
        tiny(SPEC, features="timm").check(objective())


def test_timm_without_network_says_how_to_bring_the_weights(fake_timm):
    with pytest.raises(ConfigError, match="tf_efficientnet_lite0.*couldn't connect.*set `weights`"):
        tiny(SPEC, features="timm").check(objective())


def test_timm_weights_that_are_no_file_are_refused(fake_timm):
    with pytest.raises(ConfigError, match=r"weights: nowhere\.pth, which is no file.*Correct"):
        TimmFeatures(TimmConfig(weights="nowhere.pth"))


def test_timm_weights_file_is_handed_on_and_its_last_four_maps_are_used(fake_timm, weights):
    config = TimmConfig(weights=weights, side=32)
    extractor = TimmFeatures(config)
    assert fake_timm[-1][2]["pretrained_cfg_overlay"] == {"file": weights}
    maps = extractor.maps(torch.zeros(2, 1, 16, 16))
    assert [tuple(x.shape[1:]) for x in maps] == TimmFeatures.map_shapes(config, 16, 16)
    assert [x.shape[-1] for x in maps] == [8, 4, 2, 1]
    gray = torch.full((1, 1, 32, 32), 0.5)
    by_hand = extractor.network(torch.full((1, 3, 32, 32), 1.0))[-1]
    assert_close(extractor.maps(gray)[-1], by_hand)


def test_timm_hash_follows_the_weights(fake_timm, weights):
    first, same, other = (TimmFeatures(TimmConfig(weights=weights, side=32)) for _ in range(3))
    assert first.sha256 == same.sha256
    other.network.convs[0].weight.data[0, 0, 0, 0] += 1
    assert other.sha256 != first.sha256


def test_timm_measures_images(fake_timm, weights):
    found = TimmFeatures(TimmConfig(weights=weights, side=32))(torch.zeros(2, 3, 8, 8).byte())
    assert found["pooled"].shape == (2, 8)


# Metrics ---------------------------------------------------------------------------------------


def test_architecture_tells_which_features_it_has_seen():
    assert tiny().seen_features == ("fashion_mnist",)
