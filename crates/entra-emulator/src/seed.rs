//! What a new tenant holds: a small company with applications, people, groups and devices.
//!
//! Every id follows from the tenant's name, so that a test may name an object and a program that
//! is restarted finds the ids it knew. Secrets follow from a key that is random unless it is
//! given.

mod company;
mod principal;
mod user_apps;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::Secret;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::tenant::{Replication, Tenant};

/// What a new tenant holds.
///
/// ```
/// let seed = entra_emulator::Seed::new().with_users(2_000).with_name("Fabrikam");
/// assert_eq!(seed.domain(), "fabrikam.onmicrosoft.com");
/// ```
#[derive(Clone, Debug)]
pub struct Seed {
    name: String,
    users: usize,
    replication_delay: std::time::Duration,
    key: Secret,
    product: Option<(String, Secret)>,
    external_name: Option<String>,
}

impl Seed {
    /// A company of 40 users, 8 groups and 12 devices, whose replicas agree after five seconds.
    pub fn new() -> Self {
        Self {
            name: "Alpenglow".to_owned(),
            users: company::PEOPLE.len(),
            replication_delay: std::time::Duration::from_secs(5),
            key: random_key(),
            product: None,
            external_name: None,
        }
    }

    /// Names the company; its domains and all ids follow from the name. What is no ASCII letter,
    /// digit or space is dropped.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == ' ')
            .collect();
        if self.label().is_empty() {
            "Alpenglow".clone_into(&mut self.name);
        }
        self
    }

    /// How many users there are. Beyond the forty with names of their own they are numbered and
    /// have no password.
    #[must_use]
    pub fn with_users(mut self, users: usize) -> Self {
        self.users = users;
        self
    }

    /// How long a write takes to be seen everywhere. Zero: every read sees every write, and a
    /// role is in the next token.
    #[must_use]
    pub fn with_replication_delay(mut self, delay: std::time::Duration) -> Self {
        self.replication_delay = delay;
        self
    }

    /// Derives client secrets and passwords from this key, so that they are the same next time.
    #[must_use]
    pub fn with_key(mut self, key: Secret) -> Self {
        self.key = key;
        self
    }

    /// Adds an application with this client id and secret, which may read users: with the same in
    /// several tenants, it stands for a product that signs in to each of its customers' tenants.
    #[must_use]
    pub fn with_product(mut self, client_id: &str, client_secret: Secret) -> Self {
        self.product = Some((client_id.to_ascii_lowercase(), client_secret));
        self
    }

    /// Lets customers sign in at `https://{name}.ciamlogin.com`, as to a tenant of Microsoft Entra
    /// External ID; over TLS at the path `/{name}.ciamlogin.com`. What is no ASCII letter, digit or
    /// hyphen is dropped.
    #[must_use]
    pub fn with_external_id(mut self, name: &str) -> Self {
        let name = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
        let name: String = name.map(|c| c.to_ascii_lowercase()).collect();
        self.external_name = (!name.is_empty()).then_some(name);
        self
    }

    /// The initial domain of the tenant.
    pub fn domain(&self) -> String {
        [&self.label(), ".onmicrosoft.com"].concat()
    }

    /// Builds the tenant, and tells what its administrator would know.
    pub(crate) fn build(&self, now: OffsetDateTime) -> (Tenant, Seeded) {
        let delay = Duration::try_from(self.replication_delay).unwrap_or(Duration::MAX);
        let mut tenant = Tenant::new(
            self.id("tenant", ""),
            self.domain(),
            Replication::with_delay(delay),
        );
        tenant.external_name.clone_from(&self.external_name);
        principal::add_microsoft_apps(self, &mut tenant);
        let mut apps = principal::add_apps(self, &mut tenant, now);
        let users = company::add(self, &mut tenant, now);
        if let Some(product) = &self.product {
            apps.push(principal::add_product(self, &mut tenant, now, product));
        }
        let (web_app, public_app) = user_apps::add(self, &mut tenant, now);
        apps.push(web_app);
        let seeded = Seeded {
            apps,
            public_app,
            users,
            managed_identities: principal::add_managed_identities(self, &mut tenant),
            identity_header: self.identity_header(),
        };
        (tenant, seeded)
    }

    /// What App Service puts into `IDENTITY_HEADER`: 32 hexadecimal digits.
    fn identity_header(&self) -> Secret {
        let secret = self.secret("App Service", "identity header");
        let id = derived_id(&[secret.expose()]);
        Secret::new(id.replace('-', "").to_ascii_uppercase())
    }

    /// The company's name in its domains.
    fn label(&self) -> String {
        let letters = self.name.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_lowercase()
    }

    /// The custom domain under which the company's people are known.
    fn custom_domain(&self) -> String {
        [&self.label(), ".example"].concat()
    }

    /// An id that follows from the names of tenant and object.
    fn id(&self, kind: &str, name: &str) -> String {
        derived_id(&[&self.label(), kind, name])
    }

    /// A secret of 40 characters that follows from the key, in the form of Entra's client secrets.
    fn secret(&self, kind: &str, name: &str) -> Secret {
        let text = [
            self.key.expose(),
            "\n",
            &self.label(),
            "\n",
            kind,
            "\n",
            name,
        ]
        .concat();
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        client_secret(&URL_SAFE_NO_PAD.encode(hash.as_ref()))
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

/// What the administrator of a new tenant knows.
#[derive(Clone, Debug)]
pub(crate) struct Seeded {
    /// The applications that have a secret. The first holds every application permission of
    /// Microsoft Graph.
    pub(crate) apps: Vec<SeededApp>,
    /// The application on devices.
    pub(crate) public_app: SeededPublicApp,
    /// The users that have a password.
    pub(crate) users: Vec<SeededUser>,
    /// The identities of the company's machine. The first is assigned by the system.
    pub(crate) managed_identities: Vec<SeededManagedIdentity>,
    /// What App Service wants to see of who asks for a token.
    pub(crate) identity_header: Secret,
}

/// An application of a new tenant.
#[derive(Clone, Debug)]
pub struct SeededApp {
    /// Its name.
    pub display_name: String,
    /// Its client id.
    pub client_id: String,
    /// The id of its registration.
    pub object_id: String,
    /// Its client secret.
    pub client_secret: Secret,
}

/// A managed identity of a new tenant: a service principal without an application.
#[derive(Clone, Debug)]
pub struct SeededManagedIdentity {
    /// Its name: that of the machine, or its own.
    pub display_name: String,
    /// Its client id.
    pub client_id: String,
    /// The id of its service principal.
    pub object_id: String,
    /// The id of its Azure resource.
    pub resource_id: String,
}

/// An application of a new tenant that cannot keep a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeededPublicApp {
    /// Its name.
    pub display_name: String,
    /// Its client id.
    pub client_id: String,
    /// The id of its registration.
    pub object_id: String,
}

