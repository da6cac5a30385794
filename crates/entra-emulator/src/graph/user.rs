//! Users (Learn, "user resource type" and its operations).

use serde_json::{Value, json};

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Link, Object, Tenant, text_of, timestamp};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let user = exchange.subject(KIND)?;
    exchange.single(KIND, user).map(Answer::Object)
}

/// Learn, "Create user": what has to be given, and that the domain has to be the tenant's.
pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let mut user = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    for property in ["displayName", "mailNickname", "userPrincipalName"] {
        if text_of(&user, property).is_empty() {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    if user.get("accountEnabled").is_none_or(Value::is_null) {
        return Err(GraphError::missing("accountEnabled", LABEL));
    }
    check_name(exchange.tenant, &user, "")?;
    let password =
        take_password(&mut user)?.ok_or_else(|| GraphError::missing("passwordProfile", LABEL))?;
    if is_federated(exchange.tenant, text_of(&user, "userPrincipalName"))
        && text_of(&user, "onPremisesImmutableId").is_empty()
    {
        return Err(GraphError::bad_request(
            "SourceAnchor is a required property for creation of a federated user.",
        )
        .with_detail("MissingValue", "onPremisesImmutableId"));
    }
    let created = timestamp(exchange.now());
    user.insert("createdDateTime".to_owned(), json!(created));
    user.entry("userType").or_insert_with(|| json!("Member"));
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, user, now);
    exchange.tenant.set_password(&id, password);
    let user = exchange
        .tenant
        .current(KIND, &id)
        .cloned()
        .unwrap_or_default();
    let shown = exchange.single(KIND, &user)?;
    Ok(Answer::Created(shown))
}

pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let mut patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    check_narrow_permission(&exchange.access.by, &patch)?;
    let mut user = exchange.subject_to_write(KIND)?;
    let password = take_password(&mut patch)?;
    body::merge(&mut user, patch);
    let id = text_of(&user, "id").to_owned();
    check_name(exchange.tenant, &user, &id)?;
    exchange.tenant.replace(KIND, &id, user, exchange.now());
    if let Some(password) = password {
        let now = exchange.now();
        exchange.tenant.change_password(&id, password, now);
    }
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let user = exchange.subject_to_write(KIND)?;
    let now = exchange.now();
    exchange.tenant.soft_delete(KIND, text_of(&user, "id"), now);
    Ok(Answer::Empty)
}

