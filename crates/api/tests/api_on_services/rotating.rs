//! The steps by which secrets are replaced (`docs/SECURITY.md`), with processes of before and after
//! a step side by side.

use api::application::Role;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use test_servers::services;

use crate::backend::Backend;
use crate::helpers::{Answer, SHOW, TestService, USER};

const OLD: &str = "a secret of last year";
const NEW: &str = "a secret of this year";

async fn with(backend: &Backend, name: &str, value: &str) -> TestService {
    TestService::on(backend, Role::All, &[(name, value)]).await
}

fn order() -> Value {
    json!({"show_id": SHOW, "user_id": USER})
}

/// The order with the key, once it is decided, has this id.
async fn keyed(service: &TestService, key: &str) -> String {
    let id = service.keyed(key, order()).await.text("ticket_id");
    service.decided(&id).await;
    id
}

/// First to all processes that they open `new`, then that they seal with it: `old,new`, `new,old`.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_ids_are_replaced_and_old_ids_stay_valid() {
    let backend = Backend::start().await;
    let secrets = async |list: &str| with(&backend, "APP__TICKETS__ID_SECRETS", list).await;
    let before = secrets(OLD).await;
    let knows = secrets(&format!("{OLD},{NEW}")).await;
    let old = keyed(&before, "a").await;
    // Step 1: both processes know each other's ids, and a repeated order is the same.
    assert_eq!(keyed(&knows, "a").await, old);
    let also_old = keyed(&knows, "b").await;
    assert_eq!(keyed(&before, "b").await, also_old);
    before.stop().await.unwrap();
    // Step 2: no order waits.
    let seals = secrets(&format!("{NEW},{OLD}")).await;
    for (key, id) in [("a", &old), ("b", &also_old)] {
        assert_eq!(keyed(&seals, key).await, *id);
    }
    let new = seals.placed(order()).await;
    for service in [&seals, &knows] {
        service.decided(&new).await;
    }
    knows.stop().await.unwrap();
    // Step 3: ids of before are gone, and nobody else's.
    let after = secrets(NEW).await;
    after.decided(&new).await;
    let gone = after.get(&format!("/tickets/{old}")).await;
    gone.assert_problem(404, "ticket_not_found");
    for service in [seals, after] {
        service.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_takes_its_own_admin_token_while_it_is_replaced() {
    const TOKENS: [&str; 2] = ["the token of last year", "the token of this year"];
    let backend = Backend::start().await;
    for own in TOKENS {
        let service = with(&backend, "APP__ADMIN__TOKEN", own).await;
        for token in TOKENS {
            let users = service.request(Method::GET, "/users").bearer_auth(token);
            let status = Answer::to(users).await.status;
            assert_eq!(status, if token == own { 200 } else { 401 });
        }
        service.stop().await.unwrap();
    }
}

/// A user of the broker that one process has.
struct BrokerUser {
    name: String,
    management: Url,
    client: Client,
}

impl BrokerUser {
    /// With all rights in the vhost of the tests.
    async fn create() -> Self {
        let user = Self {
            name: format!("rotated-{:016x}", rand::random::<u64>()),
            management: services::rabbitmq_management_url().parse().unwrap(),
            client: Client::new(),
        };
        let password = json!({"password": user.name, "tags": ""});
        user.ask(Method::PUT, "users", Some(password)).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        user.ask(Method::PUT, "permissions/%2f", Some(all)).await;
        user
    }

    async fn delete(&self) {
        self.ask(Method::DELETE, "users", None).await;
    }

    #[expect(clippy::disallowed_methods, reason = "the broker answers")]
    async fn ask(&self, method: Method, what: &str, body: Option<Value>) {
        let mut url = self.management.clone();
        url.set_path("");
        let url = format!("{url}api/{what}/{}", self.name);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answered = request.send().await.unwrap();
        assert!(answered.status().is_success(), "{answered:?}");
    }

    /// Where processes find the broker as this user.
    fn url(&self) -> String {
        let mut url: Url = services::rabbitmq_url().parse().unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(&self.name)).unwrap();
        url.into()
    }
}

/// A second user first, and the first one goes last.
#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_user_is_replaced_while_orders_are_taken() {
    let backend = Backend::start().await;
    let old = BrokerUser::create().await;
    let before = with(&backend, "APP__RABBITMQ__URL", &old.url()).await;
    let taken = before.placed(order()).await;
    let new = BrokerUser::create().await;
    let after = with(&backend, "APP__RABBITMQ__URL", &new.url()).await;
    for service in [&before, &after] {
        service.decided(&taken).await;
        let id = service.placed(order()).await;
        after.decided(&id).await;
    }
    before.stop().await.unwrap();
    old.delete().await;
    let id = after.placed(order()).await;
    after.decided(&id).await;
    after.stop().await.unwrap();
    new.delete().await;
}
