//! The pipeline users would put together from parts: mosquitto, a consumer, PostgreSQL.
//!
//! It is built with care, so that the comparison is fair: mutual TLS for the seals as with us, the consumer acknowledges
//! by hand, rows go over a pool of connections in parallel, and the seal gets its answer (the equal of LOG-ACK) after the
//! commit. What makes it slower is what it is: one row a message, one commit a row. It does not check chains,
//! signatures, grants or duplicates beyond the key.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, Publish, QoS};
use tokio::sync::mpsc;
use tokio_postgres::{Client as Database, NoTls};

/// How many connections the consumer keeps to the database.
pub const CONNECTIONS: usize = 16;

/// One row a message, as somebody would write it first.
const SCHEMA: &str = "CREATE TABLE stamp_message (
    device TEXT NOT NULL,
    message_id BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    payload BYTEA NOT NULL,
    PRIMARY KEY (device, message_id)
)";
const INSERT: &str = "INSERT INTO stamp_message (device, message_id, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
/// As short as a LOG-ACK without content can be.
const ANSWER: [u8; 5] = [0x84, 0x11, 0x01, 0xa0, 0x01];

/// Runs the consumer until the task is aborted.
///
/// # Errors
/// The broker or the database is not reachable.
pub async fn consume(broker_port: u16, database_port: u16) -> Result<()> {
    let mut options = MqttOptions::new("consumer", "127.0.0.1", broker_port);
    options.set_manual_acks(true);
    options.set_inflight(u16::MAX);
    options.set_max_packet_size(64 * 1024, 64 * 1024);
    options.set_keep_alive(Duration::from_secs(60));
    let (client, mut events) = AsyncClient::new(options, 10_000);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);

    let mut senders = Vec::new();
    for index in 0..CONNECTIONS {
        let (sender, receiver) = mpsc::channel(1024);
        let database = connect(database_port, index == 0).await?;
        sealgate::tasks::spawn("peer-writer", write(database, receiver, client.clone()));
        senders.push(sender);
    }
    client.subscribe("s1/+/u", QoS::AtLeastOnce).await?;
    distribute(events, &senders).await
}

async fn connect(port: u16, create: bool) -> Result<Database> {
    let url = format!("host=127.0.0.1 port={port} user=sealgate dbname=postgres");
    let (database, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .context("PostgreSQL")?;
    sealgate::tasks::spawn("peer-connection", async move {
        let _ = connection.await;
    });
    if create {
        database.batch_execute(SCHEMA).await?;
    }
    Ok(database)
}

/// Messages of one device always take the same connection, so that its order is kept.
async fn distribute(mut events: EventLoop, senders: &[mpsc::Sender<Publish>]) -> Result<()> {
    loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            let sum: usize = publish.topic.bytes().map(usize::from).sum();
            senders[sum % senders.len()].send(publish).await?;
        }
    }
}

async fn write(
    database: Database,
    mut messages: mpsc::Receiver<Publish>,
    broker: AsyncClient,
) -> Result<()> {
    let statement = database.prepare(INSERT).await?;
    let mut number = 0_i64;
    while let Some(message) = messages.recv().await {
        number += 1;
        let device = message.topic.split('/').nth(1).unwrap_or_default();
        database
            .execute(&statement, &[&device, &number, &message.payload.as_ref()])
            .await?;
        broker.ack(&message).await?;
        let answer = message.topic.replace("/u", "/d");
        broker
            .publish(answer, QoS::AtMostOnce, false, ANSWER)
            .await?;
    }
    Ok(())
}
