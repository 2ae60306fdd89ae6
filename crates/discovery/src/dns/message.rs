//! Questions to DNS servers, and what their answers say (RFC 1035, RFC 2782, RFC 3596).

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::rand;
use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};

use crate::fault::Fault;
use crate::found::FOUND_MAX;

/// The most aliases that are followed in one answer.
const ALIASES_MAX: usize = 8;

/// A type of records that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Srv,
    A,
    Aaaa,
    Cname,
}

/// What an SRV record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) target: String,
    pub(super) port: u16,
    pub(super) weight: u16,
    pub(super) priority: u16,
}

/// The records of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Records {
    Addresses(Vec<String>),
    Hosts(Vec<Host>),
    Alias(String),
    Nothing,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) records: Records,
    /// How long it holds.
    pub(super) seconds: u32,
}

/// A question.
pub(super) struct Asked<'a> {
    host: &'a str,
    kind: Kind,
    id: u16,
    message: Vec<u8>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(host: &'a str, kind: Kind) -> Result<Self, Fault> {
        let mut id = [0; 2];
        // Over TCP it only tells answers apart.
        let id = if rand::fill(&mut id).is_ok() { u16::from_be_bytes(id) } else { 1 };
        let unsound = |_| Fault::Malformed(format!("`{host}` is no name"));
        let name = Name::new(host).map_err(unsound)?;
        let kind_of_question = QTYPE::TYPE(kind.code());
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let class = QCLASS::CLASS(CLASS::IN);
        packet.questions.push(Question::new(name, kind_of_question, class, false));
        let message = packet.build_bytes_vec().map_err(unsound)?;
        Ok(Self { host, kind, id, message })
    }

    /// The question as it is sent.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Reads an answer, which must be one to this very question.
    pub(super) fn read(&self, answer: &[u8]) -> Result<Told, Fault> {
        let malformed = |problem: &str| Fault::Malformed(problem.to_owned());
        let packet = Packet::parse(answer).map_err(|_| malformed("not a DNS message"))?;
        let is_ours = match packet.questions.as_slice() {
            [asked] => {
                is_same(&asked.qname, self.host)
                    && asked.qtype == QTYPE::TYPE(self.kind.code())
                    && asked.qclass == QCLASS::CLASS(CLASS::IN)
            }
            _ => false,
        };
        if packet.id() != self.id || !packet.has_flags(PacketFlag::RESPONSE) || !is_ours {
            return Err(malformed("an answer to another question"));
        }
        match packet.rcode() {
            RCODE::NoError => self.records(&packet),
            RCODE::NameError => Ok(Told { records: Records::Nothing, seconds: 0 }),
            other => Err(Fault::Refused(format!("{other:?}"))),
        }
    }

    fn records(&self, packet: &Packet<'_>) -> Result<Told, Fault> {
        if packet.answers.len() > FOUND_MAX {
            return Err(Fault::TooMany(packet.answers.len()));
        }
        let internet = packet.answers.iter().filter(|record| record.class == CLASS::IN);
        let records: Vec<&ResourceRecord<'_>> = internet.collect();
        let mut seconds = u32::MAX;
        let mut owner = self.host.to_owned();
        if self.kind != Kind::Cname {
            for _ in 0..ALIASES_MAX {
                let Some((alias, ttl)) = alias_of(&records, &owner) else { break };
                owner = alias;
                seconds = seconds.min(ttl);
            }
        }
        let own = records.iter().filter(|record| is_same(&record.name, &owner));
        let (mut addresses, mut hosts, mut alias) = (Vec::new(), Vec::new(), None);
        for record in own {
            match (&record.rdata, self.kind) {
                (RData::A(a), Kind::A) => addresses.push(Ipv4Addr::from(a.address).to_string()),
                (RData::AAAA(a), Kind::Aaaa) => {
                    addresses.push(Ipv6Addr::from(a.address).to_string());
                }
                (RData::SRV(srv), Kind::Srv) => {
                    let target = srv.target.to_string().to_ascii_lowercase();
                    hosts.push(Host {
                        target,
                        port: srv.port,
                        weight: srv.weight,
                        priority: srv.priority,
                    });
                }
                (RData::CNAME(name), Kind::Cname) => alias = Some(name.0.to_string()),
                _ => continue,
            }
            seconds = seconds.min(record.ttl);
        }
        let is_told = !hosts.is_empty();
        // A target without labels says that there is no such service.
        hosts.retain(|host| !host.target.is_empty() && host.target != ".");
        let records = match (addresses.is_empty(), is_told, alias) {
            (false, ..) => Records::Addresses(addresses),
            (_, true, _) => Records::Hosts(hosts),
            (.., Some(alias)) => Records::Alias(alias),
            _ => return Ok(Told { records: Records::Nothing, seconds: 0 }),
        };
        Ok(Told { records, seconds })
    }
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Self::Srv => TYPE::SRV,
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Cname => TYPE::CNAME,
        }
    }
}

fn is_same(name: &Name<'_>, host: &str) -> bool {
    name.to_string().trim_end_matches('.').eq_ignore_ascii_case(host.trim_end_matches('.'))
}

fn alias_of(records: &[&ResourceRecord<'_>], owner: &str) -> Option<(String, u32)> {
    records.iter().find_map(|record| match &record.rdata {
        RData::CNAME(name) if is_same(&record.name, owner) => {
            Some((name.0.to_string(), record.ttl))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
