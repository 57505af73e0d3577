//! Whether `rabbitmq.urls` are nodes of one broker. If they are not, each process puts orders into
//! the one that it happens to reach, where no worker of the others sees them.

use std::time::Duration;

use domain::ports::Finding;
use lapin::Connection;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::addresses::Addresses;
use crate::error::BrokerError;
use crate::limits::within_limit;

const PURPOSE: &str = "comparing";
/// How often a node is asked for a queue that another one has made: it may hear of it later.
const ATTEMPTS: u32 = 5;
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// The nodes, and what they were found to be.
pub(crate) struct OneBroker {
    addresses: Addresses,
    /// Which of them are of another broker, once all were reached: they stay what they are.
    compared: Mutex<Option<Vec<Finding>>>,
}

impl OneBroker {
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            compared: Mutex::default(),
        }
    }

    /// Which of several nodes cannot be reached, or are of another broker.
    pub(crate) async fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.addresses.count() == 1 {
            return findings;
        }
        let mut reached = Vec::new();
        for (name, connected) in self.addresses.connect_all(PURPOSE).await {
            match connected {
                Ok(connection) => reached.push((name, connection)),
                Err(error) => findings.push(unreached(&name, &error)),
            }
        }
        let compared = self.compared.lock().clone();
        match compared {
            Some(others) => findings.extend(others),
            None => match compare(&reached).await {
                Ok(others) => {
                    if findings.is_empty() {
                        *self.compared.lock() = Some(others.clone());
                    }
                    findings.extend(others);
                }
                Err(fell_silent) => findings.push(fell_silent),
            },
        }
        for (_, connection) in &reached {
            let _closed = within_limit(connection.close(200, "OK".into())).await;
        }
        findings
    }
}

/// Those that do not know the queues of the first. Fails at a node that does not answer any more.
async fn compare(nodes: &[(String, Connection)]) -> Result<Vec<Finding>, Finding> {
    let mut others = Vec::new();
    if let [(first, holding), rest @ ..] = nodes {
        // Of this connection alone, and gone with it.
        let queue = hold(holding).await;
        let queue = queue.map_err(|error| unreached(first, &error))?;
        for (name, connection) in rest {
            let is_known = knows(connection, &queue).await;
            if !is_known.map_err(|error| unreached(name, &error))? {
                others.push(another(first, name));
            }
        }
    }
    Ok(others)
}

async fn hold(connection: &Connection) -> Result<ShortString, BrokerError> {
    let channel = within_limit(connection.create_channel()).await?;
    let exclusive = QueueDeclareOptions::exclusive();
    let declaring = channel.queue_declare("".into(), exclusive, FieldTable::default());
    Ok(within_limit(declaring).await?.name().clone())
}

/// Whether the node knows the queue: it says then that another connection has it.
async fn knows(connection: &Connection, queue: &ShortString) -> Result<bool, BrokerError> {
    for attempt in 1..=ATTEMPTS {
        let channel = within_limit(connection.create_channel()).await?;
        let passive = QueueDeclareOptions::exclusive().passive();
        let asking = channel.queue_declare(queue.clone(), passive, FieldTable::default());
        match within_limit(asking).await {
            Err(error) if error.is_missing() && attempt < ATTEMPTS => sleep(ASK_AGAIN).await,
            Err(error) if error.is_missing() => break,
            Err(error) if error.reply_code().is_none() => return Err(error),
            Ok(_) | Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

fn unreached(name: &str, error: &BrokerError) -> Finding {
    Finding::degraded(
        format!("node {name}"),
        format!("not reached: {error}"),
        if error.is_refusal() {
            "check the user, password and vhost of this one of rabbitmq.urls"
        } else {
            "bring the node back, or take it out of rabbitmq.urls"
        },
    )
}

fn another(first: &str, name: &str) -> Finding {
    Finding::broken(
        format!("node {name}"),
        format!("does not know the queues of {first}: orders are in one broker or the other"),
        "name only nodes of one cluster in rabbitmq.urls, or join them (rabbitmqctl join_cluster)",
    )
}
