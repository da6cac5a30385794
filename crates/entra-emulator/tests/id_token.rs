//! ID tokens: groups in every form, optional claims, guests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::user::{
    Pairs, administer, authorize_url, claims, emulator, principal_id, public_redemption,
    public_request, sign_in, text, tokens, user, web_redemption, web_request, with,
};
use entra_emulator::Emulator;
use serde_json::{Value, json as value};

#[test]
fn six_groups_do_not_fit_into_a_fragment_and_do_elsewhere() {
    let emulator = emulator();
    let user = emulator.users().remove(0).object_id;
    register(
        &emulator,
        value!({"groupMembershipClaims": "SecurityGroup"}),
    );
    let hybrid = |mode: &str| {
        let request = web_request(&emulator, "openid");
        let request = with(request, "response_type", "code id_token");
        let request = with(request, "response_mode", mode);
        claims(&sign_in(&emulator, &request).parameter("id_token").unwrap())
    };
    let before = hybrid("fragment")["groups"].as_array().unwrap().len();
    for number in before..5 {
        add_group(&emulator, &user, &format!("g{number}"));
    }
    assert_eq!(hybrid("fragment")["groups"].as_array().unwrap().len(), 5);
    add_group(&emulator, &user, "g6");
    let fragment = hybrid("fragment");
    assert_eq!(fragment["hasgroups"], true);
    assert_eq!(fragment.get("groups"), None);
    assert_eq!(fragment.get("_claim_names"), None);
    for id in [hybrid("form_post"), id_token(&emulator, "openid")] {
        assert_eq!(id["groups"].as_array().unwrap().len(), 6);
        assert_eq!(id.get("hasgroups"), None);
    }
}

#[test]
fn groups_have_the_names_that_the_registration_wants_and_are_left_out_without_one() {
    let emulator = emulator();
    let group = |name: &str| {
        let path = format!("/groups?$filter=displayName eq '{name}'");
        let found = administer(&emulator, "GET", &path.replace(' ', "%20"), &Value::Null);
        text(&found["value"][0], "id").to_owned()
    };
    // An engineer is in a group from Active Directory and, through it, in two of the cloud.
    let engineer = emulator
        .users()
        .into_iter()
        .find(|user| user.user_principal_name.starts_with("samuel.osei"))
        .unwrap();
    let names = |properties: Value| {
        let wanted = value!({
            "groupMembershipClaims": "SecurityGroup",
            "optionalClaims": {"idToken": [
                {"name": "groups", "additionalProperties": properties}]},
        });
        register(&emulator, wanted);
        let id = id_token_of(&emulator, &engineer.user_principal_name, "openid");
        (sorted(&id["groups"]), sorted(&id["roles"]))
    };
    let mut ids = vec![
        group("Engineering"),
        group("Technology"),
        group("All Staff"),
    ];
    ids.sort();
    let none = Vec::<String>::new();
    assert_eq!(names(value!([])), (ids.clone(), none.clone()));
    // Names of the cloud need an assignment.
    assert_eq!(
        names(value!(["cloud_displayname"])),
        (ids.clone(), none.clone())
    );
    for (property, name) in [
        ("sam_account_name", "engineering"),
        (
            "dns_domain_and_sam_account_name",
            "alpenglow.example\\engineering",
        ),
        (
            "netbios_domain_and_sam_account_name",
            "ALPENGLOW\\engineering",
        ),
    ] {
        let expected = vec![name.to_owned()];
        assert_eq!(names(value!([property])), (expected.clone(), none.clone()));
        let as_roles = names(value!([property, "emit_as_roles"]));
        assert_eq!(as_roles, (none.clone(), expected));
    }
    assert_eq!(names(value!(["emit_as_roles"])), (none, ids));
}

