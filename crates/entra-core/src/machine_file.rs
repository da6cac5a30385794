//! Small files that a machine writes for its workloads: a projected token, the key of a challenge.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::Secret;

/// The text of a file of at most `limit` bytes, without the space around it.
pub(crate) async fn read_machine_file(path: PathBuf, limit: u64) -> io::Result<Secret> {
    tokio::task::spawn_blocking(move || read(&path, limit))
        .await
        .map_err(io::Error::other)?
}

fn read(path: &Path, limit: u64) -> io::Result<Secret> {
    let file = File::open(path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(limit + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > limit) {
        let text = format!("the file is larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(Secret::new(text.trim()))
}
