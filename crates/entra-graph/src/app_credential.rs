//! The credentials of an app: client secrets and certificates.

use std::time::Duration;

use entra_core::{Certificate, ObjectId, Secret};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_with::skip_serializing_none;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::application::{Applications, WRITE_PERMISSION};
use crate::client::{Request, Route};
use crate::{Binary, Error, Query};

/// A certificate of an app (`microsoft.graph.keyCredential`).
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyCredential {
    /// The id within the app.
    pub key_id: Option<Uuid>,
    /// The name to show.
    pub display_name: Option<String>,
    /// From when on it is accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_date_time: Option<OffsetDateTime>,
    /// Until when it is accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_date_time: Option<OffsetDateTime>,
    /// `AsymmetricX509Cert` for a certificate.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `Verify` for a certificate that the app signs in with.
    pub usage: Option<String>,
    /// The thumbprint, unless the app's owner chose something else.
    pub custom_key_identifier: Option<String>,
    /// The certificate in DER. Null when it is sent back: Graph keeps what it has.
    #[serialize_always]
    pub key: Option<Binary>,
}

impl KeyCredential {
    /// Whether it is this certificate: by its bytes, or by the thumbprint where Graph left them out.
    pub(crate) fn is_certificate(&self, certificate: &Certificate) -> bool {
        let has_bytes = |key: &Binary| key.as_bytes() == certificate.der();
        let has_thumbprint =
            |found: &String| found.eq_ignore_ascii_case(&certificate.thumbprint_sha1());
        self.key.as_ref().is_some_and(has_bytes)
            || self
                .custom_key_identifier
                .as_ref()
                .is_some_and(has_thumbprint)
    }
}

/// A client secret of an app, without its text (`microsoft.graph.passwordCredential`).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordCredential {
    /// The id within the app: what the portal calls «Secret ID».
    pub key_id: Option<Uuid>,
    /// The name to show.
    pub display_name: Option<String>,
    /// From when on it is accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_date_time: Option<OffsetDateTime>,
    /// Until when it is accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_date_time: Option<OffsetDateTime>,
    /// The first three characters.
    pub hint: Option<String>,
}

/// A client secret that was made just now. Its text is shown this once.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct NewPassword {
    /// The id within the app.
    #[serde(rename = "keyId")]
    pub key_id: Uuid,
    /// The text.
    #[serde(rename = "secretText")]
    pub secret: Secret,
    /// Until when it is accepted.
    #[serde(rename = "endDateTime", default, with = "time::serde::rfc3339::option")]
    pub end: Option<OffsetDateTime>,
    /// The first three characters.
    pub hint: Option<String>,
}

/// A certificate to add to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewKey {
    /// The name to show.
    pub display_name: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// From when on it is accepted.
    pub start: Option<OffsetDateTime>,
    /// Until when it is accepted.
    pub end: Option<OffsetDateTime>,
}

impl NewKey {
    /// A certificate in DER, with the times that it carries itself.
    pub fn new(display_name: impl Into<String>, der: impl Into<Vec<u8>>) -> Self {
        Self {
            display_name: display_name.into(),
            der: der.into(),
            start: None,
            end: None,
        }
    }

    /// Accepts it from `start` to `end`, within the times that the certificate carries itself.
    #[must_use]
    pub fn with_validity(mut self, start: OffsetDateTime, end: OffsetDateTime) -> Self {
        self.start = Some(start);
        self.end = Some(end);
        self
    }
}

impl From<&Certificate> for NewKey {
    fn from(certificate: &Certificate) -> Self {
        Self::new(certificate.subject(), certificate.der())
            .with_validity(certificate.not_before(), certificate.not_after())
    }
}

