//! Tests of the reader.

mod stock;
