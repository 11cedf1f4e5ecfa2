# ruff: noqa: ARG005 - small lambdas stand for runners and readers
import pytest

from local.errors import StepError
from local.expressions import Scope, references, resolve


def scope(**changes):
    values = {
        "parameters": {"Epochs": 3, "Prefix": "photos", "Drop": 0.0},
        "execution": {"PipelineExecutionId": "abc"},
        "outputs": {
            "Tune": {"BestTrainingJob": {"TunedHyperParameters": {"lr": "0.01"}}},
            "Prep": {
                "ProcessingOutputConfig": {"Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://a/t"}}]}
            },
            "Find": {"OutputParameters": {"champion-name": "baseline"}},
        },
        "property_file": lambda step, name: {"gate": {"verdict": "promote", "guards": [{"limit": 0.5}]}},
        "s3_json": lambda uri: {"uri": uri},
    }
    return Scope(**(values | changes))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Get": "Parameters.Epochs"}, 3),
        ({"Get": "Execution.PipelineExecutionId"}, "abc"),
        ({"Get": "Steps.Tune.BestTrainingJob.TunedHyperParameters['lr']"}, "0.01"),
        ({"Get": "Steps.Prep.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}, "s3://a/t"),
        ({"Get": "Steps.Prep.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"}, "s3://a/t"),
        ({"Get": "Steps.Find.OutputParameters['champion-name']"}, "baseline"),
        ({"Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Prefix"}, 7]}}, "s3://photos/7"),
        ({"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Drop"}]}}, "0.0"),
        (
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.Evaluation"}, "Path": "gate.verdict"}},
            "promote",
        ),
        (
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.E"}, "Path": "$.gate.guards[0]['limit']"}},
            0.5,
        ),
        ({"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": ["s3:/", "a"]}}, "Path": "uri"}}, "s3://a"),
        ({"deep": [{"Get": "Parameters.Epochs"}, "text"]}, {"deep": [3, "text"]}),
    ],
    ids=str,
)
def test_an_expression_resolves_to_its_value(expression, value):
    assert resolve(expression, scope()) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"Get": "Parameters.Epoch"}, "Parameters has no 'Epoch'; it holds: Drop, Epochs, Prefix"),
        ({"Get": "Steps.Train.ModelArtifacts"}, "refers to step Train, which has no outputs"),
        ({"Get": "Steps.Tune.BestTrainingJob.Name"}, "Steps.Tune.BestTrainingJob has no 'Name'; it holds: Tuned"),
        ({"Get": "Nothing.X"}, "a Get starts with Parameters, Execution or Steps"),
        ({"Get": "Parameters.['"}, "cannot read the path"),
    ],
    ids=str,
)
def test_an_expression_that_cannot_be_resolved_says_what_is_there(expression, message):
    with pytest.raises(StepError, match=message.replace("[", r"\[")):
        resolve(expression, scope())


def test_references_are_found_in_joins_and_property_files():
    value = {
        "a": {"Std:Join": {"On": "", "Values": [{"Get": "Steps.A.Name"}, {"Get": "Parameters.X"}]}},
        "b": [{"Std:JsonGet": {"PropertyFile": {"Get": "Steps.B.PropertyFiles.F"}, "Path": "x"}}],
        "c": {"Get": "Steps.C-1.OutputParameters['x']"},
    }
    assert references(value) == {"A", "B", "C-1"}
