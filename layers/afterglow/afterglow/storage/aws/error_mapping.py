"""Maps the errors of botocore and the file system to the library's.

::

    throttled                              Busy           429, with the time to wait
    no response, 5xx, connection refused   Unavailable    503; a write may or may not have been applied
    no credentials, access denied          Unavailable    the message names what to check
    no such table, bucket or queue         Unavailable    likewise
    item or object too large               TooLarge
    no space on the device                 StorageFull
    a request that AWS calls invalid       InternalError  a bug in these adapters

Failed conditions and missing objects are normal results: the adapters check for those codes themselves, by `code_of`.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
)

from afterglow.errors import AfterglowError, Busy, InternalError, StorageFull, TooLarge, Unavailable
from afterglow.storage.ports import TooManyOpenFiles

THROTTLED = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "KMSAccessDeniedException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_MISSING = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket", "QueueDoesNotExist", "ResourceNotFoundException"}
)
_INVALID = frozenset({"InvalidArgument", "InvalidParameterValue", "InvalidRequest", "ValidationException"})
_TOO_LARGE = frozenset({"EntityTooLarge", "InvalidMessageContents", "RequestEntityTooLarge"})
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_THROTTLED_SECONDS = 2.0
_UNAVAILABLE_SECONDS = 1.0


def code_of(error: ClientError) -> str:
    """Return the error code of a response, for example `ConditionalCheckFailedException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def map_errors(subject: str) -> Iterator[None]:
    """Raise the library's error for one of botocore or the file system; messages name `subject`."""
    try:
        yield
    except ClientError as error:
        raise _response_error(error, subject) from error
    except _NO_CREDENTIALS as error:
        advice = "provide credentials by a role, the environment or a profile"
        raise Unavailable(f"{subject} cannot be used without AWS credentials ({error}): {advice}") from error
    except NoRegionError as error:
        raise Unavailable(f"{subject} cannot be used without a region: set AWS_DEFAULT_REGION") from error
    except ParamValidationError as error:
        raise InternalError(f"the request to {subject} is invalid: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{subject} did not respond: {error}", _UNAVAILABLE_SECONDS) from error
    except OSError as error:
        raise file_error(error, subject) from error


def throttled(subject: str) -> Busy:
    """The error for a service that throttles."""
    return Busy(f"{subject} is throttling requests; try again", _THROTTLED_SECONDS)


def file_error(error: OSError, subject: str) -> AfterglowError:
    """Return the library's error for an error of a local file in the disk cache."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TooManyOpenFiles(f"{subject} cannot be opened: the limit of open files is reached")
    if error.errno in _FULL:
        return StorageFull(f"no space left in the cache for {subject}: {error.strerror}")
    return Unavailable(f"the cache cannot be used for {subject}: {error.strerror or error}")


def _response_error(error: ClientError, subject: str) -> AfterglowError:
    code, text = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
    details = f"{code}: {text}" if text else code
    if code in THROTTLED:
        return throttled(subject)
    if code in _DENIED:
        return Unavailable(f"{subject} refused access ({details}): check the role's policy and the credentials")
    if code in _MISSING:
        return Unavailable(f"{subject} does not exist ({details}): deploy the stack, or check its name and the region")
    if code in _TOO_LARGE or (code == "ValidationException" and "size" in text.lower() and "exceed" in text.lower()):
        return TooLarge(f"{subject} does not accept that much at once ({details})")
    if code in _INVALID:
        return InternalError(f"{subject} rejected the request as invalid ({details})")
    return Unavailable(f"{subject} failed ({details})", _UNAVAILABLE_SECONDS)
