//! A session that is renewed: the same user, as the provider sees them now (OpenID Connect Core
//! 12).

use entra_core::Secret;

use crate::{EntraLogin, Error, ExpectedLogin, ExpectedNonce, Tokens, User, VerifiedIdToken};

impl EntraLogin {
    /// Renews the tokens of a login and asks the provider on the way whether the user may still
    /// sign in: roles and groups are those of now, and a user who was disabled is refused.
    ///
    /// `claims` answers a claims challenge of an API (Continuous Access Evaluation).
    ///
    /// # Errors
    /// [`Error::Token`] whose [`needs_user`](Error::needs_user) says that the user has to sign in
    /// again, for a second factor for example, with [`Error::claims`] for that login;
    /// [`Error::NoRefreshToken`]; [`Error::Refresh`] where the answer is about somebody else.
    pub async fn refresh(
        &self,
        user: &User,
        tokens: &Tokens,
        claims: Option<&str>,
    ) -> Result<Renewed, Error> {
        let published = self.0.provider.published();
        let before = tokens.id_token();
        let renewed = self
            .0
            .party
            .renew(&published.configuration, tokens, claims)
            .await?;
        let after = renewed.id_token();
        let Some(token) = after.filter(|after| before.as_ref() != Some(after)) else {
            // A provider may renew without one (OpenID Connect Core 12.2).
            return Ok(Renewed {
                user: user.clone(),
                tokens: renewed,
            });
        };
        let expected = ExpectedLogin::new(ExpectedNonce::NotCheckedOnRefresh);
        let validator = &self.0.validator;
        let token = validator
            .validate(token.expose(), &expected, self.now())
            .await?;
        check_same(user, &token, tokens.nonce())?;
        let renewed_user = token.user(self.profile().as_str());
        Ok(Renewed {
            user: self.with_groups(renewed_user).await,
            tokens: renewed,
        })
    }
}

/// A renewed session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Renewed {
    /// The user, as the provider sees them now.
    pub user: User,
    /// The tokens that take the place of the old ones.
    pub tokens: Tokens,
}

/// OpenID Connect Core 12.2, and Entra's own identity.
fn check_same(
    user: &User,
    token: &VerifiedIdToken,
    nonce: Option<&Secret>,
) -> Result<(), RefreshRefusal> {
    for (claim, is_same) in [
        ("iss", token.issuer() == user.issuer()),
        ("sub", token.subject() == user.subject()),
        ("the user", token.key() == user.key()),
    ] {
        if !is_same {
            return Err(RefreshRefusal::Changed(claim));
        }
    }
    if token.issued_on() < user.issued_on() {
        return Err(RefreshRefusal::Older);
    }
    if nonce.and_then(|nonce| token.has_nonce(nonce.expose())) == Some(false) {
        return Err(RefreshRefusal::Changed("nonce"));
    }
    Ok(())
}

/// Why a renewed session is refused (OpenID Connect Core 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// A claim that must stay the same is another one.
    #[error("{0} of the renewed session is another one")]
    Changed(&'static str),
    /// The ID token is older than the one before.
    #[error("the ID token of the renewed session is older than the one before")]
    Older,
}
