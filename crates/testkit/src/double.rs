//! Servers of tests on free ports of this machine.

use std::net::{Ipv4Addr, TcpListener};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http1::{Inbox, request_length};
use crate::upstream::{Answer, Seen, Step};

/// Answers requests on a free port of this machine, as long as the process lasts.
pub(crate) fn listen(
    name: &'static str,
    answer: impl Fn(&Seen) -> Answer + Send + Sync + Clone + 'static,
) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    listener.set_nonblocking(true).expect("a listener");
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((io, _)) = listener.accept().await {
                tokio::spawn(serve(io, name, answer.clone()));
            }
        });
    });
    port
}

async fn serve(mut io: TcpStream, name: &str, answer: impl Fn(&Seen) -> Answer) {
    let mut inbox = Inbox::new();
    while let Some(mut message) = inbox.head(&mut io).await {
        let length = request_length(&message);
        if !inbox.body(&mut io, &mut message, length).await {
            return;
        }
        let seen = Seen::of(message, name, 1, true);
        for step in answer(&seen).steps(&seen.method) {
            match step {
                Step::Send(bytes) => drop(io.write_all(&bytes).await),
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::Close => return,
            }
        }
    }
}
