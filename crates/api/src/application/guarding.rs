//! Who may call, and how that is proved.

use std::sync::Arc;

use domain::ports::Clock;
use http_api::{Guard, Tokens};
use tokens::{StartError, Verifier};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::ground::id_secrets;
use crate::settings::{AuthSettings, JwtSettings, Settings};

/// Tells who calls. What keeps its keys current ends with the second.
pub(super) async fn guard(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Guard, DropGuard)> {
    let stop = CancellationToken::new();
    let tokens = match &settings.auth {
        AuthSettings::Off { is_named: false } => None,
        AuthSettings::Off { is_named: true } => {
            warn!(
                "auth.mode is off: anyone who reaches this process can order for everybody, and \
                 can read, confirm and cancel every ticket whose id they know"
            );
            None
        }
        AuthSettings::Jwt(jwt) => Some(tokens(jwt, clock, stop.clone()).await?),
    };
    let admin_token = settings.admin_token.as_ref();
    let secrets = id_secrets(&settings.tickets);
    let guard = Guard::new(admin_token, tokens, secrets, Arc::clone(clock));
    Ok((guard, stop.drop_guard()))
}

async fn tokens(
    jwt: &JwtSettings,
    clock: &Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<Tokens> {
    let (rules, keys) = (jwt.rules.clone(), jwt.keys.clone());
    let verifier = Verifier::start(rules, keys, Arc::clone(clock), stop).await;
    let verifier = verifier.map_err(|error| {
        let setting = setting_of(&error);
        anyhow::Error::new(error).context(setting)
    })?;
    Ok(Tokens {
        verifier: Arc::new(verifier),
        create_users: jwt.create_users,
    })
}

const fn setting_of(error: &StartError) -> &'static str {
    match error {
        StartError::Algorithms(_) => "auth.algorithms",
        StartError::ShortSecret { .. } => "auth.hmac_secret",
        StartError::Url | StartError::Tls(_) | StartError::NoCertificates => "auth.jwks_url",
        StartError::File(_) => "auth.jwks_file",
    }
}
