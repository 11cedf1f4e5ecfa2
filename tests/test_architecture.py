"""The arrows of the design: who may import whom, read from the code itself."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"tally", "pipeline", "infra", "ops", "local", "app"}
TORCH = {"torch", "torchvision", "onnx", "onnxruntime"}
AWS = {"boto3", "botocore", "aws_cdk", "sagemaker"}

FORBIDDEN = {
    "model_code": OURS - {"tally"} | AWS,
    "lambda": OURS | TORCH | {"sagemaker", "aws_cdk", "numpy", "PIL"},
    "pipeline": OURS - {"pipeline"} | TORCH,
    "infra": OURS - {"infra", "pipeline"} | TORCH,
    "ops": OURS - {"ops", "infra", "pipeline"} | TORCH | {"aws_cdk", "sagemaker"},
    "local": {"tally", "app"} | TORCH | {"aws_cdk", "sagemaker"},
    "experiments": OURS - {"tally"} | AWS,
    "clients": OURS | TORCH | AWS - {"botocore"},  # botocore signs, in tally_client.iam alone
}
# What ops and local may know of infra and pipeline: names, settings and parameters, which load neither CDK nor SDK.
PLAIN = {"infra.names", "infra.settings", "pipeline.parameters", "pipeline.search"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_arrows_point_down(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): sorted(imports(file) & FORBIDDEN[folder]) for file in files}
    assert not {file: names for file, names in wrong.items() if names}


@pytest.mark.parametrize("folder", ["ops", "local"])
def test_operating_needs_no_cdk(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        named = re.findall(r"^\s*(?:from|import) ((?:infra|pipeline)\b[\w.]*)", file.read_text(), re.M)
        assert set(named) <= PLAIN, file
    code = f"import sys, {', '.join(sorted(PLAIN))}; assert not {{'aws_cdk', 'sagemaker'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


CLIENT = ROOT / "clients" / "python" / "src" / "tally_client"
PACKAGES = [CLIENT, ROOT / "model_code" / "tally", *(ROOT / name for name in ("pipeline", "infra", "ops", "local"))]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_modules_do_not_import_each_other_in_circles(package: Path) -> None:
    def name(file: Path) -> str:
        parts = [package.name, *file.relative_to(package).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    modules = {name(file): file for file in package.rglob("*.py")}
    arrows: dict[str, set[str]] = {}
    for module, file in modules.items():
        targets = set()
        for node in ast.parse(file.read_text()).body:  # an import inside a function runs later and makes no circle
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:  # a module of the package, or a name inside it
                    inner = f"{node.module}.{alias.name}"
                    targets.add(inner if inner in modules else node.module)
            elif isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
        arrows[module] = targets & modules.keys() - {module}
    while leaves := {module for module, targets in arrows.items() if not targets}:
        arrows = {module: targets - leaves for module, targets in arrows.items() if module not in leaves}
    assert not arrows, f"circles among {sorted(arrows)}"
