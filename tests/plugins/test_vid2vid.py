"""vid2vid: composition, unrolling, chunks, what discriminators see, and generation in chunks."""

import pytest
import torch
from ganforge_video.clips import ClipState, Past, padded, unroll, windows
from ganforge_video.networks import SequentialGenerator
from ganforge_video.vid2vid import Vid2vid, Vid2vidConfig
from torch.testing import assert_close

from ganforge.api import Batch, ConfigError, GenerateRequest, ImageSpec, Networks, Objective
from ganforge.errors import ShapeError
from ganforge.layers import estimate_flow, flow_confidence, warp
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import LeastSquares
from ganforge.objectives.regularizers import R1, PathLength
from ganforge.plugin_tools.cases import cases_of, make_fields, start
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper

SIZE = (32, 40)
IMAGES = ImageSpec(*SIZE, 3, source_channels=1, num_frames=5)
LABELS = ImageSpec(*SIZE, 3, source_channels=4, source_kind="labels", num_frames=5)
TINY = dict(Vid2vid.example_options, enhancers=0)
OBJECTIVE = Objective(LeastSquares(LeastSquares.Config()))


def make(spec=IMAGES, **options):
    torch.manual_seed(0)
    architecture = Vid2vid(Vid2vidConfig(**(TINY | options)), spec)
    return architecture, Networks(architecture.networks())


def draw(*shape, seed=7):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def make_batch(frames=5, spec=IMAGES, size=2):
    source = draw(size, frames, spec.source_channels, *SIZE)
    return Batch({"source": source, "frames": draw(size, frames, 3, *SIZE, seed=8)})


def walk(architecture, nets, batch, up_to):
    """The chunk of that number, after the frames of those before were made."""
    for number, chunk in enumerate(architecture.chunks(batch)):
        if number == up_to:
            return chunk
        architecture._made(nets, chunk)
    raise AssertionError


# The generator


def test_frame_is_the_warped_past_where_the_mask_is_zero_and_raw_where_it_is_one():
    _, nets = make()
    sources, past = draw(2, 3, *SIZE), draw(2, 6, *SIZE)
    generator = nets["generator"]
    made = generator(sources, past)
    moved = warp(past[:, 3:], made.flow)
    assert_close(made.frame, (1 - made.mask) * moved + made.mask * made.raw)
    with torch.no_grad():
        generator.coarse_heads.mask[1].bias.fill_(-100)
        assert_close(generator(sources, past).frame, moved)
        generator.coarse_heads.mask[1].bias.fill_(100)
        assert_close(generator(sources, past).frame, made.raw)


def test_flow_is_in_units_of_flow_scale():
    _, nets = make(flow_scale=3.0)
    _, other = make(flow_scale=6.0)
    sources, past = draw(1, 3, *SIZE), draw(1, 6, *SIZE)
    flows = [n["generator"](sources, past).flow for n in (nets, other)]
    assert_close(flows[1], 2 * flows[0])


def test_foreground_is_painted_from_the_current_source_alone():
    _, nets = make(LABELS, foreground=(1, 3))
    generator = nets["generator"]
    ids = torch.randint(4, (1, 3, *SIZE), generator=torch.Generator().manual_seed(1))
    sources = torch.nn.functional.one_hot(ids, 4).movedim(-1, 2).float().flatten(1, 2)
    made, plain = [], draw(1, 6, *SIZE)
    for past in (plain, plain.flip(-1)):
        made.append(generator(sources, past).raw)
    is_front = ((ids[:, -1:] == 1) | (ids[:, -1:] == 3)).expand(-1, 3, -1, -1)
    assert torch.equal(made[0][is_front], made[1][is_front])
    assert_close(made[0][is_front], generator.foreground(sources[:, 8:])[is_front])
    assert not torch.equal(made[0][~is_front], made[1][~is_front])


def test_second_stage_has_all_tensors_of_the_first_but_the_last_layers():
    spec = {"source_channels": 2, "channels": 3, "width": 4, "num_downs": 1, "num_blocks": 2}
    first = SequentialGenerator(**spec).state_dict()
    second = SequentialGenerator(**spec, has_enhancer=True).state_dict()
    for name, value in first.items():
        if name.startswith("coarse."):
            assert second[name].shape == value.shape
        else:
            assert name.startswith("coarse_heads.") and name not in second


