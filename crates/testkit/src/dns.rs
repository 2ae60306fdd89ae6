//! A DNS server in a test: it answers over TCP what the test says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simple_dns::rdata::{A, AAAA, CNAME, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A record of a name.
#[derive(Clone, Debug)]
pub enum DnsRecord {
    /// An address.
    Address(IpAddr),
    /// Another name.
    Alias(String),
    /// A host of a service: priority, weight, port and name.
    Service(u16, u16, u16, String),
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, (u32, Vec<DnsRecord>)>,
    fails: bool,
    is_silent: bool,
    instead: Option<Vec<u8>>,
    asked: Vec<String>,
}

/// A DNS server.
#[derive(Clone, Default)]
pub struct DnsDouble(Arc<Mutex<State>>);

impl std::fmt::Debug for DnsDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DnsDouble")
    }
}

impl DnsDouble {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of a name, which hold for so many seconds.
    pub fn put(&self, name: &str, seconds: u32, records: Vec<DnsRecord>) {
        self.state().names.insert(name.to_owned(), (seconds, records));
    }

    /// The addresses of a name.
    pub fn addresses(&self, name: &str, seconds: u32, addresses: &[&str]) {
        let address = |text: &&str| DnsRecord::Address(text.parse().expect("an address"));
        self.put(name, seconds, addresses.iter().map(address).collect());
    }

    /// Answers that it has failed from now on, or works again.
    pub fn fail(&self, fails: bool) {
        self.state().fails = fails;
    }

    /// Answers nothing from now on, or works again.
    pub fn silence(&self, is_silent: bool) {
        self.state().is_silent = is_silent;
    }

    /// Answers these bytes to everything, instead of the truth.
    pub fn instead(&self, bytes: Option<Vec<u8>>) {
        self.state().instead = bytes;
    }

    /// What was asked since this was asked last, as in `A orders.test`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// Answers what comes on a connection.
    pub(crate) async fn serve(self, mut io: DuplexStream) {
        while let Ok(length) = io.read_u16().await {
            let mut question = vec![0; length.into()];
            if io.read_exact(&mut question).await.is_err() {
                return;
            }
            let Some(answer) = self.answer(&question) else {
                // Waits until whoever asked gives up.
                let _ = io.read_u16().await;
                return;
            };
            let length = u16::try_from(answer.len()).expect("a short answer");
            if io.write_u16(length).await.is_err() || io.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let asked = Packet::parse(question).expect("a question");
        let [question] = asked.questions.as_slice() else { panic!("one question") };
        let QTYPE::TYPE(kind) = question.qtype else { panic!("a question for a type") };
        let name = question.qname.to_string();
        let mut state = self.state();
        state.asked.push(format!("{kind:?} {name}"));
        if state.is_silent {
            return None;
        }
        if let Some(bytes) = &state.instead {
            return Some(bytes.clone());
        }
        let mut packet = Packet::new_reply(asked.id());
        packet.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
        packet.questions.clone_from(&asked.questions);
        match state.names.get(&name) {
            _ if state.fails => *packet.rcode_mut() = RCODE::ServerFailure,
            None => *packet.rcode_mut() = RCODE::NameError,
            Some((seconds, records)) => {
                let data = records.iter().filter_map(|record| data(record, kind));
                let owner = Name::new(&name).expect("a name");
                let record = |data| ResourceRecord::new(owner.clone(), CLASS::IN, *seconds, data);
                packet.answers = data.map(record).collect();
            }
        }
        Some(packet.build_bytes_vec_compressed().expect("an answer"))
    }
}

fn data(record: &DnsRecord, kind: TYPE) -> Option<RData<'_>> {
    Some(match (record, kind) {
        (DnsRecord::Address(IpAddr::V4(ip)), TYPE::A) => RData::A(A { address: u32::from(*ip) }),
        (DnsRecord::Address(IpAddr::V6(ip)), TYPE::AAAA) => {
            RData::AAAA(AAAA { address: u128::from(*ip) })
        }
        (DnsRecord::Alias(name), TYPE::CNAME) => {
            RData::CNAME(CNAME(Name::new(name).expect("a name")))
        }
        (DnsRecord::Service(priority, weight, port, target), TYPE::SRV) => RData::SRV(SRV {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: Name::new(target).expect("a name"),
        }),
        _ => return None,
    })
}
