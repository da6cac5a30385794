//! `$filter`: what it says and whether it holds (OData 4.01 part 2, section 5.1.1; Learn, "Use the
//! $filter query parameter to filter a collection of objects" and "Advanced query capabilities on
//! Microsoft Entra ID objects").
//!
//! Texts are compared without case, as the directory does. Which properties the real directory
//! indexes is not modelled: here each structural property can be filtered by.

use std::cmp::Ordering;

use serde_json::Value;

use super::error::GraphError;
use super::filter_parser;
use super::noun::Noun;
use crate::schema::{Form, Schema};
use crate::tenant::{Object, parse_time};

/// A condition on an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    /// Both hold.
    And(Box<Self>, Box<Self>),
    /// One holds.
    Or(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A property compared with a constant.
    Compare(Operand, Comparison, Value),
    /// A property is one of these.
    In(Operand, Vec<Value>),
    /// A text starts so.
    StartsWith(Operand, String),
    /// A text ends so.
    EndsWith(Operand, String),
    /// An item of a collection meets a condition.
    Any(Operand, Option<Box<Self>>),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// A property, maybe within complex ones.
    Path(Vec<String>),
    /// The variable of `any` or a property of it.
    Item(Vec<String>),
    /// How many items a collection has.
    Count(Vec<String>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Reads the text of a `$filter`.
    pub(crate) fn parse(text: &str) -> Result<Self, GraphError> {
        filter_parser::parse(text)
    }

    /// Refuses properties that the type does not have and constants of another type.
    pub(crate) fn check(&self, noun: &Noun) -> Result<(), GraphError> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.check(noun)?;
                right.check(noun)
            }
            Self::Not(inner) => inner.check(noun),
            Self::Compare(operand, _, value) => {
                check_constant(form_of(noun, operand)?, operand, value)
            }
            Self::In(operand, values) => {
                let form = form_of(noun, operand)?;
                values
                    .iter()
                    .try_for_each(|value| check_constant(form, operand, value))
            }
            Self::StartsWith(operand, _) | Self::EndsWith(operand, _) => {
                form_of(noun, operand).map(drop)
            }
            Self::Any(operand, _) => match form_of(noun, operand)? {
                Some(Form::Collection(_)) | None => Ok(()),
                Some(_) => Err(GraphError::malformed(
                    "Invalid filter clause: Any/All may only be used following a collection.",
                )),
            },
        }
    }

    /// The operator that needs an advanced query, if there is one.
    pub(crate) fn advanced_operator(&self) -> Option<&'static str> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => left
                .advanced_operator()
                .or_else(|| right.advanced_operator()),
            Self::Not(_) => Some("Not"),
            Self::Compare(Operand::Count(_), ..) => Some("$count"),
            Self::Compare(_, Comparison::NotEqual, _) => Some("NotEqualsMatch"),
            Self::EndsWith(..) => Some("endsWith"),
            Self::Any(_, Some(inner)) => inner.advanced_operator(),
            _ => None,
        }
    }

    /// Whether an object meets the condition.
    pub(crate) fn holds(&self, noun: &Noun, object: &Object) -> bool {
        self.test(&Scope {
            noun,
            object,
            item: &Value::Null,
        })
    }

    fn test(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::And(left, right) => left.test(scope) && right.test(scope),
            Self::Or(left, right) => left.test(scope) || right.test(scope),
            Self::Not(inner) => !inner.test(scope),
            Self::Compare(operand, comparison, constant) => {
                scope.with(operand, |value| compare(value, *comparison, constant))
            }
            Self::In(operand, constants) => scope.with(operand, |value| {
                constants
                    .iter()
                    .any(|constant| compare(value, Comparison::Equal, constant))
            }),
            Self::StartsWith(operand, prefix) => scope.with(operand, |value| {
                text(value).is_some_and(|text| text.starts_with(prefix.as_str()))
            }),
            Self::EndsWith(operand, suffix) => scope.with(operand, |value| {
                text(value).is_some_and(|text| text.ends_with(suffix.as_str()))
            }),
            Self::Any(operand, inner) => scope.with(operand, |value| {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                match inner {
                    None => !items.is_empty(),
                    Some(inner) => items
                        .iter()
                        .any(|item| inner.test(&Scope { item, ..*scope })),
                }
            }),
        }
    }
}

/// What operands are read from.
struct Scope<'a> {
    noun: &'a Noun,
    object: &'a Object,
    item: &'a Value,
}

impl Scope<'_> {
    fn with(&self, operand: &Operand, test: impl FnOnce(&Value) -> bool) -> bool {
        match operand {
            Operand::Item(path) => test(descend(self.item, path)),
            Operand::Path(path) => test(self.property(path)),
            Operand::Count(path) => {
                let count = self.property(path).as_array().map_or(0, Vec::len);
                test(&Value::from(count))
            }
        }
    }

    fn property(&self, path: &[String]) -> &Value {
        let Some((first, rest)) = path.split_first() else {
            return &Value::Null;
        };
        let value = self.object.get(first);
        let default = || self.noun.default_of(first);
        descend(value.unwrap_or_else(default), rest)
    }
}

fn descend<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter()
        .fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn form_of<'a>(noun: &Noun, operand: &Operand) -> Result<Option<&'a Form>, GraphError> {
    let (Operand::Path(path) | Operand::Count(path)) = operand else {
        return Ok(None);
    };
    let mut type_name = noun.type_name;
    let mut form = None;
    for name in path {
        let property = Schema::v1()
            .shape(type_name)
            .and_then(|shape| shape.property(name));
        let Some(property) = property else {
            return Err(GraphError::malformed(format!(
                "Invalid filter clause: Could not find a property named '{name}' on type \
                 'microsoft.graph.{type_name}'."
            )));
        };
        if let Form::Complex(inner) = &property.form {
            type_name = inner;
        }
        form = Some(&property.form);
    }
    Ok(match operand {
        Operand::Count(_) => None,
        _ => form,
    })
}

