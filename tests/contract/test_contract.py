"""Each check of the contract finds the fault that it is there for."""

import random
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganforge.api import Architecture, ComponentOptions, ConfigError, Field, NoiseToImage, hookimpl
from ganforge.errors import PluginContractError, PluginNotFound
from ganforge.plugin_tools import contract, report
from ganforge.plugin_tools.cases import Case, cases_of
from ganforge.plugin_tools.ranks import _verdict
from ganforge.registry.plugins import Plugin, get_registry


class SoundConfig(ComponentOptions):
    width: int = Field(4, gt=0, description="Hidden units.")


class Generator(nn.Module):
    def __init__(self, pixels, num_classes):
        super().__init__()
        self.layer = nn.Linear(4 + num_classes, pixels * 3)

    def forward(self, z, c):
        return self.layer(torch.cat([z, c], 1)).tanh().view(len(z), 3, 16, 16)


class Discriminator(nn.Module):
    def __init__(self, pixels, num_classes):
        super().__init__()
        self.layer = nn.Linear(pixels * 3 + num_classes, 1)

    def forward(self, img, c):
        return self.layer(torch.cat([img.flatten(1), c], 1)).flatten()


class MixingDiscriminator(Discriminator):
    def forward(self, img, c):
        return super().forward(img - img.mean(0), c)


class Sound(NoiseToImage[SoundConfig]):
    """An architecture that keeps the contract, at 16x16 only."""

    name, Config, paper = "sound", SoundConfig, "Nobody 2026"
    optional_inputs = ("label",)
    z_dim = 4

    def check(self, objective):
        if self.spec.height != 16:
            raise ConfigError(f"{self.spec.height} is not 16. Use 16.")

    def networks(self):
        pixels = self.spec.height * self.spec.width
        return {
            "generator": Generator(pixels, self.c_dim),
            "discriminator": Discriminator(pixels, self.c_dim),
        }


@pytest.fixture
def case_of():
    """Make an architecture known to the registry for one test; gives its plain case."""
    registry, made = get_registry(), []

    def _case_of(architecture) -> Case:
        module = types.ModuleType("made_up")
        module.ganforge_architectures = hookimpl(lambda: [architecture])
        made.append((module, architecture))
        registry.register(module, Plugin("made-up", "made_up", "made-up", "1"))
        return cases_of(architecture.name)[0]

    yield _case_of
    for module, architecture in made:
        registry.manager.unregister(module)
        del registry.plugins["made-up"]
        del registry._components[Architecture, architecture.name]


@pytest.mark.parametrize("check", contract.CHECKS.values(), ids=contract.CHECKS.keys())
def test_sound_architecture_passes(case_of, check):
    check(case_of(Sound))


def test_cases_cover_with_and_without_conditions(case_of):
    case_of(Sound)

    assert [case.label for case in cases_of("sound")] == ["sound", "sound+label"]
    assert [case.spec.num_classes for case in cases_of("sound")] == [0, 3]


def test_case_of_an_architecture_that_fits_nothing_shows_its_refusal(case_of):
    class Picky(Sound):
        name = "picky"

        def check(self, objective):
            raise ConfigError("Never.")

    with pytest.raises(
        PluginContractError, match=r"'picky' accepts no square.*Never\. Give it `example_options`"
    ):
        case_of(Picky)


class UnknownAverage(Sound):
    name, ema_roles = "unknown_average", ("generator_ema",)


class IdleNetwork(Sound):
    name = "idle_network"

    def networks(self):
        return super().networks() | {"critic": nn.Linear(1, 1)}


class NoPaper(Sound):
    name, paper = "no_paper", ""


class UnseededWeights(Sound):
    name = "unseeded_weights"

    def networks(self):
        nets = super().networks()
        nn.init.constant_(nets["generator"].layer.bias, random.SystemRandom().random())
        return nets


class NamesTooMuch(Sound):
    name = "names_too_much"

    def phases(self, objective):
        both = ("discriminator", "generator")
        return [replace(phase, trains=both) for phase in super().phases(objective)]


class TouchesTheOther(Sound):
    name = "touches_the_other"

    def phases(self, objective):
        def after_step(nets):
            nets.eager("discriminator").layer.bias.add_(0.1)

        first, second = super().phases(objective)
        return [first, replace(second, after_step=after_step)]


