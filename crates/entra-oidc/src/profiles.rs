//! Several profiles side by side: each customer's tenant, each provider.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::authority::Kind;
use crate::transaction::{Sealed, cookie_name};
use crate::{
    Callback, CallbackRefusal, EntraLogin, Error, FailedLogin, Login, OptionsError, ProfileName,
};

/// The profiles of a product, chosen by name, by the domain of a user name or by the host.
///
/// An answer for one profile is worth nothing at another: the pending login is sealed for its
/// profile, and the ID token has its issuer and audience. Best each profile has a redirect URI of
/// its own, with its name in the path (RFC 9700 4.4). Extensions and native clients, whose URIs
/// have no path, and products that registered one URI may share it among profiles of Entra, or of
/// providers that name themselves in the answer (RFC 9207): [`finish`](Self::finish) finds the
/// profile in what was sealed.
///
/// A clone is cheap and shares them; profiles are put in and taken out while logins go on.
///
/// ```
/// # fn f(contoso: entra_oidc::EntraLogin, fabrikam: entra_oidc::EntraLogin) -> Result<(), entra_oidc::OptionsError> {
/// use entra_oidc::{Profile, Profiles};
///
/// let profiles = Profiles::new();
/// profiles.put(Profile::new(contoso).with_domains(["contoso.com"]))?;
/// profiles.put(Profile::new(fabrikam).with_hosts(["fabrikam.pw.example.com"]))?;
/// let login = profiles.by_user_name("ada@contoso.com");
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Profiles(Arc<ArcSwap<Vec<Profile>>>);

