//! What differs between a blueprint and a tenant.

use std::fmt;

use entra_core::{ClientId, ObjectId};
use time::OffsetDateTime;

use super::id_token;
use super::secret_state::SecretState;
use super::tenant_view::TenantView;
use super::{Blueprint, Change, Platform, Refusal, preflight, registration, set_up_permission};
use crate::{Application, Error, GraphClient};

impl Blueprint {
    /// Compares the blueprint with the tenant and changes nothing.
    ///
    /// What the tenant would refuse is found here, each with the step that mends it: then nothing
    /// can be applied. An [empty plan](Plan::is_empty), without changes and refusals, means that
    /// the tenant is as the blueprint wants it.
    pub async fn plan(&self, graph: &GraphClient) -> Result<Plan, Error> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Ok(Plan::refused(self, faults));
        }
        let Survey {
            mut plan, missing, ..
        } = self.survey(graph).await?;
        // Whoever only looks need not be able to apply.
        let notes = missing
            .iter()
            .map(|found| format!("to apply this: {found}"));
        plan.notes.extend(notes);
        Ok(plan)
    }

    /// Everything that is asked of the tenant before a change, of a blueprint without faults.
    pub(super) async fn survey(&self, graph: &GraphClient) -> Result<Survey, Error> {
        let now = graph.pipeline().clock().now();
        let tenant = TenantView::read(self, graph).await?;
        let mut plan = self.compare(&tenant, now);
        let found = preflight::check(self, graph, &tenant).await?;
        plan.refusals = found.refusals;
        plan.notes.extend(found.notes);
        let missing = set_up_permission::missing(graph, &plan.changes).await?;
        Ok(Survey {
            tenant,
            plan,
            missing,
        })
    }

    /// What differs, without a question to the tenant.
    pub(super) fn compare(&self, tenant: &TenantView, now: OffsetDateTime) -> Plan {
        let mut plan = Plan {
            display_name: self.display_name.clone(),
            target: tenant.target(self),
            changes: Vec::new(),
            refusals: Vec::new(),
            notes: tenant.notes.clone(),
        };
        match (&tenant.application, plan.target) {
            (_, Target::Unreadable { .. }) => {}
            (Some(application), _) => self.compare_registration(&mut plan, application),
            (None, _) => self.plan_new_registration(&mut plan),
        }
        if !matches!(plan.target, Target::Unreadable { .. }) {
            self.compare_permissions(&mut plan, tenant);
            self.compare_credentials(&mut plan, tenant.application.as_ref(), now);
        }
        plan
    }

    /// What of a registration differs.
    pub(super) fn registration_changes(&self, application: &Application) -> Vec<Change> {
        let mut plan = Plan::refused(self, Vec::new());
        self.compare_registration(&mut plan, application);
        plan.changes
    }

    fn plan_new_registration(&self, plan: &mut Plan) {
        plan.changes.push(Change::CreateApplication);
        for uri in &self.app_id_uris {
            plan.changes.push(Change::AddAppIdUri(uri.clone()));
        }
        for (platform, uri) in &self.redirect_uris {
            plan.changes
                .push(Change::AddRedirectUri(*platform, uri.clone()));
        }
        if let Some(url) = &self.logout_url {
            plan.changes.push(Change::SetLogoutUrl {
                from: None,
                to: url.clone(),
            });
        }
        self.compare_tokens(plan, &Application::default());
    }

    fn compare_registration(&self, plan: &mut Plan, application: &Application) {
        let is_ours = !self.is_adopted();
        if is_ours && application.display_name.as_deref() != Some(&self.display_name) {
            plan.changes.push(Change::Rename {
                from: application.display_name.clone().unwrap_or_default(),
                to: self.display_name.clone(),
            });
        }
        if is_ours && application.sign_in_audience.as_ref() != Some(&self.audience) {
            plan.changes.push(Change::SetAudience {
                from: application.sign_in_audience.clone(),
                to: self.audience.clone(),
            });
        }
        self.compare_uris(plan, application);
        let web = application.web.clone().unwrap_or_default();
        if registration::issues_tokens(&web) {
            plan.changes.push(Change::DisableImplicitGrant);
        }
        let logout_url = web.logout_url.flatten();
        if let Some(url) = &self.logout_url
            && logout_url.as_ref() != Some(url)
        {
            plan.changes.push(Change::SetLogoutUrl {
                from: logout_url,
                to: url.clone(),
            });
        }
        self.compare_tokens(plan, application);
    }

    /// What tokens say of a user: optional claims, groups, roles.
    fn compare_tokens(&self, plan: &mut Plan, application: &Application) {
        for claim in self.missing_claims(application) {
            plan.changes.push(Change::AddIdTokenClaim(claim.to_owned()));
        }
        if let Some(to) = self.missing_group_claims(application) {
            plan.changes.push(Change::SetGroupClaims {
                from: id_token::group_claims(application).map(str::to_owned),
                to,
            });
        }
        for role in self.missing_app_roles(application) {
            plan.changes.push(Change::AddAppRole(role.value.clone()));
        }
        plan.notes.extend(self.unlike_app_roles(application));
    }

    fn compare_uris(&self, plan: &mut Plan, application: &Application) {
        let present = application.identifier_uris.clone().unwrap_or_default();
        let wanted: Vec<String> = match application.app_id {
            Some(client_id) => self.app_id_uris_for(&client_id).collect(),
            None => self.app_id_uris.clone(),
        };
        plan.note_extras("App ID URI", &present, &wanted);
        for uri in wanted {
            if !present.contains(&uri) {
                plan.changes.push(Change::AddAppIdUri(uri));
            }
        }
        for platform in Platform::ALL {
            let present = registration::redirect_uris(application, platform);
            let wanted: Vec<String> = self.redirect_uris_of(platform).map(str::to_owned).collect();
            plan.note_extras("redirect URI", present, &wanted);
            for uri in wanted {
                if !present.contains(&uri) {
                    plan.changes.push(Change::AddRedirectUri(platform, uri));
                }
            }
        }
    }

    fn compare_permissions(&self, plan: &mut Plan, tenant: &TenantView) {
        for permission in &self.permissions {
            if !tenant.declares(permission) {
                plan.changes
                    .push(Change::DeclarePermission(permission.clone()));
            }
        }
        if tenant.service_principal.is_none() {
            plan.changes.push(Change::CreateServicePrincipal);
        }
        for permission in &self.permissions {
            match tenant.grants(permission) {
                Some(true) => {}
                Some(false) => plan.changes.push(Change::Consent(permission.clone())),
                None => plan.notes.push(format!(
                    "whether {permission} was consented to may not be read"
                )),
            }
        }
        if self.self_rotation {
            match tenant.owns_itself {
                Some(true) => {}
                Some(false) => plan.changes.push(Change::OwnItself),
                None => plan
                    .notes
                    .push("whether the application owns itself may not be read".to_owned()),
            }
        }
        plan.note_extra_permissions(self, tenant);
    }

    fn compare_credentials(
        &self,
        plan: &mut Plan,
        application: Option<&Application>,
        now: OffsetDateTime,
    ) {
        if let Some(certificate) = &self.certificate
            && !application.is_some_and(|app| registration::has_certificate(app, certificate))
        {
            plan.changes
                .push(Change::AddCertificate(certificate.clone()));
        }
        let Some(secret) = &self.secret else {
            return;
        };
        let state = SecretState::of(application, secret, now);
        if !state.announced.is_empty() {
            plan.changes.push(Change::FinishSecrets {
                name: secret.name.clone(),
                count: state.announced.len(),
            });
        }
        match state.kept {
            Some(kept) => plan.notes.push(match kept.end_date_time {
                Some(end) => format!(
                    "client secret «{}» is valid until {}",
                    secret.name,
                    end.date()
                ),
                None => format!("client secret «{}» is there", secret.name),
            }),
            None => plan.changes.push(Change::AddSecret {
                name: secret.name.clone(),
                lifetime: secret.lifetime,
            }),
        }
    }
}

