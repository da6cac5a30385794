//! The registered claims (RFC 7519 4.1) and the tenant, read strictly; and the rules of times.

use std::fmt;
use std::slice;
use std::time::Duration;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;

use super::object::{Members, Text};
use crate::{Error, JwtRefusal};

/// How far the clocks of issuer and host may differ: 60 seconds by default, 300 at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew(time::Duration);

impl ClockSkew {
    /// A skew of up to five minutes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use entra_core::ClockSkew;
    ///
    /// assert!(ClockSkew::new(Duration::from_secs(300)).is_ok());
    /// assert!(ClockSkew::new(Duration::from_secs(301)).is_err());
    /// ```
    pub fn new(skew: Duration) -> Result<Self, Error> {
        time::Duration::try_from(skew)
            .ok()
            .filter(|skew| *skew <= LONGEST_SKEW)
            .map(Self)
            .ok_or(Error::InvalidRequest(
                "clocks may differ by five minutes at the most",
            ))
    }

    /// The skew.
    pub fn as_duration(self) -> time::Duration {
        self.0
    }
}

impl Default for ClockSkew {
    fn default() -> Self {
        Self(time::Duration::seconds(60))
    }
}

/// What of the claims every token's reader needs.
#[derive(Default)]
pub(super) struct Registered {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<Audience>,
    pub(super) tenant: Option<String>,
    pub(super) expires_on: Option<OffsetDateTime>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) issued_on: Option<OffsetDateTime>,
    /// The claim that is read at this moment, for the refusal.
    pub(super) reading: &'static str,
}

impl Registered {
    pub(super) fn audiences(&self) -> &[String] {
        match &self.audience {
            None => &[],
            Some(Audience::One(one)) => slice::from_ref(one),
            Some(Audience::Several(several)) => several,
        }
    }

    /// What it means that a claim has another type than it must.
    pub(super) fn wrong_type(&self) -> JwtRefusal {
        JwtRefusal::Claim(self.reading)
    }

    /// RFC 7519 4.1.4 to 4.1.6: the token is in force, give or take the skew.
    pub(super) fn validate_times(
        &self,
        now: OffsetDateTime,
        skew: ClockSkew,
    ) -> Result<(), JwtRefusal> {
        let (earliest, latest) = (now.saturating_sub(skew.0), now.saturating_add(skew.0));
        let expired_on = self.expires_on.ok_or(JwtRefusal::NoExpiry)?;
        if expired_on <= earliest {
            return Err(JwtRefusal::Expired { expired_on });
        }
        if let Some(not_before) = self.not_before.filter(|time| *time > latest) {
            return Err(JwtRefusal::NotYetValid { not_before });
        }
        if let Some(issued_on) = self.issued_on.filter(|time| *time > latest) {
            return Err(JwtRefusal::IssuedInFuture { issued_on });
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Registered {
    fn read<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "iss" => {
                self.reading = "iss";
                self.issuer = Some(map.next_value::<NotEmpty>()?.0);
            }
            "aud" => {
                self.reading = "aud";
                self.audience = Some(map.next_value()?);
            }
            "tid" => {
                self.reading = "tid";
                self.tenant = Some(map.next_value::<NotEmpty>()?.0);
            }
            "sub" => {
                self.reading = "sub";
                map.next_value::<Text<'de>>()?;
            }
            "exp" => {
                self.reading = "exp";
                self.expires_on = Some(map.next_value::<NumericDate>()?.0);
            }
            "nbf" => {
                self.reading = "nbf";
                self.not_before = Some(map.next_value::<NumericDate>()?.0);
            }
            "iat" => {
                self.reading = "iat";
                self.issued_on = Some(map.next_value::<NumericDate>()?.0);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// One audience as a string, or several as an array (RFC 7519 4.1.3).
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings, not empty")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience, E> {
        not_empty(text).map(Audience::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Audience, A::Error> {
        let mut several = Vec::new();
        while let Some(NotEmpty(one)) = elements.next_element()? {
            several.push(one);
        }
        if several.is_empty() {
            return Err(serde::de::Error::invalid_length(0, &self));
        }
        Ok(Audience::Several(several))
    }
}

/// A string with something in it.
struct NotEmpty(String);

impl<'de> Deserialize<'de> for NotEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        not_empty(&text).map(Self)
    }
}

fn not_empty<E: serde::de::Error>(text: &str) -> Result<String, E> {
    if text.is_empty() {
        return Err(E::invalid_length(0, &"a string that is not empty"));
    }
    Ok(text.to_owned())
}

/// Seconds since 1970, with or without a fraction (RFC 7519 2).
struct NumericDate(OffsetDateTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(NumericDateVisitor)
    }
}

struct NumericDateVisitor;

impl Visitor<'_> for NumericDateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970, before the year 10000")
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map(NumericDate)
            .map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
        self.visit_i64(i64::try_from(seconds).map_err(E::custom)?)
    }

    fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
        time::Duration::checked_seconds_f64(seconds)
            .and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since))
            .map(NumericDate)
            .ok_or_else(|| E::custom("beyond the calendar"))
    }
}