#[test]
fn groups_that_are_assigned_have_their_names_of_the_cloud() {
    let emulator = emulator();
    let web = emulator.web_app();
    let user = emulator.users().remove(0).object_id;
    let role = value!({"id": ROLE, "allowedMemberTypes": ["User"], "displayName": "Editor",
        "description": "Edits", "value": "Editor", "isEnabled": true});
    register(&emulator, value!({"appRoles": [role]}));
    let assigned = add_group(&emulator, &user, "Reviewers");
    add_group(&emulator, &user, "Others");
    let principal = principal_id(&emulator, &web.client_id);
    let assignment = value!({"principalId": assigned, "resourceId": principal,
        "appRoleId": ROLE});
    let path = format!("/servicePrincipals/{principal}/appRoleAssignedTo");
    administer(&emulator, "POST", &path, &assignment);
    let with_properties = |properties: Value| {
        let wanted = value!({
            "groupMembershipClaims": "ApplicationGroup",
            "optionalClaims": {"idToken": [
                {"name": "groups", "additionalProperties": properties}]},
        });
        register(&emulator, wanted);
        id_token(&emulator, "openid")
    };
    let id = with_properties(value!(["sam_account_name", "cloud_displayname"]));
    assert_eq!(id["groups"], value!(["Reviewers"]));
    assert_eq!(id["roles"], value!(["Editor"]));
    // Groups as roles leave no room for roles.
    let id = with_properties(value!(["cloud_displayname", "emit_as_roles"]));
    assert_eq!(id["roles"], value!(["Reviewers"]));
    let id = with_properties(value!([]));
    assert_eq!(id["groups"], value!([assigned]));
}

#[test]
fn optional_claims_say_what_the_user_and_the_tenant_have() {
    let emulator = emulator();
    let names = [
        "ctry",
        "email",
        "family_name",
        "given_name",
        "onprem_sid",
        "tenant_ctry",
        "tenant_region_scope",
        "upn",
        "verified_primary_email",
        "verified_secondary_email",
        "xms_edov",
        "xms_pdl",
        "xms_pl",
        "xms_tpl",
        "telepathy",
    ];
    let wanted: Vec<Value> = names.iter().map(|name| value!({"name": name})).collect();
    register(&emulator, value!({"optionalClaims": {"idToken": wanted}}));
    let path = format!("/users/{}", emulator.users()[0].object_id);
    let change = value!({
        "preferredLanguage": "de-CH",
        "otherMails": ["mara@partner.example", "mara@alpenglow-works.example"],
    });
    administer(&emulator, "PATCH", &path, &change);
    let of = |scope: &str| {
        let id = id_token(&emulator, scope);
        let mut found = serde_json::Map::new();
        for name in names {
            if let Some(value) = id.get(name) {
                found.insert(name.to_owned(), value.clone());
            }
        }
        Value::Object(found)
    };
    let mail = "mara.lindqvist@alpenglow.example";
    let mut expected = value!({
        "ctry": "CH",
        "email": mail,
        "family_name": "Lindqvist",
        "given_name": "Mara",
        "tenant_ctry": "CH",
        "tenant_region_scope": "EU",
        "upn": mail,
        "verified_primary_email": [mail],
        "verified_secondary_email": ["mara@alpenglow-works.example"],
        "xms_edov": true,
        "xms_pl": "de-ch",
        "xms_tpl": "en",
    });
    assert_eq!(of("openid profile"), expected);
    // Names belong to the profile.
    for name in ["family_name", "given_name", "upn"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(of("openid"), expected);
}

#[test]
fn a_guest_is_from_elsewhere() {
    let emulator = emulator();
    let guests = administer(
        &emulator,
        "GET",
        "/users?$filter=userType%20eq%20'Guest'",
        &Value::Null,
    );
    let guest = &guests["value"][0];
    let (name, home) = (text(guest, "userPrincipalName"), text(guest, "mail"));
    assert!(name.contains("#EXT#"));
    let upn = |properties: Value| {
        let wanted = ["acct", "xms_edov", "verified_primary_email"];
        let mut wanted: Vec<Value> = wanted.iter().map(|name| value!({"name": name})).collect();
        wanted.push(value!({"name": "upn", "additionalProperties": properties}));
        register(&emulator, value!({"optionalClaims": {"idToken": wanted}}));
        id_token_of(&emulator, name, "openid profile")
    };
    let id = upn(value!([]));
    assert_eq!(id["acct"], 1);
    assert_eq!(id["email"], home);
    assert_eq!(id["preferred_username"], home);
    assert_eq!(id["upn"], home);
    assert_eq!(id["xms_edov"], false);
    assert_eq!(id.get("verified_primary_email"), None);
    let provider = text(&id, "idp");
    assert!(provider.starts_with("https://sts.windows.net/"));
    assert!(!provider.contains(&emulator.tenant_id()));
    assert_eq!(id["tid"], emulator.tenant_id());
    assert_eq!(id["oid"], guest["id"]);
    let id = upn(value!(["include_externally_authenticated_upn"]));
    assert_eq!(id["upn"], name);
    let id = upn(value!([
        "include_externally_authenticated_upn_without_hash"
    ]));
    assert_eq!(id["upn"], name.replace('#', "_"));
    // A member has no other provider.
    assert_eq!(id_token(&emulator, "openid").get("idp"), None);
}

#[test]
fn the_account_of_a_guest_is_the_one_at_home() {
    let emulator = emulator();
    let guest = emulator_guest(&emulator);
    let request = with(web_request(&emulator, "openid"), "client_info", "1");
    let redirect = sign_in_as(&emulator, &guest, &request);
    let code = redirect.parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    let decoded = |info: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(info).unwrap()).unwrap()
    };
    let info = decoded(text(&body, "client_info"));
    assert_eq!(decoded(&redirect.parameter("client_info").unwrap()), info);
    let id = claims(text(&body, "id_token"));
    assert_ne!(info["uid"], id["oid"]);
    let home = format!("https://sts.windows.net/{}/", text(&info, "utid"));
    assert_eq!(id["idp"], home);

    // That of a member is here.
    let redirect = sign_in(&emulator, &request);
    let info = decoded(&redirect.parameter("client_info").unwrap());
    let member = &emulator.users()[0];
    assert_eq!(
        info,
        value!({"uid": member.object_id, "utid": emulator.tenant_id()})
    );

    // Access tokens say it too: of version 1.0 for Microsoft Graph, of 2.0 for the API.
    let api = format!("api://{}/access_as_user", emulator.web_app().client_id);
    for scope in ["User.Read", &api] {
        let request = public_request(&emulator, scope);
        let redirect = sign_in_as(&emulator, &guest, &request);
        let code = redirect.parameter("code").unwrap();
        let form = public_redemption(&emulator, &code);
        let access = claims(text(&tokens(&emulator, &form), "access_token"));
        assert_eq!(access["idp"], home);
        assert_eq!(access.get("upn"), None);
    }
}