# Unrolling


def by_hand(generator, sources, past, detach_after):
    """Three frames from two past ones, written out."""
    s, x = list(past.sources.unbind(1)), list(past.frames.unbind(1))
    for number, source in enumerate(sources.unbind(1)):
        seen = [frame.detach() if number >= detach_after else frame for frame in x[-2:]]
        frame = generator(torch.cat([*s[-2:], source], 1), torch.cat(seen, 1)).frame
        s.append(source)
        x.append(frame)
    return torch.stack(x[2:], 1)


def gradients(frames, generator):
    generator.zero_grad()
    (frames * draw(*frames.shape, seed=3)).sum().backward()
    return torch.cat([parameter.grad.flatten() for parameter in generator.parameters()])


@pytest.mark.parametrize(("backprop", "detach_after"), [(None, 99), (5, 99), (1, 0)])
def test_gradient_of_unrolled_frames_equals_that_written_out(backprop, detach_after):
    _, nets = make()
    generator = nets["generator"]
    sources, past = draw(1, 3, 1, 8, 8), Past(draw(1, 2, 1, 8, 8), draw(1, 2, 3, 8, 8))
    unrolled = unroll(generator, sources, past, 2, backprop).frame
    expected = by_hand(generator, sources, past, detach_after)
    assert_close(unrolled, expected)
    mine, theirs = (gradients(frames, generator) for frames in (unrolled, expected))
    assert (mine - theirs).norm() < 1e-4 * theirs.norm()


def test_truncation_changes_the_gradient_but_not_the_frames():
    _, nets = make()
    sources, past = draw(1, 3, 1, 8, 8), Past(draw(1, 2, 1, 8, 8), draw(1, 2, 3, 8, 8))
    whole, cut = (unroll(nets["generator"], sources, past, 2, n).frame for n in (None, 1))
    assert torch.equal(whole, cut)
    mine, other = (gradients(frames, nets["generator"]) for frames in (whole, cut))
    assert (mine - other).norm() > 0.01 * other.norm()


def test_padded_repeats_the_first_frame_of_a_short_past():
    frames = torch.arange(3).view(1, 3)
    assert padded(frames, 5).tolist() == [[0, 0, 0, 1, 2]]
    assert padded(frames, 2).tolist() == [[1, 2]]


def test_windows_end_in_the_last_frames_and_reach_back_by_their_stride():
    frames = torch.arange(8).view(1, 8)
    assert windows(frames, 3, 1, 2).tolist() == [[[4, 5, 6], [5, 6, 7]]]
    assert windows(frames, 3, 3, 4).tolist() == [[[0, 3, 6], [1, 4, 7]]]
    assert windows(frames, 3, 4, 4).shape == (1, 0, 3)


def test_state_keeps_as_many_frames_as_some_network_sees():
    state = ClipState()
    for number in range(3):
        state.made = torch.full((1, 2, 1, 1, 1), number)
        state.advance(state.made + 10, state.made + 20, keep=3)
    assert state.past.frames.flatten().tolist() == [1, 2, 2]
    assert state.past.sources.flatten().tolist() == [11, 12, 12]
    assert state.real.flatten().tolist() == [21, 22, 22] and state.made is None


# Chunks


@pytest.mark.parametrize(("frames", "lengths"), [(3, [1, 2]), (5, [1, 2, 2]), (6, [1, 2, 2])])
def test_chunks_are_the_first_frame_and_then_whole_ones(frames, lengths):
    architecture, nets = make()
    found = []
    for chunk in architecture.chunks(make_batch(frames)):
        architecture._made(nets, chunk)
        found.append(chunk["frames"].shape[1])
    assert found == lengths


def test_window_that_fills_no_chunk_is_refused():
    architecture, _ = make()
    with pytest.raises(ConfigError, match=r"data.clip.num_frames.*chunk_frames=2.*has 2.*to 3"):
        next(architecture.chunks(make_batch(2)))


