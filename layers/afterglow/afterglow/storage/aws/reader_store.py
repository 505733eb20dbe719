"""Opens the reader of a bucket: endpoint, region and credentials as botocore finds them, passed to obstore."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import NoCredentialsError, NoRegionError
from obstore.store import S3Store

from afterglow.settings import System
from afterglow.storage.aws.object_reader import ObjectReader

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential

_CLIENT: "ClientConfig" = {"connect_timeout": "1s", "read_timeout": "3s", "timeout": "10s", "pool_idle_timeout": "15s"}
"""S3 closes idle connections after some 20 seconds."""
_CREDENTIALS_SECONDS = 300
"""botocore renews credentials ten minutes before they expire."""


def open_reader(session: botocore.session.Session, bucket: str, system: System) -> ObjectReader:
    """The reader of a bucket; no request is sent. Raises NoRegionError, NoCredentialsError."""
    region = session.get_config_variable("region")
    if region is None:
        raise NoRegionError
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError

    def current_credentials() -> "S3Credential":
        frozen = credentials.get_frozen_credentials()
        assert frozen.access_key is not None
        assert frozen.secret_key is not None
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.fromtimestamp(system.now(), UTC) + timedelta(seconds=_CREDENTIALS_SECONDS),
        }

    client = _CLIENT.copy()
    certificates = session.get_config_variable("ca_bundle")
    if certificates is not None:
        client["root_certificate"] = Path(certificates).read_bytes()
    address: dict[str, Any] = {"virtual_hosted_style_request": True}
    endpoint = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3").provide()
    if endpoint is not None:
        address = {"virtual_hosted_style_request": False, "endpoint": endpoint}
        client["allow_http"] = True
    store = S3Store(
        bucket,
        region=region,
        credential_provider=current_credentials,
        client_options=client,
        retry_config={"max_retries": 0},
        **address,
    )
    return ObjectReader(store, f"bucket {bucket}", system)
