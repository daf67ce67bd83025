"""Everybody Dance Now: what networks see of the frame before, pairs, chunks and faces."""

import pytest
import torch
from dancer import dance
from ganforge_video.clips import clip_state
from ganforge_video.everybody_dance_now import EverybodyDanceNow
from torch.testing import assert_close

from ganforge.api import (
    Batch,
    ConfigError,
    FieldSpec,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
)
from ganforge.config.init import InitConfig
from ganforge.errors import ShapeError
from ganforge.imaging.skeletons import draw_poses
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.objectives.losses import LeastSquares
from ganforge.objectives.regularizers import R1
from ganforge.plugin_tools.cases import cases_of, make_fields, start
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper

SIZE = (32, 32)
PLAIN = ImageSpec(*SIZE, 3, source_channels=3, source_kind="pose", num_frames=4)
POSED = ImageSpec(
    *SIZE, 3, source_channels=3, source_kind="pose", num_frames=4,
    fields={"pose": FieldSpec("vector", 51, is_clip=True)},
)  # fmt: skip
OBJECTIVE = Objective(LeastSquares(LeastSquares.Config()))


def make(spec=PLAIN, objective=OBJECTIVE, **options):
    torch.manual_seed(0)
    options = (
        EverybodyDanceNow.example_options
        | {"enhancers": 0, "face": "pose" in spec.fields}
        | options
    )
    architecture = EverybodyDanceNow(EverybodyDanceNow.Config(**options), spec)
    architecture.check(objective)
    return architecture, Networks(architecture.networks())


def make_batch(frames=4, size=2):
    pose = torch.tensor(dance(frames, 14, 16), dtype=torch.float32).flatten(1).expand(size, -1, -1)
    real = torch.rand(size, frames, 3, *SIZE, generator=torch.Generator().manual_seed(8)) * 2 - 1
    return Batch({"source": draw_poses(pose, *SIZE), "frames": real, "pose": pose})


def by_hand(generator, source, last=None):
    """Frames, each from its pose and the frame before; the first sees zeros."""
    frames = []
    for pose in source.unbind(1):
        last = torch.zeros(len(pose), 3, *pose.shape[2:]) if last is None else last
        last = generator(torch.cat([pose, last], 1))
        frames.append(last)
    return torch.stack(frames, 1)


def test_each_frame_is_made_from_its_pose_and_the_frame_before():
    architecture, nets = make()
    source = make_batch()["source"]
    request = GenerateRequest([0, 1], source=source)
    made = architecture.generate(nets, request)
    assert_close(made, by_hand(nets["generator"], source))
    other = make_batch()["source"].flip(1)
    changed = torch.cat([other[:, :1], source[:, 1:]], 1)
    after = architecture.generate(nets, GenerateRequest([0, 1], source=changed))
    assert not torch.equal(after[:, 1], made[:, 1]), "the past counts"


def test_chunks_go_on_after_the_generated_frame_without_its_gradient():
    architecture, nets = make()
    batch, chunks = make_batch(5), []
    for chunk in architecture.chunks(batch):
        architecture.generator_terms(OBJECTIVE, nets, chunk)
        chunks.append((chunk["frames"].shape[1], clip_state(chunk).made))
        assert not clip_state(chunk).made.requires_grad
    assert [length for length, _ in chunks] == [2, 2]  # the fifth frame fills no chunk
    made = torch.cat([frames for _, frames in chunks], 1)
    assert_close(made, by_hand(nets["generator"], batch["source"][:, :4]))


def test_gradient_of_a_chunk_reaches_through_its_frames():
    architecture, nets = make()
    chunk = next(iter(architecture.chunks(make_batch())))
    generator, found = nets["generator"], []
    for frames in (architecture._unrolled(nets, chunk), by_hand(generator, chunk["source"])):
        generator.zero_grad()
        frames[:, 1].square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in generator.parameters()]))
    assert_close(found[0], found[1])


def test_discriminator_sees_successive_frames_also_across_chunks():
    architecture, nets = make()
    batch, seen = make_batch(4), []
    for chunk in architecture.chunks(batch):
        made = architecture._made(nets, chunk)
        source, _, gen = architecture._pairs(chunk, made)
        seen.append((source, gen))
    made = by_hand(nets["generator"], batch["source"])
    assert [len(gen) for _, gen in seen] == [2, 4]  # of each clip: 0-1, then 1-2 and 2-3
    for pair, start_frame in ((0, 1), (1, 2)):
        assert_close(seen[1][1][pair], made[0, start_frame : start_frame + 2])
        assert torch.equal(seen[1][0][pair], batch["source"][0, start_frame : start_frame + 2])


def test_terms_are_those_of_pix2pix_hd_at_each_scale():
    architecture, nets = make()
    chunk = next(iter(architecture.chunks(make_batch())))
    terms = architecture.generator_terms(OBJECTIVE, nets, chunk)
    assert set(terms) == {"adversarial_scale0", "adversarial_scale1", "features"}
    real = architecture.discriminator_terms(OBJECTIVE, nets, chunk)
    assert len(real) == 2 * len([t for t in real if "scale0" in t])


