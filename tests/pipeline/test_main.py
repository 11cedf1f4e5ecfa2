"""`python -m pipeline`."""

import json
from typing import Any

import pytest

from pipeline.__main__ import main


def test_it_prints_the_definition(definition: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out) == definition


def test_options_replace_settings(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--kms-key", "alias/other", "--no-spot", "--subnets", "subnet-1", "--security-group-ids", "sg-1"]
    assert main([*options, "--tuning-strategy", "Hyperband"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in ('"alias/other"', '"subnet-1"', '"Hyperband"'))
    assert '"EnableManagedSpotTraining": true' not in printed


def test_validation_says_so_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate"]) == 0
    assert capsys.readouterr().out == "The definition is valid.\n"


def test_validation_lists_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--validate", "--deploy-queue-url", "queue", "--train-image", "x" * 256]) == 1
    captured = capsys.readouterr()
    assert captured.out == "6 problems\n"
    assert "Deploy: SqsQueueUrl: 'queue' does not match https?://.+" in captured.err
    assert "Preprocess: Arguments.AppSpecification.ImageUri: 256 characters is above the maximum of 255" in captured.err


def test_a_wrong_setting_ends_with_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--name", "a b"])
    assert "pipeline setting 'name' is 'a b'" in capsys.readouterr().err


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(
        option in printed for option in ("--validate", "--raw-bucket", "--spot", "--tuning-strategy", "--subnets")
    )
