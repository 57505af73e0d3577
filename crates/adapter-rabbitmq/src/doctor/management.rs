//! RabbitMQ's management API over HTTP.

use domain::ports::Finding;
use std::fmt::Write;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use crate::doctor::answers::{Answers, NoReply, Reply, text};
use crate::doctor::deployment::Deployment;
use crate::doctor::error::{DoctorError, InvalidManagementUrl};

/// How long one node may take to answer before the next is asked.
const TIME_LIMIT: Duration = Duration::from_secs(3);

pub(super) struct Management {
    client: Client,
    /// Of several nodes of one cluster.
    urls: Vec<Url>,
}

impl Management {
    pub(super) fn new(urls: &[String]) -> Result<Self, DoctorError> {
        let urls: Result<Vec<Url>, _> = urls.iter().map(|url| parse(url)).collect();
        let urls = urls?;
        if urls.is_empty() {
            return Err(InvalidManagementUrl.into());
        }
        let client = Client::builder()
            // Its password must go nowhere else.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIME_LIMIT)
            .build()
            .map_err(DoctorError::Client)?;
        Ok(Self { client, urls })
    }

    /// All answers of the first node that lets the user in.
    pub(super) async fn ask(&self, deployment: &Deployment) -> Result<Answers, Finding> {
        let mut reasons = String::new();
        for url in &self.urls {
            match self.get(address(url, &["whoami"])).await {
                Ok(user) => return Ok(self.ask_node(url, &user, deployment).await),
                Err(why) => {
                    let why = match why {
                        NoReply::Forbidden => "refuses user and password, or the user has no tag",
                        NoReply::NotFound => "is not a management API",
                        NoReply::Failed(ref reason) => reason,
                    };
                    let separator = if reasons.is_empty() { "" } else { "; " };
                    let _written = write!(reasons, "{separator}{}: {why}", host_and_port(url));
                }
            }
        }
        Err(Finding::unknown(
            "management API",
            format!("nothing could be checked: {reasons}"),
            "check the management URLs; enable the API on every node (rabbitmq-plugins enable \
             rabbitmq_management), and give its user a tag (rabbitmqctl set_user_tags USER \
             administrator)",
        ))
    }

    async fn ask_node(&self, url: &Url, user: &Value, deployment: &Deployment) -> Answers {
        let vhost = deployment.vhost.as_str();
        let get = |path: &[&str]| self.get(address(url, path));
        let list = |path: &[&str]| self.list(address(url, path));
        // Without statistics the list is of now and has every queue, also those whose leader
        // does not answer, which the list with `enable_queue_totals` may leave out.
        let mut without_statistics = address(url, &["queues", vhost]);
        without_statistics.set_query(Some("disable_stats=true"));
        let orders = deployment.topology.orders_exchange();
        let orders = orders.as_str();
        // There may be a thousand of them, of which two words each matter.
        let mut connections = address(url, &["connections"]);
        connections.set_query(Some("columns=name,user_provided_name"));
        let (
            overview,
            nodes,
            queues,
            reported_queues,
            policies,
            operator_policies,
            exchange,
            bindings,
            consumers,
            connections,
            permissions,
        ) = tokio::join!(
            get(&["overview"]),
            list(&["nodes"]),
            self.list(without_statistics),
            list(&["queues", vhost]),
            list(&["policies", vhost]),
            list(&["operator-policies", vhost]),
            get(&["exchanges", vhost, orders]),
            list(&["exchanges", vhost, orders, "bindings", "source"]),
            list(&["consumers", vhost]),
            self.list(connections),
            list(&["users", &deployment.user, "permissions"]),
        );
        Answers {
            asked_by: text(user, "name").unwrap_or("of the URL").to_owned(),
            overview,
            nodes,
            queues,
            reported_queues,
            policies,
            operator_policies,
            exchange,
            bindings,
            consumers,
            connections,
            permissions,
        }
    }

    async fn list(&self, url: Url) -> Reply {
        let answer = self.get(url).await?;
        if answer.is_array() {
            Ok(answer)
        } else {
            Err(NoReply::Failed("the answer is not a list".to_owned()))
        }
    }

    async fn get(&self, url: Url) -> Reply {
        // The URL of a request is part of its error.
        let failed = |error: reqwest::Error| NoReply::Failed(reason(&error.without_url()));
        let answer = self.client.get(url).send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(failed),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(NoReply::Forbidden),
            StatusCode::NOT_FOUND => Err(NoReply::NotFound),
            status => Err(NoReply::Failed(format!("it answers {status}"))),
        }
    }
}

/// Of a resource below `/api`.
fn address(url: &Url, path: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("api").extend(path);
    }
    url
}

fn parse(url: &str) -> Result<Url, InvalidManagementUrl> {
    let url: Url = url.parse().map_err(|_| InvalidManagementUrl)?;
    if url.scheme() == "http" && url.has_host() {
        Ok(url)
    } else {
        Err(InvalidManagementUrl)
    }
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        format!("no answer within {TIME_LIMIT:?}")
    } else if error.is_connect() {
        "no connection".to_owned()
    } else if error.is_decode() {
        "the answer is not JSON".to_owned()
    } else {
        format!("{error}")
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}")
}
