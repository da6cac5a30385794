//! The agent of Azure Arc and the files with which it makes sure that a caller is on its machine
//! (Microsoft Learn, "Authenticate against Azure resources with Azure Arc-enabled servers"): it
//! writes a secret to a file, names the file in a challenge, and wants the secret back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_core::Secret;
use http::Request;
use http::header::AUTHORIZATION;
use uuid::Uuid;

/// Where the keys are, and those that nobody has used yet.
#[derive(Debug)]
pub(crate) struct ArcAgent {
    folder: PathBuf,
    keys: Mutex<Vec<Key>>,
}

/// What a caller has to do.
#[derive(Debug)]
pub(crate) enum Challenge {
    /// Nothing: it knows a key.
    Met,
    /// Read this file and come again.
    Set(String),
    /// The file could not be written.
    Failed(io::Error),
}

impl ArcAgent {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            keys: Mutex::default(),
        }
    }

    /// Uses a key up, or makes another. That a key opens once is this agent's; how long a real one
    /// keeps its files is not verified.
    pub(crate) fn check(&self, request: &Request<Bytes>) -> Challenge {
        let given = request.headers().get(AUTHORIZATION);
        let given = given
            .and_then(|value| value.to_str().ok()?.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .map(|(_, secret)| Secret::new(secret.trim()));
        let mut keys = self.lock();
        let used = given.and_then(|given| keys.iter().position(|key| key.secret == given));
        if let Some(used) = used {
            keys.remove(used).discard();
            return Challenge::Met;
        }
        if keys.len() == MOST_KEYS {
            keys.remove(0).discard();
        }
        match Key::make(&self.folder) {
            Ok(key) => {
                let path = key.path.to_string_lossy().into_owned();
                keys.push(key);
                Challenge::Set(path)
            }
            Err(error) => Challenge::Failed(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ArcAgent {
    fn drop(&mut self) {
        for key in self.lock().drain(..) {
            key.discard();
        }
    }
}

#[derive(Debug)]
struct Key {
    path: PathBuf,
    secret: Secret,
}

impl Key {
    fn make(folder: &Path) -> io::Result<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        let path = folder.join(format!("{}.key", Uuid::new_v4()));
        create(&path)?.write_all(secret.expose().as_bytes())?;
        Ok(Self { path, secret })
    }

    fn discard(self) {
        // Whoever has removed the file already did no harm.
        let _ = fs::remove_file(self.path);
    }
}

/// A new file that its owner alone can read.
#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

/// Challenges that nobody answers must not fill the disk.
const MOST_KEYS: usize = 64;
