import pytest

from local.conditions import holds
from local.definition import Definition
from local.errors import LocalError, StepError


def step(name, **more):
    return {"Name": name, "Type": "Training", "Arguments": {}, **more}


def test_dependencies_come_from_depends_on_from_references_and_from_the_enclosing_condition():
    inner = step("Register", Arguments={"Url": {"Get": "Steps.Train.Model"}})
    gate = {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Steps.Evaluate.X"}, "RightValue": 1}],
            "IfSteps": [inner],
            "ElseSteps": [step("Refused", Type="Fail")],
        },
    }
    definition = Definition.parse({"Steps": [step("Train"), step("Evaluate", DependsOn=["Train"]), gate]})
    assert {name: set(s.depends_on) for name, s in definition.steps.items()} == {
        "Train": set(),
        "Evaluate": {"Train"},
        "Gate": {"Evaluate"},
        "Register": {"Train", "Gate"},
        "Refused": {"Gate"},
    }
    assert definition.steps["Refused"].branch == ("Gate", False)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("A"), step("A")], "two steps named A"),
        ([step("A", DependsOn=["B"])], "step A depends on B, which is not a step"),
        ([step("A", DependsOn=["B"]), step("B", DependsOn=["A"])], "wait for each other"),
    ],
    ids=["twice", "unknown", "cycle"],
)
def test_a_definition_that_cannot_run_is_refused(steps, message):
    with pytest.raises(LocalError, match=message):
        Definition.parse({"Steps": steps})


PARAMETERS = Definition.parse(
    {
        "Steps": [],
        "Parameters": [
            {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
            {"Name": "Alpha", "Type": "Float", "DefaultValue": 0.05},
            {"Name": "Mode", "Type": "String", "DefaultValue": "automatic", "EnumValues": ["automatic", "manual"]},
            {"Name": "Revision", "Type": "String"},
        ],
    }
)


def test_parameters_are_cast_to_their_type_and_defaults_fill_the_rest():
    values = PARAMETERS.values({"Revision": "r1", "Epochs": "5"})
    assert values == {"Epochs": 5, "Alpha": 0.05, "Mode": "automatic", "Revision": "r1"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter Revision has no default"),
        ({"Revision": "r", "Epochs": "many"}, "parameter Epochs is 'many'; it must be of type Integer"),
        ({"Revision": "r", "Mode": "maybe"}, "parameter Mode is 'maybe'; allowed are automatic, manual"),
        ({"Revision": "r", "Epoch": 1}, "no parameter Epoch; it has Alpha, Epochs, Mode, Revision"),
    ],
    ids=["missing", "type", "enum", "unknown"],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(given, message):
    with pytest.raises(LocalError, match=message):
        PARAMETERS.values(given)


def compare(kind, left, right):
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (compare("Equals", "promote", "promote"), True),
        (compare("GreaterThan", 0.4, 0.4), False),
        (compare("GreaterThanOrEqualTo", 0.4, 0.4), True),
        (compare("LessThan", 1, 2), True),
        (compare("LessThanOrEqualTo", 3, 2), False),
        ({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, True),
        ({"Type": "Not", "Condition": compare("Equals", 1, 1)}, False),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("LessThan", 1, 2)]}, True),
    ],
    ids=lambda value: value["Type"] if isinstance(value, dict) else str(value),
)
def test_each_type_of_condition_is_evaluated(condition, expected):
    assert holds(condition) is expected


def test_a_condition_on_values_of_two_kinds_says_so():
    with pytest.raises(StepError, match="cannot compare 'high' with 3"):
        holds(compare("GreaterThan", "high", 3))
