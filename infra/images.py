"""The two container images: built from model_code/Dockerfile when deployed, or given by URI."""

import re
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Aws, DefaultStackSynthesizer
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import secure
from infra.arns import arn
from infra.constructs.permissions import allow
from infra.settings import Settings

Kind = Literal["train", "serve"]

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)[:@].+"
)


@dataclass(frozen=True)
class Images:
    """Images of one environment."""

    settings: Settings

    def uri(self, scope: Construct, kind: Kind) -> str:
        """URI of the image; adds an asset to the scope where none is given, which Docker builds at deploy."""
        return (
            self._given(kind)
            or ecr_assets.DockerImageAsset(
                scope,
                f"{kind.capitalize()}Image",
                directory=str(secure.ROOT),
                file="model_code/Dockerfile",
                target=kind,
                platform=ecr_assets.Platform.LINUX_AMD64,  # of every instance type that the pipeline allows
            ).image_uri
        )

    def allow_pull(self, role: iam.Role, kind: Kind) -> None:
        """Let the role pull the image, from its own repository only.

        An image outside ECR gets no permission. SageMaker takes none from there; only an emulator does.
        """
        repository = self._repository_arn(kind)
        if repository is None:
            return
        allow(role, "PullImage", PULL, [repository])
        reason = "signs in to the registry as a whole; what may be pulled is in the statement PullImage."
        allow(role, "SignInToEcr", ["ecr:GetAuthorizationToken"], ["*"], why_wildcard=reason)

    def _given(self, kind: Kind) -> str | None:
        images = self.settings.images
        return images.train if kind == "train" else images.serve

    def _repository_arn(self, kind: Kind) -> str | None:
        given = self._given(kind)
        if given is None:
            name = f"cdk-{DefaultStackSynthesizer.DEFAULT_QUALIFIER}-container-assets-{Aws.ACCOUNT_ID}-{Aws.REGION}"
            return arn("ecr", f"repository/{name}")
        found = _ECR.fullmatch(given)
        return found and f"arn:{Aws.PARTITION}:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
