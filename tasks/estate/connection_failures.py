"""Why a connection failed: the fault of the certificate, or the step that failed.

HTTP libraries raise an exception of their own (`ConnectError`); the reason is in its causes.
"""

import socket
import ssl
from collections.abc import Iterator

# `verify_code` (OpenSSL, x509_vfy.h) → description and remedy.
CERTIFICATES = {
    9: ("its certificate is not valid yet", "Check the clock of this machine, then the certificate."),
    10: ("its certificate has expired", "Renew the certificate; check the clock of this machine."),
    18: ("its certificate is self-signed, and this machine does not trust it", ""),
    19: ("its certificate is signed by a private authority that this machine does not trust", ""),
    20: ("its certificate is signed by an authority that is unknown to this machine", ""),
    21: ("its certificate comes without the intermediate ones", "Configure the server to send its whole chain."),
    23: ("its certificate is revoked", "Replace the certificate."),
    62: ("its certificate is for another host", "Check the name in the address, then the names in the certificate."),
    64: ("its certificate is for another host", "Use the host's name instead of its IP address."),
}
TRUST = "If a proxy of your network answers instead, exempt this host from it. Otherwise replace the certificate."
PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")  # OpenSSL's reasons for an answer that is not TLS


def why_failed(error: BaseException) -> tuple[str, str]:
    """Return why a connection failed and the remedy; the name of the exception and "" if the reason is unknown.

    The text contains no part of the request and nothing that the other side sent.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            unknown = ("its certificate cannot be verified", TRUST)
            what, remedy = CERTIFICATES.get(cause.verify_code, unknown)
            return f"TLS: {what}", remedy or TRUST
        if isinstance(cause, ssl.SSLError):
            if cause.reason in PLAIN:
                return "TLS: this port does not use TLS", "Check scheme and port of the address."
            return f"TLS: the handshake failed ({cause.reason})", "Check which TLS versions both sides allow."
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved", "Check the name, and the DNS of this machine."
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens at that address and port", "Check host and port, and that the server is running."
        if isinstance(cause, TimeoutError):
            return "it did not answer in time", "Check the network between this machine and the host."
    return type(error).__name__, ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and its causes, the outermost first; of a group (as Prefect's workers raise) the first member."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__
