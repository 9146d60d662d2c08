"""Where aiohttp's exceptions become kinds of failure: the one table of what may go wrong on the way to an answer.

Invariant: a message is one printable line for people. It never quotes the request, which may carry credentials, and of
what the server sent only what the parser says about it.
"""

from __future__ import annotations

import os
import ssl

import aiohttp
from aiohttp import http_exceptions

from crawler.network.attempt import Attempt
from crawler.network.heads import MAX_HEAD_BYTES, HeadTooLargeError
from crawler.network.session import ConnectionEndedError
from crawler.network.tunnel import ProxyError
from crawler.records import FailureKind

MAX_MESSAGE_CHARS = 300


def explain(error: Exception, attempt: Attempt) -> tuple[FailureKind, str]:
    """What kind of failure an exception of a request is, and a line about it."""
    if isinstance(error, ProxyError):
        kind, message = error.kind, str(error)
    else:
        kind, message = _explain_connect(error, attempt) if not attempt.sent else _explain_answer(error)
    line = message.partition("\n")[0].rstrip(":") or type(error).__name__
    return kind, "".join(character if character.isprintable() else " " for character in line)[:MAX_MESSAGE_CHARS]


def _explain_connect(error: Exception, attempt: Attempt) -> tuple[FailureKind, str]:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match error:
        case aiohttp.ClientConnectorDNSError() if attempt.common.proxy:  # the target was looked up before
            return FailureKind.PROXY, f"cannot reach the proxy {attempt.common.proxy}: {cause.args[-1]}"
        case aiohttp.ClientConnectorDNSError():
            return FailureKind.DNS, cause.args[1] if len(cause.args) > 1 else str(cause)
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as refused):
            return FailureKind.TLS, f"certificate refused: {refused.verify_message}"
        case aiohttp.ClientPayloadError():  # it was there before the request
            return _explain_answer(error)
        case aiohttp.ClientSSLError():
            return FailureKind.TLS, f"TLS failed: {getattr(cause, 'reason', None) or cause}"
    if isinstance(cause, TimeoutError):
        return FailureKind.TIMEOUT, "timed out while connecting"
    if attempt.refused and not attempt.sockets:
        return FailureKind.BLOCKED_ADDRESS, attempt.refused
    if isinstance(cause, (ConnectionResetError, ConnectionAbortedError)) and attempt.origin.startswith("https:"):
        return FailureKind.TLS, "the connection closed during the TLS handshake"
    number = getattr(cause, "errno", None)
    return FailureKind.CONNECT, os.strerror(number) if number else str(cause)


def _explain_answer(error: Exception) -> tuple[FailureKind, str]:
    for cause in _chain(error):  # the last of these is what happened, the others are what aiohttp made of it
        match cause:
            case TimeoutError():
                return FailureKind.TIMEOUT, "timed out before the response was complete"
            case HeadTooLargeError() | http_exceptions.LineTooLong():
                return FailureKind.TOO_LARGE, f"the header section is larger than {MAX_HEAD_BYTES // 1024} KiB"
            case http_exceptions.BadHttpMessage(message=message) if message.startswith("Too many headers"):
                return FailureKind.TOO_LARGE, "the header section has too many fields"
            case http_exceptions.ContentLengthError() | http_exceptions.TransferEncodingError():
                return FailureKind.DISCONNECTED, "the connection closed within the body"
            case http_exceptions.HttpProcessingError(message=message) if message:
                return FailureKind.BAD_RESPONSE, message
            case aiohttp.ClientPayloadError():
                return FailureKind.DISCONNECTED, "the connection closed within the body"
            case ConnectionError() | aiohttp.ClientConnectionError() | ConnectionEndedError():
                return FailureKind.DISCONNECTED, "the connection closed before the response"
    # The rest is what a parser or decoder raises over hostile bytes without meaning to.
    return FailureKind.BAD_RESPONSE, f"{type(error).__name__}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    return causes[::-1]
