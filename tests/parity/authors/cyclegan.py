"""CycleGAN."""

import sys
from types import SimpleNamespace

import torch
from parity.authors.common import Rules, Theirs, stub


def cyclegan(case, folder):
    """taesungp/contrastive-unpaired-translation, which has the CycleGAN of the same authors."""
    sys.path.insert(0, str(folder))
    stub("dominate", "visdom")
    from models import networks
    from models.cycle_gan_model import CycleGANModel

    o = case.options
    init = ("instance", False, "normal", 0.02, True, True, [])
    resnet = f"resnet_{o['num_blocks']}blocks"
    new_generator = lambda: networks.define_G(3, 3, o["generator_width"], resnet, *init)  # noqa: E731
    new_discriminator = lambda: networks.define_D(  # noqa: E731
        3, o["discriminator_width"], "basic", 3, "instance", "normal", 0.02, True, []
    )
    model = SimpleNamespace(
        netG_A=new_generator(),
        netG_B=new_generator(),
        netD_A=new_discriminator(),
        netD_B=new_discriminator(),
        criterionGAN=networks.GANLoss("lsgan"),
        criterionCycle=torch.nn.L1Loss(),
        criterionIdt=torch.nn.L1Loss(),
        opt=SimpleNamespace(lambda_identity=0.5, lambda_A=10.0, lambda_B=10.0, amp=False),
        real_A=case.images("source"),
        real_B=case.images("target"),
    )

    def generators(z, img, c):
        CycleGANModel.forward(model)
        CycleGANModel.backward_G(model)
        return {
            "adversarial_target": model.loss_G_A,
            "adversarial_source": model.loss_G_B,
            "cycle_source": model.loss_cycle_A,
            "cycle_target": model.loss_cycle_B,
            "identity_target": model.loss_idt_A,
            "identity_source": model.loss_idt_B,
        }

    def discriminators(z, img, c):
        basic = CycleGANModel.backward_D_basic
        return {
            "adversarial_target": basic(model, model.netD_A, model.real_B, model.fake_B),
            "adversarial_source": basic(model, model.netD_B, model.real_A, model.fake_A),
        }

    rules: Rules = [(r"^model\.", "layers."), (r"\.conv_block\.", ".layers.")]
    roles = {
        "generator_target": model.netG_A,
        "generator_source": model.netG_B,
        "discriminator_target": model.netD_A,
        "discriminator_source": model.netD_B,
    }
    return Theirs(
        roles,
        dict.fromkeys(roles, rules),
        {
            "generators": (["generator_target", "generator_source"], generators),
            "discriminators": (["discriminator_target", "discriminator_source"], discriminators),
        },
        lambda z, c: model.netG_A(model.real_A),
        lambda img, c: model.netD_A(model.real_B),
    )
