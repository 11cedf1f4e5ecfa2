"""The web firewall before the API."""

from collections.abc import Mapping

from aws_cdk import aws_kms as kms
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra import secure
from infra.arns import arn
from infra.settings import Settings

COUNTED: Mapping[str, Mapping[str, str]] = {
    "AWSManagedRulesCommonRuleSet": {
        "SizeRestrictions_BODY": "blocks bodies above 8 KB, and photos are larger; API Gateway, Lambda and the handler "
        "have limits of their own",
        "GenericRFI_BODY": "blocks bodies with a URL that has an IPv4 address, and a URL is what this API is for; the "
        "handler judges the address it connects to",
        "GenericLFI_BODY": "finds ../ in the bytes of photos and in URLs; no function opens a file that a caller names",
        "CrossSiteScripting_BODY": "finds script tags in the bytes of photos; nothing of a body is ever shown as HTML",
    }
}
"""Managed rules that only count, by rule set, each with its reason."""

MANAGED = ("AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", *COUNTED)


class Firewall(Construct):
    """A web ACL for one API stage: AWS's managed rules and a limit per address, with a log of what was stopped."""

    def __init__(
        self, scope: Construct, construct_id: str, settings: Settings, *, key: kms.IKey, stage_arn: str
    ) -> None:
        super().__init__(scope, construct_id)
        acl = wafv2.CfnWebACL
        name = settings.names.base
        self.acl = acl(
            self,
            "Acl",
            name=name,
            scope="REGIONAL",
            default_action=acl.DefaultActionProperty(allow={}),
            visibility_config=_visibility(name),
            rules=[
                self._per_address(settings.api.requests_per_ip),
                *(_managed(rule_set, priority) for priority, rule_set in enumerate(MANAGED, start=1)),
            ],
        )
        wafv2.CfnWebACLAssociation(self, "Association", resource_arn=stage_arn, web_acl_arn=self.acl.attr_arn)
        log_group = secure.log_group(  # WAF only writes to groups whose name begins like this
            self, "Logs", settings=settings, key=key, name=f"aws-waf-logs-{name}"
        )
        self.logging = wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[arn("logs", f"log-group:{log_group.log_group_name}")],
            redacted_fields=[
                {"singleHeader": {"Name": "x-api-key"}},
                {"singleHeader": {"Name": "authorization"}},
                {"queryString": {}},
            ],
            logging_filter={
                "DefaultBehavior": "DROP",  # the access log has every request; this one is for what a rule met
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [
                            {"ActionCondition": {"Action": "BLOCK"}},
                            {"ActionCondition": {"Action": "COUNT"}},
                        ],
                    }
                ],
            },
        )

    def _per_address(self, limit: int) -> wafv2.CfnWebACL.RuleProperty:
        acl = wafv2.CfnWebACL
        return acl.RuleProperty(
            name="PerAddress",
            priority=0,
            action=acl.RuleActionProperty(block={}),
            statement=acl.StatementProperty(
                rate_based_statement=acl.RateBasedStatementProperty(
                    limit=limit, aggregate_key_type="IP", evaluation_window_sec=300
                )
            ),
            visibility_config=_visibility("PerAddress"),
        )


def _managed(rule_set: str, priority: int) -> wafv2.CfnWebACL.RuleProperty:
    acl = wafv2.CfnWebACL
    counted = [
        acl.RuleActionOverrideProperty(name=rule, action_to_use=acl.RuleActionProperty(count={}))
        for rule in COUNTED.get(rule_set, {})
    ]
    return acl.RuleProperty(
        name=rule_set,
        priority=priority,
        override_action=acl.OverrideActionProperty(none={}),
        statement=acl.StatementProperty(
            managed_rule_group_statement=acl.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=rule_set, rule_action_overrides=counted or None
            )
        ),
        visibility_config=_visibility(rule_set),
    )


def _visibility(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    # sampled requests would show headers, the API key among them, to everyone who may open the console's page
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=False
    )
