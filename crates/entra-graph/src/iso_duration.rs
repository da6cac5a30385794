//! `Edm.Duration`: ISO 8601 durations of days, hours, minutes and seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use time::Duration;

/// A duration as OData writes it (OData CSDL 4.01, 3.3.9): `P90D`, `PT40M`, `P4DT12H30M5.5S`.
///
/// "Infinite" intervals such as `P10675199DT2H48M5.4775807S` fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IsoDuration(Duration);

impl IsoDuration {
    /// The duration.
    pub fn as_duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for IsoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for IsoDuration {
    type Err = IsoDurationError;

    fn from_str(text: &str) -> Result<Self, IsoDurationError> {
        parse(text).map(Self).ok_or(IsoDurationError)
    }
}

impl fmt::Display for IsoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (seconds, nanos) = (magnitude.as_secs(), magnitude.subsec_nanos());
        let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
        let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
        f.write_str(if self.0.is_negative() { "-P" } else { "P" })?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if days > 0 && hours == 0 && minutes == 0 && seconds == 0 && nanos == 0 {
            return Ok(());
        }
        f.write_str("T")?;
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}M")?;
        }
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            write!(f, "{seconds}.{}S", fraction.trim_end_matches('0'))
        } else if seconds > 0 || (days == 0 && hours == 0 && minutes == 0) {
            write!(f, "{seconds}S")
        } else {
            Ok(())
        }
    }
}

impl<'de> Deserialize<'de> for IsoDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration of days, hours, minutes and seconds in ISO 8601")]
pub struct IsoDurationError;

fn parse(text: &str) -> Option<Duration> {
    let (is_negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = units(date, &[('D', 86_400)])?;
    total = total.checked_add(units(time, &[('H', 3_600), ('M', 60), ('S', 1)])?)?;
    Some(if is_negative { -total } else { total })
}

/// Numbers with these units behind them, each at most once and in this order.
fn units(mut text: &str, allowed: &[(char, i64)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for (unit, seconds) in allowed {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if *unit == 'S' => (whole, nanoseconds(fraction)?),
            Some(_) => return None,
            None => (number, 0),
        };
        if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let whole = whole.parse::<i64>().ok()?.checked_mul(*seconds)?;
        total = total
            .checked_add(Duration::seconds(whole))?
            .checked_add(Duration::nanoseconds(fraction))?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

fn nanoseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds, nanos) in [
            ("P90D", 7_776_000, 0),
            ("PT40M", 2_400, 0),
            ("P4DT12H30M5S", 390_605, 0),
            ("PT0.5S", 0, 500_000_000),
            ("PT0S", 0, 0),
            ("-P1DT1S", -86_401, 0),
            ("P10675199DT2H48M5.4775807S", 922_337_203_685, 477_580_700),
        ] {
            let duration: IsoDuration = text.parse().unwrap();
            assert_eq!(
                duration.as_duration(),
                Duration::new(seconds, nanos),
                "{text}"
            );
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "P1Y",
            "P1M",
            "1D",
            "PT1S1M",
            "P1.5D",
            "PT.5S",
            "P-1D",
            "PT1.S",
            "P1DT",
            "P99999999999999999999D",
            "P9223372036854775807D",
        ] {
            assert_eq!(text.parse::<IsoDuration>(), Err(IsoDurationError), "{text}");
        }
    }
}
