//! The programs are the examples of this package: `cargo run --example link`. What they share is
//! how they end.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use entra_core::error_chain;

/// Ends a program: with status 0, or with status 1 and what went wrong on standard error.
pub fn exit(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explained(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, and with what an administrator can do about it where that is known.
pub fn explained(error: &(dyn Error + 'static)) -> String {
    let text = error_chain(error);
    let mut causes = std::iter::successors(Some(error), |error| (**error).source());
    match causes.find_map(admin_hint) {
        Some(hint) => format!("{text}. {hint}"),
        None => text,
    }
}

/// Says in which argument or file an error is: `.map_err(at("--issuer"))`.
pub fn at<E: Into<Box<dyn Error>>>(place: impl Into<String>) -> impl FnOnce(E) -> Box<dyn Error> {
    let place = place.into();
    |error| {
        Box::new(At {
            place,
            error: error.into(),
        })
    }
}

#[derive(Debug)]
struct At {
    place: String,
    error: Box<dyn Error>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Error for At {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

fn admin_hint(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<entra_oidc::Error>() {
        return Some(error.admin_hint());
    }
    if let Some(error) = error.downcast_ref::<entra_oidc::OptionsError>() {
        return Some(error.admin_hint().to_owned());
    }
    let error = error.downcast_ref::<entra_core::Error>();
    error.map(entra_core::Error::admin_hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_argument_and_its_cause() {
        let error = "x".parse::<u8>().map_err(at("--number x")).unwrap_err();
        assert_eq!(
            explained(&*error),
            "--number x: invalid digit found in string"
        );
    }

    #[test]
    fn an_error_of_a_login_comes_with_its_hint() {
        let error = at("the login")(entra_oidc::Error::NoRefreshToken);
        assert_eq!(
            explained(&*error),
            "the login: the login has no refresh token. Have the product ask for the scope \
             offline_access."
        );
    }

    #[test]
    fn settings_that_cannot_be_come_with_their_hint() {
        let error = at("--issuer")(entra_oidc::OptionsError::NotOneTenant);
        assert_eq!(
            explained(&*error),
            "--issuer: one tenant is expected, not common, organizations or consumers. Give the \
             tenant's id or one of its domains."
        );
    }
}

/// The quick start of the project's front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-core/README.md")]
struct CoreReadme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-graph/README.md")]
struct GraphReadme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-oidc/README.md")]
struct OidcReadme;
