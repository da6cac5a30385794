//! The device authorization grant (RFC 8628).
//!
//! Microsoft Learn, "OAuth 2.0 device authorization grant": a device shows a code, its user types
//! it into a browser elsewhere, and the device asks until that has happened.

use bytes::Bytes;
use http::Response;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::authorization::Missing;
use crate::claims_request::ClaimsRequest;
use crate::client::Client;
use crate::conditional_access::Unmet;
use crate::form::Form;
use crate::refusal::Refusal;
use crate::scope::ScopeRequest;
use crate::sessions::{BrowserSession, OpenSessions, UserGrant};
use crate::sign_in::SignIn;
use crate::tenant::Kind;
use crate::tickets::Ticket;
use crate::token::{Issued, TokenCall};
use crate::user_tokens::{Redemption, refresh_until};

/// One device that waits for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceFlow {
    pub(crate) app_id: String,
    /// What the user types.
    pub(crate) user_code: String,
    /// `scope` of the request.
    pub(crate) scope: String,
    pub(crate) state: DeviceState,
    polled: Option<OffsetDateTime>,
    interval: Duration,
}

/// How far the user got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    Pending,
    Approved(BrowserSession),
    Declined,
    /// The tokens were handed out.
    Redeemed,
}

impl TokenCall<'_> {
    /// RFC 8628 3.1 and 3.2.
    pub(crate) fn begin_device_flow(&self, form: &Form) -> Result<Issued, Refusal> {
        let app_id = form.required("client_id")?.to_lowercase();
        let scope = form.required("scope")?;
        ScopeRequest::parse(scope)?;
        Client::for_users(self.tenant, self.segment, &app_id, self.now)?;
        let user_code = user_code();
        let flow = DeviceFlow {
            app_id: app_id.clone(),
            user_code: user_code.clone(),
            scope: scope.to_owned(),
            state: DeviceState::Pending,
            polled: None,
            interval: INTERVAL,
        };
        let expires = self.now + LIFETIME;
        let device_code = self.sessions.open().devices.issue(flow, self.now, expires);
        let page = format!("{}common/oauth2/deviceauth", self.origin);
        let body = json!({
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": page,
            "expires_in": LIFETIME.whole_seconds(),
            "interval": INTERVAL.whole_seconds(),
            "message": format!(
                "To sign in, use a web browser to open the page {page} and enter the code \
                 {user_code} to authenticate."
            ),
        });
        Ok(Issued {
            body: Response::new(Bytes::from(body.to_string())),
            app_id: None,
        })
    }

    /// RFC 8628 3.4 and 3.5.
    pub(crate) fn device_code(&self, form: &Form) -> Result<Issued, Refusal> {
        // The earlier name of the parameter is accepted too.
        let text = match form.get("device_code") {
            Some(code) => code,
            None => form.required("code")?,
        };
        let app_id = form.client_id()?;
        let client = Client::for_users(self.tenant, self.segment, &app_id, self.now)?;
        let platform = client.fallback_platform();
        let proof = self.prove_client(&client, platform, form)?;
        let (flow, session) = self.poll(text, &app_id)?;
        let scope = ScopeRequest::parse(form.get("scope").unwrap_or(&flow.scope))?;
        let wants_refresh = ScopeRequest::parse(&flow.scope)?.offline_access;
        let grant = UserGrant {
            app_id,
            platform,
            session,
            scope: flow.scope,
            claims: ClaimsRequest::default(),
            nonce: None,
        };
        let issued = self.redeem(
            form,
            Redemption {
                client,
                proof,
                grant,
                scope,
                refresh_until: wants_refresh.then(|| refresh_until(platform, self.now)),
            },
        )?;
        if let Some(flow) = self.sessions.open().devices.find_mut(text) {
            flow.value.state = DeviceState::Redeemed;
        }
        Ok(issued)
    }

    fn poll(&self, text: &str, app_id: &str) -> Result<(DeviceFlow, BrowserSession), Refusal> {
        let mut sessions = self.sessions.open();
        let ticket = sessions
            .devices
            .find_mut(text)
            .filter(|ticket| ticket.value.app_id == app_id)
            .ok_or_else(Refusal::bad_device_code)?;
        if ticket.is_expired(self.now) {
            return Err(Refusal::device_code_expired());
        }
        match ticket.value.state.clone() {
            DeviceState::Approved(session) => Ok((ticket.value.clone(), session)),
            DeviceState::Declined => Err(Refusal::authorization_declined()),
            DeviceState::Redeemed => Err(Refusal::code_redeemed()),
            DeviceState::Pending => Err(ticket.value.pending(self.now)),
        }
    }
}

