"""Why a connection failed, in words: which rule of TLS its certificate breaks, or which step was not answered.

The libraries for HTTP wrap what happened in an exception of their own (`ConnectError`), and the reason is in its causes.
"""

import socket
import ssl
from collections.abc import Iterator

# Codes of OpenSSL's x509_vfy.h, which Python passes on as `verify_code`: words, and what to do about it.
CERTIFICATES = {
    9: ("its certificate is not valid yet", "Check the clock of this machine, then the certificate."),
    10: ("its certificate has expired", "Renew the certificate; check the clock of this machine."),
    18: ("its certificate is signed by itself and by no authority that this machine trusts", ""),
    19: ("its certificate is signed by an authority of its own that this machine does not trust", ""),
    20: ("its certificate is signed by an authority that this machine does not know", ""),
    21: ("its certificate comes without those between it and an authority", "Let the server send its whole chain."),
    23: ("its certificate is revoked", "Replace the certificate."),
    62: ("its certificate is for another host", "Check the name in the address, then which names the certificate has."),
    64: ("its certificate is for another host", "Use the host's name instead of its IP address."),
}
TRUST = "If a proxy of your own network answers instead, let it pass this host through. Else replace the certificate."
PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")  # how OpenSSL names an answer that is no TLS


def why_failed(error: BaseException) -> tuple[str, str]:
    """Return why a connection failed, and what to do; the name of the exception and "" if nothing more is known.

    The text holds no part of the request and no words of the other side.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            unknown = ("its certificate cannot be verified", TRUST)
            what, remedy = CERTIFICATES.get(cause.verify_code, unknown)
            return f"TLS: {what}", remedy or TRUST
        if isinstance(cause, ssl.SSLError):
            if cause.reason in PLAIN:
                return "TLS: it does not speak TLS on this port", "Check scheme and port of the address."
            return f"TLS: no common ground ({cause.reason})", "Check which versions of TLS both sides allow."
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved", "Check the name, and the DNS of this machine."
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens at that address and port", "Check host and port, and whether it is running."
        if isinstance(cause, TimeoutError):
            return "it did not answer in time", "Check the network between this machine and it."
    return type(error).__name__, ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what caused it, the outermost first. Groups give their first member, as Prefect's workers raise them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__
