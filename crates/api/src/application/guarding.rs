//! Who may call, and how that is proved.

use std::sync::Arc;

use anyhow::Context;
use domain::ports::Clock;
use http_api::{Guard, Tokens};
use tokens::Verifier;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::ground::id_secrets;
use crate::settings::{AuthSettings, JwtSettings, Settings, setting_of};

/// Tells who calls.
pub(super) struct Guarding {
    pub(super) guard: Guard,
    /// Without its keys nobody is let in.
    pub(super) verifier: Option<Arc<Verifier>>,
    /// Keeps its keys current until it is dropped.
    pub(super) keys: DropGuard,
}

pub(super) async fn guard(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Guarding> {
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
    let verifier = tokens.as_ref().map(|tokens| Arc::clone(&tokens.verifier));
    let admin_token = settings.admin_token.as_ref();
    let secret = id_secrets(&settings.tickets)[0];
    let guard = Guard::new(admin_token, tokens, secret, Arc::clone(clock));
    Ok(Guarding {
        guard,
        verifier,
        keys: stop.drop_guard(),
    })
}

async fn tokens(
    jwt: &JwtSettings,
    clock: &Arc<dyn Clock>,
    stop: CancellationToken,
) -> anyhow::Result<Tokens> {
    let (rules, keys) = (jwt.rules.clone(), jwt.keys.clone());
    let verifier = Verifier::start(rules, keys, Arc::clone(clock), stop).await;
    let verifier = verifier.context(setting_of(&jwt.keys))?;
    Ok(Tokens {
        verifier: Arc::new(verifier),
        create_users: jwt.create_users,
    })
}
