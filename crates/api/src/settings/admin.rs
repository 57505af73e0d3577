//! `admin.*`

use secrecy::SecretString;

use super::reader::Reader;
use super::tickets::long_enough;

/// `admin.token`; administration is open to everybody without it.
pub(super) fn read(reader: &mut Reader, required: bool) -> Option<SecretString> {
    let key = "admin.token";
    if reader.is_set(key) || required {
        reader.take(key, bearer_token)
    } else {
        None
    }
}

/// What `Authorization: Bearer …` can carry.
fn bearer_token(token: &str) -> Result<SecretString, String> {
    if !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("must be visible ASCII characters: no header could carry others".to_owned());
    }
    long_enough(token)
}
