"""The image pool: discriminators also see translations of earlier steps.

It lives in `Batch.slot_state`: there is one per slot, it is part of checkpoints, and it does not
depend on the number of ranks. Nothing here synchronizes with the device.
Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; Zhu et al. 2017, section 4.
"""

import torch
from torch import Tensor


def exchange(state: dict[str, Tensor], name: str, img: Tensor, size: int) -> Tensor:
    """Put new images into a pool and take images for the discriminator out of it.

    While the pool fills, each new image is stored and returned. Once it is full, each new image is
    returned with probability 1/2; otherwise it replaces a random stored image, which is returned
    instead.

    Args:
        state: persistent tensors; `pool_<name>` and `pool_<name>_count` are created on first use.
        name: name of the pool.
        img: [N, C, H, W] new images, without gradient.
        size: capacity of the pool; 0 returns `img` unchanged.

    Returns:
        [N, C, H, W] images, each new or from the pool.
    """
    if size == 0:
        return img
    images = state.setdefault(f"pool_{name}", img.new_zeros(size, *img.shape[1:]))
    count = state.setdefault(f"pool_{name}_count", img.new_zeros(1, dtype=torch.long))
    chosen = torch.randint(size, (len(img),), device=img.device)
    from_pool = torch.rand(len(img), device=img.device) < 0.5
    # One by one, because a later image of the batch may draw an image stored by an earlier one.
    return torch.cat(
        [
            _exchange_one(images, count, img[i : i + 1], chosen[i : i + 1], from_pool[i])
            for i in range(len(img))
        ]
    )


def _exchange_one(
    images: Tensor, count: Tensor, img: Tensor, chosen: Tensor, from_pool: Tensor
) -> Tensor:
    filling = count < len(images)
    index = torch.where(filling, count, chosen)
    stored = images.index_select(0, index)
    images.index_copy_(0, index, torch.where(filling | from_pool, img, stored))
    count += filling
    return torch.where(~filling & from_pool, stored, img)
