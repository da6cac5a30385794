//! What Graph answers for each type of object: which properties, with which defaults.
//!
//! The directory keeps objects sparse; here they get Graph's full shape. Clients count on it: the
//! Azure CLI indexes `passwordCredentials` and `requiredResourceAccess` without asking whether
//! they are there.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::error::GraphError;
use crate::schema::{Form, Property, Schema, Shape};
use crate::tenant::{Kind, Object};

/// How one type of object looks and what may be written to it.
#[derive(Debug)]
pub(crate) struct Noun {
    /// The type's name, without namespace.
    pub(crate) type_name: &'static str,
    /// The collection in paths and in `@odata.context`.
    pub(crate) set: &'static str,
    /// The name in messages.
    pub(crate) label: &'static str,
    shown: Shown,
    /// Properties that only the directory writes.
    pub(crate) read_only: &'static [&'static str],
}

/// Which properties an answer has without `$select`.
#[derive(Debug)]
enum Shown {
    All,
    But(&'static [&'static str]),
    Only(&'static [&'static str]),
}

impl Noun {
    /// The noun of a kind.
    pub(crate) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Application => &APPLICATION,
            Kind::ServicePrincipal => &SERVICE_PRINCIPAL,
            Kind::User => &USER,
            Kind::Group => &GROUP,
            Kind::Device => &DEVICE,
            Kind::Domain => &DOMAIN,
            Kind::Organization => &ORGANIZATION,
            Kind::AppRoleAssignment => &APP_ROLE_ASSIGNMENT,
            Kind::PermissionGrant => &PERMISSION_GRANT,
            Kind::TenantAppManagementPolicy => &TENANT_APP_MANAGEMENT_POLICY,
            Kind::AppManagementPolicy => &APP_MANAGEMENT_POLICY,
            Kind::ConditionalAccessPolicy => &CONDITIONAL_ACCESS_POLICY,
            Kind::AuthenticationContext => &AUTHENTICATION_CONTEXT,
            Kind::FederatedIdentityCredential => &FEDERATED_IDENTITY_CREDENTIAL,
        }
    }

    /// The type's properties.
    pub(crate) fn shape(&self) -> Option<&'static Shape> {
        Schema::v1().shape(self.type_name)
    }

    /// A structural property.
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.shape()?.property(name)
    }

    /// What stands in a property that nobody has written.
    pub(crate) fn default_of(&self, property: &str) -> &'static Value {
        DEFAULTS
            .get(self.type_name)
            .and_then(|defaults| defaults.get(property))
            .unwrap_or(&Value::Null)
    }

    /// `#microsoft.graph.user` and the like.
    pub(crate) fn odata_type(&self) -> String {
        ["#microsoft.graph.", self.type_name].concat()
    }

    /// Refuses a `$select` of what the type does not have. Names are matched without case.
    pub(crate) fn check_select(&self, select: &[String]) -> Result<(), GraphError> {
        let properties = self.shape().map(Shape::properties).unwrap_or_default();
        for name in select {
            let first = name.split('/').next().unwrap_or_default();
            let known = properties
                .iter()
                .any(|property| property.name.eq_ignore_ascii_case(first));
            if !known && first != "*" {
                return Err(GraphError::malformed(format!(
                    "Parsing OData Select and Expand failed: Could not find a property named \
                     '{first}' on type 'microsoft.graph.{}'.",
                    self.type_name
                )));
            }
        }
        Ok(())
    }

    /// An object as Graph answers it. `key` of certificates is shown only where one object is
    /// asked for with `$select=keyCredentials` (Learn, "keyCredential resource type").
    pub(crate) fn project(
        &self,
        object: &Object,
        select: Option<&[String]>,
        single: bool,
    ) -> Object {
        let properties = self.shape().map(Shape::properties).unwrap_or_default();
        properties
            .iter()
            .filter(|property| property.form != Form::Stream && self.is_shown(property, select))
            .map(|property| {
                let mut value = self.value(object, property);
                let reveals_keys = single && select.is_some();
                redact(property.name, &mut value, reveals_keys);
                (property.name.to_owned(), value)
            })
            .collect()
    }

    fn is_shown(&self, property: &Property, select: Option<&[String]>) -> bool {
        match (select, &self.shown) {
            (Some(select), _) => select.iter().any(|name| {
                let first = name.split('/').next().unwrap_or_default();
                property.name.eq_ignore_ascii_case(first) || first == "*"
            }),
            (None, Shown::All) => true,
            (None, Shown::But(hidden)) => !hidden.contains(&property.name),
            (None, Shown::Only(shown)) => shown.contains(&property.name),
        }
    }

    fn value(&self, object: &Object, property: &Property) -> Value {
        let default = self.default_of(property.name);
        match (object.get(property.name), &property.form) {
            (None, _) => default.clone(),
            (Some(Value::Array(items)), Form::Collection(form)) => {
                items.iter().map(|item| complete_item(item, form)).collect()
            }
            (Some(value), _) => over(default, value),
        }
    }
}