def test_motion_discriminators_stay_untouched_until_they_have_frames_to_see():
    case = cases_of("vid2vid")[0]
    run = start(case)
    fields = {name: value[:, :3] for name, value in make_fields(case, 0, 0).items()}
    before = {
        name: value.clone()
        for name, value in run.nets["motion_discriminator_2"].state_dict().items()
    }
    Stepper(run).step(make_batches(run, [fields]), run.progress)
    after = run.nets["motion_discriminator_2"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    steps = {
        roles[0]: {int(state["step"]) for state in optimizer.state.values()}
        for roles, optimizer in run.optimizers.items()
    }
    # Chunks of one and of two frames: spans of 1, 3 and 5.
    assert steps == {
        "first_generator": {2},
        "generator": {1},
        "image_discriminator": {2},
        "motion_discriminator_1": {1},
        "motion_discriminator_2": set(),
    }


def test_motion_phase_is_due_exactly_when_windows_are_full():
    architecture, nets = make(motion_strides=(1, 2, 3), chunk_frames=3)
    phases = {phase.name: phase for phase in architecture.phases(OBJECTIVE)}
    batch = make_batch(10, size=1)
    for number, chunk in enumerate(architecture.chunks(batch)):
        frames = architecture._made(nets, chunk)
        for stride in (1, 2, 3):
            _, gen = architecture.pairs.motion(OBJECTIVE, chunk, frames, stride)
            assert phases[f"motion_discriminator_{stride}"].is_due(0, 0, number) == (len(gen) > 0)


def test_motion_pairs_are_windows_across_chunks_with_the_flow_of_the_real_frames():
    architecture, nets = make(chunk_frames=2)
    batch = make_batch(5, size=1)
    chunk = walk(architecture, nets, batch, 2)
    frames = architecture._made(nets, chunk)
    real, gen = architecture.pairs.motion(OBJECTIVE, chunk, frames, 1)
    clip = batch["frames"][0]
    assert real.shape == (2, 3 * 3 + 2 * 2, *SIZE)
    assert torch.equal(real[:, :9], torch.stack([clip[1:4], clip[2:5]]).flatten(1, 2))
    flow = estimate_flow(clip[2:3], clip[1:2]) / architecture.config.flow_scale
    assert_close(real[0, 9:11], flow[0])
    assert torch.equal(gen[:, 9:], real[:, 9:])
    assert torch.equal(gen[1, 3:9], frames[0].flatten(0, 1))


# Terms


def test_flow_terms_are_zero_for_the_teachers_flow_on_a_moving_picture():
    architecture, nets = make()
    canvas = torch.nn.functional.interpolate(draw(1, 3, 12, 14), scale_factor=4, mode="bicubic")
    clip = torch.stack([canvas[..., n : n + 32, n : n + 40] for n in range(3)], 1)
    batch = Batch({"source": draw(1, 3, 1, *SIZE), "frames": clip})
    chunk = walk(architecture, nets, batch, 1)
    made = architecture._unrolled(nets, chunk)
    taught = estimate_flow(clip[0, 1:], clip[0, :-1])[None]
    right = architecture._flow_terms(chunk, made._replace(flow=taught, mask=0 * made.mask))
    wrong = architecture._flow_terms(chunk, made)
    assert right["flow"] == 0 and right["mask"] == 0
    assert right["warp"] < 0.25 * wrong["warp"]
    shifted = architecture._flow_terms(chunk, made._replace(flow=taught + 1))
    share = flow_confidence(clip[0, 1:], clip[0, :-1], taught[0]).mean()
    assert_close(shifted["flow"], 10 * share)


def test_generator_terms_name_every_discriminator_and_pull_on_flow_and_mask():
    architecture, nets = make()
    chunk = walk(architecture, nets, make_batch(), 2)
    terms = architecture.generator_terms(OBJECTIVE, nets, chunk)
    parts = ("image", "motion1", "motion2")
    adversarial = {f"adversarial_{part}_scale{scale}" for part in parts for scale in (0, 1)}
    assert set(terms) == adversarial | {f"features_{p}" for p in parts} | {"flow", "warp", "mask"}
    sum(terms.values()).backward()
    heads = nets["generator"].coarse_heads
    assert heads.flow[1].weight.grad.any() and heads.mask[1].weight.grad.any()


def test_first_generator_learns_from_the_first_frame_of_every_chunk():
    architecture, nets = make()
    chunk = walk(architecture, nets, make_batch(), 1)
    shown = []
    nets["first_generator"].register_forward_pre_hook(lambda _, args: shown.append(args[0]))
    architecture.first_terms(OBJECTIVE, nets, chunk)
    assert torch.equal(shown[0], chunk["source"][:, 0])
    assert chunk.memory["clip"].made is None


# Generation


def test_generate_in_chunks_equals_the_whole_and_starts_with_the_first_generator():
    architecture, nets = make()
    source = draw(2, 6, 1, *SIZE)
    with torch.no_grad():
        whole = architecture.generate(nets, GenerateRequest([0, 1], source=source))
        state, parts = {}, []
        for chunk in source.split([1, 2, 3], 1):
            request = GenerateRequest([0, 1], source=chunk, state=state)
            parts.append(architecture.generate(nets, request))
        assert torch.equal(torch.cat(parts, 1), whole)
        assert torch.equal(whole[:, 0], nets["first_generator"](source[:, 0]))
    assert state["frames"].shape == (2, 2, 3, *SIZE)


@pytest.mark.parametrize("shape", [(1, 1, *SIZE), (1, 2, 2, *SIZE), (1, 2, 1, 31, 40)])
def test_generate_refuses_sources_that_do_not_fit(shape):
    architecture, nets = make()
    with pytest.raises(ShapeError, match=r"\[1, T, 1, H, W\].*multiples of 2"):
        architecture.generate(nets, GenerateRequest([0], source=torch.zeros(shape)))


# Refusals


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (ImageSpec(*SIZE, 3, num_frames=5), {}, "clips without a source.*derive"),
        (ImageSpec(*SIZE, 3, source_channels=1), {}, "still images"),
        (ImageSpec(8, 8, 3, source_channels=1, num_frames=5), {}, "8x8 is too small"),
        (ImageSpec(34, 40, 3, source_channels=1, num_frames=5), {"num_downs": 2}, r"\[32, 40\]"),
        (IMAGES, {"foreground": (0,)}, "foreground.*sources are images"),
        (LABELS, {"foreground": (2, 4)}, r"\[2, 4\].*from 0 to 3"),
        (IMAGES, {"raft_weights": "raft.pth"}, "128 pixels or more.*32x40"),
    ],
)
def test_check_refuses_what_does_not_fit(spec, options, message):

    architecture = Vid2vid(Vid2vidConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=message):
        architecture.check(OBJECTIVE)