fn check_constant(
    form: Option<&Form>,
    operand: &Operand,
    constant: &Value,
) -> Result<(), GraphError> {
    let fits = match (form, constant) {
        (None | Some(Form::Open(_)), _) => true,
        (Some(Form::Collection(_) | Form::Complex(_) | Form::Stream), _) => false,
        (Some(Form::Flag), constant) => constant.is_boolean() || constant.is_null(),
        (Some(Form::Number), constant) => constant.is_number() || constant.is_null(),
        (Some(_), constant) => constant.is_string() || constant.is_null(),
    };
    if fits {
        return Ok(());
    }
    let path = match operand {
        Operand::Path(path) | Operand::Item(path) | Operand::Count(path) => path.join("/"),
    };
    Err(GraphError::malformed(format!(
        "Invalid filter clause: A binary operator with incompatible types was detected at '{path}'."
    )))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_lowercase)
}

fn compare(value: &Value, comparison: Comparison, constant: &Value) -> bool {
    let order = order(value, constant);
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

/// The order of two values of the same type; null equals null and is beside everything else.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.as_i64().partial_cmp(&right.as_i64()),
        (Value::String(left), Value::String(right)) => {
            match (parse_time(left), parse_time(right)) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => Some(left.to_lowercase().cmp(&right.to_lowercase())),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::Kind;

    fn holds(filter: &str) -> bool {
        let object = json!({
            "displayName": "Ada O'Neil",
            "accountEnabled": true,
            "mail": "ada@x.example",
            "createdDateTime": "2026-01-02T00:00:00Z",
            "proxyAddresses": ["SMTP:ada@x.example", "smtp:ada@y.example"],
            "identities": [{"issuer": "x.example", "signInType": "federated"}]
        });
        let filter = Filter::parse(filter).unwrap();
        let noun = Noun::of(Kind::User);
        filter.check(noun).unwrap();
        filter.holds(noun, object.as_object().unwrap())
    }

    #[test]
    fn conditions_hold_as_odata_says() {
        for (filter, expected) in [
            ("displayName eq 'ada o''neil'", true),
            ("startswith(displayName,'ADA')", true),
            ("startsWith(displayName, 'bob') eq false", true),
            ("endswith(mail,'@x.example')", true),
            ("accountEnabled eq true and mail ne null", true),
            ("accountEnabled eq false or jobTitle eq null", true),
            ("not(startswith(mail,'ada'))", false),
            ("mail in ('bob@x.example', 'ada@x.example')", true),
            ("proxyAddresses/any(p:p eq 'smtp:ADA@y.example')", true),
            ("proxyAddresses/any(p:startswith(p,'x500:'))", false),
            (
                "identities/any(c:c/issuer eq 'x.example' and c/signInType eq 'federated')",
                true,
            ),
            ("proxyAddresses/$count eq 2", true),
            ("otherMails/any()", false),
            ("createdDateTime ge 2026-01-02T00:00:00Z", true),
            ("createdDateTime lt 2026-01-02T00:00:00Z", false),
            (
                "(displayName eq 'x' or accountEnabled eq true) and mail eq 'x'",
                false,
            ),
        ] {
            assert_eq!(holds(filter), expected, "{filter}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_or_does_not_exist_is_refused() {
        for (filter, expected) in [
            (
                "displayName eq 'a",
                "Invalid filter clause: There is a syntax error near 'displayName eq 'a'.",
            ),
            (
                "displayName = 'a'",
                "Invalid filter clause: There is a syntax error near '='.",
            ),
            (
                "displayName eq",
                "Invalid filter clause: There is a syntax error near 'end'.",
            ),
            (
                "displayName eq 'a' mail",
                "Invalid filter clause: There is a syntax error near 'a'.",
            ),
            (
                "nickname eq 'a'",
                "Invalid filter clause: Could not find a property named 'nickname' on type 'microsoft.graph.user'.",
            ),
            (
                "accountEnabled eq 'true'",
                "Invalid filter clause: A binary operator with incompatible types was detected at 'accountEnabled'.",
            ),
            (
                "proxyAddresses eq 'a'",
                "Invalid filter clause: A binary operator with incompatible types was detected at 'proxyAddresses'.",
            ),
            (
                "contains(displayName,'a')",
                "Unsupported or invalid query filter clause: function 'contains' is not supported.",
            ),
        ] {
            let error = Filter::parse(filter)
                .and_then(|filter| filter.check(Noun::of(Kind::User)))
                .unwrap_err();
            assert_eq!(error.message, expected, "{filter}");
        }
    }

    #[test]
    fn some_operators_need_an_advanced_query() {
        for (filter, expected) in [
            ("mail eq 'a'", None),
            ("proxyAddresses/any(p:p eq 'a')", None),
            ("mail ne 'a'", Some("NotEqualsMatch")),
            ("not (mail eq 'a')", Some("Not")),
            ("mail eq 'a' or endswith(mail,'b')", Some("endsWith")),
            ("proxyAddresses/$count eq 0", Some("$count")),
        ] {
            let filter = Filter::parse(filter).unwrap();
            assert_eq!(filter.advanced_operator(), expected);
        }
    }
}
