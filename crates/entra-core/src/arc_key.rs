//! The key with which Azure Arc's agent makes sure that a caller is on its machine (Microsoft
//! Learn, "Authenticate against Azure resources with Azure Arc-enabled servers").

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::machine_file::read_machine_file;
use crate::workload_identity::value;
use crate::{ManagedIdentityError, Secret};

/// The folder where the agent writes its keys.
pub(crate) fn key_folder(
    environment: &HashMap<String, String>,
) -> Result<PathBuf, ManagedIdentityError> {
    if cfg!(windows) {
        let data = value(environment, "ProgramData").ok_or(ManagedIdentityError::NoProgramData)?;
        return Ok(Path::new(data)
            .join("AzureConnectedMachineAgent")
            .join("Tokens"));
    }
    Ok(PathBuf::from("/var/opt/azcmagent/tokens"))
}

/// Reads the key that a challenge names.
///
/// Whoever answers in the agent's place must not make us send it any file it likes: the file is in
/// the agent's folder, is a key by its name, and is small.
pub(crate) async fn read_key(
    challenge: Option<&str>,
    folder: &Path,
) -> Result<Secret, ManagedIdentityError> {
    let path = challenge
        .and_then(path_in)
        .ok_or(ManagedIdentityError::NoChallenge)?;
    if path.parent() != Some(folder) || path.extension().is_none_or(|ending| ending != "key") {
        return Err(ManagedIdentityError::ForeignKeyFile);
    }
    read_machine_file(path.to_owned(), LARGEST_KEY)
        .await
        .map_err(ManagedIdentityError::KeyFile)
}

/// The path in `Basic realm=<path>`, which the agent writes without quotes.
fn path_in(challenge: &str) -> Option<&Path> {
    let (scheme, parameters) = challenge.trim().split_once(' ')?;
    let path = parameters.trim().strip_prefix("realm=")?.trim_matches('"');
    (scheme.eq_ignore_ascii_case("basic") && !path.is_empty()).then(|| Path::new(path))
}

/// In bytes.
const LARGEST_KEY: u64 = 4096;
