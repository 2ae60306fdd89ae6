//! Reading rules: what is wrong is told with its place and a remedy; what is right is read as
//! written.

mod faults;
mod files;
