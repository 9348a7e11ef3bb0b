//! An error that ends the program, and with which exit code.

use model::Exit;

/// What ended a command.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to print, with its causes; the last words say what to do.
    pub cause: anyhow::Error,
}

impl Failure {
    /// Ends with that code.
    pub fn new(exit: Exit, cause: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, cause: cause.into() }
    }

    /// Wrong arguments or files.
    pub fn usage(cause: impl Into<anyhow::Error>) -> Failure {
        Failure::new(Exit::Usage, cause)
    }

    /// The program cannot go on.
    pub fn fatal(cause: impl Into<anyhow::Error>) -> Failure {
        Failure::new(Exit::Fatal, cause)
    }
}
