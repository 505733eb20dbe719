"""From what botocore raises to what the caller should do: the one place where AWS's errors are read.

::

    throttled                              Busy           429, with when to try again
    no answer, 5xx, connection refused     Unavailable    503; a write may or may not have happened
    no credentials, access denied          Unavailable    the message says what to check
    no such table, bucket or queue         Unavailable    likewise
    item or object too large               TooLarge
    no space on the device                 StorageFull
    a request that AWS calls invalid       InternalError  a mistake of these adapters

Conditions that did not hold and objects that are missing are answers, not faults: the adapters look for those codes
themselves, by `code_of`.
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
_AWAY_SECONDS = 1.0


def code_of(error: ClientError) -> str:
    """The code of an answer, as in `ConditionalCheckFailedException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def map_errors(subject: str) -> Iterator[None]:
    """Raises the error of this library for one of botocore or the file system; `subject` is what messages call it."""
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, subject) from error
    except _NO_CREDENTIALS as error:
        advice = "give credentials by a role, the environment or a profile"
        raise Unavailable(f"{subject} cannot be asked without AWS credentials ({error}): {advice}") from error
    except NoRegionError as error:
        raise Unavailable(f"{subject} cannot be asked without a region: set AWS_DEFAULT_REGION") from error
    except ParamValidationError as error:
        raise InternalError(f"{subject} cannot be asked this: {error}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{subject} did not answer: {error}", _AWAY_SECONDS) from error
    except OSError as error:
        raise file_error(error, subject) from error


def throttled(subject: str) -> Busy:
    """What a caller hears of a service that asks for patience."""
    return Busy(f"{subject} takes no more requests at the moment; try again", _THROTTLED_SECONDS)


def file_error(error: OSError, subject: str) -> AfterglowError:
    """The error of a local file."""
    if error.errno in _FULL:
        return StorageFull(f"no space left in the cache for {subject}: {error.strerror}")
    return Unavailable(f"the cache cannot be used for {subject}: {error.strerror or error}")


def _of_answer(error: ClientError, subject: str) -> AfterglowError:
    code, text = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
    said = f"{code}: {text}" if text else code
    if code in THROTTLED:
        return throttled(subject)
    if code in _DENIED:
        return Unavailable(f"{subject} refused access ({said}): check the role's policy and the credentials")
    if code in _MISSING:
        return Unavailable(f"{subject} is not there ({said}): deploy the stack, or check its name and the region")
    if code in _TOO_LARGE or (code == "ValidationException" and "size" in text.lower() and "exceed" in text.lower()):
        return TooLarge(f"{subject} does not take that much at once ({said})")
    if code in _INVALID:
        return InternalError(f"{subject} did not understand ({said})")
    return Unavailable(f"{subject} failed ({said})", _AWAY_SECONDS)