class DeadParameter(Sound):
    name = "dead_parameter"

    def networks(self):
        nets = super().networks()
        nets["generator"].spare = nn.Linear(2, 2)
        return nets


class OutOfRange(Sound):
    name = "out_of_range"

    def generate(self, nets, request):
        return super().generate(nets, request) + 1.5


class Unbounded(Sound):
    """In range while its weights are small."""

    name = "unbounded"

    def generate(self, nets, request):
        bounded = super().generate(nets, request)
        return 0.3 * bounded.clamp(-0.999, 0.999).atanh()


class NotFinite(Sound):
    name = "not_finite"

    def generate(self, nets, request):
        return super().generate(nets, request) * float("nan")


class WrongShape(Sound):
    name = "wrong_shape"

    def generate(self, nets, request):
        return super().generate(nets, request)[:, :1]


class GlobalNoise(Sound):
    name = "global_noise"

    def generate(self, nets, request):
        return nets["generator"](torch.randn(request.size, 4), torch.zeros(request.size, 0))


class BatchStatistics(Sound):
    name = "batch_statistics"

    def generate(self, nets, request):
        img = super().generate(nets, request)
        return img - img.mean(0)


class ScoresTogether(Sound):
    name, per_sample_discriminator = "scores_together", True

    def networks(self):
        nets = super().networks()
        return nets | {"discriminator": MixingDiscriminator(16 * 16, self.c_dim)}


class IgnoresPenalties(Sound):
    name = "ignores_penalties"

    def phases(self, objective):
        return super().phases(replace(objective, regularizers=()))


class IgnoresCritic(Sound):
    name = "ignores_critic"

    def phases(self, objective):
        return super().phases(replace(objective, n_critic=1))


class IgnoresTerms(Sound):
    name = "ignores_terms"

    def phases(self, objective):
        return super().phases(replace(objective, terms=()))


class ReplacesATerm(Sound):
    """Computes a term anew under the name of the one that the objective contributed."""

    name = "replaces_a_term"
    inputs, optional_inputs = ("image", "label"), ()

    def discriminator_terms(self, objective, nets, batch):
        terms = super().discriminator_terms(objective, nets, batch)
        if "mismatched_pairs" in terms:
            logits = nets["discriminator"](batch.image, batch.label.roll(1, dims=0))
            terms["mismatched_pairs"] = objective.loss.discriminator(logits + 1, logits)
        return terms


class HidesConditions(Sound):
    name = "hides_conditions"
    inputs, optional_inputs = ("image", "label"), ()

    def discriminator_terms(self, objective, nets, batch):
        gen_img, gen_c = self.generated(objective, nets["generator"], batch)
        discriminator = nets["discriminator"]
        real_logits = discriminator(objective.augment(batch.image), batch.label)
        gen_logits = discriminator(objective.augment(gen_img), gen_c)
        return objective.discriminator(batch, real_logits, gen_logits)


class ReportsSigns(Sound):
    name = "reports_signs"

    def discriminator_terms(self, objective, nets, batch):
        terms = super().discriminator_terms(objective, nets, batch)
        batch.report("accuracy/real", nets["discriminator"](batch.image, batch.label) > 0)
        return terms


class ReportsOthers(Sound):
    name = "reports_others"

    def discriminator_terms(self, objective, nets, batch):
        terms = super().discriminator_terms(objective, nets, batch)
        batch.report("logits/real", torch.full((1,), 77.0))
        return terms


class SharesLayers(Sound):
    name = "shares_layers"

    def networks(self):
        nets = super().networks()
        nets["discriminator"].layer.bias = nets["generator"].layer.bias
        return nets


class IgnoresAda(Sound):
    name = "ignores_ada"

    def phases(self, objective):
        return super().phases(replace(objective, augmentation=None))


class MisspeltInput(Sound):
    name = "misspelt_input"
    inputs = ("image", "labels")


class BareLoss(Sound):
    name = "bare_loss"

    def generator_terms(self, objective, nets, batch):
        return super().generator_terms(objective, nets, batch)["adversarial"]


class WithoutPairs(Sound):
    name = "without_pairs"

    def generator_terms(self, objective, nets, batch):
        img = nets["generator"](self.latent(batch.size, batch.label), batch.label)
        return {"adversarial": objective.loss.generator(nets["discriminator"](img, batch.label))}


