"""Where the configured S3 cache is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cache.store import S3Store, connect
from imagewright.config.words import LOCAL
from imagewright.errors import ConfigError, EnvironmentMissingError
from imagewright.services.credentials import s3_environment

if TYPE_CHECKING:
    from imagewright.config.build_models import Cache
    from imagewright.services.places import Places


def store_of(cache: Cache, places: Places) -> S3Store:
    """The store of `cache`, which is of the type `s3`. EnvironmentMissingError where there are no keys for it."""
    if cache.bucket is None:
        raise ConfigError("`cache.bucket` is not given")
    endpoint, keys = cache.endpoint_url, None
    if endpoint == LOCAL:
        endpoint = f"http://127.0.0.1:{places.s3_port}"
        keys = s3_environment(places)
        if not keys:
            raise EnvironmentMissingError("the local S3 store was never started here", hint="invoke start s3")
    return connect(
        cache.bucket, cache.prefix, region=cache.region, endpoint=endpoint, path_style=cache.path_style, keys=keys
    )
