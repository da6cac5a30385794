//! What attackers and broken providers send: tokens that say anything, signed by anybody, and
//! answers that are not what they should be.

mod change;
mod signer;

use serde_json::{Map, Value};

pub use change::{AnswerChange, IdTokenChange, ParameterChange};
pub(crate) use change::{Forgeries, IdTokenEndpoint};
pub use signer::Signer;

use crate::access_token::{AppToken, ClientProof, LIFETIME};
use crate::claims_request::ClaimsRequest;
use crate::client::{Client, Platform};
use crate::delegated_token::DelegatedToken;
use crate::emulator::{Emulator, UnknownPrincipal};
use crate::fault::{self, FaultRuleError};
use crate::id_token::IdToken;
use crate::keys::serialize;
use crate::scope::ScopeRequest;
use crate::sessions::UserGrant;
use crate::sign_in::SignIn;
use crate::tenant::{Object, text_of};
use crate::tenant_keys::UnknownKey;

/// Makes what a validator must refuse.
///
/// A forged token begins as a good one, and has one thing changed:
///
/// ```
/// use entra_emulator::{Emulator, IdTokenChange, Seed, Signer};
///
/// let tenant = Emulator::new(Seed::new());
/// let (app, user) = (tenant.web_app(), tenant.users().remove(0));
/// let forge = tenant.forge();
/// let mut claims =
///     forge.id_token_claims(&app.client_id, &user.user_principal_name, "the nonce")?;
/// claims["tid"] = "another".into();
/// let token = forge.token(&claims, &Signer::Current)?;
/// assert_eq!(token.split('.').count(), 3);
/// // Or the tenant itself sends it, the next time that somebody signs in.
/// forge.next_id_token(IdTokenChange::new().with_claim("tid", "another"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forge {
    emulator: Emulator,
}

impl Emulator {
    /// What attackers and broken providers send, for tests of what has to refuse it.
    pub fn forge(&self) -> Forge {
        Forge {
            emulator: self.clone(),
        }
    }
}

/// Tokens.
impl Forge {
    /// The claims of a good ID token that this application would get for this user now, with the
    /// scopes `openid`, `profile` and `email`.
    pub fn id_token_claims(
        &self,
        client_id: &str,
        user_principal_name: &str,
        nonce: &str,
    ) -> Result<Value, UnknownPrincipal> {
        self.emulator.with_sign_in(|sign_in| {
            let (client, user) = parties(sign_in, client_id, user_principal_name)?;
            let grant = grant(sign_in, &client, user, nonce);
            let scope = ScopeRequest::parse(&grant.scope).unwrap_or_default();
            let token = IdToken {
                client: &client,
                user,
                grant: &grant,
                scope: &scope,
                code: None,
                endpoint: IdTokenEndpoint::Token,
                is_in_fragment: false,
            };
            let claims = token.claims(sign_in.tenant, sign_in.origin, sign_in.now);
            Ok(Value::Object(claims))
        })
    }

    /// The claims of a good access token with which this application acts for this user at a
    /// resource, named by client id or URI. `scopes` becomes `scp` as it stands.
    pub fn access_token_claims(
        &self,
        (client_id, user_principal_name): (&str, &str),
        resource: &str,
        scopes: &str,
    ) -> Result<Value, UnknownPrincipal> {
        self.emulator.with_sign_in(|sign_in| {
            let (client, user) = parties(sign_in, client_id, user_principal_name)?;
            let grant = grant(sign_in, &client, user, "");
            let token = DelegatedToken {
                client: &client,
                resource: find_resource(sign_in, resource)?,
                audience: resource,
                user,
                session: &grant.session,
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
                proof: ClientProof::Secret,
                claims: &grant.claims,
            };
            let claims = token.claims(sign_in.tenant, sign_in.origin, sign_in.now);
            Ok(Value::Object(claims))
        })
    }

    /// The claims of a good access token with which this application acts for itself at a
    /// resource. `roles` becomes `roles` as it stands.
    pub fn app_token_claims(
        &self,
        client_id: &str,
        resource: &str,
        roles: &[&str],
    ) -> Result<Value, UnknownPrincipal> {
        self.emulator.with_sign_in(|sign_in| {
            let client = find_client(sign_in, client_id)?;
            let token = AppToken {
                client: client.principal,
                resource: find_resource(sign_in, resource)?,
                audience: resource,
                roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                proof: ClientProof::Secret,
                lifetime: LIFETIME,
                extra: Map::new(),
            };
            let claims = token.claims(sign_in.tenant, sign_in.origin, sign_in.now);
            Ok(Value::Object(claims))
        })
    }

    /// The header that a token of these claims has where this signer signs it with RS256. One
    /// without an RSA key claims to be the tenant.
    pub fn header(&self, claims: &Value, signer: &Signer) -> Result<Value, UnknownKey> {
        self.with_signer(signer, |sign_in| {
            let ring = &sign_in.tenant.keys;
            let key = signer.key(ring).unwrap_or_else(|| ring.signing());
            key.header(claims)
        })
    }

    /// A token of these claims with the usual header.
    pub fn token(&self, claims: &Value, signer: &Signer) -> Result<String, UnknownKey> {
        let header = self.header(claims, signer)?;
        self.sign(&header, claims, signer)
    }

