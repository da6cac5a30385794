"""MSAL for Python: secret, wrong secret, and certificates as it sends them (PS256 and RS256)."""

import base64
import json

import msal

from tenant_line import SETUP, TENANT, check, control, graph, self_signed

AUTHORITY = f"{TENANT['authority']}/{TENANT['tenant_id']}"
SCOPES = [f"{TENANT['graph']}/.default"]


def client(credential, client_id=SETUP["client_id"], authority=AUTHORITY):
    return msal.ConfidentialClientApplication(
        client_id,
        authority=authority,
        client_credential=credential,
        instance_discovery=False,
        verify=TENANT["ca"],
    )


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def expect(what, holds, seen=None):
    check("msal", what, holds, seen)


def main():
    result = client(SETUP["client_secret"]).acquire_token_for_client(SCOPES)
    expect("a client secret is accepted", "access_token" in result, result)
    token = result["access_token"]
    expect("the token names the client", claims(token)["appid"] == SETUP["client_id"])
    expect("the token carries the roles", "User.Read.All" in claims(token)["roles"])
    expect("appidacr is 1 for a secret", claims(token)["appidacr"] == "1")
    users = graph(token, "GET", "/users?$top=5")
    expect("Microsoft Graph accepts the token", len(users["value"]) == 5, users)

    by_domain = f"{TENANT['authority']}/{TENANT['domain']}"
    result = client(SETUP["client_secret"], authority=by_domain).acquire_token_for_client(SCOPES)
    expect("the tenant is found by its domain", "access_token" in result, result)

    result = client("not-the-secret").acquire_token_for_client(SCOPES)
    expect("a wrong secret is invalid_client", result.get("error") == "invalid_client", result)
    expect("a wrong secret is AADSTS7000215", result.get("error_codes") == [7000215], result)

    private_key, certificate = self_signed()
    graph(
        token,
        "PATCH",
        f"/applications/{SETUP['object_id']}",
        {
            "keyCredentials": [
                {
                    "type": "AsymmetricX509Cert",
                    "usage": "Verify",
                    "key": "".join(certificate.strip().splitlines()[1:-1]),
                    "displayName": "stranger",
                }
            ]
        },
    )
    control("POST", "/clock", {"advance_seconds": 60})

    result = client(
        {"private_key": private_key, "public_certificate": certificate}
    ).acquire_token_for_client(SCOPES)
    expect("a certificate with PS256, x5t#S256 and x5c is accepted", "access_token" in result, result)
    expect("appidacr is 2 for a certificate", claims(result["access_token"])["appidacr"] == "2")

    thumbprint = sha1_of(certificate)
    result = client(
        {"private_key": private_key, "thumbprint": thumbprint}
    ).acquire_token_for_client(SCOPES)
    expect("a certificate with RS256 and x5t is accepted", "access_token" in result, result)

    stranger_key, stranger = self_signed()
    result = client(
        {"private_key": stranger_key, "public_certificate": stranger}
    ).acquire_token_for_client(SCOPES)
    expect("an unregistered certificate is AADSTS700027", result.get("error_codes") == [700027], result)

    result = client(
        {"private_key": stranger_key, "thumbprint": thumbprint}
    ).acquire_token_for_client(SCOPES)
    expect("a foreign key is AADSTS700027", result.get("error_codes") == [700027], result)


def sha1_of(certificate):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1()).hex()


main()
