//! The scripts of `deploy` that start and break servers, and what they write down about them.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The folder of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The database and the broker of one node.
pub(crate) const SERVICES: Script = Script {
    path: "deploy/services.sh",
    folder: "SERVICES_STATE",
};

/// The broker of three nodes.
pub(crate) const CLUSTER: Script = Script {
    path: "deploy/cluster.sh",
    folder: "CLUSTER_STATE",
};

/// One of them.
pub(crate) struct Script {
    pub(crate) path: &'static str,
    /// The variable that names the folder of the servers that are meant.
    pub(crate) folder: &'static str,
}

impl Script {
    /// Runs it to its end.
    pub(crate) async fn run(&self, folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(Path::new(ROOT).join(self.path));
        command.args(arguments).env(self.folder, folder);
        let output = command.output().await;
        let words = || format!("{} {}", self.path, arguments.join(" "));
        let output = output.with_context(words)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", words(), error.trim_end());
        Ok(())
    }
}

/// What a script has written down beside its folder.
pub(crate) fn values_of(folder: &Path) -> anyhow::Result<String> {
    let mut path = folder.as_os_str().to_owned();
    path.push(".env");
    Ok(fs::read_to_string(path)?)
}

/// The value of a line `NAME=value`.
pub(crate) fn value_in<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let file = "TICKETS_TEST_MYSQL_URL_OLD=x\nTICKETS_TEST_MYSQL_URL=mysql://u:p@h:1\n";
        assert_eq!(
            value_in(file, "TICKETS_TEST_MYSQL_URL"),
            Some("mysql://u:p@h:1")
        );
        assert_eq!(value_in(file, "TICKETS_TEST_MYSQL"), None);
    }
}
