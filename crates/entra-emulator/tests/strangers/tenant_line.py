"""The line that the local tenant printed, certificates, and a way to report checks."""

import datetime
import json
import os
import sys
import urllib.request
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

with open(os.environ["TENANT_LINE"], encoding="utf-8") as line:
    TENANT = json.load(line)

SETUP = TENANT["apps"][0]


def check(client, what, expectation, seen=None):
    """Prints one line per expectation, and ends the client at the first that does not hold."""
    if expectation:
        print(f"ok      {client}: {what}")
        return
    print(f"failed  {client}: {what}\n{seen}", file=sys.stderr)
    sys.exit(1)


def self_signed():
    """A private key and its certificate, both PEM, made by the `cryptography` package."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(pem).decode()


def graph(token, method, path, body=None):
    """One call to Microsoft Graph; the parsed answer."""
    return send(method, TENANT["graph"] + "/v1.0" + path, body, {"Authorization": f"Bearer {token}"})


def control(method, path, body=None):
    """One call to the control interface."""
    return send(method, TENANT["control"] + path, body, {})


def send(method, url, body, headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    trust = ssl.create_default_context(cafile=TENANT["ca"])
    with urllib.request.urlopen(request, context=trust) as answer:
        text = answer.read()
    return json.loads(text) if text else None
