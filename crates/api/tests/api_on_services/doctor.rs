//! `tickets doctor`: what it says of servers that it is content with, and of others.

use std::process::Command;

use crate::backend::Backend;
use crate::helpers::config_dir;

/// What the program printed, and whether it was content.
fn tickets(backend: &Backend, argument: &str, changed: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tickets"))
        .arg(argument)
        .env("APP_CONFIG_DIR", config_dir())
        .envs(backend.variables())
        .envs(changed.iter().copied())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The URL of this variable with a password that no server has.
fn with_wrong_password(backend: &Backend, name: &str) -> String {
    let variables = backend.variables();
    let (_, url) = variables.iter().find(|(known, _)| known == name).unwrap();
    let (login, rest) = url.rsplit_once('@').unwrap();
    let (user, _) = login.rsplit_once(':').unwrap();
    format!("{user}:not-the-password@{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_answer_are_said_to_and_others_with_a_remedy() {
    let backend = Backend::start().await;
    let (is_done, said) = tickets(&backend, "migrate", &[]);
    assert!(is_done, "{said}");
    let (is_content, said) = tickets(&backend, "doctor", &[]);
    assert!(is_content, "{said}");
    assert_eq!(said, "queue (rabbitmq): answers\nstore (mysql): answers\n");

    let kept = "keeps the password that its data were made with";
    for (name, well, ill) in [
        (
            "APP__RABBITMQ__URL",
            "store (mysql): answers",
            "rabbitmq.url",
        ),
        ("APP__MYSQL__URL", "queue (rabbitmq): answers", "mysql.url"),
    ] {
        let url = with_wrong_password(&backend, name);
        let (is_content, said) = tickets(&backend, "doctor", &[(name, &url)]);
        assert!(!is_content, "{said}");
        assert!(said.contains(kept) && said.contains(ill), "{said}");
        assert!(said.contains(well), "{said}");
        assert!(!said.contains("not-the-password"), "{said}");
    }
    let url = with_wrong_password(&backend, "APP__MYSQL__URL");
    let (is_done, said) = tickets(&backend, "migrate", &[("APP__MYSQL__URL", &url)]);
    assert!(!is_done && said.contains(kept), "{said}");

    // What only the queue's start can find is said beside the store's state.
    let (is_content, said) = tickets(&backend, "doctor", &[("APP__QUEUE__LANES", "7")]);
    assert!(
        !is_content && said.contains("store (mysql): answers"),
        "{said}"
    );
    assert_eq!(said.matches("7 lanes are configured").count(), 1, "{said}");
    let vhost = format!("{}/no-such-vhost", backend.variables()[1].1);
    let (is_content, said) = tickets(&backend, "doctor", &[("APP__RABBITMQ__URL", &vhost)]);
    assert!(!is_content && said.contains("vhost and rights"), "{said}");
}
