"""Averaged weights: what is judged and exported is the moving average of what the steps left."""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of `network`, weights and batch statistics; call `update_parameters`.

    While few steps are averaged the decay is smaller, (1 + n) / (10 + n) as in TensorFlow's ExponentialMovingAverage,
    so that a short run is not dominated by where it began.
    """

    def update(average: _Tensors, current: _Tensors, steps: Tensor | int) -> None:
        done = int(model.n_averaged)  # on the CPU: `steps` lies on the device, and reading it would wait for its queue
        get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))(average, current, steps)  # type: ignore[no-untyped-call]

    model = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return model