const ROLE: &str = "0c5b0a1e-51b5-4f6a-9bf2-7e53f5c0b1de";

fn register(emulator: &Emulator, change: Value) {
    let path = format!("/applications/{}", emulator.web_app().object_id);
    administer(emulator, "PATCH", &path, &change);
}

fn add_group(emulator: &Emulator, user: &str, name: &str) -> String {
    let group = value!({"displayName": name, "mailNickname": name, "mailEnabled": false,
        "securityEnabled": true,
        "members@odata.bind": [format!("https://graph.microsoft.com/v1.0/users/{user}")]});
    let made = administer(emulator, "POST", "/groups", &group);
    text(&made, "id").to_owned()
}

fn emulator_guest(emulator: &Emulator) -> String {
    let path = "/users?$filter=userType%20eq%20'Guest'";
    let guests = administer(emulator, "GET", path, &Value::Null);
    text(&guests["value"][0], "userPrincipalName").to_owned()
}

fn id_token(emulator: &Emulator, scope: &str) -> Value {
    id_token_of(emulator, &user(emulator), scope)
}

fn id_token_of(emulator: &Emulator, name: &str, scope: &str) -> Value {
    let redirect = sign_in_as(emulator, name, &web_request(emulator, scope));
    let code = redirect.parameter("code").unwrap();
    let body = tokens(emulator, &web_redemption(emulator, &code));
    claims(text(&body, "id_token"))
}

fn sign_in_as(emulator: &Emulator, name: &str, request: &Pairs) -> entra_emulator::Redirect {
    let url = authorize_url(emulator, "", request);
    emulator.sign_in_as(&url, name).unwrap()
}

fn sorted(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> = items
        .iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}
