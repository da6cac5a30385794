//! The claims of tokens, read as strangers' text: a claim of another shape than it must have is
//! noticed, and never taken for an absent one.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use entra_core::TenantId;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use time::OffsetDateTime;

use crate::issuer::canonical_tenant;
use crate::{AuthContext, TokenRefusal};

/// A claim: absent, of the shape that it must have, or of another.
#[derive(Clone, Debug, Default)]
pub(crate) enum Claim<T> {
    #[default]
    Absent,
    Good(T),
    Wrong,
}

impl<T> Claim<T> {
    /// The value. A claim of another shape is refused by its name.
    pub(crate) fn value(&self, name: &'static str) -> Result<Option<&T>, TokenRefusal> {
        match self {
            Self::Absent => Ok(None),
            Self::Good(value) => Ok(Some(value)),
            Self::Wrong => Err(TokenRefusal::Claim(name)),
        }
    }

    /// The value of a claim for display, of which another shape is no more than a blank.
    pub(crate) fn if_good(&self) -> Option<&T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Whether it is there, in whatever shape.
    pub(crate) fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl Claim<Text<'_>> {
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, TokenRefusal> {
        Ok(self.value(name)?.map(|text| text.0.as_ref()))
    }

    /// A text for display.
    pub(crate) fn shown(&self) -> Option<String> {
        self.if_good().map(|text| text.0.clone().into_owned())
    }
}

impl<T> From<Option<T>> for Claim<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Wrong, Self::Good)
    }
}

/// What is made of a JSON value. Each method is for values of one type; what is left out is of the
/// wrong shape.
pub(crate) trait Shape<'de>: Sized {
    fn of_text(_: Cow<'de, str>) -> Option<Self> {
        None
    }

    fn of_flag(_: bool) -> Option<Self> {
        None
    }

    fn of_integer(_: i64) -> Option<Self> {
        None
    }

    fn of_fraction(_: f64) -> Option<Self> {
        None
    }

    fn of_list<A: SeqAccess<'de>>(elements: &mut A) -> Result<Option<Self>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn of_object<A: MapAccess<'de>>(members: &mut A) -> Result<Option<Self>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A text, borrowed from the token unless it has escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Shape<'de> for Text<'a> {
    fn of_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }
}

/// Seconds since 1970, with or without a fraction (RFC 7519 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) OffsetDateTime);

impl Shape<'_> for Moment {
    fn of_integer(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    fn of_fraction(seconds: f64) -> Option<Self> {
        let since = time::Duration::checked_seconds_f64(seconds)?;
        OffsetDateTime::UNIX_EPOCH.checked_add(since).map(Self)
    }
}

/// Yes or no, in all the ways in which Entra writes it: `true`, `1`, `"true"`, `"1"`. Anything else
/// is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth(pub(crate) bool);

impl<'de> Shape<'de> for Truth {
    fn of_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(matches!(text.as_ref(), "true" | "1")))
    }

    fn of_flag(flag: bool) -> Option<Self> {
        Some(Self(flag))
    }

    fn of_integer(number: i64) -> Option<Self> {
        Some(Self(number == 1))
    }
}

/// A list of texts. Some providers write a single one without the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<'a> {
    pub(crate) entries: Vec<Text<'a>>,
    is_bare: bool,
}

impl List<'_> {
    pub(crate) fn to_strings(&self) -> Vec<String> {
        let entries = self.entries.iter();
        entries.map(|Text(text)| text.to_string()).collect()
    }
}

impl<'de: 'a, 'a> Shape<'de> for List<'a> {
    fn of_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self {
            entries: vec![Text(text)],
            is_bare: true,
        })
    }

    fn of_list<A: SeqAccess<'de>>(elements: &mut A) -> Result<Option<Self>, A::Error> {
        let mut entries = Vec::new();
        let is_good = each_text(elements, |text| entries.push(text))?;
        Ok(is_good.then_some(Self {
            entries,
            is_bare: false,
        }))
    }
}

/// That a claim is a list of texts, without the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListShape {
    is_bare: bool,
}

impl<'de> Shape<'de> for ListShape {
    fn of_text(_: Cow<'de, str>) -> Option<Self> {
        Some(Self { is_bare: true })
    }

    fn of_list<A: SeqAccess<'de>>(elements: &mut A) -> Result<Option<Self>, A::Error> {
        let is_good = each_text(elements, |_| {})?;
        Ok(is_good.then_some(Self { is_bare: false }))
    }
}

