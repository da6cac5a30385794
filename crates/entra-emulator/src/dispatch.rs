//! One request on its way: a fault, or the service that it is for, and the journal.

use std::time::Duration;

use bytes::Bytes;
use entra_core::Clock;
use http::header::DATE;
use http::{HeaderValue, Request, Response};
use time::OffsetDateTime;
use url::Url;

use crate::bearer::{self, BearerRefusal};
use crate::caller::Caller;
use crate::emulator::Emulator;
use crate::external_id::External;
use crate::fault::{self, Fault, Outage};
use crate::graph::{self, GraphCall};
use crate::journal::JournalEntry;
use crate::managed_identity::{self, MachineCall};
use crate::sign_in::{self, SignIn};
use crate::tenant::{GRAPH_APP_ID, Tenant};
use crate::workload_issuer;
use crate::{control, resource_manager};

impl Emulator {
    /// One exchange with everything that a connection needs to know about it.
    pub(crate) fn exchange(&self, request: &Request<Bytes>, answers_only: bool) -> Exchange {
        let path = request.uri().path();
        if path.starts_with(control::PREFIX) {
            return Exchange::plain(control::handle(self, request));
        }
        let now = self.shared.settings.clock.now();
        let method = request.method().as_str();
        let rule = self.shared.faults.take(method, path, answers_only);
        let fault = rule.as_ref().map(|rule| rule.fault);
        let outage = |what| self.outage(what, request, now);
        let mut outcome = match rule
            .as_ref()
            .and_then(|rule| rule.answer_before(now, outage))
        {
            Some(answer) => Outcome::unknown(answer),
            None if fault == Some(Fault::Dropped) => Outcome::unknown(Response::default()),
            None => {
                let outcome = self.dispatch(request, now, fault == Some(Fault::StaleReplica));
                let forgeries = &self.tenant().forgeries;
                let answer = forgeries.change_answer((method, path), outcome.answer);
                Outcome { answer, ..outcome }
            }
        };
        if let Some(rule) = &rule {
            outcome.answer = rule.answer_after(outcome.answer, now, outage);
        }
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now.into())) {
            outcome.answer.headers_mut().insert(DATE, date);
        }
        let ending = Ending::of(fault, outcome.answer.body());
        self.record(request, now, &outcome, (fault, ending));
        Exchange {
            answer: outcome.answer,
            latency: fault.map_or(Duration::ZERO, Fault::latency),
            ending,
        }
    }

    /// What the service that a request is for says where it does not answer.
    fn outage(
        &self,
        what: Outage,
        request: &Request<Bytes>,
        now: OffsetDateTime,
    ) -> Response<Bytes> {
        let origin = self.shared.settings.cloud.login_url();
        match what {
            Outage::Context(context) if is_graph(request) => {
                BearerRefusal::Context(context).answer(origin, request, now)
            }
            Outage::Status(status) if is_graph(request) => fault::graph_outage(status),
            Outage::Status(status) if managed_identity::is_path(request.uri().path()) => {
                managed_identity::outage(status)
            }
            what => sign_in::outage(what, request, origin, now),
        }
    }

    fn dispatch(
        &self,
        request: &Request<Bytes>,
        now: OffsetDateTime,
        stale_replica: bool,
    ) -> Outcome {
        let origin = self.shared.settings.cloud.graph_url();
        let mut tenant = self.tenant();
        let sign_in = |tenant: &mut Tenant, origin: &Url, request: &Request<Bytes>| {
            SignIn {
                tenant,
                sessions: &self.shared.sessions,
                origin,
                home: self.shared.settings.cloud.graph_url(),
                now,
            }
            .handle(request)
        };
        if let Some(external) = External::of(&tenant, origin, request) {
            return Outcome::of(match external {
                External::Served(front) => sign_in(&mut tenant, &front.origin, &front.request),
                External::Unknown(name) => {
                    (sign_in::no_such_tenant(&name, request, origin, now), None)
                }
            });
        }
        if is_graph(request) {
            return ask_graph(&mut tenant, request, origin, (now, stale_replica));
        }
        if let Some(answer) = workload_issuer::handle(origin, request) {
            return Outcome::unknown(answer);
        }
        if managed_identity::is_path(request.uri().path()) {
            let call = MachineCall {
                tenant: &tenant,
                origin,
                now,
                identity_header: &self.content().1.identity_header,
                arc: self.shared.arc.as_ref(),
            };
            return Outcome::of(call.handle(request));
        }
        if let Some(answered) = resource_manager::handle(&tenant, origin, request, now) {
            return Outcome::of(answered);
        }
        Outcome::of(sign_in(&mut tenant, origin, request))
    }

    fn record(
        &self,
        request: &Request<Bytes>,
        now: OffsetDateTime,
        outcome: &Outcome,
        (fault, ending): (Option<Fault>, Ending),
    ) {
        let is_answered = ending != Ending::NoAnswer;
        let query = request.uri().query().filter(|_| is_graph(request));
        self.shared.journal.record(JournalEntry {
            time: now,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: query.map(str::to_owned),
            status: is_answered.then(|| outcome.answer.status().as_u16()),
            caller: outcome.caller.clone(),
            permission: outcome.permission.clone(),
            fault,
        });
    }
}

