"""Expiration: which valid releases a contract lets go."""

from forestflow.domain.policies.expiration.keep_all import KeepAll
from forestflow.domain.policies.expiration.keep_latest import KeepLatest
from forestflow.domain.policies.expiration.keep_top_ranked import KeepTopRanked
from forestflow.domain.policies.expiration.max_age import MaxAge

__all__ = ["ExpirationPolicy", "KeepAll", "KeepLatest", "KeepTopRanked", "MaxAge"]

ExpirationPolicy = KeepLatest | KeepTopRanked | KeepAll | MaxAge
