//! `auth.*`

use std::fmt::Display;

use fields::{Fields, Value, flag, owned, text, whole, word};
use tokens::{Algorithm, Keys, Rules};
use url::Url;

use super::reader::{needed, setting, variable};

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

impl AuthSettings {
    /// What `auth.mode` calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off { .. } => "off",
            Self::Jwt(_) => "jwt",
        }
    }
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
    let issuer = given(fields, "auth.issuer", is_jwt, owned);
    let audience = given(fields, "auth.audience", is_jwt, owned);
    let algorithms = given(fields, "auth.algorithms", is_jwt, text(algorithms));
    let user_claim = given(fields, "auth.user_claim", is_jwt, owned);
    let roles_claim = given(fields, "auth.roles_claim", is_jwt, owned);
    let priority_claim = given(fields, "auth.priority_claim", false, owned);
    let leeway_seconds = setting(fields, "auth.leeway_seconds", whole(0..=MAX_LEEWAY));
    let create_users = setting(fields, "auth.create_users", flag);
    let keys = keys(fields, is_jwt);
    if let Some(Some(keys)) = &keys {
        if let Err(error) = keys.check() {
            fields.fault(setting_of(keys), error);
        }
        if let Some(Some(algorithms)) = &algorithms
            && let Err(error) = keys.check_algorithms(algorithms)
        {
            fields.fault("auth.algorithms", error);
        }
    }
    let mode = mode?;
    if mode != Some(true) {
        let is_named = mode.is_some();
        return Some(AuthSettings::Off { is_named });
    }
    Some(AuthSettings::Jwt(Box::new(JwtSettings {
        rules: Rules {
            issuer: issuer??,
            audience: audience??,
            algorithms: algorithms??,
            leeway_seconds: leeway_seconds?,
            user_claim: user_claim??,
            roles_claim: roles_claim??,
            priority_claim: priority_claim?,
        },
        keys: keys??,
        create_users: create_users?,
    })))
}

/// The setting that names such keys.
pub const fn setting_of(keys: &Keys) -> &'static str {
    match keys {
        Keys::Secrets(_) => "auth.hmac_secret",
        Keys::File(_) => "auth.jwks_file",
        Keys::Url(_) => "auth.jwks_url",
    }
}

/// A setting that counts as missing if it is empty.
fn given<T, E: Display>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    is_needed: bool,
    read: impl FnOnce(&Value<'_>) -> Result<T, E>,
) -> Option<Option<T>> {
    let given = fields.optional(key, |value| match value.as_text() {
        Some("") => Ok(None),
        _ => read(value).map(Some),
    })?;
    let given = given.flatten();
    if given.is_none() && is_needed {
        fields.fault(key, format_args!("is missing; set {}", variable(key)));
        return None;
    }
    Some(given)
}

/// Exactly one of three settings.
fn keys(fields: &mut Fields<'_, '_>, is_needed: bool) -> Option<Option<Keys>> {
    let url = given(fields, "auth.jwks_url", false, text(Url::parse));
    let file = given(fields, "auth.jwks_file", false, owned);
    let secret = given(fields, "auth.hmac_secret", false, owned);
    let old_secret = given(fields, "auth.old_hmac_secret", false, owned)?;
    if old_secret.is_some() && matches!(secret, Some(None)) {
        let what = "has no effect without auth.hmac_secret; remove it, or set that too";
        fields.fault("auth.old_hmac_secret", what);
        return None;
    }
    if let Some(old) = &old_secret
        && let Err(error) = Keys::Secrets(vec![old.clone().into()]).check()
    {
        fields.fault("auth.old_hmac_secret", error);
        return None;
    }
    let keys = [
        url?.map(Keys::Url),
        file?.map(|file| Keys::File(file.into())),
        secret?.map(|secret| {
            let secrets = [secret].into_iter().chain(old_secret);
            Keys::Secrets(secrets.map(Into::into).collect())
        }),
    ];
    let mut keys = keys.into_iter().flatten();
    let found = keys.next();
    if keys.next().is_some() {
        let what = "set one of auth.jwks_url, auth.jwks_file and auth.hmac_secret, not several";
        fields.fault("auth.jwks_url", what);
        return None;
    }
    if found.is_none() && is_needed {
        let what = "is missing; set it, auth.jwks_file or auth.hmac_secret";
        fields.fault("auth.jwks_url", what);
        return None;
    }
    Some(found)
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
