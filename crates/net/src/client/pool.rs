//! Connections that are kept between calls.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::{Target, UpstreamIo};

/// The most servers of which a client keeps connections.
const SERVERS_MAX: usize = 256;

/// How long and how many idle connections to a server are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// At most so many; none where zero.
    pub size: usize,
    /// Each for at most so long.
    pub idle: Duration,
}

/// What makes connections interchangeable: where they lead, and what was negotiated on them.
#[derive(Debug)]
struct Key {
    host: Arc<str>,
    port: u16,
    /// Held, so that no other configuration gets its address while connections under it are kept.
    tls: Option<(Arc<ClientConfig>, String)>,
}

impl Key {
    fn of(target: &Target) -> Self {
        let tls = target.tls.as_ref();
        let tls = tls.map(|tls| (tls.config.clone(), format!("{:?}", tls.server_name)));
        Self { host: target.host.clone(), port: target.port, tls }
    }

    fn fits(&self, target: &Target) -> bool {
        self.port == target.port
            && self.host == target.host
            && match (&self.tls, &target.tls) {
                (None, None) => true,
                (Some((config, name)), Some(tls)) => {
                    Arc::ptr_eq(config, &tls.config) && *name == format!("{:?}", tls.server_name)
                }
                _ => false,
            }
    }
}

#[derive(Debug)]
struct Idle {
    io: UpstreamIo,
    until: Instant,
}

/// Idle connections, the youngest used first.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(Key, VecDeque<Idle>)>>);

impl Pool {
    /// An idle connection that is still alive.
    pub(super) fn take(&self, target: &Target, cx: &mut Context<'_>) -> Option<UpstreamIo> {
        let now = Instant::now();
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, idle) = servers.iter_mut().find(|(key, _)| key.fits(target))?;
        while let Some(mut entry) = idle.pop_back() {
            if entry.until > now && is_quiet(&mut entry.io, cx) {
                return Some(entry.io);
            }
        }
        None
    }

    /// Keeps a connection for later, if there is room.
    pub(super) fn put(&self, target: &Target, io: UpstreamIo, keep: Keep) {
        if keep.size == 0 {
            return;
        }
        let until = Instant::now() + keep.idle;
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = servers.iter().position(|(key, _)| key.fits(target)).or_else(|| {
            if servers.len() >= SERVERS_MAX {
                return None;
            }
            servers.push((Key::of(target), VecDeque::new()));
            Some(servers.len() - 1)
        });
        let Some((_, idle)) = at.and_then(|at| servers.get_mut(at)) else { return };
        if idle.len() >= keep.size {
            idle.pop_front();
        }
        idle.push_back(Idle { io, until });
    }

    /// Closes what has been idle too long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain_mut(|(_, idle)| {
            idle.retain(|entry| entry.until > now);
            !idle.is_empty()
        });
    }
}

/// True if the server has neither closed nor sent anything unasked.
fn is_quiet(io: &mut UpstreamIo, cx: &mut Context<'_>) -> bool {
    let mut byte = [0_u8; 1];
    let mut buf = ReadBuf::new(&mut byte);
    matches!(Pin::new(io).poll_read(cx, &mut buf), Poll::Pending)
}
