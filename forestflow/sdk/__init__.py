"""Thin Python client of a ForestFlow server. Imports no Ray."""

from forestflow.sdk.basic import Prediction
from forestflow.sdk.client import Client
from forestflow.sdk.errors import ClientError, RequestRefused, ServerUnreachable

__all__ = ["Client", "ClientError", "Prediction", "RequestRefused", "ServerUnreachable"]