class NameWithoutSpace(Sound):
    name = "name_without_space"
    latent_spaces = ("z", "w")


class SeedsByHand(Sound):
    name = "seeds_by_hand"

    def request_latent(self, request):
        own = [torch.randn(4, generator=torch.Generator().manual_seed(s)) for s in request.seeds]
        return request.noise(4) + torch.stack(own)


class HiddenState(Sound):
    name = "hidden_state"
    calls = 0

    def latent(self, num, like):
        self.calls += 1
        return super().latent(num, like) * self.calls


@pytest.mark.parametrize(
    ("architecture", "check", "expected"),
    [
        (UnknownAverage, contract.check_builds, r"ema_roles names \['generator_ema'\]"),
        (MisspeltInput, contract.check_builds, r"inputs names 'labels'\. Did you mean 'label'\?"),
        (
            BareLoss,
            contract.check_output,
            r"loss of phase 'generator' returned Tensor\. Return named terms",
        ),
        (IdleNetwork, contract.check_builds, r"no phase trains 'critic'\. Add it to a phase"),
        (NoPaper, contract.check_builds, r"has no `paper`\. Cite"),
        (UnseededWeights, contract.check_weights_follow_seed, r"differ in generator\.layer\.bias"),
        (
            NamesTooMuch,
            contract.check_phases_train_what_they_name,
            r"names \['discriminator', 'generator'\] but changes \['discriminator'\]",
        ),
        (
            TouchesTheOther,
            contract.check_phases_train_what_they_name,
            r"'generator' names \['generator'\] but changes \['discriminator', 'generator'\]",
        ),
        (
            DeadParameter,
            contract.check_gradients_reach_all_parameters,
            r"no gradient reaches generator\.spare\.bias, generator\.spare\.weight",
        ),
        (OutOfRange, contract.check_output, r"gives values from .* to 2\.\d+\. Images are finite"),
        (Unbounded, contract.check_output, r"gives values from .* to [1-9]\.\d+\. Images are"),
        (NotFinite, contract.check_output, r"gives values from nan to nan"),
        (WrongShape, contract.check_output, r"gives \[3, 1, 16, 16\] .*, not \[3, 3, 16, 16\]"),
        (
            GlobalNoise,
            contract.check_generate_is_batch_independent,
            r"seed \d gives another image alone than among \(5, 3, 8\)",
        ),
        (
            BatchStatistics,
            contract.check_generate_is_batch_independent,
            r"keep batch statistics out of eval",
        ),
        (
            ScoresTogether,
            contract.check_discriminator_is_per_sample,
            r"`per_sample_discriminator` is true, but among others an image has another score",
        ),
        (
            IgnoresPenalties,
            contract.check_objective_is_followed_or_refused,
            r"regularizers of the pipeline file has no effect\. Give each phase .*with_penalties",
        ),
        (
            IgnoresCritic,
            contract.check_objective_is_followed_or_refused,
            r"n_critic of the pipeline file has no effect\. Give the generator's phases every=",
        ),
        (
            IgnoresTerms,
            contract.check_objective_is_followed_or_refused,
            r"loss\.terms of the pipeline file has no effect\. Return what objective\.discrim",
        ),
        (
            ReplacesATerm,
            contract.check_objective_is_followed_or_refused,
            r"'mismatched_pairs' does not act with the weight it is given",
        ),
        (
            HidesConditions,
            contract.check_objective_is_followed_or_refused,
            r"'mismatched_pairs' does not act .*conditioned=Conditioned",
        ),
        (
            ReportsSigns,
            contract.check_reports,
            r"with loss\.name=wasserstein, 'accuracy/real' is reported, but the sign of a logit",
        ),
        (
            ReportsOthers,
            contract.check_reports,
            r"'logits/real' is not what the loss was computed from\. Leave reports",
        ),
        (SharesLayers, contract.check_builds, r"share a parameter: generator\.layer\.bias is disc"),
        (
            IgnoresAda,
            contract.check_objective_is_followed_or_refused,
            r"augment of the pipeline file has no effect\. Show the discriminator obj",
        ),
        (
            WithoutPairs,
            contract.check_objective_is_followed_or_refused,
            r"relativistic loss got no real logits",
        ),
        (
            NameWithoutSpace,
            contract.check_latents_blend,
            r"names 'w', but generate\(\) does not blend in it\. Call request\.blended",
        ),
        (
            SeedsByHand,
            contract.check_latents_blend,
            r"in 'z', the ends are not their images \(by .*Draw all noise through request\.noise",
        ),
        (HiddenState, contract.check_resume_is_exact, r"after a resume, .* differ .*slot_state"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_check_finds_the_fault(case_of, architecture, check, expected):
    with pytest.raises(PluginContractError, match=expected):
        check(case_of(architecture))


def test_ranks_verdict_names_the_tensor_that_differs():
    alone = {"digests": {"networks: generator.w": [1.0, 0.5], "ema: generator.w": [1.0, 0.5]}}
    apart = {"digests": {"networks: generator.w": [1.0, 0.5], "ema: generator.w": [1.0, 0.6]}}

    assert _verdict("sound", alone, alone) == ""
    assert "1 and 2 ranks differ in ema: generator.w" in _verdict("sound", alone, apart)
    assert _verdict("sound", {"fault": "it broke"}, alone) == "it broke"


# The report ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sound", "made-up", "made_up"])
def test_components_are_found_by_component_plugin_or_distribution(case_of, name):
    case_of(Sound)

    assert list(report.find_components(name, get_registry()).values()) == [[Sound]]


def test_components_of_an_unknown_name_list_near_ones():
    with pytest.raises(PluginNotFound, match=r"called 'dcgn'\. Did you mean 'dcgan'.*pip install"):
        report.find_components("dcgn", get_registry())


def test_report_of_a_broken_architecture_names_check_and_fault(case_of, monkeypatch):
    monkeypatch.setattr(report, "compare_ranks", lambda names: {"out_of_range": "differs"})
    monkeypatch.setattr(report, "check_documented", lambda name, plugin: "no docs in this test")
    case_of(OutOfRange)

    outcomes = {(o.check, o.subject): o for o in report.check_plugin("out_of_range")}

    assert outcomes["output", "out_of_range"].status == "failed"
    assert outcomes["builds", "out_of_range"].status == "passed"
    assert outcomes["has a docs page", "out_of_range"].status == "skipped"
    assert outcomes["1 and 2 ranks agree", "out_of_range"].message == "differs"


def test_report_of_what_does_not_build_says_so_once(case_of, monkeypatch):
    case_of(UnknownAverage)
    monkeypatch.setattr(report, "compare_ranks", lambda names: {})
    monkeypatch.setattr(report, "check_documented", lambda name, plugin: "no docs in this test")
    outcomes = {outcome.check: outcome for outcome in report.check_plugin(UnknownAverage.name)}
    assert outcomes["builds"].status == "failed"
    assert outcomes["output"].status == outcomes["resume is exact"].status == "skipped"
    assert outcomes["output"].message == "it does not build"


def test_undescribed_option_is_found():
    class Silent(ComponentOptions):
        width: int = 4

    class SilentArchitecture(Sound):
        """It does not say what width is."""

        Config = Silent

    with pytest.raises(PluginContractError, match=r"no description: width\. Use Field"):
        report.check_described(SilentArchitecture)


def test_missing_docstring_is_found():
    class Mute(Sound):
        pass

    Mute.__doc__ = None

    with pytest.raises(PluginContractError, match=r"Mute has no docstring\. Say in one line"):
        report.check_described(Mute)


def test_import_of_a_private_module_is_found(tmp_path, monkeypatch):
    (tmp_path / "nosy_plugin.py").write_text("import torch\nfrom ganforge.training import step\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        PluginContractError, match=r"nosy_plugin\.py:2 imports ganforge\.training.*ganforge\.api"
    ):
        report.check_imports(Plugin("nosy", "nosy_plugin", "nosy", "1"))


def test_missing_docs_page_is_found():
    built_in, third_party = Plugin("x", "x", "ganforge", "1"), Plugin("x", "x", "pluggy", "1")

    with pytest.raises(PluginContractError, match=r"docs/architectures/nothing\.md is missing"):
        report.check_documented("nothing", built_in)
    with pytest.raises(PluginContractError, match=r"README of pluggy does not mention 'n0thing'"):
        report.check_documented("n0thing", third_party)
