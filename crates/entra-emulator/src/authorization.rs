//! What happens to an authorization request once it is known who sits in front of it.
//!
//! OpenID Connect Core 3.1.2.3 to 3.1.2.6; Microsoft Learn, "Microsoft identity platform and OAuth
//! 2.0 authorization code flow" (`prompt`, `login_hint`) and "Permissions and consent".

use std::fmt;

use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::account::{client_info, sign_in_name};
use crate::authorization_code::{AuthorizationCode, CODE_LIFETIME};
use crate::authorize::{AuthorizationRequest, Denial, Prompt, ReplyTo, ResponseMode};
use crate::client::Client;
use crate::conditional_access::{Requirement, Unmet};
use crate::consent::Consent;
use crate::forge::IdTokenEndpoint;
use crate::id_token::{IdToken, login_hint};
use crate::refusal::{Refusal, RequestIds};
use crate::scope::ScopeRequest;
use crate::sessions::{BrowserSession, UserGrant};
use crate::sign_in::SignIn;
use crate::tenant::{Kind, Object, Tenant, text_of};

/// What the browser brings back to the application: a code, an ID token or an error.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The redirect URI, with the parameters in its query or its fragment.
    pub location: Url,
    /// With `response_mode=form_post`: the body, in the form `application/x-www-form-urlencoded`,
    /// that is posted to `location`.
    pub form: Option<String>,
}

impl Redirect {
    /// One parameter, wherever it is.
    ///
    /// ```
    /// # use entra_emulator::{Emulator, Seed};
    /// # let tenant = Emulator::new(Seed::new());
    /// # let app = tenant.web_app();
    /// let mut url = tenant.cloud().login_url().join(&format!(
    ///     "{}/oauth2/v2.0/authorize", tenant.tenant_id()
    /// ))?;
    /// url.query_pairs_mut()
    ///     .append_pair("client_id", &app.client_id)
    ///     .append_pair("redirect_uri", "https://localhost/signin-oidc")
    ///     .append_pair("response_type", "code")
    ///     .append_pair("scope", "openid profile")
    ///     .append_pair("state", "1234");
    /// let user = &tenant.users()[0].user_principal_name;
    /// let redirect = tenant.sign_in_as(&url, user)?;
    /// assert_eq!(redirect.parameter("state").as_deref(), Some("1234"));
    /// assert!(redirect.parameter("code").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.location.query();
        [self.form.as_deref(), self.location.fragment(), query]
            .into_iter()
            .flatten()
            .flat_map(|text| url::form_urlencoded::parse(text.as_bytes()))
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Without the parameters: a code is a secret.
impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut location = self.location.clone();
        location.set_query(None);
        location.set_fragment(None);
        f.debug_struct("Redirect")
            .field("location", &location.as_str())
            .field("has_form", &self.form.is_some())
            .finish()
    }
}

/// What the person did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interaction {
    /// Signed in just now, for this request.
    pub(crate) is_fresh: bool,
    /// Accepted what the client asks for.
    pub(crate) has_consented: bool,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// The person has to sign in.
    SignIn,
    /// The person has to show a second factor, or to register it first.
    SecondFactor { is_first: bool },
    /// The person is asked to consent to these permissions.
    Consent(Vec<ConsentTo>),
    /// The client gets what it asked for.
    Grant,
}

/// Permissions of one resource that a person may consent to.
#[derive(Debug)]
pub(crate) struct ConsentTo {
    resource_id: String,
    pub(crate) resource_name: String,
    /// What nobody consented to so far.
    permissions: Vec<String>,
    /// What the person is shown: with `prompt=consent` also what is granted already.
    pub(crate) shown: Vec<String>,
}

/// The parameters of an answer.
pub(crate) type Parameters = Vec<(String, String)>;

