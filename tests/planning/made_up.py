"""A made-up run, and plans of it."""

from ganforge.config.models import PipelineConfig
from ganforge.planning.data_rate import DataRate
from ganforge.planning.gpus import GPUS
from ganforge.planning.plan import make_plan
from ganforge.planning.workload import PhaseWork, Workload

WORK = Workload(
    micro_batch=4,
    phases=[
        PhaseWork("discriminator", 1, [], 1_000_000, 50_000_000),
        PhaseWork("generator", 2, [], 2_000_000, 30_000_000),
    ],
    parameters={"discriminator": 1_000_000, "generator": 2_000_000},
    buffer_numbers=0,
    averaged=2_000_000,
    optimizer_states=6_000_000,
)
RATE = DataRate(100, 50_000, True)
SECONDS = {"discriminator": 0.1, "generator": 0.2}
H100 = GPUS["H100"]


def config(**train):
    given = {"batch_size": 64, "total_kimg": 640, "checkpoint_every_kimg": 64, **train}
    return PipelineConfig.model_validate(
        {"name": "p", "model": {"architecture": "dcgan"}, "train": given}
    )


def plan(cluster, slots, given=None, **options):
    return make_plan(given or config(), WORK, cluster, slots, RATE, measured=SECONDS, **options)
