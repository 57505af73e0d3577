//! The servers of `mysql.urls`: which can be reached, which takes changes, and whether all of
//! them have the same database.

use std::collections::BTreeMap;
use std::time::Duration;

use adapter_sql::within;
use domain::ports::Finding;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::error::StoreError;
use crate::servers::{Server, Servers, close};
use crate::session::Session;

/// The longest that one part of the examination may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// What one server says of itself.
#[derive(Debug)]
struct Seen {
    takes_changes: bool,
    /// Of a cluster whose members all take changes.
    is_one_of_many: bool,
    /// Empty where the schema is not there.
    deployment: Vec<u32>,
    /// The place of the first that leads to the same server, if that is another one.
    same_as: Option<usize>,
}

async fn look(server: &Server) -> Result<(Seen, Session), StoreError> {
    let mut session = server.session().await?;
    let takes_changes = session.takes_changes().await?;
    let is_one_of_many = session.is_one_of_many().await?;
    let deployment = sqlx::query_scalar("SELECT id FROM deployment")
        .fetch_all(&mut session.connection)
        .await
        .unwrap_or_default();
    let seen = Seen {
        takes_changes,
        is_one_of_many,
        deployment,
        same_as: None,
    };
    Ok((seen, session))
}

/// Finds names that lead to a server that is named before.
async fn compare(seen: &mut [Result<(Seen, Session), StoreError>]) {
    for place in 1..seen.len() {
        let (before, [Ok((seen, session)), ..]) = seen.split_at_mut(place) else {
            continue;
        };
        for (place, other) in before.iter_mut().enumerate() {
            if let Ok((_, other)) = other
                && session.is_on_the_server_of(other).await
            {
                seen.same_as = Some(place);
                break;
            }
        }
    }
}

pub(super) async fn findings(servers: &Servers) -> Vec<Finding> {
    let all = servers.all();
    if all.len() == 1 {
        // What is the matter with it is said by readiness, and by what else is looked at.
        return Vec::new();
    }
    let mut seen = join_all(all.iter().map(|server| within(LIMIT, look(server)))).await;
    // One that hangs now has answered a moment ago.
    let _late = timeout(LIMIT, compare(&mut seen)).await;
    let mut told = Vec::new();
    for (server, seen) in all.iter().zip(seen) {
        let seen = match seen {
            Ok((seen, session)) => {
                close(session).await;
                Ok(seen)
            }
            Err(error) => Err(error),
        };
        told.push((server.address.clone(), seen));
    }
    judge(&told)
}

#[expect(
    clippy::too_many_lines,
    reason = "a list: what can be wrong with several servers, and what to do"
)]
fn judge(all: &[(String, Result<Seen, StoreError>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut writable = Vec::new();
    let mut deployments: BTreeMap<&[u32], Vec<&str>> = BTreeMap::new();
    for (address, seen) in all {
        match seen {
            Ok(Seen {
                same_as: Some(place),
                ..
            }) => findings.push(Finding::risk(
                address,
                format!(
                    "leads to the same server as {}: neither helps when it fails",
                    all[*place].0
                ),
                "name each server once in mysql.urls, by the name that leads to it alone",
            )),
            Ok(seen) => {
                if seen.takes_changes {
                    writable.push((address.as_str(), seen.is_one_of_many));
                }
                deployments
                    .entry(&seen.deployment)
                    .or_default()
                    .push(address);
            }
            Err(error) => findings.push(Finding::degraded(
                address,
                format!("cannot be used now: {}", said(error)),
                "start it, or take it out of mysql.urls",
            )),
        }
    }
    let addresses = |some: &[(&str, bool)]| {
        let some: Vec<_> = some.iter().map(|(address, _)| *address).collect();
        some.join(", ")
    };
    match writable.as_slice() {
        [] if all.iter().all(|(_, seen)| seen.is_err()) => findings.push(Finding::broken(
            "mysql.urls",
            "none of these servers is reached: nothing is decided, confirmed or cancelled",
            "start the primary, or see why it cannot be reached from here",
        )),
        [] => findings.push(Finding::broken(
            "mysql.urls",
            "none of these servers takes changes: nothing is decided, confirmed or cancelled",
            "SET GLOBAL read_only = OFF on the one that is to be the primary",
        )),
        [_] => {}
        several if several.iter().all(|(_, is_one_of_many)| *is_one_of_many) => {}
        several => findings.push(Finding::broken(
            "mysql.urls",
            format!(
                "{} take changes: processes that start now use none of them, and those that run \
                 may use different ones",
                addresses(several)
            ),
            "SET GLOBAL read_only = ON on all but the primary, and in their configuration, so \
             that one that comes back does not take changes",
        )),
    }
    if deployments.len() > 1 {
        let groups: Vec<_> = deployments
            .iter()
            .map(|(ids, addresses)| format!("{} ({ids:?})", addresses.join(", ")))
            .collect();
        findings.push(Finding::broken(
            "mysql.urls",
            format!(
                "these servers have different databases: {}",
                groups.join("; ")
            ),
            "name a primary and its replicas, or the members of one cluster; a replica that has \
             just been made is behind for a moment",
        ));
    }
    findings
}

fn said(error: &StoreError) -> String {
    match error {
        StoreError::Database(source) if error.remedy().is_none() => source.to_string(),
        error => error.remedy().unwrap_or_else(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use adapter_sql::Fault;
    use domain::ports::Level;

    use super::*;

    fn seen(takes_changes: bool, is_one_of_many: bool, deployment: u32) -> Seen {
        Seen {
            takes_changes,
            is_one_of_many,
            deployment: vec![deployment],
            same_as: None,
        }
    }

    fn levels(all: Vec<Result<Seen, StoreError>>) -> Vec<Level> {
        let all: Vec<_> = all
            .into_iter()
            .enumerate()
            .map(|(place, seen)| (format!("db{place}:3306"), seen))
            .collect();
        judge(&all).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn one_primary_with_its_replicas_and_one_cluster_are_well() {
        let pair = vec![Ok(seen(false, false, 1)), Ok(seen(true, false, 1))];
        assert_eq!(levels(pair), []);
        let galera = vec![Ok(seen(true, true, 1)), Ok(seen(true, true, 1))];
        assert_eq!(levels(galera), []);
    }

    #[test]
    fn what_would_sell_a_seat_twice_or_nothing_at_all_is_found() {
        let two = vec![Ok(seen(true, false, 1)), Ok(seen(true, false, 1))];
        assert_eq!(levels(two), [Level::Broken]);
        let none = vec![Ok(seen(false, false, 1)), Ok(seen(false, false, 1))];
        assert_eq!(levels(none), [Level::Broken]);
        let away = || Err(Fault::Closed.into());
        let nobody = vec![away(), away()];
        let expected = [Level::Degraded, Level::Degraded, Level::Broken];
        assert_eq!(levels(nobody), expected);
        let strangers = vec![Ok(seen(false, false, 2)), Ok(seen(true, false, 1))];
        assert_eq!(levels(strangers), [Level::Broken]);
        let alone = vec![Err(Fault::Closed.into()), Ok(seen(true, false, 1))];
        assert_eq!(levels(alone), [Level::Degraded]);
    }

    /// Told to take changes from one of them, an operator would take them from both.
    #[test]
    fn one_server_under_two_names_is_a_risk_and_no_second_primary() {
        let again = Seen {
            same_as: Some(0),
            ..seen(true, false, 1)
        };
        assert_eq!(
            levels(vec![Ok(seen(true, false, 1)), Ok(again)]),
            [Level::Risk]
        );
    }
}
