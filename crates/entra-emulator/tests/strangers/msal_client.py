"""MSAL for Python: secrets and certificates as it sends them, users by code and device code, and the
on-behalf-of flow."""

import base64
import html.parser
import json
import urllib.parse

import msal
import requests

from tenant_line import SETUP, TENANT, check, control, graph, self_signed

AUTHORITY = f"{TENANT['authority']}/{TENANT['tenant_id']}"
SCOPES = [f"{TENANT['graph']}/.default"]
WEB = next(app for app in TENANT["apps"] if app["display_name"] == "Staff Portal")
PUBLIC = TENANT["public_app"]
USER = TENANT["users"][0]


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


def public_client():
    return msal.PublicClientApplication(
        PUBLIC["client_id"],
        authority=AUTHORITY,
        instance_discovery=False,
        verify=TENANT["ca"],
        client_capabilities=["cp1"],
    )


class Form(html.parser.HTMLParser):
    """The one form of a page: where it goes and what it holds, and the code that is shown."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.code = None, {}, None
        self.in_code = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes["action"]
        if tag == "input":
            self.fields[attributes["name"]] = attributes["value"]
        self.in_code = tag == "output"

    def handle_data(self, text):
        if self.in_code:
            self.code, self.in_code = text, False


def browse(url):
    """Signs a user in with the pages, as a browser would; what the redirect URI is given."""
    browser = requests.Session()
    browser.verify = TENANT["ca"]
    answer = browser.get(url, allow_redirects=False)
    while answer.status_code == 200:
        form = Form(answer.text)
        if form.action == "https://localhost/signin-oidc":
            return form.fields
        if form.code:
            form.fields["otc"] = form.code
        if "passwd" in form.fields:
            form.fields |= {"loginfmt": USER["user_principal_name"], "passwd": USER["password"]}
        action = "next" if {"passwd", "otc"} & form.fields.keys() else "accept"
        answer = browser.post(
            urllib.parse.urljoin(url, form.action),
            data=form.fields | {"action": action},
            allow_redirects=False,
        )
    expect("the browser is sent back to the application", answer.status_code == 302, answer.text)
    query = urllib.parse.urlsplit(answer.headers["location"]).query
    return dict(urllib.parse.parse_qsl(query))


def me(result):
    return graph(result["access_token"], "GET", "/me")["userPrincipalName"]


def sign_in_with_code(app, scopes, redirect_uri, **more):
    flow = app.initiate_auth_code_flow(scopes, redirect_uri=redirect_uri, **more)
    return app.acquire_token_by_auth_code_flow(flow, browse(flow["auth_uri"]))


def users():
    name = USER["user_principal_name"]
    read = [f"{TENANT['graph']}/User.Read"]

    web = client(WEB["client_secret"], WEB["client_id"])
    result = sign_in_with_code(web, read, "https://localhost/signin-oidc")
    expect("a web application redeems a code", "access_token" in result, result)
    expect("Microsoft Graph knows the signed-in user", me(result) == name, result)
    expect("the ID token names the user", result["id_token_claims"]["preferred_username"] == name)
    account = web.get_accounts()[0]
    expect("the account has a name", account["username"] == name, account)
    cached = web.acquire_token_silent(read, account)
    expect("the token is found in the cache", cached["access_token"] == result["access_token"])
    fresh = web.acquire_token_silent(read, account, force_refresh=True)
    expect("a refresh token is redeemed", fresh["access_token"] != result["access_token"], fresh)

    posted = sign_in_with_code(
        web, read, "https://localhost/signin-oidc", response_mode="form_post"
    )
    expect("a code that comes in a form is redeemed", me(posted) == name, posted)

    control("POST", "/conditional-access", {"client_id": WEB["client_id"], "require": "require_mfa"})
    refused = web.acquire_token_silent_with_error(read, account, force_refresh=True)
    expect("a policy needs interaction", refused["error"] == "interaction_required", refused)
    expect("and says with which claims", "capolids" in refused["claims"], refused)
    challenge = json.dumps({"access_token": {"acrs": {"essential": True, "value": "c1"}}})
    result = sign_in_with_code(
        web, read, "https://localhost/signin-oidc", claims_challenge=challenge
    )
    expect("a second factor is shown", me(result) == name, result)
    expect("it is in the token", "mfa" in claims(result["access_token"])["amr"])
    expect("so is the context", claims(result["access_token"])["acrs"] == ["c1"])
    control("POST", "/conditional-access", {"client_id": WEB["client_id"]})

    public = public_client()
    result = sign_in_with_code(public, read, "http://localhost:54321")
    expect("a public client redeems a code", me(result) == name, result)
    expect("cp1 is in the token", claims(result["access_token"])["xms_cc"] == ["cp1"])
    expect("cp1 gives a long token", result["expires_in"] > 80_000, result["expires_in"])

    flow = public.initiate_device_flow(read)
    expect("a device gets a code", "user_code" in flow, flow)
    control(
        "POST",
        "/device-code",
        {"user_code": flow["user_code"], "user_principal_name": name},
    )
    result = public.acquire_token_by_device_flow(flow)
    expect("a device gets its token", me(result) == name, result)
    flow = public.initiate_device_flow(read)
    control("POST", "/device-code", {"user_code": flow["user_code"]})
    result = public.acquire_token_by_device_flow(flow)
    expect("a declined device is told so", result["error"] == "authorization_declined", result)

    api = [f"api://{WEB['client_id']}/access_as_user"]
    result = public.acquire_token_silent(api, public.get_accounts()[0])
    expect("a refresh token is good for an API of ones own", "access_token" in result, result)
    result = web.acquire_token_on_behalf_of(result["access_token"], read)
    expect("a service acts for the user", me(result) == name, result)
    result = web.acquire_token_on_behalf_of(
        result["access_token"], [f"{TENANT['graph']}/Mail.Read"]
    )
    expect("a token for another resource is no assertion", result["error_codes"] == [500131], result)


def sha1_of(certificate):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1()).hex()


main()
users()