impl SignIn<'_> {
    /// Decides what a request needs before it can be granted.
    pub(crate) fn next_step(
        &self,
        request: &AuthorizationRequest,
        session: Option<&BrowserSession>,
        interaction: Interaction,
    ) -> Result<Step, Denial> {
        let replied = |refusal| Denial::Replied(refusal, request.reply.clone());
        let is_silent = request.prompt == Prompt::None;
        let Some((session, user)) = self.usable(request, session, interaction) else {
            return if is_silent {
                Err(replied(Refusal::login_required()))
            } else {
                Ok(Step::SignIn)
            };
        };
        let client = Client::find(self.tenant, &request.app_id, self.now).map_err(replied)?;
        client.admit(self.tenant, user).map_err(|refusal| {
            if is_silent {
                replied(refusal.needing_interaction())
            } else {
                Denial::Shown(refusal)
            }
        })?;
        if let Some(unmet) = self.unmet(request, session) {
            return self.second_factor_step(request, &unmet);
        }
        let asks_anew = request.prompt == Prompt::Consent && !interaction.has_consented;
        let missing = self
            .missing_consent(&client, &request.scope, &session.user_id, asks_anew)
            .map_err(replied)?;
        match missing {
            None => Ok(Step::Grant),
            Some(_) if is_silent => Err(replied(Refusal::consent_required(
                client.app_id(),
                client.name(),
            ))),
            Some(Missing::NeedsAdministrator) => Err(Denial::Shown(
                Refusal::admin_consent_required(client.name()),
            )),
            Some(Missing::UserMayConsent(consents)) => Ok(Step::Consent(consents)),
        }
    }

    /// What the sign-in lacks for the client, the resources that it asks for, and the contexts.
    fn unmet(&self, request: &AuthorizationRequest, session: &BrowserSession) -> Option<Unmet> {
        let targets = self.targets(&request.app_id, &request.scope);
        let targets = targets.iter().map(String::as_str);
        self.tenant
            .unmet(session, targets.chain(request.claims.contexts()))
    }

    /// The applications whose policies a request has to meet: the client and the resources.
    pub(crate) fn targets(&self, app_id: &str, scope: &ScopeRequest) -> Vec<String> {
        let resources = scope.resources();
        let resources = resources
            .iter()
            .filter_map(|wanted| self.tenant.resource(wanted.audience()))
            .map(|resource| text_of(resource, "appId").to_owned());
        [app_id.to_owned()].into_iter().chain(resources).collect()
    }

    fn second_factor_step(
        &self,
        request: &AuthorizationRequest,
        unmet: &Unmet,
    ) -> Result<Step, Denial> {
        let refusal = Refusal::policy(unmet);
        if request.prompt == Prompt::None {
            let refusal = refusal.at_authorization_endpoint();
            return Err(Denial::Replied(refusal, request.reply.clone()));
        }
        if !unmet.requirement.can_be_met() {
            return Err(Denial::Shown(refusal));
        }
        Ok(Step::SecondFactor {
            is_first: unmet.requirement == Requirement::EnrolMfa,
        })
    }

    /// The person showed the second factor, and has one from now on.
    pub(crate) fn confirm_second_factor(&mut self, session: &mut BrowserSession) {
        session.second_factor = Some(self.now);
        self.tenant.register_second_factor(&session.user_id);
        let mut sessions = self.sessions.open();
        let sid = session.id.clone();
        sessions.second_factors.insert(sid, self.now);
    }

    /// The session and its user, if they can serve this request without another sign-in.
    fn usable<'s>(
        &self,
        request: &AuthorizationRequest,
        session: Option<&'s BrowserSession>,
        interaction: Interaction,
    ) -> Option<(&'s BrowserSession, &Object)> {
        let session = session?;
        let user = self.tenant.current(Kind::User, &session.user_id)?;
        let revoked = self
            .tenant
            .revoked_since(&session.user_id, session.generation);
        if revoked.is_some() {
            return None;
        }
        if interaction.is_fresh {
            return Some((session, user));
        }
        let is_asked_again = matches!(request.prompt, Prompt::Login | Prompt::SelectAccount);
        let is_too_old = request
            .max_age
            .is_some_and(|age| session.signed_in + age <= self.now);
        let is_another = request
            .login_hint
            .as_deref()
            .is_some_and(|hint| !is_hinted(user, hint));
        (!is_asked_again && !is_too_old && !is_another).then_some((session, user))
    }

    /// Nothing where everything was consented to; with `asks_anew` there is always something.
    pub(crate) fn missing_consent(
        &self,
        client: &Client<'_>,
        scope: &ScopeRequest,
        user_id: &str,
        asks_anew: bool,
    ) -> Result<Option<Missing>, Refusal> {
        let mut consents = Vec::new();
        for wanted in scope.resources() {
            let consent = Consent::find(self.tenant, client, user_id, (scope, &wanted), self.now)?;
            if !consent.is_open_to_users() {
                return Ok(Some(Missing::NeedsAdministrator));
            }
            if asks_anew || !consent.missing.is_empty() {
                let mut shown = consent.missing.clone();
                if asks_anew {
                    shown.extend(consent.granted.iter().cloned());
                }
                consents.push(ConsentTo {
                    shown,
                    resource_id: text_of(consent.resource, "id").to_owned(),
                    resource_name: text_of(consent.resource, "displayName").to_owned(),
                    permissions: consent.missing,
                });
            }
        }
        Ok((!consents.is_empty()).then_some(Missing::UserMayConsent(consents)))
    }

    /// Writes down that a user consented.
    pub(crate) fn accept(&mut self, app_id: &str, user_id: &str, consents: &[ConsentTo]) {
        let client_id = Client::find(self.tenant, app_id, self.now)
            .map(|client| text_of(client.principal, "id").to_owned())
            .unwrap_or_default();
        for ConsentTo {
            resource_id,
            permissions,
            ..
        } in consents
        {
            if !permissions.is_empty() {
                self.tenant
                    .consent(&client_id, resource_id, user_id, permissions);
            }
        }
    }

    /// The answer to a request that was granted.
    pub(crate) fn grant(
        &self,
        request: &AuthorizationRequest,
        session: &BrowserSession,
    ) -> Result<Parameters, Refusal> {
        let client = Client::find(self.tenant, &request.app_id, self.now)?;
        let grant = UserGrant {
            app_id: request.app_id.clone(),
            platform: request.reply.platform,
            session: session.clone(),
            scope: request.scope_text.clone(),
            claims: request.claims.clone(),
            nonce: request.nonce.clone(),
        };
        let mut parameters = Parameters::new();
        let mut set = |name: &str, value: String| parameters.push((name.to_owned(), value));
        let code = request.response_type.code.then(|| {
            let code = AuthorizationCode {
                grant: grant.clone(),
                redirect_uri: request.reply.uri.clone(),
                challenge: request.challenge.clone(),
                is_redeemed: false,
            };
            let expires = self.now + CODE_LIFETIME;
            self.sessions.open().codes.issue(code, self.now, expires)
        });
        if let Some(code) = &code {
            set("code", code.clone());
        }
        let user = self.tenant.current(Kind::User, &session.user_id);
        if let (true, Some(user)) = (request.response_type.id_token, user) {
            let id_token = IdToken {
                client: &client,
                user,
                grant: &grant,
                scope: &request.scope,
                code: code.as_deref(),
                endpoint: IdTokenEndpoint::Authorization,
                is_in_fragment: request.reply.mode == ResponseMode::Fragment,
            };
            let id_token = id_token.issue(self.tenant, self.origin, self.now);
            set("id_token", id_token);
        }
        self.remember_visit(&request.app_id, session);
        if let (true, Some(user)) = (request.wants_client_info, user) {
            set("client_info", client_info(user, self.tenant));
        }
        set("session_state", session.id.clone());
        Ok(parameters)
    }

    fn remember_visit(&self, app_id: &str, session: &BrowserSession) {
        let mut sessions = self.sessions.open();
        let visits = sessions.visits.entry(session.id.clone()).or_default();
        visits.user_id.clone_from(&session.user_id);
        visits.app_ids.insert(app_id.to_owned());
    }

    /// A session that begins now.
    pub(crate) fn new_session(&self, user_id: &str) -> BrowserSession {
        BrowserSession {
            id: Uuid::new_v4().to_string(),
            user_id: user_id.to_owned(),
            signed_in: self.now,
            second_factor: None,
            generation: self.tenant.session_generation(user_id),
        }
    }
}

