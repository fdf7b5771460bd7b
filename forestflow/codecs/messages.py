"""Domain values as protobuf messages and back: one pair of functions per noun, shared by JSON, journal and gRPC.

What has its default value is left unset, so that replies look like the original's. A ``float`` of a message becomes the
double with its shortest digits (0.1, not 0.10000000149…): that is what the user wrote, and what metrics compare to.
"""

from __future__ import annotations

from forestflow._gen.contract_pb2 import FQRV as FqrvMessage  # noqa: N811 - the original's name of the message
from forestflow._gen.contract_pb2 import Contract as ContractMessage
from forestflow._gen.serve_request_pb2 import BasicServeRequest, FlavorShim, H2OMojoFlavor
from forestflow._gen.settings_pb2 import ContractSettings as ContractSettingsMessage
from forestflow._gen.settings_pb2 import DeploymentSettings as DeploymentSettingsMessage
from forestflow._gen.settings_pb2 import LoggingSettings as LoggingSettingsMessage
from forestflow._gen.settings_pb2 import PolicySettings as PolicySettingsMessage
from forestflow._gen.settings_pb2 import ServableSettings as ServableSettingsMessage
from forestflow._gen.settings_pb2 import ShadowSettings as ShadowSettingsMessage
from forestflow.codecs import policy_messages as policies
from forestflow.domain import settings as domain
from forestflow.domain.errors import Invalid
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import Flavor, H2OMojo, ServeRequest

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
    for name, value in (("cpu", resources.cpu), ("gpu", resources.gpu), ("memoryMB", resources.memory_mb)):
        if value is not None:
            setattr(message.resources, name, value)
    return message


def _deployment_settings_from(message: DeploymentSettingsMessage) -> domain.DeploymentSettings:
    resources = message.resources
    return domain.DeploymentSettings(
        message.replicas,
        domain.Resources(
            resources.cpu if resources.HasField("cpu") else None,
            resources.gpu if resources.HasField("gpu") else None,
            resources.memoryMB if resources.HasField("memoryMB") else None,
        ),
        message.maxQueued if message.HasField("maxQueued") else None,
        message.timeoutSeconds if message.HasField("timeoutSeconds") else None,
    )


def servable_settings_to(settings: domain.ServableSettings) -> ServableSettingsMessage:
    message = ServableSettingsMessage(policySettings=policy_settings_to(settings.policy_settings))
    if settings.logging_settings is not None:
        message.loggingSettings.CopyFrom(logging_settings_to(settings.logging_settings))
    if settings.deployment_settings != domain.DeploymentSettings():
        message.deploymentSettings.CopyFrom(_deployment_settings_to(settings.deployment_settings))
    shadow = settings.shadow
    if shadow != domain.ShadowSettings():
        message.shadow.CopyFrom(
            ShadowSettingsMessage(
                enabled=shadow.enabled, samplePercent=shadow.sample_percent, maxBacklog=shadow.max_backlog
            )
        )
    return message


def servable_settings_from(message: ServableSettingsMessage) -> domain.ServableSettings:
    return domain.ServableSettings(
        policy_settings_from(message.policySettings),
        logging_settings_from(message.loggingSettings) if message.HasField("loggingSettings") else None,
        _deployment_settings_from(message.deploymentSettings),
        domain.ShadowSettings(
            message.shadow.enabled if message.shadow.HasField("enabled") else None,
            message.shadow.samplePercent,
            message.shadow.maxBacklog,
        ),
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


def _flavor_to(flavor: Flavor) -> FlavorShim:
    match flavor:
        case H2OMojo(mojo_path, version):
            return FlavorShim(H2OMojo=H2OMojoFlavor(mojoPath=mojo_path, version=version))


def _flavor_from(shim: FlavorShim) -> Flavor:
    match shim.WhichOneof("sealed_value"):
        case "H2OMojo":
            mojo = shim.H2OMojo
            return H2OMojo(mojo.mojoPath, mojo.version if mojo.HasField("version") else None)
        case _:
            raise Invalid("flavor names no flavor")


def serve_request_to(request: ServeRequest) -> BasicServeRequest:
    message = BasicServeRequest(
        path=request.path,
        fqrv=fqrv_to(request.fqrv),
        servableSettings=servable_settings_to(request.servable_settings),
        tags=request.tags,
        flavor=_flavor_to(request.flavor),
    )
    if request.contract_settings is not None:
        message.contractSettings.CopyFrom(contract_settings_to(request.contract_settings))
    return message


def serve_request_from(message: BasicServeRequest, fqrv: Fqrv | None = None) -> ServeRequest:
    """``fqrv`` counts before the message's own; one of the two must be given."""
    if fqrv is None:
        if not message.HasField("fqrv"):
            raise Invalid("fqrv is missing: give it in the body or in the path")
        fqrv = fqrv_from(message.fqrv)
    return ServeRequest(
        message.path,
        fqrv,
        _flavor_from(message.flavor),
        servable_settings_from(message.servableSettings),
        contract_settings_from(message.contractSettings) if message.HasField("contractSettings") else None,
        dict(message.tags),
    )
