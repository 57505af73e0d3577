//! `admin.*`

use fields::{Fields, text};
use secrecy::SecretString;

use super::reader::needed;
use super::tickets::long_enough;

/// `admin.token`; administration is open to everybody without it.
pub(super) fn read(fields: &mut Fields<'_, '_>, is_needed: bool) -> Option<Option<SecretString>> {
    needed(fields, "admin.token", is_needed, text(bearer_token))
}

/// What `Authorization: Bearer …` can carry.
fn bearer_token(token: &str) -> Result<SecretString, String> {
    if !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("must be printable ASCII characters, of which a space is one: no header could carry others".to_owned());
    }
    long_enough(token)
}