pub(crate) fn manager(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let managers = exchange.tenant.linked(&id, Link::Manager);
    let manager = managers
        .first()
        .and_then(|(kind, id)| exchange.tenant.seen(*kind, id, &exchange.glance))
        .ok_or_else(|| GraphError::not_found("manager"))?;
    exchange.single(KIND, manager).map(Answer::Object)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn transitive_member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking_transitively(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

/// Learn, "directoryObject: getMemberObjects". There are no directory roles here.
pub(crate) fn get_member_objects(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let json = exchange.json()?;
    let security_only = json
        .get("securityEnabledOnly")
        .and_then(Value::as_bool)
        .ok_or_else(|| GraphError::missing("securityEnabledOnly", LABEL))?;
    let groups = exchange.tenant.linking_transitively(&id, Link::Member);
    let ids: Vec<&str> = groups
        .into_iter()
        .filter(|(kind, id)| {
            let group = exchange.tenant.current(*kind, id);
            let security = group.and_then(|group| group.get("securityEnabled"));
            !security_only || security == Some(&Value::Bool(true))
        })
        .map(|(_, id)| id)
        .collect();
    let query = super::query::Query::default();
    let context = exchange.context("Collection(Edm.String)", &query, false);
    Ok(Answer::json(
        json!({"@odata.context": context, "value": ids}),
    ))
}

/// Learn, "user: revokeSignInSessions".
pub(crate) fn revoke_sign_in_sessions(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let now = exchange.now();
    exchange.tenant.revoke_sessions(&id, now);
    let context = exchange.context("Edm.Boolean", &super::query::Query::default(), false);
    Ok(Answer::json(
        json!({"@odata.context": context, "value": true}),
    ))
}

/// The name has the form of an address, its domain is verified, and nobody else bears it.
fn check_name(tenant: &Tenant, user: &Object, id: &str) -> Result<(), GraphError> {
    let name = text_of(user, "userPrincipalName");
    let (alias, domain) = name.rsplit_once('@').unwrap_or_default();
    let well_formed = !alias.is_empty() && !alias.contains(char::is_whitespace);
    if !well_formed || !tenant.is_verified_domain(domain) {
        return Err(GraphError::bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of \
             the verified domain names in your organization.",
        )
        .with_detail("InvalidValue", "userPrincipalName"));
    }
    if tenant.user_id(name).is_some_and(|other| other != id) {
        return Err(GraphError::duplicate("userPrincipalName"));
    }
    Ok(())
}

fn is_federated(tenant: &Tenant, name: &str) -> bool {
    let (_, domain) = name.rsplit_once('@').unwrap_or_default();
    tenant
        .current(Kind::Domain, domain)
        .is_some_and(|domain| text_of(domain, "authenticationType") == "Federated")
}

/// The password out of `passwordProfile`; the rest of the profile is of no consequence here.
fn take_password(user: &mut Object) -> Result<Option<entra_core::Secret>, GraphError> {
    let profile = match user.remove("passwordProfile") {
        None | Some(Value::Null) => return Ok(None),
        Some(profile) => profile,
    };
    let Some(password) = profile.get("password").and_then(Value::as_str) else {
        return Ok(None);
    };
    // Learn, "Password policies and account restrictions in Microsoft Entra ID": 8 to 256
    // characters, three of four classes.
    let classes: [fn(char) -> bool; 4] = [
        |c| c.is_lowercase(),
        |c| c.is_uppercase(),
        |c| c.is_ascii_digit(),
        |c| !c.is_alphanumeric(),
    ];
    let used = classes.iter().filter(|class| password.chars().any(class));
    if !(8..=256).contains(&password.chars().count()) || used.count() < 3 {
        return Err(GraphError::bad_request(
            "The specified password does not comply with password complexity requirements. Please \
             provide a different password.",
        )
        .with_detail("PasswordComplexity", "passwordProfile"));
    }
    Ok(Some(entra_core::Secret::new(password)))
}

/// Learn, "Update user": some permissions allow one property.
fn check_narrow_permission(permission: &str, patch: &Object) -> Result<(), GraphError> {
    let allowed: &[&str] = match permission {
        "User.EnableDisableAccount.All" => &["accountEnabled"],
        "User-PasswordProfile.ReadWrite.All" => &["passwordProfile"],
        "User.ManageIdentities.All" => &["identities"],
        "User-Phone.ReadWrite.All" => &["businessPhones", "mobilePhone"],
        "User-Mail.ReadWrite.All" => &["mail", "otherMails"],
        _ => return Ok(()),
    };
    if patch.keys().all(|name| allowed.contains(&name.as_str())) {
        Ok(())
    } else {
        Err(GraphError::denied())
    }
}

const KIND: Kind = Kind::User;
const LABEL: &str = "User";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    fn ada(name: &str) -> Value {
        json!({"accountEnabled": true, "displayName": "Ada", "mailNickname": "ada",
            "userPrincipalName": name, "passwordProfile": {"password": "Correct-Horse-1"}})
    }

    #[test]
    fn a_user_is_made_signs_in_and_comes_back_after_deletion() {
        let mut desk = Desk::new();
        let made = desk.ok("POST", "/users", ada("ada@alpenglow.example"));
        assert!(!made.to_string().contains("Correct-Horse-1"));
        let password = entra_core::Secret::new("Correct-Horse-1");
        let name = "Ada@Alpenglow.example";
        assert!(desk.tenant.authenticate_user(name, &password).is_ok());
        let path = format!("/users/{name}");
        desk.ok("PATCH", &path, json!({"accountEnabled": false}));
        assert!(desk.tenant.authenticate_user(name, &password).is_err());
        let selected = desk.ok(
            "GET",
            &format!("{path}?$select=accountEnabled"),
            Value::Null,
        );
        assert_eq!(selected["accountEnabled"], false);
        assert!(
            desk.ok("GET", &path, Value::Null)
                .get("accountEnabled")
                .is_none()
        );
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.get(&path).0, 404);
        let deleted = format!("/directory/deletedItems/{}", made["id"].as_str().unwrap());
        desk.ok("POST", &format!("{deleted}/restore"), json!({}));
        assert_eq!(desk.get(&path).0, 200);
    }

    #[test]
    fn what_makes_no_user_is_refused() {
        let mut desk = Desk::new();
        let without = |name: &str| {
            let mut user = ada("ada@alpenglow.example");
            user.as_object_mut().unwrap().remove(name);
            user
        };
        let mut weak = ada("ada@alpenglow.example");
        weak["passwordProfile"]["password"] = json!("secret");
        let domain = "The domain portion of the userPrincipalName property is invalid. You must \
                      use one of the verified domain names in your organization.";
        for (body, expected) in [
            (
                without("displayName"),
                "A value is required for property 'displayName' of resource 'User'.",
            ),
            (
                without("accountEnabled"),
                "A value is required for property 'accountEnabled' of resource 'User'.",
            ),
            (
                without("passwordProfile"),
                "A value is required for property 'passwordProfile' of resource 'User'.",
            ),
            (
                weak,
                "The specified password does not comply with password complexity requirements. \
                 Please provide a different password.",
            ),
            (ada("ada@elsewhere.example"), domain),
            (ada("ada@alpenglow-shop.example"), domain),
            (
                ada("ada@alpenglow-works.example"),
                "SourceAnchor is a required property for creation of a federated user.",
            ),
            (
                ada("mara.lindqvist@alpenglow.example"),
                "Another object with the same value for property userPrincipalName already exists.",
            ),
        ] {
            assert_eq!(desk.refusal("POST", "/users", body).2, expected);
        }
    }

    #[test]
    fn a_guest_is_found_by_its_escaped_name() {
        let mut desk = Desk::new();
        let path = "/users/emma.wright_partner.example%23EXT%23@alpenglow.onmicrosoft.com";
        assert_eq!(
            desk.ok("GET", path, Value::Null)["displayName"],
            "Emma Wright"
        );
    }

    #[test]
    fn memberships_are_direct_or_transitive() {
        let mut desk = Desk::new();
        let path = "/users/samuel.osei@alpenglow.example";
        let direct = desk.ok("GET", &format!("{path}/memberOf"), Value::Null);
        assert_eq!(values(&direct, "displayName"), ["Engineering"]);
        let all = desk.ok("GET", &format!("{path}/transitiveMemberOf"), Value::Null);
        assert_eq!(
            values(&all, "displayName"),
            ["Engineering", "Technology", "All Staff"]
        );
        let body = json!({"securityEnabledOnly": true});
        let ids = desk.ok("POST", &format!("{path}/getMemberObjects"), body);
        assert_eq!(ids["value"].as_array().unwrap().len(), 3);
        let manager = desk.ok("GET", &format!("{path}/manager"), Value::Null);
        assert_eq!(manager["displayName"], "Mara Lindqvist");
    }

    #[test]
    fn a_narrow_permission_allows_its_property_alone() {
        let mut desk = Desk::new().served_to(&["User.EnableDisableAccount.All"]);
        let path = "/users/samuel.osei@alpenglow.example";
        desk.ok("PATCH", path, json!({"accountEnabled": false}));
        assert_eq!(desk.call("PATCH", path, json!({"jobTitle": "x"})).0, 403);
    }

    #[test]
    fn me_is_the_user_of_a_delegated_token() {
        let mut desk = Desk::new();
        let message = desk.refusal("GET", "/me", Value::Null).2;
        assert_eq!(
            message,
            "/me request is only valid with delegated authentication flow."
        );
        let user = desk.seeded.users[0].clone();
        desk.caller.user_id = Some(user.object_id.clone());
        desk.caller.scopes = vec!["User.Read".to_owned()];
        let me = desk.ok("GET", "/me?$select=id,displayName", Value::Null);
        assert_eq!(me["id"], user.object_id);
        let path = format!("/users/{}", user.user_principal_name);
        assert_eq!(desk.get(&path).0, 200);
        let another = format!("/users/{}", desk.seeded.users[1].user_principal_name);
        assert_eq!(desk.get(&another).0, 403);
        assert_eq!(desk.get("/me/photo").0, 400);
    }

    #[test]
    fn revoked_sessions_leave_their_time_at_the_user() {
        let mut desk = Desk::new();
        let path = "/users/samuel.osei@alpenglow.example";
        let answer = desk.ok("POST", &format!("{path}/revokeSignInSessions"), json!({}));
        assert_eq!(answer["value"], true);
        let select = format!("{path}?$select=signInSessionsValidFromDateTime");
        assert_eq!(
            desk.ok("GET", &select, Value::Null)["signInSessionsValidFromDateTime"],
            "2026-01-01T00:00:00Z"
        );
    }

    #[test]
    fn a_delegated_token_is_held_to_its_scopes() {
        let mut desk = Desk::new();
        desk.caller.user_id = Some(desk.seeded.users[0].object_id.clone());
        desk.caller.scopes = vec!["User.Read.All".to_owned()];
        assert_eq!(desk.get("/users").0, 200);
        assert_eq!(desk.get("/groups").0, 403);
    }
}