    /// A token of this header and these claims.
    pub fn sign(
        &self,
        header: &Value,
        claims: &Value,
        signer: &Signer,
    ) -> Result<String, UnknownKey> {
        self.sign_text(&header.to_string(), &claims.to_string(), signer)
    }

    /// A token whose header and payload are these texts, be they JSON or not: for members that
    /// come twice, and worse.
    pub fn sign_text(
        &self,
        header: &str,
        payload: &str,
        signer: &Signer,
    ) -> Result<String, UnknownKey> {
        let parsed: Option<Map<String, Value>> = serde_json::from_str(header).ok();
        let algorithm = parsed
            .as_ref()
            .map(|header| text_of(header, "alg"))
            .unwrap_or_default();
        self.with_signer(signer, |sign_in| {
            serialize(header.as_bytes(), payload.as_bytes(), |input| {
                signer.signature(&sign_in.tenant.keys, algorithm, input)
            })
        })
    }

    /// The public key of a signer as PEM (RFC 7468 13), for those who take it for a secret.
    /// Nothing for one without an RSA key.
    pub fn public_key_pem(&self, signer: &Signer) -> Result<Option<String>, UnknownKey> {
        let der = self.public_key_der(signer)?;
        Ok(der.map(|der| pem::encode(&pem::Pem::new("PUBLIC KEY", der))))
    }

    /// The same as DER.
    pub fn public_key_der(&self, signer: &Signer) -> Result<Option<Vec<u8>>, UnknownKey> {
        self.with_signer(signer, |sign_in| {
            signer
                .key(&sign_in.tenant.keys)
                .map(|key| key.public_key_info().to_vec())
        })
    }

    /// The same as an entry of a key set, without `issuer` and `cloud_instance_name`.
    pub fn jwk(&self, signer: &Signer) -> Result<Option<Value>, UnknownKey> {
        self.with_signer(signer, |sign_in| {
            let key = signer.key(&sign_in.tenant.keys);
            key.map(|key| Value::Object(key.jwk()))
        })
    }

    fn with_signer<T>(
        &self,
        signer: &Signer,
        act: impl FnOnce(&mut SignIn<'_>) -> T,
    ) -> Result<T, UnknownKey> {
        self.emulator
            .with_sign_in(|sign_in| match signer.unknown(&sign_in.tenant.keys) {
                Some(name) => Err(UnknownKey {
                    found: name.to_owned(),
                }),
                None => Ok(act(sign_in)),
            })
    }
}

/// Answers.
impl Forge {
    /// Changes the next ID token that the tenant issues. Several changes wait for as many tokens.
    pub fn next_id_token(&self, change: IdTokenChange) -> Result<(), UnknownKey> {
        let signer = change.signer().cloned().unwrap_or(Signer::Current);
        self.with_signer(&signer, |sign_in| {
            sign_in.tenant.forgeries.add_id_token(change);
        })
    }

    /// Changes what the browser brings back from the next authorization request. Several changes
    /// are made at once.
    pub fn next_authorization_response(&self, change: ParameterChange) {
        self.emulator
            .with_tenant(|tenant| tenant.forgeries.add_parameter(change));
    }

    /// Changes the next answer of the token endpoint. Several changes wait for as many answers.
    pub fn next_token_response(&self, change: AnswerChange) {
        self.emulator.with_tenant(|tenant| {
            let path = "POST */oauth2/v2.0/token";
            tenant.forgeries.add_answer(path, 1, change);
        });
    }

    /// Changes that many answers to requests for this path, which is written as that of a
    /// [`FaultRule`](crate::FaultRule): of the configuration document, of the key set, of UserInfo.
    pub fn answers(
        &self,
        path: &str,
        times: u32,
        change: AnswerChange,
    ) -> Result<(), FaultRuleError> {
        fault::check_path(path)?;
        if times == 0 {
            return Err(FaultRuleError::Times);
        }
        self.emulator
            .with_tenant(|tenant| tenant.forgeries.add_answer(path, times, change));
        Ok(())
    }
}

fn parties<'a>(
    sign_in: &'a SignIn<'_>,
    client_id: &str,
    user_principal_name: &str,
) -> Result<(Client<'a>, &'a Object), UnknownPrincipal> {
    let client = find_client(sign_in, client_id)?;
    let user = sign_in.tenant.find_user(user_principal_name);
    let user = user.ok_or_else(|| unknown(user_principal_name))?;
    Ok((client, user))
}

fn find_client<'a>(
    sign_in: &'a SignIn<'_>,
    client_id: &str,
) -> Result<Client<'a>, UnknownPrincipal> {
    Client::find(sign_in.tenant, client_id, sign_in.now).map_err(|_| unknown(client_id))
}

fn find_resource<'a>(
    sign_in: &'a SignIn<'_>,
    resource: &str,
) -> Result<&'a Object, UnknownPrincipal> {
    let found = sign_in.tenant.resource(resource);
    found.ok_or_else(|| unknown(resource))
}

fn unknown(found: &str) -> UnknownPrincipal {
    UnknownPrincipal {
        found: found.to_owned(),
    }
}

fn grant(sign_in: &SignIn<'_>, client: &Client<'_>, user: &Object, nonce: &str) -> UserGrant {
    UserGrant {
        app_id: client.app_id().to_owned(),
        platform: Platform::Web,
        session: sign_in.new_session(text_of(user, "id")),
        scope: "openid profile email".to_owned(),
        claims: ClaimsRequest::default(),
        nonce: Some(nonce.to_owned()),
    }
}
