//! Configurations as they are written, read against a small catalogue of plugins.

mod adc;
mod bad_credentials;
mod bad_documents;
mod bad_nodes;
mod bad_plugins;
mod bad_resources;
mod catalogue;
mod checks;
mod drafts;
mod good;
mod lent;
mod limits;
mod merging;
mod pages;
mod properties;
mod protos;
mod schemas;
mod secret_managers;
mod secrets;
