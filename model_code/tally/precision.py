"""Mixed precision: on GPUs that are asked for it, float32 everywhere else."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """What forward passes compute in on one kind of device."""

    device: str
    dtype: torch.dtype
    mixed: bool

    @classmethod
    def on(cls, device: torch.device, *, amp: bool) -> "Precision":
        """bfloat16 where the GPU has it, float16 on older ones; CPUs never mix."""
        cuda = device.type == "cuda"
        dtype = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return cls(device.type, dtype, mixed=amp and cuda)

    def autocast(self) -> torch.autocast:
        """Context of a forward pass."""
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.mixed)

    def scaler(self) -> torch.amp.GradScaler:
        """Scaler of the loss; it does something for float16 only, whose gradients would vanish."""
        return torch.amp.GradScaler("cuda", enabled=self.mixed and self.dtype is torch.float16)