/// An item of a collection with every property of its type.
fn complete_item(item: &Value, form: &Form) -> Value {
    match form {
        Form::Complex(name) => {
            static ITEMS: LazyLock<HashMap<&str, Value>> = LazyLock::new(|| {
                ITEM_TYPES
                    .into_iter()
                    .map(|name| (name, Value::Object(Schema::v1().default_object(name))))
                    .collect()
            });
            match (ITEMS.get(name), item) {
                // Most are complete, and Microsoft Graph has more than a thousand permissions.
                (Some(Value::Object(default)), Value::Object(item))
                    if default.keys().any(|name| !item.contains_key(name)) =>
                {
                    default.clone().into_iter().chain(item.clone()).collect()
                }
                _ => item.clone(),
            }
        }
        _ => item.clone(),
    }
}

/// `value` laid over `default`: what it does not say is taken from there.
fn over(default: &Value, value: &Value) -> Value {
    match (default, value) {
        (Value::Object(default), Value::Object(value)) => {
            let mut merged = default.clone();
            for (name, value) in value {
                let laid = over(default.get(name).unwrap_or(&Value::Null), value);
                merged.insert(name.clone(), laid);
            }
            Value::Object(merged)
        }
        _ => value.clone(),
    }
}

fn redact(property: &str, value: &mut Value, reveals_keys: bool) {
    let hidden = match property {
        "keyCredentials" if !reveals_keys => "key",
        "passwordCredentials" => "secretText",
        "passwordProfile" => {
            *value = Value::Null;
            return;
        }
        _ => return,
    };
    for item in value.as_array_mut().into_iter().flatten() {
        if let Some(item) = item.as_object_mut() {
            item.insert(hidden.to_owned(), Value::Null);
        }
    }
}

/// Defaults by type: the schema's, and over them what Graph fills in.
static DEFAULTS: LazyLock<HashMap<&'static str, Map<String, Value>>> = LazyLock::new(|| {
    let filled = [
        (&APPLICATION, application_defaults()),
        (&SERVICE_PRINCIPAL, service_principal_defaults()),
        (&USER, json!({})),
        (&GROUP, json!({})),
        (&DEVICE, json!({})),
        (&DOMAIN, json!({})),
        (&ORGANIZATION, json!({"partnerTenantType": null})),
        (&APP_ROLE_ASSIGNMENT, json!({})),
        (&PERMISSION_GRANT, json!({})),
        (&TENANT_APP_MANAGEMENT_POLICY, json!({})),
        (&APP_MANAGEMENT_POLICY, json!({})),
        (&CONDITIONAL_ACCESS_POLICY, conditional_access_defaults()),
        (&AUTHENTICATION_CONTEXT, json!({})),
        (&FEDERATED_IDENTITY_CREDENTIAL, json!({})),
    ];
    filled
        .into_iter()
        .map(|(noun, filled)| (noun.type_name, defaults(noun, &filled)))
        .collect()
});

fn defaults(noun: &Noun, filled: &Value) -> Map<String, Value> {
    let properties = noun.shape().map(Shape::properties).unwrap_or_default();
    properties
        .iter()
        .map(|property| {
            let value = match (filled.get(property.name), &property.form) {
                (Some(filled), Form::Complex(name)) => {
                    over(&Value::Object(Schema::v1().default_object(name)), filled)
                }
                (Some(filled), _) => filled.clone(),
                (None, _) => Schema::default_value(property),
            };
            (property.name.to_owned(), value)
        })
        .collect()
}

/// Learn, "Get application", example response.
fn application_defaults() -> Value {
    json!({
        "api": {"knownClientApplications": [], "preAuthorizedApplications": []},
        "info": {},
        "parentalControlSettings": {
            "countriesBlockedForMinors": [],
            "legalAgeGroupRule": "Allow"
        },
        "publicClient": {},
        "signInAudience": "AzureADMyOrg",
        "spa": {},
        "verifiedPublisher": {},
        "web": {
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false,
                "enableIdTokenIssuance": false
            }
        }
    })
}

/// Learn, "Get servicePrincipal", example response.
fn service_principal_defaults() -> Value {
    json!({
        "accountEnabled": true,
        "info": {},
        "servicePrincipalType": "Application",
        "verifiedPublisher": {}
    })
}