/// What stands between a client and its tokens.
#[derive(Debug)]
pub(crate) enum Missing {
    NeedsAdministrator,
    UserMayConsent(Vec<ConsentTo>),
}

impl ReplyTo {
    /// What the browser brings back from an authorization request.
    pub(crate) fn answer(&self, tenant: &Tenant, parameters: Parameters) -> Option<Redirect> {
        let mut parameters = self.with_state(parameters);
        tenant.forgeries.change_parameters(&mut parameters);
        self.encode(&parameters)
    }

    /// What the browser brings back without anything to say.
    pub(crate) fn return_only(&self) -> Option<Redirect> {
        self.encode(&self.with_state(Parameters::new()))
    }

    fn with_state(&self, mut parameters: Parameters) -> Parameters {
        if let Some(state) = &self.state {
            parameters.push(("state".to_owned(), state.clone()));
        }
        parameters
    }

    fn encode(&self, parameters: &Parameters) -> Option<Redirect> {
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let mut location = Url::parse(&self.uri).ok()?;
        let mut form = None;
        match self.mode {
            ResponseMode::Query => {
                let query = [location.query().unwrap_or_default(), &encoded].join("&");
                location.set_query(Some(query.trim_start_matches('&')));
            }
            ResponseMode::Fragment => location.set_fragment(Some(&encoded)),
            ResponseMode::FormPost => form = Some(encoded),
        }
        Some(Redirect { location, form })
    }
}

impl Refusal {
    /// RFC 6749 4.1.2.1, with Entra's additions.
    pub(crate) fn parameters(
        &self,
        origin: &Url,
        ids: &RequestIds,
        now: OffsetDateTime,
    ) -> Parameters {
        let mut parameters = vec![
            ("error".to_owned(), self.error().to_owned()),
            ("error_description".to_owned(), self.description(ids, now)),
            ("error_uri".to_owned(), self.uri(origin)),
        ];
        if let Some(suberror) = self.suberror() {
            // A person who cancels is told of by another name.
            let name = match suberror {
                "cancel" => "error_subcode",
                _ => "suberror",
            };
            parameters.push((name.to_owned(), suberror.to_owned()));
        }
        if let Some(claims) = self.claims() {
            parameters.push(("claims".to_owned(), claims));
        }
        parameters
    }
}

/// Whether a `login_hint` means this user: its name, or the claim `login_hint` of an earlier token.
pub(crate) fn is_hinted(user: &Object, hint: &str) -> bool {
    text_of(user, "userPrincipalName").eq_ignore_ascii_case(hint)
        || sign_in_name(user).eq_ignore_ascii_case(hint)
        || login_hint(user) == hint
}
