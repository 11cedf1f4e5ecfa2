"""What refers to what in the synthesized templates of one environment."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# Names in ARNs and in event patterns, by the property that gives the name. <> is what AWS fills in.
_NAMED = (
    ("BucketName", ":s3:::{}"),
    ("TopicName", ":sns:<>:<>:{}"),
    ("QueueName", ":sqs:<>:<>:{}"),
    ("FunctionName", ":lambda:<>:<>:function:{}"),
    ("PipelineName", ":sagemaker:<>:<>:pipeline/{}"),
    ("EndpointName", ":sagemaker:<>:<>:endpoint/{}"),
    ("ModelPackageGroupName", ":sagemaker:<>:<>:model-package-group/{}"),
    ("ModelPackageGroupName", ":sagemaker:<>:<>:model-package/{}/"),
    ("ModelPackageGroupName", "ModelPackageGroupName {}"),  # in event patterns
)


class Node(NamedTuple):
    """A resource: the stack's kind and the logical id. The stack itself: an empty id."""

    stack: str
    id: str


class Grant(NamedTuple):
    """A statement of a policy: who may do what with what."""

    who: Node
    actions: Sequence[str]
    resources: Sequence[Node]


class Platform:
    """Templates by kind of stack, as CDK writes them; account and region may be open in them."""

    def __init__(self, templates: Mapping[str, Mapping[str, Any]], stack_names: Mapping[str, str]) -> None:
        self.resources: dict[Node, Mapping[str, Any]] = {
            Node(kind, id_): resource
            for kind, template in templates.items()
            for id_, resource in template["Resources"].items()
        }
        self._exports = {
            output["Export"]["Name"]: self._target(kind, output["Value"])
            for kind, template in templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }
        self._by_name = {f":stack/{name}/": Node(kind, "") for kind, name in stack_names.items()}
        for node in self.resources:
            for name, pattern in _NAMED:
                if text := self.text(node, self.property(node, name)):
                    self._by_name.setdefault(pattern.format(text), node)

    def type(self, node: Node) -> str:
        """CloudFormation's type; empty for a stack."""
        return str(self.resources[node]["Type"]) if node.id else ""

    def property(self, node: Node, path: str) -> Any:
        """A property as the template has it, None where it is not set. In `path` a dot leads into objects and lists."""
        value = self.resources[node].get("Properties", {}) if node.id else {}
        for name in path.split("."):
            parts = value if isinstance(value, list) else [value]
            values = [part.get(name) for part in parts if isinstance(part, dict)]
            value = values if isinstance(value, list) else values[0] if values else None
        return value

    def of_type(self, kind: str) -> list[Node]:
        """Resources of a type."""
        return [node for node, resource in self.resources.items() if resource["Type"] == kind]

    def text(self, node: Node, value: Any) -> str:
        """A property of `node` as text: <> for what AWS fills in, <stack/id> for what a resource fills in."""
        if isinstance(value, str):
            return re.sub(r"\$\{AWS::[A-Za-z]+\}", "<>", value)
        if isinstance(value, dict) and len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Fn::Join":
                return "".join(self.text(node, part) for part in argument[1])
            if function == "Fn::Sub" and isinstance(argument, str):
                return self.text(node, argument)
            if target := self._target(node.stack, value):
                return f"<{target.stack}/{target.id}>"
            if function == "Ref":
                return "<>"
        if isinstance(value, (dict, list)):
            parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
            return " ".join(self.text(node, part) for part in parts)
        return ""

    def mentioned(self, node: Node, value: Any) -> list[Node]:
        """Resources that a property of `node` refers to or names."""
        text = self.text(node, value)
        found = [Node(stack, id_) for stack, id_ in re.findall(r"<([a-z]+)/(\w+)>", text)]
        found += [other for name, other in self._by_name.items() if _names(name, text)]
        return list(dict.fromkeys(found))

    def grants(self) -> Iterator[Grant]:
        """What IAM policies allow, by the resources that use the policy's roles."""
        users = self._users_of_roles()
        for node in (*self.of_type("AWS::IAM::Policy"), *self.of_type("AWS::IAM::ManagedPolicy")):
            roles = self.mentioned(node, self.property(node, "Roles"))
            for statement in self.property(node, "PolicyDocument")["Statement"]:
                actions = statement["Action"]
                actions = [actions] if isinstance(actions, str) else actions
                resources = self.mentioned(node, statement["Resource"])
                for who in dict.fromkeys(user for role in roles for user in users.get(role, [])):
                    yield Grant(who, actions, resources)

    def _users_of_roles(self) -> dict[Node, list[Node]]:
        users: dict[Node, list[Node]] = {}
        for node, resource in self.resources.items():
            if not resource["Type"].startswith("AWS::IAM::"):
                for role in self.mentioned(node, resource.get("Properties", {})):
                    if self.type(role) == "AWS::IAM::Role":
                        users.setdefault(role, []).append(node)
        return users

    def _target(self, stack: str, value: Any) -> Node | None:
        if not isinstance(value, dict):
            return None
        if "Fn::ImportValue" in value:
            name = value["Fn::ImportValue"]
            return self._exports.get(name) if isinstance(name, str) else None
        id_ = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
        node = Node(stack, id_) if id_ else None
        return node if node in self.resources else None


def _names(name: str, text: str) -> bool:
    """Whether the text has the name, and not only as the beginning of a longer one."""
    end = "" if name.endswith("/") else r"(?![\w-])"
    return re.search(re.escape(name) + end, text) is not None
