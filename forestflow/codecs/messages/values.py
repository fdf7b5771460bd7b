"""Domain values as protobuf messages and back: one pair of functions per noun, shared by JSON, journal and gRPC.

What has its default value is left unset, so that replies look like the original's. A ``float`` of a message becomes the
double with its shortest digits (0.1, not 0.10000000149…): that is what the user wrote, and what metrics compare to.
"""

from __future__ import annotations

from forestflow._gen.contract_pb2 import FQRV as FqrvMessage  # noqa: N811 - the original's name of the message
from forestflow._gen.contract_pb2 import Contract as ContractMessage
from forestflow._gen.serve_request_pb2 import BasicServeRequest
from forestflow._gen.settings_pb2 import ContractSettings as ContractSettingsMessage
from forestflow._gen.settings_pb2 import DeploymentSettings as DeploymentSettingsMessage
from forestflow._gen.settings_pb2 import LoggingSettings as LoggingSettingsMessage
from forestflow._gen.settings_pb2 import Merging as MergingMessage
from forestflow._gen.settings_pb2 import PolicySettings as PolicySettingsMessage
from forestflow._gen.settings_pb2 import ServableSettings as ServableSettingsMessage
from forestflow._gen.settings_pb2 import ShadowSettings as ShadowSettingsMessage
from forestflow.codecs.messages import policies
from forestflow.codecs.messages.flavors import flavor_from, flavor_to
from forestflow.domain import settings as domain
from forestflow.domain.errors import Invalid
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.independence import IndependentRows
from forestflow.domain.requests import ServeRequest
from forestflow.domain.sources import fqrv_of, refuse_secrets

DEFAULT_SEPARATOR = domain.LoggingSettings().key_features_separator

# --- addresses ------------------------------------------------------------------------------------------------------


def contract_to(contract: Contract) -> ContractMessage:
    return ContractMessage(
        organization=contract.organization, project=contract.project, contract_number=contract.contract_number
    )


def contract_from(message: ContractMessage) -> Contract:
    return Contract(message.organization, message.project, message.contract_number)


def fqrv_to(fqrv: Fqrv) -> FqrvMessage:
    return FqrvMessage(contract=contract_to(fqrv.contract), release_version=fqrv.release_version)


def fqrv_from(message: FqrvMessage) -> Fqrv:
    return Fqrv(contract_from(message.contract), message.release_version)


# --- policies -------------------------------------------------------------------------------------------------------


def policy_settings_to(settings: domain.PolicySettings) -> PolicySettingsMessage:
    return PolicySettingsMessage(
        validityPolicy=map(policies.rule_to, settings.validity_policy),
        phaseInPolicy=policies.phase_in_to(settings.phase_in_policy),
    )


def policy_settings_from(message: PolicySettingsMessage) -> domain.PolicySettings:
    return domain.PolicySettings(
        tuple(map(policies.rule_from, message.validityPolicy)), policies.phase_in_from(message.phaseInPolicy)
    )


# --- servable settings ----------------------------------------------------------------------------------------------


def logging_settings_to(settings: domain.LoggingSettings) -> LoggingSettingsMessage:
    message = LoggingSettingsMessage(logLevel=settings.log_level.name, keyFeatures=settings.key_features)
    if settings.key_features_separator != DEFAULT_SEPARATOR:
        message.keyFeaturesSeparator = settings.key_features_separator
    return message


def logging_settings_from(message: LoggingSettingsMessage) -> domain.LoggingSettings:
    return domain.LoggingSettings(
        domain.LogLevel(message.logLevel), tuple(message.keyFeatures), message.keyFeaturesSeparator
    )


def _deployment_settings_to(settings: domain.DeploymentSettings) -> DeploymentSettingsMessage:
    message = DeploymentSettingsMessage(
        replicas=settings.replicas, maxQueued=settings.max_queued, timeoutSeconds=settings.timeout_seconds
    )
    resources = settings.resources
    given = {"cpu": resources.cpu, "gpu": resources.gpu, "memoryMB": resources.memory_mb, "threads": resources.threads}
    for name, value in given.items():
        if value is not None:
            setattr(message.resources, name, value)
    if settings.merging != domain.Merging():
        merging = settings.merging
        rows = None if merging.independent_rows is IndependentRows.AUTO else merging.independent_rows.value
        message.merging.CopyFrom(
            MergingMessage(maxRows=merging.max_rows, maxWaitMS=merging.max_wait_ms, independentRows=rows)
        )
    return message