/// An answer, when it comes, and how far.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) answer: Response<Bytes>,
    pub(crate) latency: Duration,
    pub(crate) ending: Ending,
}

impl Exchange {
    fn plain(answer: Response<Bytes>) -> Self {
        Self {
            answer,
            latency: Duration::ZERO,
            ending: Ending::Complete,
        }
    }
}

/// How much of the answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    NoAnswer,
    MiddleOfBody,
}

impl Ending {
    fn of(fault: Option<Fault>, body: &Bytes) -> Self {
        match fault {
            Some(Fault::Dropped | Fault::DroppedAfter) => Self::NoAnswer,
            // There is no middle of nothing.
            Some(Fault::Truncated) if body.is_empty() => Self::NoAnswer,
            Some(Fault::Truncated) => Self::MiddleOfBody,
            _ => Self::Complete,
        }
    }
}

struct Outcome {
    answer: Response<Bytes>,
    caller: Option<String>,
    permission: Option<String>,
}

impl Outcome {
    /// An answer to a caller, if it proved who it is.
    fn of((answer, caller): (Response<Bytes>, Option<String>)) -> Self {
        Self {
            answer,
            caller,
            permission: None,
        }
    }

    fn unknown(answer: Response<Bytes>) -> Self {
        Self::of((answer, None))
    }
}

fn ask_graph(
    tenant: &mut Tenant,
    request: &Request<Bytes>,
    origin: &Url,
    (now, stale_replica): (OffsetDateTime, bool),
) -> Outcome {
    let caller = match authenticate(tenant, request, origin, now) {
        Ok(caller) => caller,
        Err(refusal) => return Outcome::unknown(refusal.answer(origin, request, now)),
    };
    let call = GraphCall {
        caller: &caller,
        now,
        origin,
        stale_replica,
    };
    let (answer, permission) = graph::handle(tenant, &call, request);
    Outcome {
        answer,
        caller: Some(caller.app_id),
        permission,
    }
}

fn is_graph(request: &Request<Bytes>) -> bool {
    graph::is_path(request.uri().path())
}

/// The caller of a request whose token is for Microsoft Graph.
fn authenticate(
    tenant: &Tenant,
    request: &Request<Bytes>,
    origin: &Url,
    now: OffsetDateTime,
) -> Result<Caller, BearerRefusal> {
    let token = bearer::verify(tenant, origin, request, now)?;
    let app_id = tenant
        .resource(&token.audience)
        .and_then(|resource| resource.get("appId")?.as_str());
    if app_id == Some(GRAPH_APP_ID) {
        Ok(token.caller)
    } else {
        Err(BearerRefusal::Audience)
    }
}