/// What was found before a change.
pub(super) struct Survey {
    pub(super) tenant: TenantView,
    pub(super) plan: Plan,
    /// What the credential lacks to apply the plan.
    pub(super) missing: Vec<Refusal>,
}

/// The difference between a blueprint and a tenant. Its `Display` is made for an administrator.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The name that people see.
    pub display_name: String,
    /// Which application it is about.
    pub target: Target,
    /// What applying the blueprint changes, in this order.
    pub changes: Vec<Change>,
    /// What the tenant would refuse. While there is one, nothing is applied.
    pub refusals: Vec<Refusal>,
    /// What was noticed and is left as it is.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do. What the caller may not read is not known to be so.
    pub fn is_empty(&self) -> bool {
        let is_known = !matches!(self.target, Target::Unreadable { .. });
        is_known && self.changes.is_empty() && self.refusals.is_empty()
    }

    /// The plan of a blueprint that has to be corrected before anybody is asked.
    fn refused(blueprint: &Blueprint, refusals: Vec<Refusal>) -> Self {
        Self {
            display_name: blueprint.display_name.clone(),
            target: Target::NotLookedUp,
            changes: Vec::new(),
            refusals,
            notes: Vec::new(),
        }
    }

    fn note_extras(&mut self, what: &str, present: &[String], wanted: &[String]) {
        for extra in present.iter().filter(|uri| !wanted.contains(uri)) {
            self.notes.push(format!("{what} {extra} is kept"));
        }
    }

    fn note_extra_permissions(&mut self, blueprint: &Blueprint, tenant: &TenantView) {
        let granted = [&tenant.granted_roles, &tenant.granted_scopes];
        for extra in granted.into_iter().flatten().flatten() {
            if !blueprint.permissions.contains(extra) {
                self.notes.push(format!(
                    "{extra} was consented to, is not needed, and is kept"
                ));
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", Line(&self.display_name), self.target)?;
        for change in &self.changes {
            writeln!(f, "  {}", Line(change))?;
        }
        if self.is_empty() {
            writeln!(f, "  nothing to do")?;
        }
        for refusal in &self.refusals {
            writeln!(
                f,
                "  ! {}\n    -> {}",
                Line(refusal),
                Line(&refusal.remedy())
            )?;
        }
        for note in &self.notes {
            writeln!(f, "  . {}", Line(note))?;
        }
        Ok(())
    }
}

/// Which application a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One that was not looked for, since the blueprint has to be corrected first.
    NotLookedUp,
    /// One that is not there yet.
    New,
    /// One that an earlier apply made, maybe not to the end.
    Existing {
        /// The application (client) id.
        client_id: ClientId,
        /// The object id of the registration.
        object_id: ObjectId,
    },
    /// One that an administrator made.
    Adopted {
        /// The application (client) id.
        client_id: ClientId,
        /// The object id of the registration.
        object_id: ObjectId,
    },
    /// One that an administrator made and that the caller may not read.
    Unreadable {
        /// The application (client) id.
        client_id: ClientId,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLookedUp => f.write_str("to be corrected first"),
            Self::New => f.write_str("a new application"),
            Self::Existing { client_id, .. } => write!(f, "application {client_id}"),
            Self::Adopted { client_id, .. } => write!(f, "adopted application {client_id}"),
            Self::Unreadable { client_id } => {
                write!(
                    f,
                    "adopted application {client_id}, which may not read itself"
                )
            }
        }
    }
}

/// A text in one line: names come from people, and a line break in one must not look like another
/// line of the plan.
struct Line<'a, T: fmt::Display + ?Sized>(&'a T);

impl<T: fmt::Display + ?Sized> fmt::Display for Line<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        f.write_str(&line)
    }
}
