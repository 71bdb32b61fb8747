# SPDX-License-Identifier: Apache-2.0
"""What a certificate is called in policies (AWS IoT Core developer guide, "X.509 Certificate policy variables")."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from offchip.pki import certificate_id

#: further values of an attribute are ignored ("X.509 Certificate policy variable limitations")
MOST_VALUES = 5

#: names AWS uses in ${iot:Certificate.Subject.<name>}
_ATTRIBUTES = {
    "CommonName": NameOID.COMMON_NAME, "Country": NameOID.COUNTRY_NAME, "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME, "State": NameOID.STATE_OR_PROVINCE_NAME,
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER, "SerialNumber": NameOID.SERIAL_NUMBER,
    "Title": NameOID.TITLE, "Surname": NameOID.SURNAME, "GivenName": NameOID.GIVEN_NAME,
    "Initials": NameOID.INITIALS, "Pseudonym": NameOID.PSEUDONYM,
    "GenerationQualifier": NameOID.GENERATION_QUALIFIER,
}
_ALTERNATIVES: dict[type[x509.GeneralName], str] = {
    x509.RFC822Name: "RFC822Name", x509.DNSName: "DNSName", x509.DirectoryName: "DirectoryName",
    x509.UniformResourceIdentifier: "UniformResourceIdentifier", x509.IPAddress: "IPAddress",
}


def certificate_variables(certificate: x509.Certificate) -> dict[str, str | list[str]]:
    """All variables of a certificate by their names in policies."""
    variables: dict[str, str | list[str]] = {
        "iot:CertificateId": certificate_id(certificate),
        "iot:Certificate.SerialNumber": f"{certificate.serial_number:X}",
    }
    for role, name in (("Subject", certificate.subject), ("Issuer", certificate.issuer)):
        for label, identifier in _ATTRIBUTES.items():
            _add(variables, f"iot:Certificate.{role}.{label}",
                 [str(each.value) for each in name.get_attributes_for_oid(identifier)])
    for role, names in (("Subject", _names(certificate, x509.SubjectAlternativeName)),
                        ("Issuer", _names(certificate, x509.IssuerAlternativeName))):
        for kind, label in _ALTERNATIVES.items():
            _add(variables, f"iot:Certificate.{role}.AlternativeName.{label}",
                 [_text(each) for each in names if isinstance(each, kind)])
    variables["iot:Certificate.AvailableKeys"] = sorted(name for name in variables if not name.endswith(".List"))
    return variables


def _add(variables: dict[str, str | list[str]], name: str, values: list[str]) -> None:
    """``name`` for the first value, ``name.0``, ``name.1`` ... when there are several, ``name.List`` for all."""
    values = values[:MOST_VALUES]
    if not values:
        return
    variables[name], variables[f"{name}.List"] = values[0], values
    if len(values) > 1:
        variables |= {f"{name}.{index}": value for index, value in enumerate(values)}


def _names(certificate: x509.Certificate,
           kind: type[x509.SubjectAlternativeName] | type[x509.IssuerAlternativeName]) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(kind).value)
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension nobody can read names nobody
        return []


def _text(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)