impl Applications<'_> {
    /// Makes a client secret. Graph chooses its text and sends it in this answer alone; if the
    /// answer is lost, the secret is of no use, and the call is not repeated.
    pub async fn add_password(
        &self,
        app: &ObjectId,
        display_name: &str,
        end: Option<OffsetDateTime>,
    ) -> Result<NewPassword, Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let body = AddPassword {
            password_credential: KeyTimes {
                display_name,
                end_date_time: end,
            },
        };
        let url = self
            .client
            .url(&["applications", &app.to_string(), "addPassword"])?;
        let request = Request::new(Method::POST, ADD_PASSWORD, url).with_json(&body)?;
        self.client.send(request).await?.json()
    }

    /// Removes a client secret. One that does not exist counts as removed.
    pub async fn remove_password(&self, app: &ObjectId, key_id: &Uuid) -> Result<(), Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let url = self
            .client
            .url(&["applications", &app.to_string(), "removePassword"])?;
        let request = Request::new(Method::POST, REMOVE_PASSWORD, url)
            .with_json(&json!({"keyId": key_id}))?
            .idempotent();
        match self.client.send(request).await {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The certificates of an app, with their bytes.
    pub async fn key_credentials(&self, app: &ObjectId) -> Result<Vec<KeyCredential>, Error> {
        // Graph fills in `key` only where it is selected on a single object.
        let query = Query::new().select(["id", "keyCredentials"]);
        let path = ["applications", &app.to_string()];
        let found: Keys = self.client.get(KEYS, &path, &query).await?;
        Ok(found.key_credentials)
    }

    /// Adds a certificate and returns it as Graph has it. One that is there already is returned
    /// as it is.
    ///
    /// Graph replaces the whole collection: the certificates that are there are read, sent back
    /// and kept. Within a process the writers to one app wait for each other; across processes
    /// the result is verified, and what another writer undid is done again.
    pub async fn add_certificate(
        &self,
        app: &ObjectId,
        new: NewKey,
    ) -> Result<KeyCredential, Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let der = Binary::from(new.der.clone());
        let added = certificate_to_add(new, Some(Uuid::new_v4()));
        let is_there = |keys: &[KeyCredential]| {
            let found = keys.iter().find(|key| key.key.as_ref() == Some(&der));
            found.cloned()
        };
        if let Some(found) = is_there(&self.key_credentials(app).await?) {
            return Ok(found);
        }
        for _ in 0..ATTEMPTS {
            let mut keys = self.agreed_keys(app).await?;
            if let Some(found) = is_there(&keys) {
                return Ok(found);
            }
            keys.iter_mut().for_each(|key| key.key = None);
            keys.push(added.clone());
            self.replace_keys(app, keys).await?;
            let is_added = |keys: &[KeyCredential]| {
                keys.iter().find(|key| key.key_id == added.key_id).cloned()
            };
            if let Some(found) = self.until_keys(app, "the certificate", is_added).await? {
                return Ok(found);
            }
        }
        Err(Error::Contended {
            what: "the app's certificates",
            attempts: ATTEMPTS,
        })
    }

    /// Removes a certificate and keeps the others. Returns whether it was there.
    pub async fn remove_certificate(&self, app: &ObjectId, key_id: &Uuid) -> Result<bool, Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        for attempt in 0..ATTEMPTS {
            let mut keys = self.agreed_keys(app).await?;
            let before = keys.len();
            keys.retain(|key| key.key_id.as_ref() != Some(key_id));
            if keys.len() == before {
                return Ok(attempt > 0);
            }
            keys.iter_mut().for_each(|key| key.key = None);
            self.replace_keys(app, keys).await?;
            let is_gone = |keys: &[KeyCredential]| {
                let found = keys.iter().any(|key| key.key_id.as_ref() == Some(key_id));
                (!found).then_some(())
            };
            if self
                .until_keys(app, "the removal of the certificate", is_gone)
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        Err(Error::Contended {
            what: "the app's certificates",
            attempts: ATTEMPTS,
        })
    }

    /// The certificates as several replicas in a row show them: what a replica that is behind
    /// leaves out would be lost.
    async fn agreed_keys(&self, app: &ObjectId) -> Result<Vec<KeyCredential>, Error> {
        self.client
            .recently_created("the app's certificates")
            .until_agreed(|| self.key_credentials(app))
            .await
    }

    async fn replace_keys(&self, app: &ObjectId, keys: Vec<KeyCredential>) -> Result<(), Error> {
        self.patch(
            app,
            &Keys {
                key_credentials: keys,
            },
        )
        .await
    }

    /// Reads the certificates until `seen` holds at each look; nothing if it does not come to
    /// that, which means that another writer was there.
    async fn until_keys<T: Send>(
        &self,
        app: &ObjectId,
        what: &'static str,
        seen: impl Fn(&[KeyCredential]) -> Option<T> + Send + Sync,
    ) -> Result<Option<T>, Error> {
        let seen = &seen;
        let look = || async move { Ok(seen(&self.key_credentials(app).await?)) };
        let result = self
            .client
            .recently_created(what)
            .within(LOST_AFTER)
            .until_visible(look)
            .await;
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotReplicated { source: None, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddPassword<'a> {
    password_credential: KeyTimes<'a>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyTimes<'a> {
    display_name: &'a str,
    #[serde(with = "time::serde::rfc3339::option")]
    end_date_time: Option<OffsetDateTime>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    key_credentials: Vec<KeyCredential>,
}

/// A certificate as it is written to Graph.
pub(crate) fn certificate_to_add(new: NewKey, key_id: Option<Uuid>) -> KeyCredential {
    KeyCredential {
        key_id,
        display_name: Some(new.display_name),
        start_date_time: new.start,
        end_date_time: new.end,
        kind: Some("AsymmetricX509Cert".to_owned()),
        usage: Some("Verify".to_owned()),
        custom_key_identifier: None,
        key: Some(new.der.into()),
    }
}

/// Graph answers 404 where the app is gone, and 400 where the secret is.
fn is_gone(error: &Error) -> bool {
    let no_such_key = |error: &crate::GraphError| {
        error.status.as_u16() == 400 && error.message.contains("No password credential found")
    };
    error.is_not_found() || error.graph().is_some_and(no_such_key)
}

const ADD_PASSWORD: Route = Route::new("POST /applications/{id}/addPassword", WRITE_PERMISSION);
const REMOVE_PASSWORD: Route =
    Route::new("POST /applications/{id}/removePassword", WRITE_PERMISSION);
const KEYS: Route = Route::new(
    "GET /applications/{id}?$select=keyCredentials",
    "Application.Read.All",
);

/// How often a lost change is made again.
const ATTEMPTS: u32 = 5;

/// A change that is not visible after this time was undone by another writer.
const LOST_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_sent_back_is_null_and_not_absent() {
        let key = KeyCredential {
            key_id: Some(Uuid::from_u128(1)),
            ..KeyCredential::default()
        };
        assert_eq!(
            serde_json::to_string(&key).unwrap(),
            r#"{"keyId":"00000000-0000-0000-0000-000000000001","key":null}"#
        );
    }

    #[test]
    fn a_new_secret_is_not_shown() {
        let password: NewPassword = serde_json::from_str(
            r#"{"keyId":"00000000-0000-0000-0000-000000000001","secretText":"canary~text","hint":"can",
            "endDateTime":"2027-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(password.secret.expose(), "canary~text");
        assert!(!format!("{password:?}").contains("canary~text"));
    }
}
