//! `addKey` and `removeKey`: an app rolls its own certificates, and proves with one that it holds
//! another (Microsoft Learn, "application: addKey", "application: removeKey" and "Generate proof of
//! possession tokens for rolling keys").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{CertificateError, ObjectId, Secret, SigningCertificate};
use http::Method;
use serde::Serialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::app_credential::certificate_to_add;
use crate::application::{Applications, WRITE_PERMISSION};
use crate::client::{Request, Route};
use crate::{Error, KeyCredential, NewKey};

/// The proof that an app holds a certificate which is registered with it and valid now.
///
/// It is valid for ten minutes, for one app.
///
/// ```
/// # use entra_core::{CertificateOptions, ObjectId, SigningCertificate};
/// # use entra_graph::{Error, GraphClient, KeyCredential, KeyProof, NewKey};
/// # use time::OffsetDateTime;
/// async fn roll(
///     graph: &GraphClient,
///     app: &ObjectId,
///     old: &SigningCertificate,
///     new: &SigningCertificate,
///     now: OffsetDateTime,
/// ) -> Result<KeyCredential, Error> {
///     let proof = KeyProof::sign(old, app, now)?;
///     graph.applications().add_key(app, NewKey::from(new.certificate()), &proof).await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct KeyProof(Secret);

impl KeyProof {
    /// Signs a proof for the app with this *object* id. `now` is Entra's time of day, as far as it
    /// is known.
    pub fn sign(
        certificate: &SigningCertificate,
        app: &ObjectId,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let public = certificate.certificate();
        let thumbprint = public.thumbprint_sha1();
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            x5t: URL_SAFE_NO_PAD.encode(from_hex(&thumbprint)),
            kid: thumbprint,
        };
        let claims = Claims {
            aud: DIRECTORY,
            iss: app,
            nbf: (now - CLOCK_SKEW).unix_timestamp(),
            exp: (now - CLOCK_SKEW + LIFETIME).unix_timestamp(),
        };
        let mut jwt = [encode(&header)?, encode(&claims)?].join(".");
        let signature = certificate
            .sign_rs256(jwt.as_bytes())
            .map_err(entra_core::Error::from)?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(Self(Secret::new(jwt)))
    }
}

impl Applications<'_> {
    /// Adds a certificate by proof. An app needs no permission of Graph to do so with itself.
    ///
    /// A repetition adds it once more: look at [`key_credentials`](Self::key_credentials) first.
    pub async fn add_key(
        &self,
        app: &ObjectId,
        new: NewKey,
        proof: &KeyProof,
    ) -> Result<KeyCredential, Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let url = self
            .client
            .url(&["applications", &app.to_string(), "addKey"])?;
        let body = json!({
            "keyCredential": certificate_to_add(new, None),
            "passwordCredential": null,
            "proof": proof.0.expose(),
        });
        let request = Request::new(Method::POST, ADD_KEY, url).with_json(&body)?;
        self.client.send(request).await?.json()
    }

    /// Removes a certificate by proof, which may be signed with the very one. One that does not
    /// exist counts as removed.
    pub async fn remove_key(
        &self,
        app: &ObjectId,
        key_id: &Uuid,
        proof: &KeyProof,
    ) -> Result<(), Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let url = self
            .client
            .url(&["applications", &app.to_string(), "removeKey"])?;
        let request = Request::new(Method::POST, REMOVE_KEY, url)
            .with_json(&json!({"keyId": key_id, "proof": proof.0.expose()}))?
            .idempotent();
        match self.client.send(request).await {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
    kid: String,
    x5t: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'static str,
    iss: &'a ObjectId,
    nbf: i64,
    exp: i64,
}

fn encode(part: &impl Serialize) -> Result<String, Error> {
    serde_json::to_vec(part)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .map_err(|_| entra_core::Error::from(CertificateError::CannotSign).into())
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Graph answers 404 where the app is gone, and 400 where the certificate is.
fn is_gone(error: &Error) -> bool {
    let no_such_key = |error: &crate::GraphError| {
        error.status.as_u16() == 400 && error.message.contains("No credential found")
    };
    error.is_not_found() || error.graph().is_some_and(no_such_key)
}

const ADD_KEY: Route = Route::new("POST /applications/{id}/addKey", WRITE_PERMISSION);
const REMOVE_KEY: Route = Route::new("POST /applications/{id}/removeKey", WRITE_PERMISSION);

/// Entra ID's directory, for which every proof is. One page of Learn names Microsoft Graph, which
/// is refused.
const DIRECTORY: &str = "00000002-0000-0000-c000-000000000000";
/// The longest that is accepted, from `nbf` to `exp`.
const LIFETIME: Duration = Duration::minutes(10);
/// How much this machine's clock may be ahead of Entra's.
const CLOCK_SKEW: Duration = Duration::minutes(1);

#[cfg(test)]
mod tests {
    use entra_core::CertificateOptions;
    use serde_json::Value;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_proof_says_who_it_is_for_and_for_how_long() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let options = CertificateOptions::new("Proof");
        let certificate = SigningCertificate::generate(&options, now).unwrap();
        let app = ObjectId::parse("11111111-2222-4333-8444-555555555555").unwrap();
        let proof = KeyProof::sign(&certificate, &app, now).unwrap();
        let parts: Vec<Vec<u8>> = proof
            .0
            .expose()
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let [header, claims, signature] = parts.as_slice() else {
            panic!("a proof has three parts")
        };
        let header: Value = serde_json::from_slice(header).unwrap();
        let thumbprint = certificate.certificate().thumbprint_sha1();
        assert_eq!(
            (&header["alg"], &header["typ"], &header["kid"]),
            (&json!("RS256"), &json!("JWT"), &json!(thumbprint))
        );
        let x5t = URL_SAFE_NO_PAD.decode(header["x5t"].as_str().unwrap());
        let digits: String = x5t.unwrap().iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(digits, thumbprint);
        let claims: Value = serde_json::from_slice(claims).unwrap();
        assert_eq!(
            claims,
            json!({"aud": "00000002-0000-0000-c000-000000000000",
                "iss": "11111111-2222-4333-8444-555555555555",
                "nbf": 1_767_225_540, "exp": 1_767_226_140})
        );
        assert_eq!(signature.len(), 256);
        assert!(!format!("{proof:?}").contains(proof.0.expose()));
    }
}
