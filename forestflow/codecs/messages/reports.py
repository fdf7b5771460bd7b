"""What the control plane reports of a release, as protobuf messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields

from forestflow._gen.servable_pb2 import BasicIOMetadata, BasicMetaData, RowIndependence
from forestflow._gen.servable_pb2 import ReplicaStatus as ReplicaStatusMessage
from forestflow._gen.servable_pb2 import ServableMetrics as ServableMetricsMessage
from forestflow._gen.servable_pb2 import ServableStatus as ServableStatusMessage
from forestflow.codecs.messages.values import DEFAULT_SEPARATOR, fqrv_to
from forestflow.domain.independence import Independence
from forestflow.domain.policies.phase_in import (
    PhaseInPolicy,
    StepPhaseIn,
)
from forestflow.domain.policies.validity import (
    ValidityRule,
)
from forestflow.domain.reports import ReplicaStatus, ServableMetadata, ServableMetrics, ServableStatus
from forestflow.domain.settings import LoggingSettings, ServableSettings
from forestflow.domain.tensors import IOMetadata, ModelMetadata


def metrics_to(metrics: ServableMetrics) -> ServableMetricsMessage:
    return ServableMetricsMessage(
        fqrv=fqrv_to(metrics.fqrv),
        scoreCount=metrics.score_count,
        shadeCount=metrics.shade_count,
        createdAtMS=metrics.created_at_ms,
        performanceMetrics=metrics.performance_metrics,
        becameValidAtMS=metrics.became_valid_at_ms,
        currentPhaseInPct=metrics.current_phase_in_pct,
        shadowDropCount=metrics.shadow_drop_count or None,  # the original has none of these fields
        unscoredCount=metrics.unscored_count or None,
        refusedCount=metrics.refused_count or None,
    )


def metadata_to(metadata: ServableMetadata) -> BasicMetaData:
    return BasicMetaData(
        fqrv=fqrv_to(metadata.fqrv),
        name="prediction",
        server="ForestFlow",
        description=describe(metadata.settings),
        inputs=map(_io_to, metadata.model.inputs),
        outputs=map(_io_to, _told_outputs(metadata.model)),
        rows=() if _is_original(metadata.model) else _rows_to(metadata.model.independence),
        warnings=metadata.model.warnings,
    )


# What the original serves; of these its metadata tells the inputs alone, and an answer's schema names the category.
# Their rows are independent by construction, as their status says.
_ORIGINAL_OUTPUTS = (
    "Regression", "Binomial", "Multinomial", "Clustering", "AutoEncoder", "DimReduction", "AnomalyDetection",
)  # fmt: skip


def _is_original(model: ModelMetadata) -> bool:
    return bool(model.outputs) and all(output.name in _ORIGINAL_OUTPUTS for output in model.outputs)


def _told_outputs(model: ModelMetadata) -> tuple[IOMetadata, ...]:
    return () if _is_original(model) else model.outputs


def _rows_to(independence: Mapping[str, Independence]) -> Iterator[RowIndependence]:
    for signature, found in independence.items():
        yield RowIndependence(signature=signature, independent=found.shown, reason=found.reason)


def _io_to(io: IOMetadata) -> BasicIOMetadata:
    return BasicIOMetadata(name=io.name, description=io.description, shape=io.shape, type=io.type.name)


def status_to(status: ServableStatus) -> ServableStatusMessage:
    return ServableStatusMessage(
        fqrv=fqrv_to(status.fqrv),
        state=status.state.name,
        desiredReplicas=status.desired_replicas,
        replicas=[replica.name for replica in status.replicas],
        message=status.message,
        rows=_rows_to(status.independence),
    )


def replica_to(replica: ReplicaStatus) -> ReplicaStatusMessage:
    message = ReplicaStatusMessage(
        fqrv=fqrv_to(replica.fqrv), replica=replica.replica_id, state=replica.state.name, message=replica.message
    )
    if replica.load is not None:
        message.pid, message.queued = replica.load.pid, replica.load.queued
        message.shadowBacklog = replica.load.shadow_backlog
        for bits, calls in sorted(replica.load.batches.items()):
            message.batchSizes.add(minRows=1 << bits >> 1, maxRows=(1 << bits) - 1, calls=calls)
    return message


def describe(settings: ServableSettings) -> str:
    """Settings as the original describes a release by them: its case classes' ``toString``."""
    policy = settings.policy_settings
    rules = ",".join(map(_describe_policy, policy.validity_policy))
    logging = f"Some({_describe_logging(settings.logging_settings)})" if settings.logging_settings else "None"
    return f"ServableSettings(PolicySettings(List({rules}),{_describe_policy(policy.phase_in_policy)}),{logging})"


def _describe_policy(policy: ValidityRule | PhaseInPolicy) -> str:
    """Write the policy's name and what it cannot be without, as the original's class has it."""
    required = [getattr(policy, field.name) for field in fields(policy) if field.default is MISSING]
    argument = ",".join(map(str, required[0] if isinstance(policy, StepPhaseIn) else required))
    return f"{type(policy).__name__}({argument})"


def _describe_logging(settings: LoggingSettings) -> str:
    separator = settings.key_features_separator
    given = "None" if separator == DEFAULT_SEPARATOR else f"Some({separator})"
    return f"LoggingSettings({settings.log_level.name},List({','.join(settings.key_features)}),{given})"
