//! Tests of the reader.

mod grammar;
mod round_trip;
mod stock;
