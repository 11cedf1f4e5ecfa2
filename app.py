"""The CDK app: `cdk deploy --all -c env=dev`. Settings come from cdk.json, see infra/settings.py.

One setting can be replaced for one command: -c overrides='{"serving": {"max_instances": 4}}'.
"""

import sys

import aws_cdk as cdk

from infra.app import FEATURES, build, settings_of
from infra.settings import SettingsError


def main() -> int:
    """Synthesize; 1 when a setting is wrong, with one line that says which."""
    app = cdk.App(context=FEATURES)
    try:
        build(app, settings_of(app))
    except SettingsError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
