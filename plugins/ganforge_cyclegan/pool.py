"""The image pool: discriminators also see translations of earlier steps.

It lives in `Batch.slot_state`, so it is one per slot, is kept in checkpoints and does not depend
on the number of ranks. Nothing here waits for the device.
Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; Zhu et al. 2017, section 4.
"""

import torch
from torch import Tensor


def exchange(state: dict[str, Tensor], name: str, img: Tensor, size: int) -> Tensor:
    """Put new images in a pool and take images for the discriminator out of it.

    While the pool fills, each new image is kept and returned. Once it is full, each new image
    is returned itself with probability 1/2, and otherwise takes the place of a random one, which
    is returned in its stead.

    Args:
        state: tensors that last; `pool_<name>` and `pool_<name>_count` are made on first use.
        name: which pool.
        img: [N, C, H, W] new images, without gradient.
        size: images the pool holds; 0 returns `img` as it is.

    Returns:
        [N, C, H, W] images, each new or from the pool.
    """
    if size == 0:
        return img
    images = state.setdefault(f"pool_{name}", img.new_zeros(size, *img.shape[1:]))
    count = state.setdefault(f"pool_{name}_count", img.new_zeros(1, dtype=torch.long))
    chosen = torch.randint(size, (len(img),), device=img.device)
    from_pool = torch.rand(len(img), device=img.device) < 0.5
    # One by one, because a later image of the batch may draw what an earlier one has put in.
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