def test_penalty_of_a_latent_is_refused():
    architecture, _ = make()
    penalty = PathLength(PathLength.Config())
    with pytest.raises(ConfigError, match="'path_length' is made for a generator that starts from"):
        architecture.check(Objective(OBJECTIVE.loss, (penalty,)))


@pytest.mark.parametrize(
    ("augmentation", "regularizers"),
    [(DiffAugment(DiffAugment.Config()), ()), (None, (R1(R1.Config(every=1)),))],
)
def test_augmentation_and_penalties_work_in_every_phase(augmentation, regularizers):
    objective = Objective(OBJECTIVE.loss, regularizers, augmentation)
    architecture, nets = make()
    architecture.check(objective)
    chunk = walk(architecture, nets, make_batch(), 2)
    for phase in architecture.phases(objective):
        terms = phase.loss(nets, chunk)
        assert all(bool(term.isfinite().all()) for term in terms.values())
        assert ("r1" in terms) == (bool(regularizers) and "discriminator" in phase.name)
        sum(terms.values()).backward()


def test_augmented_window_has_the_flow_of_what_is_seen_of_the_real_frames():
    objective = Objective(OBJECTIVE.loss, (), DiffAugment(DiffAugment.Config()))
    architecture, nets = make()
    chunk = walk(architecture, nets, make_batch(), 1)
    real, gen = architecture.pairs.motion(objective, chunk, chunk["frames"], 1)
    clip = real[:, :9].unflatten(1, (3, 3))
    assert_close(real[:, 9:], architecture.pairs.flow(clip))
    assert torch.equal(real[:, 9:], gen[:, 9:])
    # The last frame is real in both, and augmented alike.
    assert torch.equal(real[:, 6:9], gen[:, 6:9])
    plain, _ = architecture.pairs.motion(OBJECTIVE, chunk, chunk["frames"], 1)
    assert not torch.equal(plain, real)


def test_strides_must_rise():
    with pytest.raises(ValueError, match="rising"):
        Vid2vidConfig(motion_strides=(3, 1))
