//! Whose account a user is: the tenant's own, or a guest's from elsewhere.
//!
//! Microsoft Learn, "Properties of a Microsoft Entra B2B collaboration user" and "ID token claims
//! reference" (`idp`, `email`, `preferred_username`). The homes of guests are no tenants here; their
//! ids follow from the domain of the mail address.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::access_token::issuer_v1;
use crate::seed::derived_id;
use crate::tenant::{Object, Tenant, text_of};

/// `acct`: 1 for a guest.
pub(crate) fn account_status(user: &Object) -> u8 {
    u8::from(is_guest(user))
}

/// Whether the user comes from elsewhere.
pub(crate) fn is_guest(user: &Object) -> bool {
    text_of(user, "userType") == "Guest"
}

/// The name under which the person signs in: that of a guest is the one at home.
pub(crate) fn sign_in_name(user: &Object) -> &str {
    match text_of(user, "mail") {
        mail if is_guest(user) && !mail.is_empty() => mail,
        _ => text_of(user, "userPrincipalName"),
    }
}

/// The address that `email` has.
pub(crate) fn sign_in_mail(user: &Object) -> &str {
    text_of(user, "mail")
}

/// `idp`, where that is not the issuer of the token.
pub(crate) fn identity_provider(user: &Object) -> Option<String> {
    is_guest(user).then(|| issuer_v1(&home_tenant(user)))
}

/// What the authentication libraries name an account by: the ids of user and tenant at home.
pub(crate) fn client_info(user: &Object, tenant: &Tenant) -> String {
    let id = text_of(user, "id");
    let (uid, utid) = if is_guest(user) {
        (derived_id(&["home account", id]), home_tenant(user))
    } else {
        (id.to_owned(), tenant.id().to_owned())
    };
    URL_SAFE_NO_PAD.encode(json!({"uid": uid, "utid": utid}).to_string())
}

fn home_tenant(user: &Object) -> String {
    let mail = text_of(user, "mail");
    let domain = mail.rsplit_once('@').map_or(mail, |(_, domain)| domain);
    derived_id(&["home tenant", domain])
}
