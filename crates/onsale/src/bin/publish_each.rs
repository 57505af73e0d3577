//! The usual way: each order is a persistent message of its own to a durable
//! quorum queue, and is answered when the broker has confirmed it. The JSON in
//! and out is the service's; nothing is looked up.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use clap::Parser;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};
use onsale::baselines::{Order, Ticket};

const PERSISTENT: u8 = 2;

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
    /// The queue; declared, never deleted.
    #[arg(long)]
    queue: String,
    /// `amqp://user:password@host:port`
    #[arg(long, env = "ONSALE_RABBITMQ_URL", hide_env_values = true)]
    rabbitmq_url: String,
    /// Connections to the broker.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Channels of each of them, used in turn.
    #[arg(long, default_value_t = 1)]
    channels: usize,
}

/// Where orders go.
struct Publisher {
    queue: ShortString,
    channels: Vec<Channel>,
    next: AtomicUsize,
    /// Closed when dropped.
    _connections: Vec<Connection>,
}

impl Publisher {
    async fn connect(cli: &Cli) -> anyhow::Result<Self> {
        let queue = ShortString::from(cli.queue.as_str());
        let mut connections = Vec::new();
        let mut channels = Vec::new();
        for _ in 0..cli.connections.max(1) {
            let properties = ConnectionProperties::default();
            let connection = Connection::connect(&cli.rabbitmq_url, properties).await?;
            for _ in 0..cli.channels.max(1) {
                let channel = connection.create_channel().await?;
                let confirms = ConfirmSelectOptions::default();
                channel.confirm_select(confirms).await?;
                channels.push(channel);
            }
            connections.push(connection);
        }
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        channels
            .first()
            .context("no channel")?
            .queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments)
            .await?;
        Ok(Self {
            queue,
            channels,
            next: AtomicUsize::new(0),
            _connections: connections,
        })
    }

    /// Whether the broker has stored it in the queue.
    async fn publish(&self, body: &[u8]) -> lapin::Result<bool> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT);
        let confirm = self.channels[turn]
            .basic_publish("".into(), self.queue.clone(), options, body, properties)
            .await?;
        Ok(matches!(confirm.await?, Confirmation::Ack(None)))
    }
}

async fn place(
    publisher: web::Data<Publisher>,
    order: web::Json<Order>,
) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    let body = ticket.body()?;
    Ok(match publisher.publish(&body).await {
        Ok(true) => ticket.accepted(body),
        Ok(false) | Err(_) => HttpResponse::ServiceUnavailable().finish(),
    })
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let publisher = web::Data::from(Arc::new(Publisher::connect(&cli).await?));
    HttpServer::new(move || {
        App::new()
            .app_data(publisher.clone())
            .route("/tickets", web::post().to(place))
            .route("/health", web::get().to(HttpResponse::Ok))
    })
    .bind((Ipv4Addr::LOCALHOST, cli.port))?
    .run()
    .await?;
    Ok(())
}
