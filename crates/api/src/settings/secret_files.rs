//! Secrets that are in files, as Docker and Kubernetes hand them over.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use fields::{Faults, Place};
use runtime::read_bounded;

use super::reader::variable;

/// The settings that a file may have: `APP__ADMIN__TOKEN_FILE` names that of `admin.token`.
/// Settings of their own may end the same way, as `auth.jwks_file` does.
const SECRETS: [&str; 10] = [
    "admin.token",
    "auth.hmac_secret",
    "auth.old_hmac_secret",
    "mysql.url",
    "mysql.urls",
    "rabbitmq.management_urls",
    "rabbitmq.url",
    "rabbitmq.urls",
    "redis.url",
    "tickets.id_secrets",
];
/// The longest secret, in bytes.
const MAX_LENGTH: usize = 64 * 1_024;

/// What is wrong with a file. Nothing of what it has is repeated.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not UTF-8 text")]
    NotText,
    #[error("is empty")]
    Empty,
}

/// The variable that names the file of the setting, if it may have one.
pub(super) fn variable_of_file(key: &str) -> Option<String> {
    SECRETS.contains(&key).then(|| variable(key) + "_FILE")
}

/// Puts what the files have in the place of the variables that name them. Returns the settings
/// whose files cannot be used.
pub(super) fn read(
    variables: &mut HashMap<String, String>,
    faults: &mut Faults,
) -> Vec<&'static str> {
    let mut unread = Vec::new();
    for key in SECRETS {
        let name = variable(key);
        let of_file = format!("{name}_FILE");
        let Some(path) = variables.remove(&of_file) else {
            continue;
        };
        let place = Place::Field(&Place::Document, key);
        // Compose hands over variables that nobody has set as empty ones.
        if variables.get(&name).is_some_and(|value| !value.is_empty()) {
            let what = format_args!("{of_file} is set beside {name}; remove one of them");
            faults.note(place, what);
            continue;
        }
        match secret(&path) {
            Ok(secret) => {
                variables.insert(name, secret);
            }
            // What the variable says is not repeated: it may be the secret itself.
            Err(error) => {
                faults.note(place, format_args!("the file that {of_file} names {error}"));
                unread.push(key);
            }
        }
    }
    unread
}

/// What the file has, without the end of its last line.
fn secret(path: &str) -> Result<String, FileError> {
    let content = read_bounded(Path::new(path), MAX_LENGTH)?;
    let mut text = String::from_utf8(content).map_err(|_| FileError::NotText)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.trim().is_empty() {
        return Err(FileError::Empty);
    }
    Ok(text)
}
