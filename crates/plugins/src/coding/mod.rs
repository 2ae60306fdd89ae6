//! Codings of bodies: what a client accepts, how a body is compressed, and how one that came
//! compressed is read.

pub(crate) mod accept;
pub(crate) mod budget;
pub(crate) mod decode;
pub(crate) mod eligible;
pub(crate) mod encode;
