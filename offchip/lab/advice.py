# SPDX-License-Identifier: Apache-2.0
"""What a person with a board of his own can make of a connection that failed: one sentence for each mistake."""

from __future__ import annotations

from offchip.broker import events
from offchip.broker.profile import Profile

_REFUSED = "the client refuses the server's certificate: its root CA, or the host name it asked for"
#: how OpenSSL's word for what went wrong ends -> what it means here; alerts are the client's own
_TLS = {
    "HTTP_REQUEST": "plain HTTP came; here MQTT over TLS is spoken",
    "WRONG_VERSION_NUMBER": "this is no TLS; a client without it (port 1883) cannot be served here",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate; give it certificate and key of its thing",
    "CERTIFICATE_VERIFY_FAILED": "the client's certificate is of a CA nobody registered here",
    "UNSUPPORTED_PROTOCOL": "the client offers no version of TLS but older ones; there are {versions}",
    "NO_SHARED_CIPHER": "the client offers no suite of the profile's; there are {suites}",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "the client takes no signature of the server's kind of key",
    "UNRECOGNIZED_NAME": "the client names no server (SNI), or none that can be one",
    "ALERT_UNKNOWN_CA": "the client does not know this server's CA; its root CA must be the lab's ca.pem",
    "ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "ALERT_BAD_CERTIFICATE": _REFUSED,
    "ALERT_CERTIFICATE_EXPIRED": "the client takes the server's certificate for expired; look at the client's clock",
    "ALERT_PROTOCOL_VERSION": "the client takes none of the versions there are: {versions}",
    "ALERT_HANDSHAKE_FAILURE": "the client takes nothing of what was offered, or not this certificate",
    "ALERT_DECRYPT_ERROR": "the client could not verify a signature of the server's",
    "ALERT_ILLEGAL_PARAMETER": "the client takes something of the handshake for wrong",
    "hung up during the handshake": "it gave up before TLS was complete: an unknown server, a time-out, or a port scan",
}


def advice(event: events.Event, profile: Profile) -> str:
    """What an event means for whoever set up the client; '' when it speaks for itself."""
    match event:
        case events.TlsFailed():
            told = next((each for end, each in _TLS.items() if event.reason.endswith(end)), "")
            return told.format(versions=" and ".join(profile.tls_versions), suites=", ".join(profile.tls12_ciphers))
        case events.QosUnsupported():
            return "AWS has no QoS 2; there is no answer"
        case events.CertificateRefused() if event.reason == "not registered":
            return "its CA is known here, the certificate is not: was another lab's flashed?"
        case events.CertificateRefused() if event.reason.startswith("status"):
            return "offchip lab activate makes it ACTIVE again, if it was not revoked for good"
        case events.CertificateRefused():
            return "by the lab's clock"
    return ""
