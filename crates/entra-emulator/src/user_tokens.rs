//! The tokens that a client gets for a user: what every grant with a user ends in.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::access_token::ClientProof;
use crate::account::client_info;
use crate::claims_request::ClaimsRequest;
use crate::client::{Client, Platform};
use crate::consent::{Consent, is_graph};
use crate::delegated_token::DelegatedToken;
use crate::forge::IdTokenEndpoint;
use crate::form::Form;
use crate::id_token::IdToken;
use crate::refusal::Refusal;
use crate::scope::{ResourceScopes, ScopeRequest};
use crate::sessions::UserGrant;
use crate::tenant::{Kind, Object, text_of};
use crate::token::{Issued, TokenCall, json_response};

/// A grant that was verified, and what the client wants for it.
#[derive(Debug)]
pub(crate) struct Redemption<'a> {
    pub(crate) client: Client<'a>,
    pub(crate) proof: ClientProof,
    pub(crate) grant: UserGrant,
    pub(crate) scope: ScopeRequest,
    /// Until when the refresh token is valid; none where there is to be none.
    pub(crate) refresh_until: Option<OffsetDateTime>,
}

impl TokenCall<'_> {
    /// How the client of a grant with a user proves itself: a server has to, the others must not.
    pub(crate) fn prove_client(
        &self,
        client: &Client<'_>,
        platform: Platform,
        form: &Form,
    ) -> Result<ClientProof, Refusal> {
        match (platform, form.origin()) {
            (Platform::Spa, None) => return Err(Refusal::cross_origin_needed()),
            (Platform::Web | Platform::PublicClient, Some(origin)) => {
                return Err(Refusal::cross_origin_not_permitted(origin));
            }
            _ => {}
        }
        let assertion = form.assertion()?;
        let has_credential = assertion.is_some() || form.get("client_secret").is_some();
        match (platform, has_credential) {
            (Platform::Web, true) => self.authenticate(client.app_id(), form, assertion.as_ref()),
            (Platform::Web, false) => Err(Refusal::credential_needed()),
            (_, true) => Err(Refusal::public_client_with_credential()),
            (_, false) => Ok(ClientProof::None),
        }
    }

    /// Issues the tokens, if the user may still sign in and everything was consented to.
    pub(crate) fn redeem(&self, form: &Form, order: Redemption<'_>) -> Result<Issued, Refusal> {
        let Redemption {
            client,
            proof,
            mut grant,
            scope,
            refresh_until,
        } = order;
        let (client, scope) = (&client, &scope);
        if let Some(text) = form.get("claims") {
            grant.claims = ClaimsRequest::parse(Some(text))?;
        }
        let user = self.signed_in_user(client, &grant)?;
        let resources = scope.resources();
        let [wanted] = resources.as_slice() else {
            return Err(several_resources(form, &grant));
        };
        let request = (scope, wanted);
        let consent = Consent::find(
            self.tenant,
            client,
            &grant.session.user_id,
            request,
            self.now,
        )?;
        if !consent.missing.is_empty() {
            return Err(Refusal::consent_missing(client.app_id(), client.name()));
        }
        let targets = [client.app_id(), text_of(consent.resource, "appId")];
        let targets = targets.into_iter().chain(grant.claims.contexts());
        if let Some(unmet) = self.tenant.unmet(&grant.session, targets) {
            return Err(Refusal::policy(&unmet));
        }
        let access_token = DelegatedToken {
            client,
            resource: consent.resource,
            audience: wanted.audience(),
            user,
            session: &grant.session,
            scopes: scopes_of_token(scope, &consent),
            proof,
            claims: &grant.claims,
        };
        let terms = access_token.terms();
        let access_token = access_token.issue(self.tenant, self.origin, self.now);
        let mut body = terms.response(&access_token);
        let scopes = scopes_of_answer(scope, wanted, &consent.granted);
        body.insert("scope".to_owned(), json!(scopes));
        if scope.openid {
            let id_token = IdToken {
                client,
                user,
                grant: &grant,
                scope,
                code: None,
                endpoint: IdTokenEndpoint::Token,
                is_in_fragment: false,
            };
            let id_token = id_token.issue(self.tenant, self.origin, self.now);
            body.insert("id_token".to_owned(), json!(id_token));
        }
        if form.get("client_info") == Some("1") {
            let info = client_info(user, self.tenant);
            body.insert("client_info".to_owned(), json!(info));
        }
        if let Some(until) = refresh_until {
            let refresh_token = self.refresh_token(grant, until);
            body.insert("refresh_token".to_owned(), json!(refresh_token));
        }
        Ok(Issued {
            body: json_response(body),
            app_id: Some(client.app_id().to_owned()),
        })
    }

    fn signed_in_user(&self, client: &Client<'_>, grant: &UserGrant) -> Result<&Object, Refusal> {
        let session = &grant.session;
        let id = &session.user_id;
        let user = self
            .tenant
            .current(Kind::User, id)
            .ok_or_else(|| Refusal::user_not_found(id, self.tenant.initial_domain()))?;
        client.admit(self.tenant, user)?;
        match self.tenant.revoked_since(id, session.generation) {
            Some(valid_from) => Err(Refusal::grant_revoked(session.signed_in, valid_from)),
            None => Ok(user),
        }
    }

    fn refresh_token(&self, mut grant: UserGrant, until: OffsetDateTime) -> String {
        // OpenID Connect Core 12.2: a refreshed ID token should have no nonce.
        grant.nonce = None;
        let mut sessions = self.sessions.open();
        sessions.refresh_tokens.issue(grant, self.now, until)
    }
}

/// How long a refresh token that is issued now is valid: 90 days, that of a page 24 hours
/// (Microsoft Learn, "Refresh tokens in the Microsoft identity platform").
pub(crate) fn refresh_until(platform: Platform, now: OffsetDateTime) -> OffsetDateTime {
    let lifetime = match platform {
        Platform::Spa => Duration::hours(24),
        Platform::Web | Platform::PublicClient => Duration::days(90),
    };
    now + lifetime
}

/// Without a scope of its own a request takes that of the authorization request, which may name
/// more resources than a token can have.
fn several_resources(form: &Form, grant: &UserGrant) -> Refusal {
    match form.get("scope") {
        Some(scope) => Refusal::several_resources(scope),
        None if form.get("code").is_some() => Refusal::scope_of_code_needed(),
        None => Refusal::several_resources(&grant.scope),
    }
}

/// `scp`: everything that was consented to at the resource. OpenID Connect's scopes are Graph's.
fn scopes_of_token(scope: &ScopeRequest, consent: &Consent<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if is_graph(consent.resource) {
        names.extend(scope.open_id_scopes().map(str::to_owned));
    }
    for name in &consent.granted {
        if name != "offline_access" && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// `scope`, with the resource as the client named it, so that it finds what it asked for.
fn scopes_of_answer(scope: &ScopeRequest, wanted: &ResourceScopes, granted: &[String]) -> String {
    let mut names: Vec<String> = scope.open_id_scopes().map(str::to_owned).collect();
    let permissions = granted
        .iter()
        .filter(|name| !ScopeRequest::is_open_id_scope(name));
    names.extend(permissions.map(|name| wanted.named(name)));
    if wanted.is_default {
        names.push(wanted.named(".default"));
    }
    names.join(" ")
}
