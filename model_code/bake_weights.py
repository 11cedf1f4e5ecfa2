"""Download torchvision's ImageNet weights while the image is built: jobs have no network.

python bake_weights.py /opt/tally/weights resnet18 mobilenet_v2
"""

import argparse
from pathlib import Path

from safetensors.torch import save_file
from torchvision import models


def bake(directory: Path, backbones: list[str]) -> None:
    """Write `<backbone>.safetensors` for each backbone, the newest weights that torchvision has, hashes checked."""
    directory.mkdir(parents=True, exist_ok=True)
    for backbone in backbones:
        state = models.get_model_weights(backbone).DEFAULT.get_state_dict(progress=False, check_hash=True)
        save_file({name: value.contiguous() for name, value in state.items()}, directory / f"{backbone}.safetensors")
        print(f"baked {backbone}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("backbones", nargs="+")
    arguments = parser.parse_args()
    bake(arguments.directory, arguments.backbones)
