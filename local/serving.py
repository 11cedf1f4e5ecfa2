"""The last word of a run: a photo that no model has seen, answered over HTTP by the model in service."""

from dataclasses import dataclass
from typing import Any

from local.errors import StepError
from local.execution import Execution
from local.heldout import HeldOutPhoto, choose_photo
from local.laptop import Laptop
from local.registry import newest_approved
from local.reports import model_uri, output_uri
from local.settings import GROUP, PREFIX, RAW_BUCKET
from local.summary import outcome


@dataclass
class UnseenPhoto:
    """The held-out photo, looked up once Preprocess has written the test split."""

    seed: int
    photo: HeldOutPhoto | None = None

    def get(self, laptop: Laptop, execution: Execution) -> HeldOutPhoto:
        """Return the photo; StepError while there is no test split."""
        if self.photo is None:
            test = output_uri(execution, "Preprocess", "test")
            if test is None:
                raise StepError("there is no test split to take a photo from: Preprocess did not succeed")
            self.photo = choose_photo(laptop.cloud.clients.s3, test, f"s3://{RAW_BUCKET}/{PREFIX}/", self.seed)
        return self.photo


def predict(laptop: Laptop, execution: Execution, unseen: UnseenPhoto) -> dict[str, Any] | None:
    """POST the unseen photo to the model in service, and say which model that is.

    After a refusal that is the older champion; when nothing was ever approved the refused challenger answers as a
    preview. None when there is no model at all. StepError when the server does not answer with a count.
    """
    source = _put_in_service(laptop, execution)
    server = laptop.deployer.server
    if source is None or server is None:
        return None
    photo = unseen.get(laptop, execution)
    answer = server.predict(photo.content, photo.name)
    if answer.status != 200:
        raise StepError(f"the model server answered {answer.status} to {photo.name}: {answer.body}")
    return {
        "count": answer.body["count"],
        "confidence": answer.body["confidence"],
        "probabilities": answer.body["probabilities"],
        "label": photo.count,
        "photo": photo.name,
        "model": answer.body["model"],
        "from": source,
        "package": laptop.deployer.package_arn,
    }


def _put_in_service(laptop: Laptop, execution: Execution) -> str | None:
    if laptop.deployer.server is not None:
        return "deployed"
    champion = newest_approved(laptop.cloud.clients.sagemaker, GROUP)
    if champion is not None:
        url = champion["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        laptop.deployer.put_in_service(url, champion["ModelPackageArn"])
        return "champion"
    challenger = model_uri(execution, "Train")
    if challenger is None or outcome(execution) == "failed":
        return None
    laptop.deployer.put_in_service(challenger, None)
    return "preview"
