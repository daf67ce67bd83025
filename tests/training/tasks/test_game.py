"""The game is judged against the equilibrium of its loss, after a warm-up, over a window."""

import json

import pytest

from ganforge.config.models import HealthConfig
from ganforge.training.tasks.game import GameWatch, Window

HEALTHY = {
    "accuracy/pairs": 0.8,
    "relative/discriminator_loss": 0.6,
    "relative/generator_gradient": 1.4,
    "grad_norm/generator": 2.0,
    "grad_norm/discriminator": 3.0,
}
WON = HEALTHY | {"accuracy/pairs": 0.99, "relative/discriminator_loss": 0.05}
BATCH = 20  # 50 steps a kimg: a verdict needs 15, after 15


def watch():
    return GameWatch(HealthConfig(), BATCH, ["generator"])


def sounded(watched, record, kimg, every=0.1):
    """Show it a record every 0.1 kimg; the kimg at which each kind of alarm first sounds."""
    found = {}
    for number in range(1, round(kimg / every) + 1):
        for kind, alarm in watched.observe(record, every).items():
            if alarm is not None:
                found.setdefault(kind, round(number * every, 3))
    return found


def test_game_watch_is_silent_on_a_healthy_run():
    assert sounded(watch(), HEALTHY, 20.0) == {}


@pytest.mark.parametrize(
    ("change", "kind", "kimg"),
    [
        ({"accuracy/pairs": 0.99, "relative/discriminator_loss": 0.05}, "discriminator_wins", 1.0),
        ({"accuracy/pairs": 0.2}, "discriminator_loses", 0.6),
        ({"relative/generator_gradient": 0.01}, "generator_starves", 0.6),
        ({"relative/discriminator_loss": 4.0}, "divergence", 0.6),
    ],
)
def test_game_watch_sounds_within_two_kimg_for_what_goes_wrong_from_the_start(change, kind, kimg):
    found = sounded(watch(), HEALTHY | change, 2.0)
    assert found == {kind: pytest.approx(kimg)}


def test_game_watch_lets_a_discriminator_win_until_the_generator_has_learned_a_little():
    watched = watch()
    assert sounded(watched, WON, 0.9) == {}
    assert sounded(watched, HEALTHY, 20.0) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy/pairs": 0.99},  # the loss says that the generator is close
        {"relative/discriminator_loss": 0.05},  # the pairs say so
        {"grad_norm/generator": 20.0},
        {"grad_norm/generator": 0.2},
        {"grad_norm/discriminator": 1e9},  # steep discriminators have that
    ],
)
def test_game_watch_is_silent_where_only_one_sign_is_bad(change):
    watched = watch()
    assert sounded(watched, HEALTHY, 2.0) == {}
    assert sounded(watched, HEALTHY | change, 10.0) == {}


@pytest.mark.parametrize(("norm", "kind"), [(0.01, "generator_starves"), (400.0, "divergence")])
def test_game_watch_sounds_when_the_generators_gradient_leaves_its_usual_size(norm, kind):
    watched = watch()
    assert sounded(watched, HEALTHY, 3.0) == {}
    change = {"accuracy/pairs": 0.95, "grad_norm/generator": norm}
    assert sounded(watched, HEALTHY | change, 9.0).keys() == {kind}


def test_game_watch_forgives_small_gradients_where_there_is_nothing_to_learn():
    watched = watch()
    sounded(watched, HEALTHY, 3.0)
    level = {"accuracy/pairs": 0.55, "grad_norm/generator": 0.01}
    assert sounded(watched, HEALTHY | level, 9.0) == {}


def test_game_watch_does_not_take_the_gradient_of_the_first_steps_for_usual():
    watched = watch()  # as of a translator whose perceptual term starts with it
    sounded(watched, HEALTHY | {"grad_norm/generator": 8000.0}, 0.4)
    change = {"accuracy/pairs": 0.95, "grad_norm/generator": 20.0}
    assert sounded(watched, HEALTHY | change, 9.0) == {}


def test_game_watch_of_a_loss_without_equilibrium_judges_gap_and_gradients():
    critic = {
        "accuracy/pairs": 1.0,  # optimal, as wasserstein wants it
        "logits/real": 40.0,
        "logits/gen": 0.0,
        "grad_norm/generator": 2.0,
    }
    watched = GameWatch(HealthConfig(), BATCH, ["generator"], max_gap=190.0)
    assert sounded(watched, critic, 5.0) == {}
    assert sounded(watched, critic | {"logits/real": 900.0}, 2.0).keys() == {"divergence"}
    assert sounded(watch(), critic | {"logits/real": 900.0}, 5.0) == {}  # other losses may
    sounded(watched, critic, 5.0)
    steep = critic | {"grad_norm/generator": 1e4}
    assert sounded(watched, steep, 5.0).keys() == {"divergence"}


def test_game_watch_forgives_the_first_steps():
    watched = watch()
    assert sounded(watched, WON, 0.3) == {}
    assert sounded(watched, HEALTHY, 5.0) == {}


def test_game_watch_says_what_it_measured_and_what_to_try():
    watched = watch()
    watched.observe(WON, 0.5)
    alarm = watched.observe(WON, 0.5)["discriminator_wins"]
    assert "ranks 99 % of pairs right, and its loss is 0.05 of the value" in alarm.fault
    assert "train.health.min_discriminator_loss" in alarm.fault
    assert "r1" in alarm.advice and "ada" in alarm.advice


def test_game_watch_goes_on_where_it_was():
    whole, first, second = watch(), watch(), watch()
    sounded(first, HEALTHY, 1.5)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    sounded(whole, HEALTHY, 1.5)
    assert sounded(second, WON, 8.0) == sounded(whole, WON, 8.0) != {}
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("norm", [0.0, float("inf"), float("nan")])
def test_game_watch_passes_over_gradients_that_are_zero_or_overflow(norm):
    watched = watch()
    assert sounded(watched, {"accuracy/pairs": 0.5, "grad_norm/generator": norm}, 5.0) == {}
    assert "log_norm" not in watched.state_dict()["means"]


def test_window_is_a_plain_mean_until_it_is_full_and_then_forgets():
    window = Window(10.0)
    for value in (1.0, 3.0):
        window.add({"x": value}, 5)
    assert window.means["x"] == 2.0
    window.add({"x": 12.0}, 5)  # half of the window
    assert window.means["x"] == 7.0
    window.add({"x": 1.0}, 100)
    assert window.means["x"] == 1.0
