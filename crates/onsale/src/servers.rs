//! Where the real servers are that the service is measured on, and which
//! processes they are if they run on this machine.

use std::{env, fs};

use anyhow::Context;

use crate::cpu::Watched;

/// Written by `make services`; variables of the same names come first.
const FILE: &str = ".local/services.env";

/// A MySQL or MariaDB server and a RabbitMQ broker. Their URLs hold passwords,
/// so that this has no `Debug`.
#[derive(Clone)]
pub struct Servers {
    /// `mysql://user:password@host:port`; the user may create databases.
    pub mysql_url: String,
    /// `amqp://user:password@host:port`
    pub rabbitmq_url: String,
}

impl Servers {
    /// Those that the environment or else the file of `make services` names.
    ///
    /// # Errors
    /// When there is none: nothing is measured without real servers.
    pub fn find() -> anyhow::Result<Self> {
        let file = fs::read_to_string(FILE).unwrap_or_default();
        let find = |name: &str| {
            env::var(name)
                .ok()
                .or_else(|| value_in(&file, name).map(str::to_owned))
                .with_context(|| {
                    format!(
                        "{name} is not set and {FILE} does not name it; \
                         run `make services` in the repository's folder"
                    )
                })
        };
        Ok(Self {
            mysql_url: find("TICKETS_TEST_MYSQL_URL")?,
            rabbitmq_url: find("TICKETS_TEST_RABBITMQ_URL")?,
        })
    }

    /// Those of the two that are processes of this machine.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn local_processes(&self) -> anyhow::Result<Vec<Watched>> {
        let mysql = local_process(&self.mysql_url, &["mariadbd", "mysqld"])?;
        let rabbitmq = local_process(&self.rabbitmq_url, &["beam.smp"])?;
        Ok(mysql.into_iter().chain(rabbitmq).collect())
    }
}

/// The value of a line `NAME=value`.
fn value_in<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Host and port of a URL that names both.
fn authority(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.rsplit_once(':')
}

/// The process with one of the names; if there are several, the one whose
/// command line names the port. `None` when that leaves it open.
fn local_process(url: &str, names: &[&'static str]) -> anyhow::Result<Option<Watched>> {
    let Some((host, port)) = authority(url) else {
        return Ok(None);
    };
    if !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let id = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        // Processes may end while they are looked at.
        let (Some(id), Ok(command)) = (id, fs::read_to_string(path.join("comm"))) else {
            continue;
        };
        if let Some(name) = names.iter().find(|name| **name == command.trim_end()) {
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            let names_port = String::from_utf8_lossy(&line).contains(port);
            found.push((Watched { name, id }, names_port));
        }
    }
    if found.len() > 1 {
        found.retain(|(_, names_port)| *names_port);
    }
    let is_certain = found.len() == 1;
    Ok(found
        .pop()
        .map(|(watched, _)| watched)
        .filter(|_| is_certain))
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

    #[test]
    fn host_and_port_are_behind_the_password() {
        let with_path = authority("amqp://guest:a@b@127.0.0.1:35672/%2f");
        assert_eq!(with_path, Some(("127.0.0.1", "35672")));
        assert_eq!(authority("mysql://[::1]:3306"), Some(("[::1]", "3306")));
        assert_eq!(authority("mysql://u:p@db"), None);
    }

    #[test]
    fn servers_of_other_machines_are_no_local_processes() {
        let servers = Servers {
            mysql_url: "mysql://u:p@db.example:3306".to_owned(),
            rabbitmq_url: "amqp://u:p@mq.example:5672".to_owned(),
        };
        assert_eq!(servers.local_processes().unwrap(), []);
    }
}