/// Learn, "Get conditionalAccessPolicy", example response.
fn conditional_access_defaults() -> Value {
    json!({
        "conditions": {"clientAppTypes": ["all"], "applications": {}, "users": {}}
    })
}

/// Complex types that stand in collections and are shown with every property.
const ITEM_TYPES: [&str; 10] = [
    "addIn",
    "alternativeSecurityId",
    "appRole",
    "assignedLicense",
    "keyCredential",
    "objectIdentity",
    "passwordCredential",
    "permissionScope",
    "requiredResourceAccess",
    "verifiedDomain",
];

static APPLICATION: Noun = Noun {
    type_name: "application",
    set: "applications",
    label: "Application",
    shown: Shown::But(&[
        "authenticationBehaviors",
        "managerApplications",
        "oauth2RequirePostResponse",
    ]),
    read_only: &[
        "id",
        "appId",
        "applicationTemplateId",
        "certification",
        "createdByAppId",
        "createdDateTime",
        "deletedDateTime",
        "disabledByMicrosoftStatus",
        "publisherDomain",
        "verifiedPublisher",
    ],
};

static SERVICE_PRINCIPAL: Noun = Noun {
    type_name: "servicePrincipal",
    set: "servicePrincipals",
    label: "ServicePrincipal",
    shown: Shown::But(&["customSecurityAttributes"]),
    read_only: &[
        "id",
        "appDescription",
        "appDisplayName",
        "appOwnerOrganizationId",
        "applicationTemplateId",
        "createdByAppId",
        "deletedDateTime",
        "disabledByMicrosoftStatus",
        "servicePrincipalType",
        "signInAudience",
        "verifiedPublisher",
    ],
};

/// Learn, "Get a user": without `$select` only these come.
static USER: Noun = Noun {
    type_name: "user",
    set: "users",
    label: "User",
    shown: Shown::Only(&[
        "businessPhones",
        "displayName",
        "givenName",
        "id",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    ]),
    read_only: &[
        "id",
        "assignedLicenses",
        "assignedPlans",
        "createdDateTime",
        "creationType",
        "deletedDateTime",
        "externalUserStateChangeDateTime",
        "imAddresses",
        "lastPasswordChangeDateTime",
        "licenseAssignmentStates",
        "onPremisesLastSyncDateTime",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "provisionedPlans",
        "proxyAddresses",
        "securityIdentifier",
        "signInActivity",
        "signInSessionsValidFromDateTime",
    ],
};

/// Learn, "Get group": what Exchange and SharePoint keep comes only with `$select`.
static GROUP: Noun = Noun {
    type_name: "group",
    set: "groups",
    label: "Group",
    shown: Shown::But(&[
        "accessType",
        "allowExternalSenders",
        "assignedLabels",
        "assignedLicenses",
        "autoSubscribeNewMembers",
        "hasMembersWithLicenseErrors",
        "hideFromAddressLists",
        "hideFromOutlookClients",
        "infoCatalogs",
        "isArchived",
        "isFavorite",
        "isManagementRestricted",
        "isSubscribedByMail",
        "licenseProcessingState",
        "onPremisesExtensionAttributes",
        "organizationId",
        "unseenConversationsCount",
        "unseenCount",
        "unseenMessagesCount",
        "welcomeMessageEnabled",
    ]),
    read_only: &[
        "id",
        "assignedLicenses",
        "createdDateTime",
        "deletedDateTime",
        "expirationDateTime",
        "mail",
        "onPremisesLastSyncDateTime",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "organizationId",
        "proxyAddresses",
        "renewedDateTime",
        "securityIdentifier",
    ],
};

static DEVICE: Noun = Noun {
    type_name: "device",
    set: "devices",
    label: "Device",
    shown: Shown::But(&["isManagementRestricted"]),
    read_only: &[
        "id",
        "approximateLastSignInDateTime",
        "complianceExpirationDateTime",
        "deletedDateTime",
        "deviceId",
        "onPremisesLastSyncDateTime",
        "onPremisesSyncEnabled",
        "physicalIds",
        "registrationDateTime",
        "trustType",
    ],
};

static DOMAIN: Noun = Noun {
    type_name: "domain",
    set: "domains",
    label: "Domain",
    shown: Shown::All,
    read_only: &["id"],
};

static ORGANIZATION: Noun = Noun {
    type_name: "organization",
    set: "organization",
    label: "Organization",
    shown: Shown::All,
    read_only: &["id"],
};

static APP_ROLE_ASSIGNMENT: Noun = Noun {
    type_name: "appRoleAssignment",
    set: "appRoleAssignments",
    label: "AppRoleAssignment",
    shown: Shown::All,
    read_only: &[
        "id",
        "createdDateTime",
        "deletedDateTime",
        "principalDisplayName",
        "principalType",
        "resourceDisplayName",
    ],
};

