//! What tests of whole runs share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use api::application::{Application, Role};
use api::clock::SystemClock;
use api::settings::Settings;
use tokio_util::sync::CancellationToken;

/// What its administration asks for.
pub(crate) const TOKEN: &str = "a token of administration";

/// A service in the memory of this process.
pub(crate) async fn service() -> SocketAddr {
    let application = start(&[]).await;
    let address = application.address();
    tokio::spawn(application.run_until_stopped(CancellationToken::new()));
    address
}

/// The same with more settings, before it answers.
pub(crate) async fn start(more: &[(&str, &str)]) -> Application {
    let variables = [
        ("APP__SERVER__PORT", "0"),
        ("APP__LOG__LEVEL", "error"),
        ("APP__ADMIN__TOKEN", TOKEN),
        ("APP__TICKETS__ID_SECRETS", "a secret of these tests"),
    ];
    let variables: HashMap<_, _> = variables
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let settings = Settings::load(&config, variables).unwrap();
    Application::build(settings, Role::All, Arc::new(SystemClock))
        .await
        .unwrap()
}
