"""Each check of the contract finds the fault that it is there for."""

import random
from dataclasses import replace

import pytest
import torch
from plugin_tools.sound import (
    MixingDiscriminator,
    OutOfRange,
    Sound,
    UnknownAverage,
)
from torch import nn

from ganforge.config.init import InitConfig
from ganforge.errors import PluginContractError
from ganforge.plugin_tools import contract


@pytest.mark.parametrize("check", contract.CHECKS.values(), ids=contract.CHECKS.keys())
def test_sound_architecture_passes(case_of, check):
    check(case_of(Sound))


class IdleNetwork(Sound):
    name = "idle_network"

    def networks(self):
        return super().networks() | {"critic": nn.Linear(1, 1)}


def test_network_that_no_phase_trains_may_be_frozen_by_the_pipeline_file(case_of):
    case = case_of(IdleNetwork)
    init = InitConfig(freeze=("critic",))
    case = replace(case, config=case.config.model_copy(update={"init": init}))
    contract.check_builds(case)
    contract.check_gradients_reach_all_parameters(case)


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
            r"'mismatched_pairs' does not act .*as `rescored`",
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