static PERMISSION_GRANT: Noun = Noun {
    type_name: "oAuth2PermissionGrant",
    set: "oauth2PermissionGrants",
    label: "OAuth2PermissionGrant",
    shown: Shown::All,
    read_only: &["id"],
};

static TENANT_APP_MANAGEMENT_POLICY: Noun = Noun {
    type_name: "tenantAppManagementPolicy",
    set: "policies/defaultAppManagementPolicy",
    label: "TenantAppManagementPolicy",
    shown: Shown::All,
    read_only: &["id", "deletedDateTime"],
};

static APP_MANAGEMENT_POLICY: Noun = Noun {
    type_name: "appManagementPolicy",
    set: "policies/appManagementPolicies",
    label: "AppManagementPolicy",
    shown: Shown::All,
    read_only: &["id", "deletedDateTime"],
};

static CONDITIONAL_ACCESS_POLICY: Noun = Noun {
    type_name: "conditionalAccessPolicy",
    set: "identity/conditionalAccess/policies",
    label: "ConditionalAccessPolicy",
    shown: Shown::But(&["deletedDateTime"]),
    read_only: &[
        "id",
        "createdDateTime",
        "deletedDateTime",
        "modifiedDateTime",
        "templateId",
    ],
};

static AUTHENTICATION_CONTEXT: Noun = Noun {
    type_name: "authenticationContextClassReference",
    set: "identity/conditionalAccess/authenticationContextClassReferences",
    label: "AuthenticationContextClassReference",
    shown: Shown::All,
    read_only: &["id"],
};

static FEDERATED_IDENTITY_CREDENTIAL: Noun = Noun {
    type_name: "federatedIdentityCredential",
    set: "federatedIdentityCredentials",
    label: "FederatedIdentityCredential",
    shown: Shown::All,
    read_only: &["id"],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn an_application_has_every_property_that_graph_returns() {
        let sparse = object(json!({
            "id": "i",
            "displayName": "d",
            "web": {"redirectUris": ["https://a.example"]},
            "passwordCredentials": [{"keyId": "k", "hint": "abc"}]
        }));
        let full = Noun::of(Kind::Application).project(&sparse, None, true);
        for (path, expected) in [
            ("/displayName", json!("d")),
            ("/identifierUris", json!([])),
            ("/requiredResourceAccess", json!([])),
            ("/description", json!(null)),
            ("/signInAudience", json!("AzureADMyOrg")),
            ("/web/redirectUris", json!(["https://a.example"])),
            ("/web/homePageUrl", json!(null)),
            (
                "/web/implicitGrantSettings/enableIdTokenIssuance",
                json!(false),
            ),
            ("/api/oauth2PermissionScopes", json!([])),
            ("/spa", json!({"redirectUris": []})),
            ("/passwordCredentials/0/secretText", json!(null)),
            ("/passwordCredentials/0/hint", json!("abc")),
        ] {
            let value = Value::Object(full.clone());
            assert_eq!(value.pointer(path), Some(&expected), "{path}");
        }
        assert!(!full.contains_key("logo"));
    }

    #[test]
    fn a_user_has_eleven_properties_unless_more_are_selected() {
        let user = object(json!({"id": "i", "accountEnabled": true}));
        let noun = Noun::of(Kind::User);
        assert_eq!(noun.project(&user, None, true).len(), 11);
        let select = ["accountEnabled".to_owned(), "ID".to_owned()];
        let selected = noun.project(&user, Some(&select), true);
        assert_eq!(
            Value::Object(selected),
            json!({"id": "i", "accountEnabled": true})
        );
    }

    #[test]
    fn keys_are_shown_of_one_object_and_on_request() {
        let app = object(json!({"keyCredentials": [{"keyId": "k", "key": "AQID"}]}));
        let noun = Noun::of(Kind::Application);
        let select = ["keyCredentials".to_owned()];
        let key = |select, single| {
            let projected = noun.project(&app, select, single);
            projected["keyCredentials"][0]["key"].clone()
        };
        assert_eq!(key(Some(&select), true), json!("AQID"));
        assert_eq!(key(Some(&select), false), json!(null));
        assert_eq!(key(None, true), json!(null));
    }

    #[test]
    fn selecting_what_does_not_exist_is_refused() {
        let error = Noun::of(Kind::User)
            .check_select(&["nick".to_owned()])
            .unwrap_err();
        assert_eq!(
            error.message,
            "Parsing OData Select and Expand failed: Could not find a property named 'nick' on \
             type 'microsoft.graph.user'."
        );
    }
}
