"""Domain values as protobuf messages and back: one pair of functions per noun, shared by JSON, journal and gRPC.

What has its default value is left unset, so that replies look like the original's. A ``float`` of a message becomes the
double with its shortest digits (0.1, not 0.10000000149…): that is what the user wrote, and what metrics compare to.
"""

from __future__ import annotations

import numpy as np

from forestflow._gen.contract_pb2 import FQRV as FqrvMessage  # noqa: N811 - the original's name of the message
from forestflow._gen.contract_pb2 import Contract as ContractMessage
from forestflow._gen.serve_request_pb2 import BasicServeRequest, FlavorShim, H2OMojoFlavor
from forestflow._gen.settings_pb2 import ContractSettings as ContractSettingsMessage
from forestflow._gen.settings_pb2 import DeploymentSettings as DeploymentSettingsMessage
from forestflow._gen.settings_pb2 import ExpirationPolicyShim, PhaseInPolicyShim, RouterTypeShim, ValidityRuleShim
from forestflow._gen.settings_pb2 import KeepTopRanked as KeepTopRankedMessage
from forestflow._gen.settings_pb2 import LoggingSettings as LoggingSettingsMessage
from forestflow._gen.settings_pb2 import PolicySettings as PolicySettingsMessage
from forestflow._gen.settings_pb2 import ServableSettings as ServableSettingsMessage
from forestflow.domain import settings as domain
from forestflow.domain.errors import Invalid, InvalidSettings
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


def _rule_to(rule: domain.ValidityRule) -> ValidityRuleShim:
    shim = ValidityRuleShim()
    match rule:
        case domain.ImmediatelyValid():
            shim.ImmediatelyValid.SetInParent()
        case domain.NeverValid():
            shim.NeverValid.SetInParent()
        case domain.TimeBasedValidity(after):
            shim.TimeBasedValidity.validAfterMS = after
        case domain.PerformanceBasedValidity(threshold):
            shim.PerformanceBasedValidity.minThreshold = threshold
        case domain.MinServedEventsBasedValidity(events):
            shim.MinServedEventsBasedValidity.validAfterMinServedEvents = events
    return shim


def _rule_from(shim: ValidityRuleShim) -> domain.ValidityRule:
    match shim.WhichOneof("sealed_value"):
        case "ImmediatelyValid":
            return domain.ImmediatelyValid()
        case "NeverValid":
            return domain.NeverValid()
        case "TimeBasedValidity":
            return domain.TimeBasedValidity(shim.TimeBasedValidity.validAfterMS)
        case "PerformanceBasedValidity":
            return domain.PerformanceBasedValidity(shortest(shim.PerformanceBasedValidity.minThreshold))
        case "MinServedEventsBasedValidity":
            return domain.MinServedEventsBasedValidity(shim.MinServedEventsBasedValidity.validAfterMinServedEvents)
        case _:
            raise InvalidSettings("validityPolicy: an entry names no rule")


def policy_settings_to(settings: domain.PolicySettings) -> PolicySettingsMessage:
    phase_in = PhaseInPolicyShim()
    match settings.phase_in_policy:
        case domain.ImmediatePhaseIn():
            phase_in.ImmediatePhaseIn.SetInParent()
        case domain.LinearTimeBasedPhaseIn(seconds):
            phase_in.LinearTimeBasedPhaseIn.phase_in_over_secs = seconds
    return PolicySettingsMessage(validityPolicy=map(_rule_to, settings.validity_policy), phaseInPolicy=phase_in)


def policy_settings_from(message: PolicySettingsMessage) -> domain.PolicySettings:
    phase_in: domain.PhaseInPolicy
    match message.phaseInPolicy.WhichOneof("sealed_value"):
        case "ImmediatePhaseIn":
            phase_in = domain.ImmediatePhaseIn()
        case "LinearTimeBasedPhaseIn":
            phase_in = domain.LinearTimeBasedPhaseIn(message.phaseInPolicy.LinearTimeBasedPhaseIn.phase_in_over_secs)
        case _:
            raise InvalidSettings("phaseInPolicy names no policy")
    return domain.PolicySettings(tuple(map(_rule_from, message.validityPolicy)), phase_in)


def shortest(value: float) -> float:
    """The double with the shortest decimal digits that name this single-precision number."""
    return float(str(np.float32(value)))


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
    return message


def servable_settings_from(message: ServableSettingsMessage) -> domain.ServableSettings:
    return domain.ServableSettings(
        policy_settings_from(message.policySettings),
        logging_settings_from(message.loggingSettings) if message.HasField("loggingSettings") else None,
        _deployment_settings_from(message.deploymentSettings),
    )


# --- contract settings ----------------------------------------------------------------------------------------------


def contract_settings_to(settings: domain.ContractSettings) -> ContractSettingsMessage:
    expiration, router = ExpirationPolicyShim(), RouterTypeShim()
    match settings.expiration_policy:
        case domain.KeepLatest(keep):
            expiration.KeepLatest.servablesToKeep = keep
        case domain.KeepTopRanked(keep, metric, ordering):
            given = ordering.name if ordering is not domain.Ordering.DESC else None
            top = KeepTopRankedMessage(servablesToKeep=keep, metricToEvaluate=metric, ordering=given)
            expiration.KeepTopRanked.CopyFrom(top)
    match settings.router:
        case domain.FairPhaseInPctBasedRouter():
            router.FairPhaseInPctBasedRouter.SetInParent()
        case domain.LatestPhaseInPctBasedRouter():
            router.LatestPhaseInPctBasedRouter.SetInParent()
    return ContractSettingsMessage(expirationPolicy=expiration, router=router)


def contract_settings_from(message: ContractSettingsMessage) -> domain.ContractSettings:
    return domain.ContractSettings(_expiration_from(message.expirationPolicy), _router_from(message.router))


def _expiration_from(shim: ExpirationPolicyShim) -> domain.ExpirationPolicy:
    match shim.WhichOneof("sealed_value"):
        case "KeepLatest":
            return domain.KeepLatest(shim.KeepLatest.servablesToKeep)
        case "KeepTopRanked":
            top = shim.KeepTopRanked
            return domain.KeepTopRanked(top.servablesToKeep, top.metricToEvaluate, domain.Ordering(top.ordering))
        case _:
            raise InvalidSettings("expirationPolicy names no policy")


def _router_from(shim: RouterTypeShim) -> domain.ContractRouter:
    match shim.WhichOneof("sealed_value"):
        case "FairPhaseInPctBasedRouter":
            return domain.FairPhaseInPctBasedRouter()
        case "LatestPhaseInPctBasedRouter":
            return domain.LatestPhaseInPctBasedRouter()
        case _:
            raise InvalidSettings("router names no router")


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
