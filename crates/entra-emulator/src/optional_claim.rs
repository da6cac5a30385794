//! The optional claims of an ID token.
//!
//! Microsoft Learn, "Optional claims reference". What is not known here is left out, as where a
//! user has no value.

use serde_json::{Value, json};

use crate::account::{account_status, is_guest, sign_in_mail, sign_in_name};
use crate::id_token::login_hint;
use crate::sessions::BrowserSession;
use crate::tenant::{Kind, Object, Tenant, items_of, text_of};

/// What an optional claim is about.
#[derive(Debug)]
pub(crate) struct OptionalClaims<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) user: &'a Object,
    pub(crate) session: &'a BrowserSession,
    /// Whether the scope `profile` was granted, which some of them need.
    pub(crate) has_profile: bool,
}

impl OptionalClaims<'_> {
    /// The value of one that the registration asks for.
    pub(crate) fn value(&self, claim: &Object) -> Option<Value> {
        let of_user = |property| json!(text_of(self.user, property));
        let of_profile = |value: &str| self.has_profile.then(|| json!(value));
        let value = match text_of(claim, "name") {
            "acct" => json!(account_status(self.user)),
            "auth_time" => json!(self.session.signed_in.unix_timestamp()),
            "ctry" => of_user("usageLocation"),
            "email" => json!(sign_in_mail(self.user)),
            "family_name" => of_profile(text_of(self.user, "surname"))?,
            "given_name" => of_profile(text_of(self.user, "givenName"))?,
            "login_hint" => json!(login_hint(self.user)),
            "onprem_sid" => of_user("onPremisesSecurityIdentifier"),
            "sid" => json!(self.session.id),
            "tenant_ctry" => json!(self.of_organization("countryLetterCode")),
            "tenant_region_scope" => json!(REGION),
            "upn" => of_profile(&self.user_principal_name(claim))?,
            "verified_primary_email" => self.verified([sign_in_mail(self.user)]),
            "verified_secondary_email" => {
                let others = items_of(self.user, "otherMails");
                self.verified(others.iter().filter_map(Value::as_str))
            }
            "xms_pdl" => of_user("preferredDataLocation"),
            "xms_pl" => json!(text_of(self.user, "preferredLanguage").to_lowercase()),
            "xms_tpl" => json!(self.of_organization("preferredLanguage")),
            _ => return None,
        };
        let is_empty = value == json!("") || value == json!([]);
        (!is_empty).then_some(value)
    }

    /// `xms_edov`, which a token with `email` has where the registration asks for it: whether the
    /// tenant verified the domain of the address.
    pub(crate) fn email_domain_owner_verified(&self) -> bool {
        self.is_verified(sign_in_mail(self.user))
    }

    /// A guest's name is that at home, unless the registration wants the tenant's own for it.
    fn user_principal_name(&self, claim: &Object) -> String {
        let name = text_of(self.user, "userPrincipalName");
        let has = |wanted: &str| {
            let properties = items_of(claim, "additionalProperties");
            properties.iter().any(|property| property == wanted)
        };
        if !is_guest(self.user) || has("include_externally_authenticated_upn") {
            name.to_owned()
        } else if has("include_externally_authenticated_upn_without_hash") {
            name.replace('#', "_")
        } else {
            sign_in_name(self.user).to_owned()
        }
    }

    fn of_organization(&self, property: &str) -> &str {
        let id = self.tenant.id();
        let organization = self.tenant.current(Kind::Organization, id);
        organization.map_or("", |organization| text_of(organization, property))
    }

    /// The addresses in domains that the tenant verified.
    fn verified<'m>(&self, addresses: impl IntoIterator<Item = &'m str>) -> Value {
        let addresses = addresses.into_iter();
        addresses
            .filter(|address| self.is_verified(address))
            .map(|address| json!(address))
            .collect()
    }

    fn is_verified(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| self.tenant.is_verified_domain(domain))
    }
}

/// The region of the tenant, as its configuration document names it.
pub(crate) const REGION: &str = "EU";
