import pytest
import torch

from ganforge.errors import ConfigError
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.planning.workload import count_work, meta_batch

SPEC = ImageSpec(16, 16, 1)


def test_phases_have_their_intervals_and_what_they_train(small):
    components = small()
    work = count_work(components, SPEC, ("image",), 4, None)
    phases = {phase.name: phase for phase in work.phases}
    assert [(name, phase.every) for name, phase in phases.items()] == [
        ("discriminator", 1),
        ("discriminator_r1", 4),
        ("generator", 1),
    ]
    built = components.bound_architecture(SPEC).networks()
    for role, network in built.items():
        assert work.parameters[role] == sum(p.numel() for p in network.parameters())
        assert phases[role].trained == work.parameters[role]
    assert work.averaged == work.parameters["generator"]
    assert work.optimizer_states == 2 * sum(work.parameters.values())  # Adam


def test_work_grows_with_the_images_and_the_memory_with_it(small):
    one, two = (count_work(small(), SPEC, ("image",), size, None) for size in (16, 32))
    for few, many in zip(one.phases, two.phases, strict=True):
        flops = [sum(kernel.flops for kernel in work.kernels) for work in (few, many)]
        assert flops[1] == pytest.approx(2 * flops[0], rel=0.01)
        assert few.peak_bytes < many.peak_bytes < 2 * few.peak_bytes + 1


def test_compiled_phases_have_fewer_kernels_but_for_penalties(small):
    eager = count_work(small(), SPEC, ("image",), 4, None)
    fused = count_work(small(train={"compile": True}), SPEC, ("image",), 4, None)
    kernels = [
        (len(a.kernels), len(b.kernels)) for a, b in zip(eager.phases, fused.phases, strict=True)
    ]
    assert kernels[0][1] < kernels[0][0]
    assert kernels[1][1] == kernels[1][0]  # R1 is differentiated twice, and never compiled


def test_half_precision_leaves_penalties_in_full(small):
    work = count_work(small(), SPEC, ("image",), 4, torch.bfloat16)
    dense = {p.name: {k.is_half for k in p.kernels if k.kind == "dense"} for p in work.phases}
    assert dense == {"discriminator": {True}, "discriminator_r1": {False}, "generator": {True}}


def test_frozen_networks_are_not_trained(small):
    frozen = small(init={"freeze": ["generator"]})
    work = count_work(frozen, SPEC, ("image",), 4, None)
    assert {phase.name for phase in work.phases} == {"discriminator", "discriminator_r1"}
    assert work.optimizer_states == 2 * work.parameters["discriminator"]


def test_step_that_needs_values_is_refused_with_what_to_do(small, monkeypatch):
    components = small()

    def reads_a_value(self, objective, nets, batch):
        return {"a": batch.image.mean() * float(batch.image.mean())}

    monkeypatch.setattr(components.architecture.component, "discriminator_terms", reads_a_value)
    with pytest.raises(ConfigError, match=r"'dcgan' cannot be counted without.*--measure"):
        count_work(components, SPEC, ("image",), 4, None)


def test_batch_has_the_shapes_that_the_loader_yields():
    spec = ImageSpec(
        16,
        8,
        source_channels=5,
        source_kind="labels",
        class_names=("a", "b"),
        fields={"boxes": FieldSpec("vector", 4)},
    )
    batch = meta_batch(spec, ("image", "source", "label", "boxes"), 3, 7)
    shapes = {name: tuple(field.shape) for name, field in batch.fields.items()}
    assert shapes == {
        "image": (3, 3, 16, 8),
        "source": (3, 5, 16, 8),
        "label": (3, 2),
        "boxes": (3, 4),
    }
    assert batch.nimg == 7
    assert all(field.is_meta for field in batch.fields.values())


def test_frames_are_an_axis_after_the_batch():
    spec = ImageSpec(16, 16, num_frames=5)
    assert meta_batch(spec, ("frames",), 2, 0)["frames"].shape == (2, 5, 3, 16, 16)
