//! Whether the servers are such that what is committed stays, and what is promised holds.
//!
//! What is looked at: which servers there are and which of them takes changes, what is set on the
//! one that does, and what it does when it is tried. Nothing is changed there.

mod probes;
mod servers;
mod settings;

use adapter_sql::within;
use domain::ports::Finding;

use crate::error::StoreError;
use crate::servers::{Servers, close};

fn unknown(subject: &str, error: &StoreError) -> Finding {
    Finding::unknown(
        subject,
        format!(
            "could not be checked: {}",
            error.remedy().unwrap_or_else(|| error.to_string())
        ),
        "see whether the server answers",
    )
}

/// What is to be said of the servers.
pub(crate) async fn findings(all: &Servers) -> Vec<Finding> {
    let mut findings = servers::findings(all).await;
    let looked = async {
        let mut session = all.connect().await?;
        let has_replicas = all.all().len() > 1;
        let mut found = settings::findings(&mut session, has_replicas).await?;
        found.extend(probes::findings(all, &mut session).await?);
        close(session).await;
        Ok(found)
    };
    match within(servers::LIMIT, looked).await {
        Ok(found) => findings.extend(found),
        Err(error) => {
            let error = all.refusal().unwrap_or(error);
            findings.push(unknown("the server", &error));
        }
    }
    findings.sort_by_key(|finding| finding.level);
    findings
}
