import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.errors import TallyError
from tally.settings import TrainingSettings


def test_values_come_as_strings_and_sometimes_in_json_quotes() -> None:
    settings = TrainingSettings.from_hyperparameters(
        {"lr": "0.003", "batch_size": '"32"', "freeze": '"backbone"', "amp": "false", "sagemaker_region": "x"}
    )
    assert (settings.lr, settings.batch_size, settings.freeze, settings.amp) == (0.003, 32, "backbone", False)
    assert not settings.trial


@pytest.mark.parametrize("content", [None, "", "{", "[]", '"lr"', "null"])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "hyperparameters.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(
        TallyError, match=r"hyperparameters '.*json' cannot be read \(.+\); start this as a training job"
    ):
        TrainingSettings.read(file)


def test_a_tuning_job_marks_its_trials() -> None:
    assert TrainingSettings.from_hyperparameters({"_tuning_objective_metric": "accuracy"}).trial


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lr", "fast", "hyperparameter 'lr' is 'fast'; it must be a number"),
        ("lr", "0", "hyperparameter 'lr' is '0.0'; it must be between 1e-08 and 10"),
        ("lr", "nan", "hyperparameter 'lr' is 'nan'; it must be between 1e-08 and 10"),
        ("epochs", "2.5", "hyperparameter 'epochs' is '2.5'; it must be a whole number"),
        (
            "freeze",
            "all",
            "hyperparameter 'freeze' is 'all'; it must be one of none, early, all_but_last_stage, backbone",
        ),
        ("amp", "yes", "hyperparameter 'amp' is 'yes'; it must be true or false"),
        ("learning_rat", "1", "hyperparameter 'learning_rat' is not known; known: accuracy_margin, amp, backbone"),
        ("epoch", "1", "hyperparameter 'epoch' is not known; did you mean 'epochs'?"),
        ("trial", "true", "hyperparameter 'trial' cannot be given"),
        (
            "class_weighting",
            "balanced",
            "hyperparameter 'class_weighting' is 'balanced'; it must be none while sampling",
        ),
        ("warmup_epochs", "30", "hyperparameter 'warmup_epochs' is '30.0'; it must be at most epochs=20"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_bad_value_is_named_with_what_is_allowed(key: str, value: str, message: str) -> None:
    with pytest.raises(TallyError) as caught:
        TrainingSettings.from_hyperparameters({key: value})
    assert str(caught.value).startswith(message)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
def test_an_unknown_key_is_never_passed_over(hyperparameters: dict[str, str]) -> None:
    known = set(hyperparameters) <= {field.name for field in dataclasses.fields(TrainingSettings)}
    if hyperparameters and not known and not all(key.startswith("sagemaker_") for key in hyperparameters):
        with pytest.raises(TallyError, match="hyperparameter '"):
            TrainingSettings.from_hyperparameters(hyperparameters)