impl Profiles {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a profile in, in the place of the one of its name.
    ///
    /// # Errors
    /// [`OptionsError::ProfileTaken`] where a domain or a host leads to another profile already;
    /// [`OptionsError::SharedRedirectUri`] where it shares its redirect URI with a profile from
    /// which its answers cannot be told.
    pub fn put(&self, profile: Profile) -> Result<(), OptionsError> {
        let mut refusal = None;
        self.0.rcu(|known| {
            let mut next: Vec<Profile> = known
                .iter()
                .filter(|other| other.name() != profile.name())
                .cloned()
                .collect();
            refusal = next.iter().find_map(|other| profile.conflict_with(other));
            next.push(profile.clone());
            match refusal {
                Some(_) => Arc::clone(known),
                None => Arc::new(next),
            }
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Takes a profile out. Its pending logins come to nothing.
    pub fn remove(&self, name: &ProfileName) {
        self.0.rcu(|known| {
            let rest = known.iter().filter(|profile| profile.name() != name);
            rest.cloned().collect::<Vec<_>>()
        });
    }

    /// The profile of this name: that of a path, for example.
    pub fn by_name(&self, name: &str) -> Option<EntraLogin> {
        self.find(|profile| profile.name().as_str() == name)
    }

    /// The profile to which the domain of a user name leads. The name is what somebody typed: it
    /// chooses where to ask, and says nothing about who that is.
    pub fn by_user_name(&self, user_name: &str) -> Option<EntraLogin> {
        let (_, domain) = user_name.trim().rsplit_once('@')?;
        let domain = domain.to_ascii_lowercase();
        self.find(|profile| profile.domains.contains(&domain))
    }

    /// The profile of a host name under which the product is reached, with or without a port.
    pub fn by_host(&self, host: &str) -> Option<EntraLogin> {
        let host = host.to_ascii_lowercase();
        let name =
            host.rsplit_once(':')
                .map_or(host.as_str(), |(name, port)| match port.parse::<u16>() {
                    Ok(_) => name,
                    Err(_) => host.as_str(),
                });
        self.find(|profile| profile.hosts.iter().any(|own| own == name))
    }

    /// Every profile, in the order in which they were put in.
    pub fn all(&self) -> Vec<EntraLogin> {
        let known = self.0.load();
        known.iter().map(|profile| profile.login.clone()).collect()
    }

    /// Finishes a login at a redirect URI that several profiles share.
    ///
    /// # Errors
    /// As [`EntraLogin::finish`]; [`CallbackRefusal::OtherProfile`] where the pending login is of a
    /// profile that is not there; [`CallbackRefusal::Place`] where there are profiles whose answers
    /// cannot be told apart, and the answer did not come to the redirect URI of its own.
    pub async fn finish(&self, callback: &Callback) -> Result<Login, FailedLogin> {
        match self.of_callback(callback) {
            Ok(login) => login.finish(callback).await,
            Err(error) => Err(FailedLogin::from(error)),
        }
    }

    /// The profile whose login an answer may finish. That it really does, `finish` checks.
    fn of_callback(&self, callback: &Callback) -> Result<EntraLogin, Error> {
        let answer = callback.answer.as_ref().map_err(Clone::clone)?;
        let state = answer
            .filled("state")
            .ok_or(CallbackRefusal::StateMissing)?;
        let sealed = match &callback.handle {
            Some(handle) => handle.0.clone(),
            None => callback
                .cookies
                .either(&cookie_name(state))
                .map(Sealed::from_text)
                .ok_or(CallbackRefusal::TransactionNotFound)?,
        };
        let name = sealed.claimed_profile();
        let name = name.ok_or(CallbackRefusal::TransactionInvalid)?;
        let login = self.by_name(name.as_str());
        let login = login.ok_or(CallbackRefusal::OtherProfile)?;
        if !self.may_come_to(&login, callback) {
            return Err(CallbackRefusal::Place.into());
        }
        Ok(login)
    }

    /// Whether the answer came to the profile's own redirect URI, or no other profile's could be
    /// taken for it. A provider of one profile can send its users on to that of another, with its
    /// own `state`: the code then comes to the other's redirect URI, and would be redeemed at the
    /// first (mix-up, RFC 9700 4.4).
    fn may_come_to(&self, login: &EntraLogin, callback: &Callback) -> bool {
        let known = self.0.load();
        let mut others = known.iter().filter(|other| other.name() != login.profile());
        others.all(|other| login.is_told_apart_from(&other.login))
            || callback.place.can_be(login.redirect_uri().as_str())
    }

    fn find(&self, is_it: impl Fn(&Profile) -> bool) -> Option<EntraLogin> {
        let known = self.0.load();
        let mut found = known.iter().filter(|profile| is_it(profile));
        found.next().map(|profile| profile.login.clone())
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.load().iter()).finish()
    }
}

/// A login with what leads to it.
#[derive(Clone, Debug)]
pub struct Profile {
    login: EntraLogin,
    domains: Vec<String>,
    hosts: Vec<String>,
}

impl Profile {
    /// The profile of this login, by its name alone.
    pub fn new(login: EntraLogin) -> Self {
        Self {
            login,
            domains: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// Users whose names end in one of these domains sign in here.
    #[must_use]
    pub fn with_domains<T: Into<String>>(mut self, domains: impl IntoIterator<Item = T>) -> Self {
        self.domains.extend(lower_case(domains));
        self
    }

    /// Whoever reaches the product under one of these host names signs in here.
    #[must_use]
    pub fn with_hosts<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        self.hosts.extend(lower_case(hosts));
        self
    }

    fn name(&self) -> &ProfileName {
        self.login.profile()
    }

    /// Why two profiles cannot be there together.
    fn conflict_with(&self, other: &Self) -> Option<OptionsError> {
        let shares = |own: &[String], others: &[String]| own.iter().any(|own| others.contains(own));
        if shares(&self.domains, &other.domains) || shares(&self.hosts, &other.hosts) {
            return Some(OptionsError::ProfileTaken);
        }
        let shares_uri = self.login.redirect_uri() == other.login.redirect_uri();
        let told_apart = self.login.is_told_apart_from(&other.login);
        (shares_uri && !told_apart).then_some(OptionsError::SharedRedirectUri)
    }
}

impl EntraLogin {
    /// Whether one of two providers that share a redirect URI cannot have the other's codes sent
    /// to itself (mix-up, RFC 9700 4.4): both are the same service, or both name themselves.
    fn is_told_apart_from(&self, other: &Self) -> bool {
        let names_itself = |login: &Self| {
            let published = login.0.provider.published();
            published
                .configuration
                .authorization_response_iss_parameter_supported
        };
        let token_endpoint = |login: &Self| {
            let published = login.0.provider.published();
            published.configuration.token_endpoint.origin()
        };
        let is_entra = |login: &Self| {
            let kind = login.0.provider.authority().kind();
            matches!(kind, Kind::Entra { .. } | Kind::ExternalId { .. })
        };
        let is_same_service =
            is_entra(self) && is_entra(other) && token_endpoint(self) == token_endpoint(other);
        is_same_service || (names_itself(self) && names_itself(other))
    }
}

fn lower_case<T: Into<String>>(names: impl IntoIterator<Item = T>) -> impl Iterator<Item = String> {
    names
        .into_iter()
        .map(|name| name.into().to_ascii_lowercase())
}
