//! The program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    driveprep::run(std::env::args_os())
}
