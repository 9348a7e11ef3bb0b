//! `cargo rig`: set-up, demo, checks, packed drives, benchmarks and the endpoint, on one command line.

fn main() {}