def _deployment_settings_from(message: DeploymentSettingsMessage) -> domain.DeploymentSettings:
    resources = message.resources
    return domain.DeploymentSettings(
        message.replicas,
        domain.Resources(
            resources.cpu if resources.HasField("cpu") else None,
            resources.gpu if resources.HasField("gpu") else None,
            resources.memoryMB if resources.HasField("memoryMB") else None,
            resources.threads if resources.HasField("threads") else None,
        ),
        message.maxQueued if message.HasField("maxQueued") else None,
        message.timeoutSeconds if message.HasField("timeoutSeconds") else None,
        domain.Merging(
            message.merging.maxRows if message.merging.HasField("maxRows") else None,
            message.merging.maxWaitMS,
            IndependentRows(MergingMessage.IndependentRows.Name(message.merging.independentRows)),
        ),
    )


def servable_settings_to(settings: domain.ServableSettings) -> ServableSettingsMessage:
    message = ServableSettingsMessage(policySettings=policy_settings_to(settings.policy_settings))
    if settings.logging_settings is not None:
        message.loggingSettings.CopyFrom(logging_settings_to(settings.logging_settings))
    if settings.deployment_settings != domain.DeploymentSettings():
        message.deploymentSettings.CopyFrom(_deployment_settings_to(settings.deployment_settings))
    if settings.unknown_fields is not domain.UnknownFields.WARN:
        message.unknownFields = settings.unknown_fields.value  # type: ignore[assignment]  # the numbers are the same
    shadow = settings.shadow
    if shadow != domain.ShadowSettings():
        message.shadow.CopyFrom(
            ShadowSettingsMessage(
                enabled=shadow.enabled, samplePercent=shadow.sample_percent, maxBacklog=shadow.max_backlog
            )
        )
    return message


def shadow_settings_from(message: ShadowSettingsMessage) -> domain.ShadowSettings:
    return domain.ShadowSettings(
        message.enabled if message.HasField("enabled") else None, message.samplePercent, message.maxBacklog
    )


def servable_settings_from(message: ServableSettingsMessage) -> domain.ServableSettings:
    return domain.ServableSettings(
        policy_settings_from(message.policySettings),
        logging_settings_from(message.loggingSettings) if message.HasField("loggingSettings") else None,
        _deployment_settings_from(message.deploymentSettings),
        shadow_settings_from(message.shadow),
        domain.UnknownFields(message.unknownFields),
    )


# --- contract settings ----------------------------------------------------------------------------------------------


def contract_settings_to(settings: domain.ContractSettings) -> ContractSettingsMessage:
    message = ContractSettingsMessage(
        expirationPolicy=policies.expiration_to(settings.expiration_policy), router=policies.router_to(settings.router)
    )
    if settings.routing is not domain.Routing.BATCH:
        message.routing = settings.routing.value  # type: ignore[assignment]  # the numbers are the same
    if settings.metrics != domain.MetricSettings():
        message.metrics.CopyFrom(policies.metric_settings_to(settings.metrics))
    return message


def contract_settings_from(message: ContractSettingsMessage) -> domain.ContractSettings:
    return domain.ContractSettings(
        policies.expiration_from(message.expirationPolicy),
        policies.router_from(message.router),
        domain.Routing(message.routing),
        policies.metric_settings_from(message.metrics),
    )


# --- deploys --------------------------------------------------------------------------------------------------------


def serve_request_to(request: ServeRequest) -> BasicServeRequest:
    message = BasicServeRequest(
        path=request.path,
        fqrv=fqrv_to(request.fqrv),
        servableSettings=servable_settings_to(request.servable_settings),
        tags=request.tags,
        flavor=flavor_to(request.flavor),
        sha256=request.sha256,
    )
    if request.contract_settings is not None:
        message.contractSettings.CopyFrom(contract_settings_to(request.contract_settings))
    return message


def serve_request_from(message: BasicServeRequest, fqrv: Fqrv | None = None) -> ServeRequest:
    """``fqrv`` counts before the message's own, and that before the one that a git tag in its path names.

    Raises Malformed for a path that holds a secret, Invalid when nothing names the release.
    """
    refuse_secrets(message.path)
    if fqrv is None:
        fqrv = fqrv_from(message.fqrv) if message.HasField("fqrv") else fqrv_of(message.path)
    if fqrv is None:
        raise Invalid(
            "fqrv is missing: give it in the body or in the path, or deploy from git with a tag "
            "v<contract number>.<release version>: git@host:organization/project.git#v0.first"
        )
    return ServeRequest(
        message.path,
        fqrv,
        flavor_from(message.flavor),
        servable_settings_from(message.servableSettings),
        contract_settings_from(message.contractSettings) if message.HasField("contractSettings") else None,
        dict(message.tags),
        message.sha256 if message.HasField("sha256") else None,
    )
