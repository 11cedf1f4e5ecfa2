"""cdk.json and the CLI's options: what is wrong is named by its key, and costs no traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings, SettingsError, read_settings
from tests.infra.synth import ROOT, contexts, run_app

ENVIRONMENTS = json.loads((ROOT / "cdk.json").read_text())["context"]["environments"]

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
DOTS = ("../", "./", "photos/../", "photos/./new/")

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"servng": {}}, "environments.dev.servng is not a setting; there are: account, api, images, network"),
    ({"serving": {"max": 2}}, "environments.dev.serving.max is not a setting; there are: bake_minutes, "),
    ({"serving": 3}, "environments.dev.serving is 3; it must be an object"),
    ({"serving": {"max_instances": "2"}}, "environments.dev.serving.max_instances is '2'; it must be a whole number"),
    ({"serving": {"max_instances": True}}, "serving.max_instances is True; it must be a whole number"),
    ({"serving": {"min_instances": 3}}, "serving.max_instances is 2; it must be at least min_instances, which is 3"),
    ({"serving": {"canary_percent": 60}}, "serving.canary_percent is 60; it must be 1 to 50"),
    ({"serving": {"instance_type": "c5.large"}}, "serving.instance_type is 'c5.large'; it must be a SageMaker"),
    ({"network": {"vpc_id": "vpc-1"}}, "vpc_id, subnet_ids and security_group_ids given together, or none"),
    ({"network": {"subnet_ids": "subnet-1"}}, "network.subnet_ids is 'subnet-1'; it must be a list of texts"),
    ({"api": {"auth": "none"}}, "environments.dev.api.auth is 'none'; it must be 'api_key' or 'iam'"),
    ({"api": {"domain_name": "a.org"}}, "api.domain_name is 'a.org'; it must be given together with certificate_arn"),
    *(
        (
            {"api": {"domain_name": name, "certificate_arn": CERTIFICATE}},
            f"environments.dev.api.domain_name is {name!r}; it must be a host name such as tally.example.com: small",
        )
        for name in (
            "x y",
            "https://tally.example.com/",
            "tally.example.com/",
            "tally.example.com:443",
            "tally.example.com.",
            "tally.example.com\n",
            "Tally.example.com",
            "*.example.com",
            "localhost",
            "-a.example.com",
            "a..example.com",
            "10.0.0.1",
            f"{'a' * 64}.example.com",
            f"{'a.' * 127}example.com",
            "",
        )
    ),
    *(
        (
            {"api": {"domain_name": "tally.example.com", "certificate_arn": arn}},
            f"environments.dev.api.certificate_arn is {arn!r}; it must be the ARN of an ACM certificate, as in arn:",
        )
        for arn in (
            "nonsense",
            "arn:aws:iam::123456789012:server-certificate/tally",
            CERTIFICATE.replace("123456789012", "1234"),
            CERTIFICATE + "\n",
            CERTIFICATE.partition("/")[0],
            "",
        )
    ),
    (
        {"region": "eu-west-1", "api": {"domain_name": "tally.example.com", "certificate_arn": CERTIFICATE}},
        f"environments.dev.api.certificate_arn is {CERTIFICATE!r}; it must be a certificate in eu-west-1, the region",
    ),
    *(({"api": {"raw_prefixes": [wrong]}}, f"raw_prefixes is {wrong!r}; it must be prefixes") for wrong in DOTS),
    *(
        ({"api": {"extra_sources": [f"ours/{wrong}"]}}, f"extra_sources is 'ours/{wrong}'; it must be places")
        for wrong in DOTS
    ),
    ({"api": {"extra_buckets": ["a"]}}, "environments.dev.api.extra_buckets is not a setting; there are: allow_http"),
    (
        {"api": {"raw_prefixes": "photos/"}},
        "environments.dev.api.raw_prefixes is 'photos/'; it must be a list of texts",
    ),
    (
        {"api": {"raw_prefixes": ["photos"]}},
        "environments.dev.api.raw_prefixes is 'photos'; it must be prefixes such as",
    ),
    ({"api": {"raw_prefixes": ["/photos/"]}}, "raw_prefixes is '/photos/'; it must be prefixes such as photos/"),
    ({"api": {"raw_prefixes": ["a*/"]}}, "raw_prefixes is 'a*/'; it must be prefixes"),
    ({"api": {"raw_prefixes": ["${aws:username}/"]}}, "raw_prefixes is '${aws:username}/'; it must be prefixes"),
    ({"api": {"raw_prefixes": ["a,b/"]}}, "raw_prefixes is 'a,b/'; it must be prefixes"),
    (
        {"api": {"extra_sources": ["ours"]}},
        "extra_sources is 'ours'; it must be places such as BUCKET/photos/, or BUCKET/",
    ),
    (
        {"api": {"extra_sources": ["ours/bins"]}},
        "extra_sources is 'ours/bins'; it must be places such as BUCKET/photos/",
    ),
    ({"api": {"extra_sources": ["*/"]}}, "extra_sources is '*/'; it must be places"),
    ({"api": {"extra_sources": ["our..s/"]}}, "extra_sources is 'our..s/'; it must be places"),
    ({"api": {"extra_sources": ["s3://ours/"]}}, "extra_sources is 's3://ours/'; it must be places"),
    ({"api": {"pass_probability": 0.5}}, "environments.dev.api.pass_probability is 0.5; it must be above 0.5, and at"),
    ({"api": {"pass_probability": 1.01}}, "api.pass_probability is 1.01; it must be above 0.5, and at most 1"),
    ({"api": {"pass_probability": float("nan")}}, "api.pass_probability is nan; it must be above 0.5, and at most 1"),
    ({"api": {"pass_probability": "0.9"}}, "api.pass_probability is '0.9'; it must be a number"),
    ({"api": {"pass_probability": True}}, "api.pass_probability is True; it must be a number"),
    ({"api": {"fail_probability": 0.2}}, "api.fail_probability is 0.2; it must be at least 0, and below 0.2"),
    ({"api": {"fail_probability": -0.1}}, "api.fail_probability is -0.1; it must be at least 0, and below 0.2"),
    ({"training": {"spot": "yes"}}, "environments.dev.training.spot is 'yes'; it must be true or false"),
    ({"training": {"parameters": {"Epochs": [1]}}}, "training.parameters.Epochs is [1]; it must be str or int"),
    ({"training": {"weekly_prefix": "/photos/"}}, "training.weekly_prefix is '/photos/'; it must be a prefix such as"),
    ({"training": {"preprocess_instance_price": 0}}, "preprocess_instance_price is 0; it must be above 0 and at most"),
    ({"training": {"preprocess_instance_price": "1"}}, "preprocess_instance_price is '1'; it must be int or float"),
    ({"training": {"weekly_schedule": "sunday"}}, "weekly_schedule is 'sunday'; it must be an expression such as"),
    ({"operations": {"emails": ["ops"]}}, "operations.emails is 'ops'; it must be e-mail addresses"),
    ({"operations": {"log_retention_days": 42}}, "log_retention_days is 42; it must be one of CloudWatch's: 1, 3,"),
    ({"account": 123456789012}, "environments.dev.account is 123456789012; it must be str"),
    ({"account": "1234"}, "environments.dev.account is '1234'; it must be an account id of 12 digits"),
    ({"region": "Ireland"}, "environments.dev.region is 'Ireland'; it must be a region such as eu-central-1"),
    ({"prefix": "Tally"}, "environments.dev.prefix is 'Tally'; it must be 1 to 10 small letters and digits"),
    ({"environment": "x"}, "environments.dev.environment cannot be set; the environment's name is its key, 'dev'"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_setting_is_refused_by_its_key(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(ENVIRONMENTS, "dev", overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_of_cdk_json_can_be_read(name: str) -> None:
    settings = read_settings(ENVIRONMENTS, name)
    assert settings.names.endpoint == f"tally-{name}"


def test_an_override_replaces_one_value_and_keeps_its_neighbours() -> None:
    settings = read_settings(ENVIRONMENTS, "dev", {"serving": {"max_instances": 7}})
    assert settings.serving.max_instances == 7
    assert settings.serving.bake_minutes == ENVIRONMENTS["dev"]["serving"]["bake_minutes"]


def test_probabilities_may_be_whole_numbers_and_places_whole_buckets() -> None:
    api = {
        "pass_probability": 1,
        "fail_probability": 0,
        "raw_prefixes": [""],
        "extra_sources": ["ours/", "a.b-c/d/e!_.'()-/", "ours/.../.a/b../"],
    }
    settings = read_settings(ENVIRONMENTS, "dev", {"api": api})
    assert (settings.api.pass_probability, settings.api.fail_probability) == (1, 0)
    assert settings.api.raw_prefixes == ("",)
    assert settings.api.extra_sources == ("ours/", "a.b-c/d/e!_.'()-/", "ours/.../.a/b../")


@pytest.mark.parametrize("region", [None, "eu-central-1"])
@pytest.mark.parametrize("name", ["tally.example.com", "a-1.b.co", "xn--bcher-kva.example"])
def test_an_address_of_ones_own_comes_with_a_certificate_of_the_apis_region(region: str | None, name: str) -> None:
    given = {"region": region, "api": {"domain_name": name, "certificate_arn": CERTIFICATE}}
    assert read_settings(ENVIRONMENTS, "dev", given).api.domain_name == name


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_certificates_of_other_partitions_are_taken(partition: str) -> None:
    arn = CERTIFICATE.replace("arn:aws:", f"arn:{partition}:").replace("eu-central-1", "us-gov-west-1")
    given = {"region": "us-gov-west-1", "api": {"domain_name": "tally.example.com", "certificate_arn": arn}}
    assert read_settings(ENVIRONMENTS, "dev", given).api.certificate_arn == arn


def test_names_of_two_environments_never_meet() -> None:
    one, two = (Settings(environment=name).names for name in ("dev", "prod"))
    for names in (one, two):
        assert len(names.bucket("access-logs", "123456789012", "ap-southeast-2")) <= 63
    assert not {one.base, one.topic(), one.queue("release")} & {two.base, two.topic(), two.queue("release")}


FROM_THE_CLI: list[tuple[str | None, Any, str]] = [
    ("staging", None, "app.py: environment 'staging' is not in cdk.json, which has dev, laptop, prod; choose one"),
    ("dev", '{"serving"', "app.py: -c overrides is not JSON (Expecting ':' delimiter"),
    ("dev", "[1]", "app.py: -c overrides is '[1]'; it must be an object such as"),
    ("dev", {"training": {"parameters": {"Epoch": 3}}}, "app.py: environments.dev.training: pipeline setting "),
]


@pytest.mark.e2e  # each starts the app, which takes seconds
@pytest.mark.parametrize(("environment", "overrides", "message"), FROM_THE_CLI, ids=[each[2] for each in FROM_THE_CLI])
def test_the_app_says_in_one_line_what_is_wrong(
    tmp_path: Path, environment: str | None, overrides: Any, message: str
) -> None:
    done = run_app(contexts(environment, overrides), tmp_path / "out", tmp_path / "scratch")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
