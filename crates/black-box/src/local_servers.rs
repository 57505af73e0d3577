//! Which processes servers are that run on this machine.

use std::fs;

use tcp_proxy::host_and_port;
use test_servers::Servers;

use crate::usage::Watched;

/// Database and broker, each if it is a process of this machine.
pub fn local_processes(servers: &Servers) -> anyhow::Result<Vec<Watched>> {
    let mysql = local_process(&servers.mysql_url, &["mariadbd", "mysqld"])?;
    let rabbitmq = local_process(&servers.rabbitmq_url, &["beam.smp"])?;
    Ok(mysql.into_iter().chain(rabbitmq).collect())
}

/// The process with one of the names; if there are several, the one whose
/// command line or environment names the port. `None` when that leaves it open.
fn local_process(url: &str, names: &[&'static str]) -> anyhow::Result<Option<Watched>> {
    let authority = host_and_port(url);
    let host_with_port = authority.rsplit_once(':');
    let is_here = |host| ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    let Some((_, port)) = host_with_port.filter(|(host, _)| is_here(*host)) else {
        return Ok(None);
    };
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
            // RabbitMQ is told its port by a variable.
            let names_port = ["cmdline", "environ"].into_iter().any(|file| {
                let text = fs::read(path.join(file)).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(port)
            });
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
    fn servers_of_other_machines_are_no_local_processes() {
        let servers = Servers::at("mysql://u:p@db.example:3306", "amqp://u:p@mq.example:5672");
        assert_eq!(local_processes(&servers).unwrap(), []);
    }
}
