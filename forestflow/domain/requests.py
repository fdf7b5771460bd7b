"""What users ask of the control plane: deploy a release; and the flavors a release can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forestflow.domain.ids import Fqrv
from forestflow.domain.settings import ContractSettings, ServableSettings


@dataclass(frozen=True, slots=True)
class H2OMojo:
    """An H2O MOJO archive. ``mojo_path`` is relative to the path of the deploy request.

    ``version`` is the H2O version that wrote it, kept for information as in the original.
    """

    mojo_path: str
    version: str | None = None


Flavor = H2OMojo


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Deploy one release (the original's BasicServeRequest). ``contract_settings`` only for a new contract."""

    path: str
    fqrv: Fqrv
    flavor: Flavor
    servable_settings: ServableSettings = field(default_factory=ServableSettings)
    contract_settings: ContractSettings | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
