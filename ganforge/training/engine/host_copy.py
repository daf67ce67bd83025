"""Small values on their way from the device to the host, which does not wait for them."""

import torch
from torch import Tensor


class HostCopy:
    """A copy that starts now and is read later, when the device has long passed this point.

    Args:
        values: [N] on any device.
    """

    def __init__(self, values: Tensor) -> None:
        self._values, self._arrived = values, None
        if values.is_cuda:
            self._values = values.to("cpu", non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch types it so
            self._arrived.record()

    def read(self) -> list[float]:
        """The values; waits for the copy if it is still underway."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.tolist()
