"""`make up` and `make down`: the platform kept running for exploration, by hand or with any script."""

import json
import shlex
from pathlib import Path
from typing import TextIO, cast

from local.display import PatientStream, make_display
from local.emulator import children
from local.emulator.internet.sites import PHOTOS
from local.errors import LocalError
from local.platform import Platform, deployed, running_emulator
from local.run import only_one
from local.settings import ENVIRONMENT, NAMES, PREFIX, RAW_BUCKET, REPOSITORY, RunSettings, check_surroundings
from ops import predict

VARIABLES_FILE = "aws.env"


def up(settings: RunSettings, stream: TextIO, image: Path = REPOSITORY / "model_code") -> int:
    """Start the platform unless it runs, deploy the stacks with these settings, and print how to use them."""
    stream = cast(TextIO, PatientStream(stream))
    check_surroundings(settings)
    with only_one(settings.build):
        with make_display(stream) as display, deployed(settings, display, image, keep=True) as platform:
            pass
        variables = settings.build / VARIABLES_FILE
        _leave_variables(platform, variables)
        print(_how_to_use(platform, variables), file=stream)
    return 0


def down(build: Path, stream: TextIO) -> int:
    """End the platform in `build`; what the next one needs is kept. LocalError when none runs."""
    emulator = running_emulator(build)
    if emulator is None:
        children.end(build)  # of an emulated account that was killed
        (build / VARIABLES_FILE).unlink(missing_ok=True)
        raise LocalError(f"no platform runs in {build}; make up starts one")
    with only_one(build), make_display(stream) as display:
        Platform(RunSettings(build=build), display, emulator).save([])
        emulator.stop()
        (build / VARIABLES_FILE).unlink(missing_ok=True)
        display.say(f"the platform at {emulator.endpoint} has ended; model packages and cached steps are kept")
    return 0


def _leave_variables(platform: Platform, file: Path) -> None:
    """For the SDKs and CLIs of AWS, for the commands of docs/api.md, and for the client's own command."""
    place = predict.api(platform.account)
    values = {**platform.environment, **_of_the_guide(place), "TALLY_URL": place.url, "TALLY_API_KEY": str(place.key)}
    file.touch(mode=0o600)
    file.chmod(0o600)  # an older one may have been open to all, and this one has a key
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))


def _of_the_guide(place: predict.Api) -> dict[str, str]:
    return {"URL": place.url.rstrip("/"), "KEY": str(place.key), "BUCKET": RAW_BUCKET}


def _how_to_use(platform: Platform, variables: Path) -> str:
    place = predict.api(platform.account)
    found = (
        platform.client("s3").list_objects_v2(Bucket=RAW_BUCKET, Prefix=f"{PREFIX}/", MaxKeys=10).get("Contents", [])
    )
    photos = [item["Key"] for item in found if item["Key"].endswith((".jpg", ".jpeg", ".png", ".webp"))]
    photo = f"{RAW_BUCKET}/{photos[0] if photos else f'{PREFIX}/bin-images/NAME.jpg'}"
    in_s3, by_url = json.dumps({"s3_uri": f"s3://{photo}"}), json.dumps({"image_url": f"https://{PHOTOS}/{photo}"})
    empty = (
        "" if photos else "\nIt holds no photos yet: make run uploads them, or make upload DATA=../photos ENV=laptop.\n"
    )
    group = NAMES.model_package_group
    registered = platform.client("sagemaker").list_model_packages(ModelPackageGroupName=group, MaxResults=1)
    kept = "\nModel packages of earlier runs are in it." if registered["ModelPackageSummaryList"] else ""
    guide = "\n".join(f"  {name}={value}" for name, value in _of_the_guide(place).items())
    return f"""
An emulated AWS account runs at {platform.endpoint}; its log: {platform.log}
Photos and the history of runs last as long as it does.{kept}
{empty}
  make run                                   photos in, a judged model in service, in this account
  . {variables}
                                             from then on boto3, the AWS CLI and the commands below use it, and these
                                             are set, which docs/api.md asks for:
{guide}
                                             as are TALLY_URL and TALLY_API_KEY, for the client's command `tally`
  make status ENV={ENVIRONMENT}
  make packages ENV={ENVIRONMENT}
  aws s3 ls s3://{RAW_BUCKET}/{PREFIX}/
  aws sagemaker list-pipeline-executions --pipeline-name {NAMES.pipeline}
  curl -s {place.predictions} \\
    -H 'x-api-key: {place.key}' -H 'content-type: application/json' \\
    -d '{in_s3}'
  ... -d '{by_url}'
                                             the same photo by URL, from a web site that only this account sees
  make down                                  the end; the next `make up` or `make run` goes on from there
"""