const LONGEST_SKEW: time::Duration = time::Duration::seconds(300);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::jwt::object::{ObjectError, read_object};

    #[test]
    fn a_time_is_a_number_of_seconds_within_the_calendar() {
        for (text, expected) in [
            ("0", Some(datetime!(1970-01-01 00:00 UTC))),
            ("2147483648", Some(datetime!(2038-01-19 03:14:08 UTC))),
            ("1767225600.0", Some(datetime!(2026-01-01 00:00 UTC))),
            ("1767225600.5", Some(datetime!(2026-01-01 00:00:00.5 UTC))),
            ("1.7672256e9", Some(datetime!(2026-01-01 00:00 UTC))),
            ("-1", Some(datetime!(1969-12-31 23:59:59 UTC))),
            ("253402300799", Some(datetime!(9999-12-31 23:59:59 UTC))),
            ("253402300800", None),
            ("1e300", None),
            ("-1e300", None),
            ("18446744073709551615", None),
            ("\"1767225600\"", None),
            ("null", None),
            ("true", None),
            ("[1767225600]", None),
        ] {
            let mut claims = Registered::default();
            let claim = format!("{{\"exp\":{text}}}");
            let read = read_object(&claim, &mut claims).map(drop);
            let expected_read = expected.map(|_| ()).ok_or(ObjectError::Member);
            assert_eq!(read, expected_read, "{text}");
            assert_eq!(
                (claims.expires_on, claims.reading),
                (expected, "exp"),
                "{text}"
            );
        }
    }

    #[test]
    fn texts_are_strings_with_something_in_them() {
        for (text, refused) in [
            (r#"{"iss":null}"#, Some("iss")),
            (r#"{"iss":1}"#, Some("iss")),
            (r#"{"iss":""}"#, Some("iss")),
            (
                r#"{"iss":["https://good.example","https://evil.example"]}"#,
                Some("iss"),
            ),
            (r#"{"iss":{"a":"b"}}"#, Some("iss")),
            (r#"{"aud":null}"#, Some("aud")),
            (r#"{"aud":1}"#, Some("aud")),
            (r#"{"aud":""}"#, Some("aud")),
            (r#"{"aud":[]}"#, Some("aud")),
            (r#"{"aud":["a",1]}"#, Some("aud")),
            (r#"{"aud":["a",""]}"#, Some("aud")),
            (r#"{"sub":1}"#, Some("sub")),
            (r#"{"tid":null}"#, Some("tid")),
            (r#"{"iss":"i","aud":["a","b"],"sub":"s","tid":"t"}"#, None),
        ] {
            let mut claims = Registered::default();
            let read = read_object(text, &mut claims).map(drop);
            let found = (read == Err(ObjectError::Member)).then_some(claims.reading);
            assert_eq!(found, refused, "{text}");
            assert_eq!(read.is_ok(), refused.is_none(), "{text}");
        }
    }

    #[test]
    fn one_audience_is_the_same_as_a_string_and_as_an_array() {
        for (text, expected) in [
            (r#"{"aud":"a"}"#, &["a"][..]),
            (r#"{"aud":["a"]}"#, &["a"]),
            (r#"{"aud":["a","b"]}"#, &["a", "b"]),
            (r#"{}"#, &[]),
        ] {
            let mut claims = Registered::default();
            read_object(text, &mut claims).unwrap();
            assert_eq!(claims.audiences(), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_in_force_from_nbf_to_exp_give_or_take_the_skew() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let at = |seconds: i64| Some(now + time::Duration::seconds(seconds));
        let refusal = |exp, nbf, iat| {
            let claims = Registered {
                expires_on: exp,
                not_before: nbf,
                issued_on: iat,
                ..Registered::default()
            };
            claims.validate_times(now, ClockSkew::default()).err()
        };
        assert_eq!(refusal(at(1), None, None), None);
        assert_eq!(refusal(at(-59), at(60), at(60)), None);
        assert_eq!(refusal(None, at(0), at(0)), Some(JwtRefusal::NoExpiry));
        assert_eq!(
            refusal(at(-60), None, None),
            Some(JwtRefusal::Expired {
                expired_on: datetime!(2025-12-31 23:59 UTC)
            })
        );
        assert_eq!(
            refusal(at(600), at(61), None),
            Some(JwtRefusal::NotYetValid {
                not_before: datetime!(2026-01-01 00:01:01 UTC)
            })
        );
        assert_eq!(
            refusal(at(600), None, at(61)),
            Some(JwtRefusal::IssuedInFuture {
                issued_on: datetime!(2026-01-01 00:01:01 UTC)
            })
        );
    }

    #[test]
    fn a_wrong_clock_of_the_host_is_no_panic() {
        let claims = Registered {
            expires_on: Some(datetime!(9999-12-31 23:59:59 UTC)),
            not_before: Some(datetime!(-9999-01-01 00:00 UTC)),
            ..Registered::default()
        };
        for now in [
            datetime!(9999-12-31 23:59:59 UTC),
            datetime!(-9999-01-01 00:00 UTC),
        ] {
            assert_eq!(claims.validate_times(now, ClockSkew::default()), Ok(()));
        }
    }
}