@pytest.mark.parametrize(
    ("augmentation", "regularizers"),
    [(DiffAugment(DiffAugment.Config()), ()), (None, (R1(R1.Config(every=1)),))],
)
def test_augmentation_and_penalties_work_on_pairs_of_frames(augmentation, regularizers):
    objective = Objective(OBJECTIVE.loss, tuple(regularizers), augmentation)
    architecture, nets = make(objective=objective)
    for phase in architecture.phases(objective):
        for chunk in architecture.chunks(make_batch()):
            chunk.memory.clear()
            architecture._made(nets, chunk)
            terms = phase.loss(nets, chunk)
            assert terms and all(bool(term.isfinite().all()) for term in terms.values())


def test_features_of_a_perfect_generator_are_those_of_the_real_frames_under_augmentation():
    objective = Objective(OBJECTIVE.loss, (), DiffAugment(DiffAugment.Config()))
    architecture, nets = make(objective=objective)
    chunk = next(iter(architecture.chunks(make_batch())))
    architecture._unrolled = lambda nets, batch: batch["frames"]
    assert architecture.generator_terms(objective, nets, chunk)["features"].item() < 1e-6


# Faces


def test_face_is_refined_in_its_square_and_the_past_is_not():
    architecture, nets = make(POSED)
    batch = make_batch()
    request = GenerateRequest([0, 1], source=batch["source"], fields={"pose": batch["pose"]})
    made = architecture.generate(nets, request)
    body = by_hand(nets["generator"], batch["source"])
    is_changed = (made != body).any(2)
    squares = [architecture._squares(batch["pose"][:, n], body[:, n]) for n in range(4)]
    for number, faces in enumerate(squares):
        top, left = int(faces.top[0]), int(faces.left[0])
        inside = is_changed[0, number, top : top + 8, left : left + 8]
        assert inside.float().mean() > 0.9
        assert is_changed[0, number].sum() == inside.sum()
    assert_close(request.state["frame"], body[:, -1])


def test_frames_without_a_face_teach_nothing():
    architecture, nets = make(POSED)
    batch = make_batch()
    batch.fields["pose"] = batch["pose"].clone()
    batch.fields["pose"].view(2, 4, 17, 3)[..., :5, :] = 0
    chunk = next(iter(architecture.chunks(batch)))
    real, gen = architecture._faces(nets, chunk)
    assert torch.equal(real, gen)
    sum(architecture.face_generator_terms(OBJECTIVE, nets, chunk).values()).backward()
    assert all(not p.grad.any() for p in nets["face_generator"].parameters())


def test_second_run_with_the_body_frozen_trains_the_face_alone():
    case = cases_of("everybody_dance_now")[0]
    freeze = InitConfig(freeze=("generator", "discriminator"))
    case = type(case)(case.config.model_copy(update={"init": freeze}), case.spec, case.conditions)
    run = start(case)
    assert {phase.name for phase in run.phases} == {"face_generator", "face_discriminator"}
    before = {
        n: v.clone()
        for r, m in run.nets.modules().items()
        for n, v in m.state_dict(prefix=r).items()
    }
    Stepper(run).step(make_batches(run, [make_fields(case, 0, 0)]), run.progress)
    after = {n: v for r, m in run.nets.modules().items() for n, v in m.state_dict(prefix=r).items()}
    changed = {n for n, v in after.items() if not torch.equal(v, before[n])}
    assert changed and all(name.startswith("face_") for name in changed)


# What is refused


def test_data_without_poses_or_clips_are_refused():
    with pytest.raises(
        ConfigError, match=r"the data have no poses. Use data.source: \{name: video"
    ):
        make(ImageSpec(*SIZE, 3, num_frames=4))
    with pytest.raises(ConfigError, match="the data have still images"):
        make(ImageSpec(*SIZE, 3, source_channels=3))


@pytest.mark.parametrize(
    "options", [{"face_size": 64}, {"face_size": 9}, {"face_size": 8, "face_downs": 4}]
)
def test_square_that_does_not_fit_is_refused(options):
    with pytest.raises(ConfigError, match=r"model.face_size=.*32x32. Correct one of these"):
        make(POSED, **options)


def test_poses_of_no_layout_are_refused():
    spec = ImageSpec(
        *SIZE, 3, source_channels=3, num_frames=4, fields={"pose": FieldSpec("vector", 54, True)}
    )
    with pytest.raises(ConfigError, match="has 54 numbers, which is no known layout"):
        make(spec)


def test_window_shorter_than_a_chunk_is_refused():
    architecture, _ = make(chunk_frames=3)
    with pytest.raises(ConfigError, match="a window has 2 frames. Set num_frames to 3 or more"):
        list(architecture.chunks(make_batch(2)))


def test_request_without_poses_or_of_another_shape_is_refused():
    architecture, nets = make(POSED)
    source = make_batch()["source"]
    with pytest.raises(ShapeError, match=r"has no field 'pose'.*translate_video\('dance.json'\)"):
        architecture.generate(nets, GenerateRequest([0, 1], source=source))
    with pytest.raises(ShapeError, match=r"source has shape \[2, 3, 32, 32\]"):
        architecture.generate(nets, GenerateRequest([0, 1], source=source[:, 0]))