/// A user of a new tenant.
#[derive(Clone, Debug)]
pub struct SeededUser {
    /// The sign-in name.
    pub user_principal_name: String,
    /// The password.
    pub password: Secret,
    /// The id of the user.
    pub object_id: String,
}

/// An id that follows from these texts: the start of their SHA-256, in the form of a random UUID
/// (RFC 9562 5.4), as Entra's ids have it.
pub(crate) fn derived_id(parts: &[&str]) -> String {
    let hash = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *from;
    }
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Forty characters of random base64url, with the `8Q~` by which scanners know a client secret of
/// Entra.
pub(crate) fn client_secret(random: &str) -> Secret {
    let text = random.replace('-', ".");
    let head: String = text.chars().take(3).collect();
    let tail: String = text.chars().skip(3).take(34).collect();
    Secret::new([&head, "8Q~", &tail].concat())
}

fn random_key() -> Secret {
    let mut bytes = [0; 32];
    if rand::fill(&mut bytes).is_err() {
        // The operating system gave nothing; two ids of 122 random bits each do as well.
        return Secret::new(
            [Uuid::new_v4(), Uuid::new_v4()]
                .map(|id| id.to_string())
                .concat(),
        );
    }
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use time::macros::datetime;

    use super::*;
    use crate::tenant::{GRAPH_APP_ID, Kind, Link, SecretCheck, text_of};

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn the_same_name_makes_the_same_ids_and_the_same_key_the_same_secrets() {
        let seed = || Seed::new().with_key(Secret::new("k"));
        let ((first, one), (second, two)) = (seed().build(NOW), seed().build(NOW));
        assert_eq!(first.id(), second.id());
        assert_eq!(one.apps[0].client_id, two.apps[0].client_id);
        assert_eq!(one.apps[0].client_secret, two.apps[0].client_secret);
        let (_, other) = Seed::new().build(NOW);
        assert_eq!(one.apps[0].client_id, other.apps[0].client_id);
        assert_ne!(one.apps[0].client_secret, other.apps[0].client_secret);
    }

    #[test]
    fn the_company_has_forty_people_eight_groups_and_twelve_devices() {
        let (tenant, seeded) = Seed::new().build(NOW);
        let count = |kind| tenant.all(kind).count();
        assert_eq!(count(Kind::User), 40);
        assert_eq!(count(Kind::Group), 8);
        assert_eq!(count(Kind::Device), 12);
        assert_eq!(count(Kind::Domain), 4);
        let users = || tenant.all(Kind::User);
        let guests = users().filter(|user| text_of(user, "userType") == "Guest");
        assert_eq!(guests.count(), 4);
        let disabled = users().filter(|user| user["accountEnabled"] == false);
        assert_eq!(disabled.count(), 3);
        let names: HashSet<_> = users().map(|u| text_of(u, "userPrincipalName")).collect();
        assert_eq!(names.len(), 40);
        let user = &seeded.users[0];
        let name = &user.user_principal_name;
        assert!(tenant.authenticate_user(name, &user.password).is_ok());
        assert!(tenant.authenticate_user(name, &Secret::new("no")).is_err());
    }

    #[test]
    fn groups_nest_three_deep_without_a_cycle() {
        let (tenant, _) = Seed::new().build(NOW);
        let all = tenant
            .find(Kind::Group, "displayName", "All Staff")
            .unwrap();
        let id = text_of(all, "id");
        let members = tenant.linked_transitively(id, Link::Member);
        let groups = members.iter().filter(|(kind, _)| *kind == Kind::Group);
        assert_eq!(groups.count(), 4);
        let users = members.iter().filter(|(kind, _)| *kind == Kind::User);
        assert_eq!(users.count(), 29);
        assert!(!members.iter().any(|(_, member)| *member == id));
    }

    #[test]
    fn the_first_app_holds_every_application_permission() {
        let (tenant, seeded) = Seed::new().build(NOW);
        let setup = &seeded.apps[0];
        let graph = tenant.resource("https://graph.microsoft.com//").unwrap();
        assert_eq!(text_of(graph, "appId"), GRAPH_APP_ID);
        let client = tenant
            .service_principal_by_app_id(&setup.client_id, NOW)
            .unwrap();
        let roles = tenant.granted_roles(text_of(client, "id"), text_of(graph, "id"), NOW);
        assert_eq!(roles.len(), graph["appRoles"].as_array().unwrap().len());
        assert!(roles.iter().any(|role| role == "Application.ReadWrite.All"));
        assert!(roles.len() > 500);
    }

    #[test]
    fn secrets_are_valid_expired_wrong_or_mistaken_for_their_id() {
        let (tenant, seeded) = Seed::new().build(NOW);
        let check =
            |app: &SeededApp, secret: &str| tenant.check_secret(&app.client_id, secret, NOW);
        let setup = &seeded.apps[0];
        assert_eq!(
            check(setup, setup.client_secret.expose()),
            SecretCheck::Valid
        );
        assert_eq!(check(setup, "wrong"), SecretCheck::Wrong);
        let application = tenant.application_by_app_id(&setup.client_id, NOW).unwrap();
        let key_id = application["passwordCredentials"][0]["keyId"]
            .as_str()
            .unwrap();
        assert_eq!(check(setup, key_id), SecretCheck::IsKeyId);
        let expired = &seeded.apps[2];
        assert_eq!(
            check(expired, expired.client_secret.expose()),
            SecretCheck::Expired(NOW - Duration::days(30))
        );
    }

    #[test]
    fn a_large_company_is_numbered() {
        let (tenant, _) = Seed::new().with_users(1_000).build(NOW);
        assert_eq!(tenant.all(Kind::User).count(), 1_000);
        assert!(tenant.find_user("user000999@alpenglow.example").is_some());
    }

    #[test]
    fn a_name_that_leaves_nothing_is_not_taken() {
        assert_eq!(
            Seed::new().with_name("…").domain(),
            "alpenglow.onmicrosoft.com"
        );
    }
}
