//! Tokens for another API on behalf of the user who called this one.

use async_trait::async_trait;

use crate::token::UserAssertion;
use crate::{AccessToken, ConfidentialClient, Error, Secret, TokenCredential, TokenRequest};

/// Yields tokens on behalf of one user (RFC 7523 2.1; Microsoft Learn, "OAuth 2.0 On-Behalf-Of
/// flow"). Made by [`ConfidentialClient::on_behalf_of`]; a clone is cheap.
///
/// Where the user has to act, for a second factor or for consent, the answer is an error with
/// [`needs_user`](Error::needs_user), whose [`claims`](Error::claims) go back to the caller in a
/// 401: only the program in front of the user can answer.
#[derive(Clone, Debug)]
pub struct OnBehalfOf {
    client: ConfidentialClient,
    user: UserAssertion,
}

impl OnBehalfOf {
    pub(crate) fn new(client: ConfidentialClient, user_token: Secret) -> Self {
        Self {
            client,
            user: UserAssertion::new(user_token),
        }
    }

    /// A token for this request, from the cache or from the token endpoint.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        self.client.token(&self.of_user(request)).await
    }

    fn of_user(&self, request: &TokenRequest) -> TokenRequest {
        request.clone().for_user(self.user.clone())
    }
}

#[async_trait]
impl TokenCredential for OnBehalfOf {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.client.invalidate(&self.of_user(request), token);
    }
}
