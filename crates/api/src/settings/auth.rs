//! `auth.*`

use std::path::PathBuf;

use fields::{Fields, all, flag, owned, text, whole, word};
use secrecy::SecretString;
use tokens::{Algorithm, Keys, Rules};
use url::Url;

use super::reader::{needed, setting};

/// The most that the clocks of issuer and process may differ, in seconds.
const MAX_LEEWAY: u32 = 300;

/// Whether callers prove who they are.
#[derive(Debug, Clone)]
pub enum AuthSettings {
    /// `off`: everybody acts for everybody.
    Off {
        /// Whether the configuration says so, which it need not where there is nothing to protect.
        is_named: bool,
    },
    /// `jwt`: by bearer tokens.
    Jwt(Box<JwtSettings>),
}

/// How tokens are verified, and what they are good for.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// What every token must satisfy.
    pub rules: Rules,
    /// Where the keys come from.
    pub keys: Keys,
    /// Whether a buyer's first order creates its user.
    pub create_users: bool,
}

/// The mode must be named unless nothing has to be protected; then it is `off`.
pub(super) fn read(fields: &mut Fields<'_, '_>, mode_needed: bool) -> Option<AuthSettings> {
    let modes = word([("off", false), ("jwt", true)]);
    let mode = needed(fields, "auth.mode", mode_needed, modes);
    let is_jwt = mode == Some(Some(true));
    // All of it, so that faults are found before the mode is switched on.
    let issuer = needed(fields, "auth.issuer", is_jwt, text(said));
    let audience = needed(fields, "auth.audience", is_jwt, text(said));
    let algorithms = needed(fields, "auth.algorithms", is_jwt, text(algorithms));
    let keys = keys(fields, is_jwt);
    let rest = all!(Rest {
        leeway_seconds: setting(fields, "auth.leeway_seconds", whole(0..=MAX_LEEWAY)),
        user_claim: setting(fields, "auth.user_claim", text(said)),
        roles_claim: setting(fields, "auth.roles_claim", text(said)),
        priority_claim: setting(fields, "auth.priority_claim", owned),
        create_users: setting(fields, "auth.create_users", flag),
    });
    let mode = mode?;
    if mode != Some(true) {
        let is_named = mode.is_some();
        return Some(AuthSettings::Off { is_named });
    }
    let rest = rest?;
    Some(AuthSettings::Jwt(Box::new(JwtSettings {
        rules: Rules {
            issuer: issuer??,
            audience: audience??,
            algorithms: algorithms??,
            leeway_seconds: rest.leeway_seconds,
            user_claim: rest.user_claim,
            roles_claim: rest.roles_claim,
            priority_claim: Some(rest.priority_claim).filter(|claim| !claim.is_empty()),
        },
        keys: keys??,
        create_users: rest.create_users,
    })))
}

struct Rest {
    leeway_seconds: u32,
    user_claim: String,
    roles_claim: String,
    priority_claim: String,
    create_users: bool,
}

/// Exactly one of three settings.
fn keys(fields: &mut Fields<'_, '_>, is_needed: bool) -> Option<Option<Keys>> {
    const NAMES: [&str; 3] = ["auth.jwks_url", "auth.jwks_file", "auth.hmac_secret"];

    let given: Vec<_> = NAMES.into_iter().filter(|name| fields.has(name)).collect();
    let [url, file, secret] = NAMES;
    let url = fields.optional(url, text(|text| Url::parse(text).map(Keys::Url)));
    let file = fields.optional(
        file,
        text(|text| said(text).map(PathBuf::from).map(Keys::File)),
    );
    let secret = fields.optional(
        secret,
        text(|text| said(text).map(SecretString::from).map(Keys::Secret)),
    );
    match given[..] {
        [] if is_needed => fields.fault(
            "auth.jwks_url",
            "is missing; set it, auth.jwks_file or auth.hmac_secret",
        ),
        [_, other, ..] => fields.fault(other, format_args!("is set beside {}; set one", given[0])),
        _ => return Some(url?.or(file?).or(secret?)),
    }
    None
}

fn algorithms(text: &str) -> Result<Vec<Algorithm>, String> {
    let read = |name: &str| {
        Algorithm::parse(name.trim()).ok_or_else(|| {
            let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
            format!("must be one or several of {known}, with commas")
        })
    };
    text.split(',').map(read).collect()
}

fn said(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    Ok(text.to_owned())
}
