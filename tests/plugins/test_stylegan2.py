import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from ganforge_stylegan.config import Stylegan2Config
from ganforge_stylegan.discriminator import DiscriminatorBlock
from ganforge_stylegan.stylegan2 import StyledLayer, Stylegan2
from small import LABELLED, build, build_networks, no_label, num_parameters
from torch.testing import assert_close

from ganforge.api import Batch, ConfigError, GenerateRequest, ImageSpec, Networks, Objective
from ganforge.inference.blends import blended_request
from ganforge.objectives.losses import NonSaturating
from ganforge.objectives.regularizers import R1, PathLength

tiny, built = partial(build, Stylegan2), partial(build_networks, Stylegan2)


@pytest.mark.parametrize(
    "size, options, generator, discriminator",
    [
        # Counted by hand from the layer sizes of the paper's table for these resolutions.
        (64, {"channel_base": 16384}, 23_819_544, 23_407_361),
        (1024, {}, 30_370_060, 29_012_513),
    ],
)
def test_stylegan2_config_f_has_the_published_number_of_parameters(
    size, options, generator, discriminator
):
    with torch.device("meta"):
        networks = Stylegan2(Stylegan2Config(**options), ImageSpec(size, size, 3)).networks()
    assert num_parameters(networks["generator"]) == generator
    assert num_parameters(networks["discriminator"]) == discriminator


def test_stylegan2_level_arithmetic_matches_the_network():
    """Recount the 16x16 generator term by term: w = 8, channels 8, 8 and 4."""
    networks = built(channel_base=64, channel_max=8)
    affine = lambda inputs: 8 * inputs + inputs  # noqa: E731
    styled = lambda i, o: i * o * 9 + o + 1 + affine(i)  # noqa: E731
    to_image = lambda i: i + 1 + affine(i)  # noqa: E731
    mapping = 2 * (8 * 8 + 8)
    layers = styled(8, 8) + styled(8, 8) * 2 + styled(8, 4) + styled(4, 4)
    expected = mapping + 8 * 16 + layers + to_image(8) * 2 + to_image(4)
    assert num_parameters(networks["generator"]) == expected


@pytest.mark.parametrize("height, width", [(30, 30), (4, 4), (64, 50), (2, 2), (33, 33)])
def test_stylegan2_unreachable_size_says_what_to_set(height, width):
    message = rf"data\.resolution: 'stylegan2'.*{height}x{width} is not.*nearest.*data\.resize"
    with pytest.raises(ConfigError, match=message):
        tiny(ImageSpec(height, width)).check(Objective(NonSaturating(NonSaturating.Config())))


def test_stylegan2_projection_equals_the_scaled_inner_product():
    disc = built(LABELLED)["discriminator"]
    img, c = torch.randn(3, 3, 16, 16), torch.eye(3)
    features = {}
    disc.out.register_forward_hook(lambda module, args, out: features.update(out=out))
    logits = disc(img, c)
    match = disc.mapping(torch.zeros(3, 0), c)
    assert_close(logits, (features["out"] * match).sum(1) / math.sqrt(8))


def test_styled_layer_equals_its_parts_in_order():
    layer = StyledLayer(3, 4, (8, 8), tiny().config)
    layer.bias.data.normal_()
    layer.noise_strength.data.fill_(0.5)
    x, w, noise = torch.randn(2, 3, 8, 8), torch.randn(2, 8), torch.randn(2, 1, 8, 8)
    before = layer.conv(x, w) + 0.5 * noise + layer.bias[:, None, None]
    assert (before < 0).any()
    assert_close(layer(x, w, noise), rectified(before))


def rectified(x):
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def test_stylegan2_discriminator_block_equals_its_parts_in_order():
    block, x = DiscriminatorBlock(3, 4, tiny().config), torch.randn(2, 3, 8, 8)
    main = rectified(block.conv1.conv(rectified(block.conv0.conv(x))))
    assert_close(block(x), (main + block.skip(x)) / math.sqrt(2))


def test_stylegan2_mapping_is_rectified_layers_over_normed_latents():
    mapping, z = built()["generator"].mapping, torch.randn(4, 8)
    w = z / z.square().mean(1, keepdim=True).sqrt()
    for layer in mapping.layers:
        w = rectified(layer(w))
    assert_close(mapping(z, no_label(4)), w)


def test_stylegan2_mapping_ignores_the_scale_of_z():
    mapping = built()["generator"].mapping
    z = torch.randn(4, 8)
    assert_close(mapping(z, no_label(4)), mapping(z * 7, no_label(4)), atol=1e-5, rtol=1e-4)