impl DeviceFlow {
    /// A second may be lost on the way between the two clocks.
    fn pending(&mut self, now: OffsetDateTime) -> Refusal {
        let earliest = self
            .polled
            .map(|polled| polled + self.interval - Duration::SECOND);
        self.polled = Some(now);
        if earliest.is_some_and(|earliest| now < earliest) {
            self.interval += SLOWER;
            return Refusal::slow_down();
        }
        Refusal::authorization_pending()
    }
}

impl SignIn<'_> {
    /// What the sign-in lacks for the device that shows this code.
    pub(crate) fn unmet_for_device(
        &self,
        user_code: &str,
        session: &BrowserSession,
    ) -> Option<Unmet> {
        let mut sessions = self.sessions.open();
        let device = sessions.waiting_device(user_code, self.now)?;
        let scope = ScopeRequest::parse(&device.value.scope).unwrap_or_default();
        let targets = self.targets(&device.value.app_id, &scope);
        self.tenant
            .unmet(session, targets.iter().map(String::as_str))
    }

    /// A user entered the code and agreed, also to what the device asks for. Says whether a device
    /// waits with that code.
    pub(crate) fn approve_device(
        &mut self,
        user_code: &str,
        session: &BrowserSession,
    ) -> Result<bool, Refusal> {
        let device = self
            .sessions
            .open()
            .waiting_device(user_code, self.now)
            .map(|device| (device.value.app_id.clone(), device.value.scope.clone()));
        let Some((app_id, scope)) = device else {
            return Ok(false);
        };
        let client = Client::find(self.tenant, &app_id, self.now)?;
        let user_id = &session.user_id;
        let user = self
            .tenant
            .current(Kind::User, user_id)
            .ok_or_else(|| Refusal::user_not_found(user_id, self.tenant.initial_domain()))?;
        client.admit(self.tenant, user)?;
        let scope = ScopeRequest::parse(&scope)?;
        if let Some(unmet) = self.unmet_for_device(user_code, session) {
            return Err(Refusal::policy(&unmet));
        }
        match self.missing_consent(&client, &scope, user_id, false)? {
            Some(Missing::NeedsAdministrator) => {
                return Err(Refusal::admin_consent_required(client.name()));
            }
            Some(Missing::UserMayConsent(consents)) => self.accept(&app_id, user_id, &consents),
            None => {}
        }
        self.settle_device(user_code, DeviceState::Approved(session.clone()));
        Ok(true)
    }

    /// What became of the device that shows this code. Says whether one waits with that code.
    pub(crate) fn settle_device(&self, user_code: &str, state: DeviceState) -> bool {
        let mut sessions = self.sessions.open();
        let device = sessions.waiting_device(user_code, self.now);
        device.map(|device| device.value.state = state).is_some()
    }
}

impl OpenSessions {
    /// The device that shows this code and still waits for its user. Case and hyphens do not
    /// count (RFC 8628 6.1).
    pub(crate) fn waiting_device(
        &mut self,
        user_code: &str,
        now: OffsetDateTime,
    ) -> Option<&mut Ticket<DeviceFlow>> {
        let wanted = user_code.trim().replace('-', "").to_ascii_uppercase();
        self.devices.iter_mut().find(|ticket| {
            ticket.value.user_code == wanted
                && ticket.value.state == DeviceState::Pending
                && !ticket.is_expired(now)
        })
    }
}

/// Nine characters without those that are taken for others.
fn user_code() -> String {
    let random = Uuid::new_v4();
    random
        .as_bytes()
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .copied()
        .map(char::from)
        .take(9)
        .collect()
}

const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// 15 minutes and 5 seconds, as Learn's example has it.
const LIFETIME: Duration = Duration::minutes(15);
const INTERVAL: Duration = Duration::seconds(5);

/// RFC 8628 3.5
const SLOWER: Duration = Duration::seconds(5);
