//! What the sign-in service hands out and recognises again: codes, refresh tokens, cookies.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Opaque texts and what they stand for. An expired one is still recognised for a year, so that it
/// is refused as expired and not as unknown.
#[derive(Debug)]
pub(crate) struct Tickets<T> {
    issued: HashMap<String, Ticket<T>>,
    /// At how many the forgotten ones are looked for.
    sweep_at: usize,
}

/// What one text stands for.
#[derive(Clone, Debug)]
pub(crate) struct Ticket<T> {
    pub(crate) value: T,
    pub(crate) issued: OffsetDateTime,
    pub(crate) expires: OffsetDateTime,
}

impl<T> Tickets<T> {
    /// A new text for `value`, valid until `expires`.
    pub(crate) fn issue(
        &mut self,
        value: T,
        now: OffsetDateTime,
        expires: OffsetDateTime,
    ) -> String {
        if self.issued.len() >= self.sweep_at {
            self.issued
                .retain(|_, ticket| now - ticket.expires < RECOGNISED);
            self.sweep_at = self.issued.len().saturating_mul(2).max(FEW);
        }
        let text = random_text();
        let ticket = Ticket {
            value,
            issued: now,
            expires,
        };
        self.issued.insert(text.clone(), ticket);
        text
    }

    /// What a text stands for, expired or not.
    pub(crate) fn find(&self, text: &str) -> Option<&Ticket<T>> {
        self.issued.get(text)
    }

    /// The same, to be changed.
    pub(crate) fn find_mut(&mut self, text: &str) -> Option<&mut Ticket<T>> {
        self.issued.get_mut(text)
    }

    /// All of them, in no order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Ticket<T>> {
        self.issued.values_mut()
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, text: &str) {
        self.issued.remove(text);
    }
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self {
            issued: HashMap::new(),
            sweep_at: FEW,
        }
    }
}

impl<T> Ticket<T> {
    /// Whether its time is over.
    pub(crate) fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires <= now
    }
}

/// 244 random bits, with the beginning that Entra's codes and refresh tokens have.
fn random_text() -> String {
    let mut bytes = Uuid::new_v4().into_bytes().to_vec();
    bytes.extend(Uuid::new_v4().into_bytes());
    ["1.A", &URL_SAFE_NO_PAD.encode(bytes)].concat()
}

const RECOGNISED: Duration = Duration::days(365);
const FEW: usize = 1_024;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_expired_ticket_is_recognised_for_a_year_and_then_swept() {
        let start = datetime!(2026-01-01 00:00 UTC);
        let mut tickets = Tickets::default();
        let first = tickets.issue(0, start, start + Duration::minutes(10));
        assert!(!tickets.find(&first).unwrap().is_expired(start));
        let later = start + Duration::minutes(10);
        assert!(tickets.find(&first).unwrap().is_expired(later));

        for number in 1..FEW {
            tickets.issue(number, later, later);
        }
        assert!(tickets.find(&first).is_some());
        let late = later + RECOGNISED;
        let last = tickets.issue(FEW, late, late + Duration::minutes(10));
        assert!(tickets.find(&first).is_none());
        assert_eq!(tickets.find(&last).unwrap().value, FEW);
    }
}
