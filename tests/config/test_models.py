import pydantic
import pytest

from ganforge.config.choices import ComponentChoice
from ganforge.config.init import InitConfig
from ganforge.config.models import (
    DataConfig,
    EvaluateConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PipelineConfig,
    PublishConfig,
    StrictModel,
    TrainConfig,
)
from ganforge.config.schedules import ScheduleConfig
from ganforge.config.source_locations import SourceLocations

SECTIONS = [
    *(DataConfig, InitConfig, OptimizerConfig, ScheduleConfig),
    *(TrainConfig, EvaluateConfig, PublishConfig),
]
MINIMAL = {"name": "a", "model": {"architecture": "dcgan"}}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.__name__)
def test_section_refuses_unknown_keys(section):
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        section(no_such_key=1)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.__name__)
def test_section_is_frozen(section):
    config = section()

    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(config, next(iter(section.model_fields)), None)


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (model, name)
        for model in [*SECTIONS, ComponentChoice, ModelConfig, LossConfig, PipelineConfig]
        for name, field in model.model_fields.items()
        if field.annotation in (int, float, int | None, float | None)
        and name.split("_")[-1] not in ("kimg", "nimg", "bytes", "steps", "sec")
        and name != "truncation"  # a published term of its own
    ],
    ids=str,
)
def test_number_without_a_unit_in_its_name_is_described(model, field):
    assert model.model_fields[field].description


def test_loss_separates_its_options_from_its_fields():
    config = LossConfig.model_validate({"name": "hinge", "margin": 2, "regularizers": ["r1"]})

    assert config.options == {"margin": 2}
    assert config.regularizers == (ComponentChoice(name="r1"),)
    assert LossConfig.model_validate("hinge") == LossConfig(name="hinge")


def test_model_separates_options_from_the_architecture():
    config = ModelConfig.model_validate({"architecture": "dcgan", "z_dim": 3})

    assert config.options == {"z_dim": 3}


@pytest.mark.parametrize(
    ("resolution", "expected"), [(None, None), (64, (64, 64)), ((64, 32), (64, 32))]
)
def test_data_resolution_is_height_and_width(resolution, expected):
    assert DataConfig(resolution=resolution).height_width == expected


def test_optimizer_override_takes_only_what_is_set():
    paper = OptimizerConfig(lr=1e-3, betas=(0.0, 0.9))

    merged = paper.override(None, OptimizerConfig(lr=5e-4), OptimizerConfig(name="sgd"))

    assert (merged.lr, merged.betas, merged.name) == (5e-4, (0.0, 0.9), "sgd")


def test_optimizer_override_can_set_a_value_back_to_the_default():
    default = OptimizerConfig().lr

    assert OptimizerConfig(lr=1.0).override(OptimizerConfig(lr=default)).lr == default


@pytest.mark.parametrize("betas", [(1.0, 0.9), (-0.1, 0.9), (0.5, 1.5)])
def test_optimizer_betas_outside_the_range_are_refused(betas):
    with pytest.raises(pydantic.ValidationError, match=r"betas must be in \[0, 1\), got \["):
        OptimizerConfig(betas=betas)


@pytest.mark.parametrize(("slots", "hint"), [(8, "e.g. 96"), (3, "e.g. 99"), (200, "e.g. 200")])
def test_batch_that_does_not_split_into_slots_says_what_does(slots, hint):
    with pytest.raises(pydantic.ValidationError) as caught:
        TrainConfig(batch_size=100, slots=slots)

    assert f"batch_size=100 cannot be cut into slots={slots} equal parts" in str(caught.value)
    assert hint in str(caught.value)


def test_batch_that_splits_into_slots_is_accepted():
    assert TrainConfig(batch_size=96, slots=8).slots == 8


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".hidden", "a b"])
def test_run_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(pydantic.ValidationError, match="should match pattern"):
        PipelineConfig(**{**MINIMAL, "name": name})


def test_source_locations_are_no_part_of_the_configuration():
    config = PipelineConfig(**MINIMAL)
    locations = SourceLocations()
    locations.put(("name",), "a.yaml:1")

    placed = config.with_source_locations(locations)

    assert placed == config
    assert placed.source_locations.find(("name",)) == "a.yaml:1"
    assert config.source_locations.find(("name",)) is None
    assert "source_locations" not in placed.model_dump()


def test_strict_model_is_the_base_of_every_section():
    assert all(issubclass(section, StrictModel) for section in SECTIONS)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "field",
    [
        "total_kimg",
        "log_every_kimg",
        "sample_every_kimg",
        "checkpoint_every_kimg",
        "ema_halflife_kimg",
        "max_minutes",
    ],
)
def test_train_number_that_is_not_finite_is_refused(field, value):
    with pytest.raises(pydantic.ValidationError, match=f"{field}(.|\n)*finite number"):
        TrainConfig(**{field: value})


@pytest.mark.parametrize("key", ["from", "to", "over_kimg"])
def test_schedule_number_that_is_not_finite_is_refused(key):
    schedule = {"from": 1.0, "to": 0.0, "over_kimg": 1.0, key: float("inf")}
    with pytest.raises(pydantic.ValidationError, match=f"{key}(.|\n)*finite number"):
        TrainConfig(ema_halflife_kimg=schedule)


@pytest.mark.parametrize("field", ["total_kimg", "checkpoint_every_kimg"])
def test_train_length_beyond_any_run_is_refused(field):
    with pytest.raises(pydantic.ValidationError, match="less than or equal to"):
        TrainConfig(**{field: 1e306})


@pytest.mark.parametrize("grid", [(0, 0), (8, 0), (-1, 8), (8, 257)])
def test_sample_grid_out_of_range_is_refused(grid):
    with pytest.raises(pydantic.ValidationError, match="rows and columns must be 1 to 256 each"):
        TrainConfig(sample_grid=grid)


@pytest.mark.parametrize("resolution", [0, -16, (16, 0), 1_000_000, (16, 16385)])
def test_data_resolution_out_of_range_is_refused(resolution):
    with pytest.raises(pydantic.ValidationError, match="each side must be 1 to 16384 pixels"):
        DataConfig(resolution=resolution)


def test_data_workers_below_zero_are_refused():
    with pytest.raises(pydantic.ValidationError, match="greater than or equal to 0"):
        DataConfig(workers=-1)