impl Claim<List<'_>> {
    /// The entries as strings. Entra writes a list even where it has a single entry.
    pub(crate) fn strings(
        &self,
        name: &'static str,
        is_entra: bool,
    ) -> Result<Vec<String>, TokenRefusal> {
        match self.value(name)? {
            Some(list) if list.is_bare && is_entra => Err(TokenRefusal::Claim(name)),
            Some(list) => Ok(list.to_strings()),
            None => Ok(Vec::new()),
        }
    }
}

impl Claim<ListShape> {
    /// Entra writes a list even where it has a single entry.
    pub(crate) fn check(&self, name: &'static str, is_entra: bool) -> Result<(), TokenRefusal> {
        match self.value(name)? {
            Some(list) if list.is_bare && is_entra => Err(TokenRefusal::Claim(name)),
            _ => Ok(()),
        }
    }
}

/// The authentication contexts among the values of `acrs`, which has others as well. A single one
/// may stand without a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuthContexts(pub(crate) Vec<AuthContext>);

impl<'de> Shape<'de> for AuthContexts {
    fn of_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(AuthContext::parse(&text).ok().into_iter().collect()))
    }

    fn of_list<A: SeqAccess<'de>>(elements: &mut A) -> Result<Option<Self>, A::Error> {
        let mut contexts = Vec::new();
        let is_good = each_text(elements, |Text(text)| {
            contexts.extend(AuthContext::parse(&text));
        })?;
        Ok(is_good.then_some(Self(contexts)))
    }
}

/// Whether an object has a member `groups`: `_claim_names` has one where the groups were left out
/// (Microsoft Learn, "Groups overage claim"). Where it leads to is never looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamesGroups(pub(crate) bool);

impl<'de> Shape<'de> for NamesGroups {
    fn of_object<A: MapAccess<'de>>(members: &mut A) -> Result<Option<Self>, A::Error> {
        let mut names_groups = false;
        while let Some((name, _)) = members.next_entry::<Claim<Text<'de>>, IgnoredAny>()? {
            names_groups |= name.if_good().is_some_and(|Text(name)| name == "groups");
        }
        Ok(Some(Self(names_groups)))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Claim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyShape(PhantomData))
    }
}

struct AnyShape<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for AnyShape<T> {
    type Value = Claim<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Claim<T>, E> {
        Ok(Claim::Wrong)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Claim<T>, E> {
        Ok(T::of_flag(flag).into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Claim<T>, E> {
        Ok(T::of_integer(number).into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Claim<T>, E> {
        Ok(i64::try_from(number).ok().and_then(T::of_integer).into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Claim<T>, E> {
        Ok(T::of_fraction(number).into())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Claim<T>, E> {
        Ok(T::of_text(Cow::Borrowed(text)).into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Claim<T>, E> {
        Ok(T::of_text(Cow::Owned(text.to_owned())).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Claim<T>, A::Error> {
        Ok(T::of_list(&mut elements)?.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Claim<T>, A::Error> {
        Ok(T::of_object(&mut members)?.into())
    }
}

/// Hands the elements out. False if one is no text, or there are too many.
fn each_text<'de, A: SeqAccess<'de>>(
    elements: &mut A,
    mut take: impl FnMut(Text<'de>),
) -> Result<bool, A::Error> {
    let (mut count, mut is_good) = (0, true);
    while let Some(element) = elements.next_element::<Claim<Text<'de>>>()? {
        count += 1;
        match element {
            Claim::Good(text) if count <= MAX_ENTRIES => take(text),
            _ => is_good = false,
        }
    }
    Ok(is_good)
}

/// Entra puts up to 200 groups into a token, and other providers a few hundred.
const MAX_ENTRIES: usize = 2000;

/// Whether a user of Entra is a guest: as `acct` says, or else by whether another identity provider
/// than the tenant signed the user in (Microsoft Learn, "ID token claims reference", `idp`, which a
/// member has with the tenant's own issuer or not at all).
pub(crate) fn is_guest(
    acct: Option<&Truth>,
    identity_provider: Option<&str>,
    tenant: TenantId,
) -> Option<bool> {
    match (acct, identity_provider) {
        (Some(Truth(is_guest)), _) => Some(*is_guest),
        (None, Some(provider)) => Some(!is_issuer_of(provider, tenant)),
        (None, None) => None,
    }
}

/// An issuer of the tenant, of either version.
fn is_issuer_of(text: &str, tenant: TenantId) -> bool {
    let path = text.strip_prefix("https://").unwrap_or_default();
    let path = path.strip_suffix("/v2.0").unwrap_or(path);
    let segment = path.trim_end_matches('/').rsplit('/').next();
    segment.and_then(canonical_tenant) == Some(tenant)
}
