"""Trains the `fashion_mnist` feature extractor: `python -m ganforge_fashion_mnist.train_extractor`.

Data: the 10,000 images that ship with this plugin; the last 1,000 are held out for the accuracy
that it reports. Seed 0, 30 epochs of AdamW on a one-cycle schedule, images mirrored and shifted
by up to two pixels. The weights it writes are kept in half precision. It computes in bfloat16,
which is slow where the processor only emulates it.
"""

from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ganforge_fashion_mnist.extractor import WEIGHTS, Classifier, as_input
from ganforge_fashion_mnist.idx import shipped_split

HELD_OUT = 1000
SHIFT = 2
SIDE = 32


def split() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and held-out images, float [N, 1, 32, 32] in [-1, 1], with labels [N]."""
    images, labels = shipped_split()
    img = as_input(torch.from_numpy(images.copy()).unsqueeze(1))
    label = torch.from_numpy(labels.astype(np.int64))
    return (img[:-HELD_OUT], label[:-HELD_OUT]), (img[-HELD_OUT:], label[-HELD_OUT:])


def vary(img: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to two pixels and mirrored with probability 1/2.

    Args:
        img: [N, 1, 32, 32] in [-1, 1]; -1 is shifted in.
        generator: source of randomness.
    """
    count = img.shape[0]
    shift = torch.randint(0, 2 * SHIFT + 1, (2, count, 1), generator=generator)
    mirror = torch.rand(count, 1, generator=generator) < 0.5
    line = torch.arange(SIDE).expand(count, SIDE)
    rows, columns = line + shift[0], torch.where(mirror, line.flip(1), line) + shift[1]
    padded = F.pad(img[:, 0], (SHIFT,) * 4, value=-1.0)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def train(
    epochs: int, compiled: bool = True, batch: int = 100, peak_lr: float = 5e-3
) -> Classifier:
    """A trained classifier in eval mode; the same for the same arguments and library versions.

    Args:
        epochs: passes over the training images.
        compiled: compile the network, which needs a C++ compiler and is three times as fast.
        batch: images per step.
        peak_lr: highest learning rate of the cycle.
    """
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    (img, label), _ = split()
    classifier = Classifier().to(memory_format=torch.channels_last)
    network = torch.compile(classifier) if compiled else classifier
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=0.02)
    steps = len(img) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_lr, total_steps=epochs * steps)
    for epoch in range(epochs):
        order = torch.randperm(len(img), generator=generator)
        for chosen in torch.split(order[: steps * batch], batch):
            with torch.autocast("cpu", torch.bfloat16):
                _, logits = network(vary(img[chosen], generator))
            loss = F.cross_entropy(logits.float(), label[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        click.echo(f"epoch {epoch + 1}/{epochs}: loss of the last batch {loss.item():.4f}")
    return classifier.eval()


@torch.no_grad()
def accuracy(classifier: Classifier) -> float:
    """Part of the held-out images that are classified right, 0 to 1."""
    _, (img, label) = split()
    return float((classifier(img)[1].argmax(1) == label).float().mean())


@click.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path(WEIGHTS))
@click.option("--epochs", default=30, show_default=True, help="Passes over 9,000 images.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Needs a C++ compiler.")
def main(out: Path, epochs: int, compiled: bool) -> None:
    """Train the extractor from the shipped images and write its weights to OUT.

    Example: python -m ganforge_fashion_mnist.train_extractor extractor.safetensors
    """
    classifier = train(epochs, compiled)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in classifier.state_dict().items()
    }
    classifier.load_state_dict(state)
    held_out = accuracy(classifier)
    save_file(state, out, metadata={"accuracy": f"{held_out:.4f}", "epochs": str(epochs)})
    click.echo(f"Wrote {out}. Right on {held_out:.1%} of {HELD_OUT} held-out images.")


if __name__ == "__main__":
    main()