def test_stylegan2_mapping_stores_weights_large_so_that_it_learns_slowly():
    mapping = built(w_dim=64, mapping_lr_mult=0.01)["generator"].mapping
    assert_close(mapping.layers[-1].weight.std(), torch.tensor(100.0), atol=5.0, rtol=0)


def test_stylegan2_every_w_reaches_the_image_and_the_last_only_the_last_step():
    synthesis = built()["generator"].eval().synthesis
    ws = torch.randn(1, synthesis.num_ws, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(synthesis(ws).square().sum(), ws)
    assert (grad.abs().sum(dim=2) > 0).all()
    seen = []
    synthesis.layers[-1].register_forward_hook(lambda module, args, out: seen.append(out))
    synthesis(ws)
    synthesis(torch.cat([ws[:, :-1], ws[:, -1:] + 1], dim=1))
    assert_close(seen[0], seen[1], atol=0, rtol=0)


def test_stylegan2_residual_block_is_the_scaled_sum_of_both_paths():
    block = built()["discriminator"].blocks[0]
    x = torch.randn(2, block.conv0.conv.weight.shape[1], 8, 8)
    expected = (block.conv1(block.conv0(x)) + block.skip(x)) / math.sqrt(2)
    assert_close(block(x), expected)


def test_stylegan2_both_modulation_forms_make_the_same_images():
    scaled = built(modulation="scaled")["generator"].eval()
    grouped = built(modulation="grouped")["generator"].eval()
    grouped.load_state_dict(scaled.state_dict())
    z = torch.randn(2, 8)
    assert_close(scaled(z, no_label(2)), grouped(z, no_label(2)), atol=1e-5, rtol=1e-4)


def test_stylegan2_w_avg_follows_the_mean_w_in_training_only():
    gen = built(w_avg_decay=0.75)["generator"]
    z = torch.randn(6, 8)
    w = gen.mapping(z, no_label(6)).detach()
    gen.eval()(z, no_label(6))
    assert not gen.w_avg.any()
    gen.train()(z, no_label(6))
    assert_close(gen.w_avg, 0.25 * w.mean(0))


def test_stylegan2_style_mixing_swaps_a_tail_of_layers():
    gen = built(style_mixing=1.0)["generator"]
    z = torch.randn(64, 8)
    w, ws = gen.mapping(z, no_label(64))[:, None], gen.styles(z, no_label(64))
    own = (ws == w).all(dim=2)
    assert own[:, 0].all() and not own[:, -1].any()
    # Once another latent takes over, it stays to the last layer; all crossovers occur.
    assert (own.int().diff(dim=1) <= 0).all()
    assert own.sum(dim=1).unique().tolist() == list(range(1, gen.synthesis.num_ws))


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_stylegan2_style_mixing_probability_is_the_part_of_mixed_images(probability):
    gen = built(style_mixing=probability)["generator"]
    z = torch.randn(2000, 8)
    ws = gen.styles(z, no_label(2000))
    mixed = (ws[:, 0] != ws[:, -1]).any(dim=1).float().mean()
    assert_close(mixed, torch.tensor(probability), atol=0.03, rtol=0)


def test_stylegan2_evaluation_is_deterministic_and_unmixed():
    gen = built(style_mixing=1.0)["generator"].eval()
    ws = gen.styles(torch.randn(3, 8), no_label(3))
    assert (ws == ws[:, :1]).all()


def make_noisy(gen):
    with torch.no_grad():
        for layer in gen.synthesis.layers:
            layer.noise_strength.fill_(0.5)
    return gen.eval()


def test_stylegan2_generate_seed_fixes_the_image_in_any_batch():
    nets = {"generator": make_noisy(built()["generator"])}
    architecture = tiny()
    together = architecture.generate(nets, GenerateRequest([5, 6, 7]))
    alone = architecture.generate(nets, GenerateRequest([6]))
    assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-2
    assert together.abs().max() <= 1


def test_stylegan2_generate_noise_option_chooses_where_noise_comes_from():
    gen = make_noisy(built()["generator"])
    images = {}
    for noise in ("random", "const", "none"):
        request = GenerateRequest([3], options={"noise": noise})
        images[noise] = tiny().generate({"generator": gen}, request)
    w = gen.mapping(GenerateRequest([3]).noise(8), no_label(1))
    plain = gen.synthesis(gen.truncated(w, 1.0)).clamp(-1, 1)
    assert_close(images["const"], plain)
    with torch.no_grad():
        for layer in gen.synthesis.layers:
            layer.noise_strength.zero_()
    assert_close(images["none"], gen.synthesis(gen.truncated(w, 1.0)).clamp(-1, 1))
    assert (images["random"] - images["none"]).abs().max() > 1e-2
    assert (images["random"] - images["const"]).abs().max() > 1e-2


def test_stylegan2_generate_noise_is_drawn_apart_from_the_latent():
    gen, seen = make_noisy(built(z_dim=16)["generator"]), []
    layer = gen.synthesis.layers[0]
    layer.register_forward_hook(lambda module, args, out: seen.append(args[2]))
    request = GenerateRequest([3])
    tiny(z_dim=16).generate({"generator": gen}, request)
    assert seen[0].shape == (1, 1, 4, 4)
    assert not torch.equal(seen[0].flatten(), request.noise(16)[0])


def test_stylegan2_truncation_moves_the_first_layers_to_the_mean():
    gen = built()["generator"]
    gen.w_avg.fill_(3.0)
    w = torch.ones(2, 8)
    assert_close(gen.truncated(w, 1.0), torch.ones(2, gen.synthesis.num_ws, 8))
    assert_close(gen.truncated(w, 0.5)[0, :, 0], torch.full((gen.synthesis.num_ws,), 2.0))
    cut = gen.truncated(w, 0.0, cutoff=2)[1, :, 3]
    assert_close(cut, torch.tensor([3.0, 3.0] + [1.0] * (gen.synthesis.num_ws - 2)))


def test_stylegan2_truncation_is_towards_the_mean_of_the_images_class():
    gen = built(LABELLED)["generator"].eval()
    gen.w_avg.fill_(9.0)
    c = torch.eye(3)[[2, 0, 2]]
    z = torch.randn(100_000, 8)
    expected = torch.stack([gen.mapping(z, one.expand(len(z), -1)).mean(0) for one in c])
    spread = gen.mapping(z, c[:1].expand(len(z), -1)).std(0).max().item()
    assert_close(gen.class_means(c), expected, atol=5 * spread / math.sqrt(1024), rtol=0)

    w = gen.mapping(z[:3], c)
    ws = gen.truncated(w, 0.25, mean=gen.class_means(c))
    assert_close(ws[:, 0], 0.25 * w + 0.75 * gen.class_means(c))
    own, everyone, alone = (
        tiny(LABELLED).generate(
            {"generator": gen},
            GenerateRequest(
                [1, 2, 3][: len(label)],
                label=label,
                truncation=0.0,
                options={"noise": "const", **options},
            ),
        )
        for label, options in ((c, {}), (c, {"truncation_mean": "all"}), (c[:1], {}))
    )
    assert_close(own[0], own[2])
    assert (own[0] - own[1]).abs().max() > 1e-3
    assert_close(own[:1], alone, atol=1e-5, rtol=1e-4)
    assert_close(everyone[0], everyone[1])
    assert (everyone[0] - own[0]).abs().max() > 1e-3


def test_stylegan2_truncation_zero_gives_one_image_for_all_seeds():
    nets = {"generator": built()["generator"].eval()}
    request = GenerateRequest([1, 2], truncation=0.0, options={"noise": "const"})
    images = tiny().generate(nets, request)
    assert_close(images[0], images[1])


def test_stylegan2_generate_without_label_draws_one_from_the_seed():
    nets = {"generator": built(LABELLED)["generator"].eval()}
    drawn = GenerateRequest([4]).random_label(3)
    free = tiny(LABELLED).generate(nets, GenerateRequest([4]))
    assert_close(free, tiny(LABELLED).generate(nets, GenerateRequest([4], label=drawn)))


@pytest.mark.parametrize(
    "truncation, options, message",
    [
        (None, {"noise": "loud"}, r"'noise' of 'stylegan2' is 'loud'; use random, const or none"),
        (0.5, {"truncation_cutoff": -1}, r"'truncation_cutoff'.*is -1; give a number of layers"),
        (0.5, {"truncation_cutoff": "x"}, r"'truncation_cutoff'.*is 'x'; give a number of layers"),
        (None, {"truncation_cutoff": 2}, r"truncation_cutoff=2 has no effect.*Set truncation"),
        (0.5, {"truncation_mean": "own"}, r"'truncation_mean'.*is 'own'; use class or all"),
        (None, {"truncation_mean": "all"}, r"truncation_mean=all has no effect.*Set truncation"),
        (None, {"nois": "const"}, r"'stylegan2' has no generation option 'nois'.*'noise'"),
    ],
)
def test_stylegan2_request_not_understood_says_what_is_valid(truncation, options, message):
    with pytest.raises(ConfigError, match=message):
        tiny().check_request(truncation, options)


def test_stylegan2_phases_with_r1_and_path_length_reach_every_parameter():
    architecture, networks = tiny(style_mixing=0.9), built()
    regularizers = (R1(R1.Config(every=16)), PathLength(PathLength.Config(every=4)))
    objective = Objective(NonSaturating(NonSaturating.Config()), regularizers)
    batch = Batch({"image": torch.rand(4, 1, 16, 16) * 2 - 1})
    phases = architecture.phases(objective)
    assert [p.name for p in phases] == [
        "discriminator", "discriminator_r1", "generator", "generator_path_length",
    ]  # fmt: skip
    for phase in phases:
        for network in networks.values():
            network.zero_grad()
        terms = phase.loss(Networks(networks), batch)
        sum(terms.values()).backward()
        trained = dict(networks[phase.trains[0]].named_parameters())
        without = {n for n, p in trained.items() if p.grad is None or not p.grad.isfinite().all()}
        # These penalties do not change with a constant that is added to the image or the logits,
        # nor, away from the kinks of the rectifiers, with one behind the last nonlinear layer.
        if "path_length" in phase.name:
            assert all("to_image" in n and "bias" in n for n in without), without
        elif "r1" in phase.name:
            assert without == {"conv.conv.bias", "hidden.bias", "out.bias"}
        else:
            assert not without


def test_stylegan2_deviation_channels_that_do_not_divide_say_what_to_set():
    with pytest.raises(ConfigError, match=r"model\.mbstd_channels=3: .*Use a divisor of"):
        built(mbstd_channels=3)


def test_stylegan2_r1_in_float32_matches_a_numerical_gradient():
    disc = built(mbstd_channels=0)["discriminator"]
    img = torch.randn(1, 1, 16, 16, requires_grad=True)
    (grad,) = torch.autograd.grad(disc(img, no_label(1)).sum(), img)
    direction = torch.randn_like(img)
    step = 1e-2 * direction
    with torch.no_grad():
        ahead, behind = disc(img + step, no_label(1)), disc(img - step, no_label(1))
    assert_close((grad * direction).sum()[None], (ahead - behind) / 2e-2, atol=5e-3, rtol=0.02)


def test_stylegan2_under_bf16_autocast_stays_near_float32():
    networks = built(channel_max=32, channel_base=512, conv_clamp=256.0)
    gen, disc = networks["generator"].eval(), networks["discriminator"]
    z = torch.randn(4, 8)
    img = gen(z, no_label(4))
    logits = disc(img, no_label(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        img_bf16 = gen(z, no_label(4))
        logits_bf16 = disc(img, no_label(4))
    assert img_bf16.dtype == logits_bf16.dtype == torch.float32
    assert_close(img_bf16, img, atol=0.1, rtol=0.05)
    assert_close(logits_bf16, logits, atol=0.1, rtol=0.05)


def test_stylegan2_clamp_limits_activations():
    gen = built(conv_clamp=0.01)["generator"].eval()
    img = gen(torch.randn(2, 8), no_label(2))
    assert img.abs().max() <= 0.01 * 3 + 1e-6


def test_stylegan2_networks_compile_in_one_graph():
    networks = built()
    gen, disc = networks["generator"].eval(), networks["discriminator"]
    z = torch.randn(2, 8)

    def score(latent):
        return disc(gen(latent, no_label(2)), no_label(2))

    compiled = torch.compile(score, backend="aot_eager", fullgraph=True)
    assert_close(compiled(z), score(z), atol=1e-5, rtol=1e-4)


def test_stylegan2_state_is_float():
    for network in built(LABELLED).values():
        assert all(t.is_floating_point() for t in network.state_dict().values())


def test_generate_between_seeds_keeps_the_variance_of_the_noise(monkeypatch):
    nets = built()
    seen = []
    monkeypatch.setattr(
        type(nets["generator"].synthesis),
        "forward",
        lambda self, ws, noise=None: seen.append(noise) or torch.zeros(ws.shape[0], 1, 16, 16),
    )
    keys = GenerateRequest([1, 2])
    request = blended_request(keys, [[0] * 64, [1] * 64], torch.full((2, 64), 0.5), "w")
    for space in ("z", "w"):
        between = replace(request, blend=replace(request.blend, space=space))
        tiny().generate(nets, between)
        assert_close(seen.pop()[-1][0].std().item(), 1.0, atol=0.15, rtol=0)
