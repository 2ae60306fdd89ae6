//! One question to a DNS server over TCP (RFC 1035 §4.2.2).

use std::net::SocketAddr;
use std::time::Duration;

use bartizan_net::{Reach, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::message::{Asked, Told};
use crate::fault::Fault;

/// Time for one answer of one server.
const TIME: Duration = Duration::from_secs(3);

/// Asks a server.
pub(super) async fn ask(
    reach: &dyn Reach,
    server: SocketAddr,
    asked: &Asked<'_>,
) -> Result<Told, Fault> {
    let deadline = Instant::now() + TIME;
    let answer = timeout_at(deadline, exchange(reach, server, asked));
    let answer = answer.await.unwrap_or(Err(Fault::Timeout(TIME)))?;
    asked.read(&answer)
}

async fn exchange(
    reach: &dyn Reach,
    server: SocketAddr,
    asked: &Asked<'_>,
) -> Result<Vec<u8>, Fault> {
    let target = Target { host: server.ip().to_string().into(), port: server.port(), tls: None };
    let mut io = reach.connect(&target, TIME).await?;
    let message = asked.message();
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    io.write_all(&framed).await?;
    io.flush().await?;
    let length = io.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    io.read_exact(&mut answer).await?;
    Ok(answer)
}
