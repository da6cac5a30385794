"""The Azure CLI: signs in with a secret and a certificate, and manages an application."""

import json
import os
import subprocess
import sys

from tenant_line import SETUP, TENANT, check, control

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
USER_READ_ALL = "df021288-bdef-4463-88db-98f22de89214"

ENVIRONMENT = dict(
    os.environ,
    REQUESTS_CA_BUNDLE=TENANT["ca"],
    AZURE_CORE_INSTANCE_DISCOVERY="false",
    AZURE_CORE_COLLECT_TELEMETRY="false",
    AZURE_CORE_NO_COLOR="true",
)


def az(*arguments, fails=False):
    """Runs one command; its JSON, or its error text where it has to fail."""
    command = [sys.executable, "-m", "azure.cli", *arguments, "--output", "json"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    shown = " ".join(argument for argument in arguments if "secret" not in argument)
    if fails:
        check("az", f"is refused: {shown[:60]}", done.returncode != 0, done.stdout)
        return done.stderr
    check("az", shown[:70], done.returncode == 0, done.stdout + done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def expect(what, holds, seen=None):
    check("az", what, holds, seen)


def login(*credential, fails=False):
    return az(
        "login", "--service-principal", "--username", SETUP["client_id"],
        "--tenant", TENANT["tenant_id"], "--allow-no-subscriptions", *credential, fails=fails,
    )


def settle():
    """Lets the directory's replication catch up."""
    control("POST", "/clock", {"advance_seconds": 60})


def main():
    origin = TENANT["authority"]
    az(
        "cloud", "register", "--name", "LocalTenant",
        "--endpoint-active-directory", origin,
        "--endpoint-active-directory-resource-id", f"{origin}/",
        "--endpoint-microsoft-graph-resource-id", f"{origin}/",
        "--endpoint-active-directory-graph-resource-id", f"{origin}/",
        "--endpoint-management", f"{origin}/",
        "--endpoint-resource-manager", f"{origin}/",
    )
    az("cloud", "set", "--name", "LocalTenant")

    error = login("--password=not-the-secret", fails=True)
    expect("the refusal names AADSTS7000215", "AADSTS7000215" in error, error)
    accounts = login(f"--password={SETUP['client_secret']}")
    expect("the account is in the tenant", accounts[0]["tenantId"] == TENANT["tenant_id"], accounts)

    app = az("ad", "app", "create", "--display-name", "Stranger", "--sign-in-audience", "AzureADMyOrg")
    settle()
    listed = az("ad", "app", "list", "--display-name", "Stranger")
    expect("the new app is listed", [found["id"] for found in listed] == [app["id"]], listed)
    shown = az("ad", "app", "show", "--id", app["appId"])
    expect("the new app is shown", shown["displayName"] == "Stranger", shown)

    principal = az("ad", "sp", "create", "--id", app["appId"])
    expect("its service principal has its app id", principal["appId"] == app["appId"], principal)
    settle()

    az(
        "ad", "app", "permission", "add", "--id", app["appId"],
        "--api", GRAPH_APP_ID, "--api-permissions", f"{USER_READ_ALL}=Role",
    )
    settle()
    permissions = az("ad", "app", "permission", "list", "--id", app["appId"])
    access = permissions[0]["resourceAccess"]
    expect("the permission is declared", access == [{"id": USER_READ_ALL, "type": "Role"}], permissions)

    secret = az("ad", "app", "credential", "reset", "--id", app["appId"])
    expect("a secret is made", len(secret["password"]) > 20)
    settle()
    certificate = az("ad", "app", "credential", "reset", "--id", app["appId"], "--create-cert", "--append")
    expect("a certificate is made", os.path.exists(certificate["fileWithCertAndPrivateKey"]))
    settle()
    credentials = az("ad", "app", "credential", "list", "--id", app["appId"])
    expect("the secret is listed", len(credentials) == 1, credentials)
    credentials = az("ad", "app", "credential", "list", "--id", app["appId"], "--cert")
    expect("the certificate is listed", len(credentials) == 1, credentials)

    users = az("ad", "user", "list")
    expect("all users are listed", len(users) >= 40, len(users))

    as_app = ["login", "--service-principal", "--username", app["appId"], "--allow-no-subscriptions",
              "--tenant", TENANT["tenant_id"]]
    az(*as_app, "--password=" + secret["password"])
    az(*as_app, "--certificate", certificate["fileWithCertAndPrivateKey"])
    error = az("ad", "user", "list", fails=True)
    expect("an app without consent may not list users", "Insufficient privileges" in error, error)

    login(f"--password={SETUP['client_secret']}")
    az("ad", "app", "delete", "--id", app["appId"])
    settle()
    listed = az("ad", "app", "list", "--display-name", "Stranger")
    expect("the deleted app is gone", listed == [], listed)
    os.remove(certificate["fileWithCertAndPrivateKey"])


main()
