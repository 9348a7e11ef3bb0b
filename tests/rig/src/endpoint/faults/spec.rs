//! A fault in one line, as the command line and the control path take it.
//!
//! Comma-separated words `key=value`, one of them an action:
//!
//! ```text
//! op=PutBlock, path=data/*.vhd, nth=3 | from=3, every=5, times=2, p=0.01, seed=7, auth=sas
//! status=503, code=ServerBusy, retry-after=2      refuse[=SECONDS]     stall[=SECONDS]
//! reset[=BYTES]   cut[=BYTES]   lose-answer   bandwidth=BYTES-PER-SECOND   corrupt[=OFFSET]
//! drop-blocks[=COUNT]   disk-full   expired-sas
//! ```

use std::str::FromStr;
use std::time::Duration;

use super::{Action, Fault, Trigger};
use crate::endpoint::operation::UnknownOperation;

/// A line that does not describe a fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A word that has no meaning here.
    #[error("a fault has no part called {0:?}")]
    UnknownWord(String),
    /// A value that is not of its kind.
    #[error("{word}={value}: not a value that {word} can have")]
    BadValue {
        /// The word.
        word: String,
        /// Its value.
        value: String,
    },
    /// Nothing, or more than one thing, is to happen.
    #[error("a fault has exactly one action; this has {0}")]
    Actions(usize),
    /// The operation is not known.
    #[error(transparent)]
    Operation(#[from] UnknownOperation),
}

/// `x-ms-error-code` of a status, when the line gives none.
fn usual_code(status: u16) -> &'static str {
    match status {
        403 => "AuthenticationFailed",
        404 => "BlobNotFound",
        409 => "BlobAlreadyExists",
        412 => "ConditionNotMet",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServerBusy",
        507 => "InsufficientStorage",
        _ => "InjectedFault",
    }
}

impl FromStr for Fault {
    type Err = SpecError;

    fn from_str(line: &str) -> Result<Fault, SpecError> {
        let mut trigger = Trigger::default();
        let (mut actions, mut code, mut retry_after_seconds) = (Vec::new(), None, None);
        for word in line.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
            let word = Word { key, value };
            match key {
                "code" => code = value.map(str::to_owned),
                "retry-after" => retry_after_seconds = Some(word.number()?),
                _ => match word.action()? {
                    Some(action) => actions.push(action),
                    None => word.narrow(&mut trigger)?,
                },
            }
        }
        let count = actions.len();
        let mut action = actions.pop().filter(|_| count == 1).ok_or(SpecError::Actions(count))?;
        if let Action::Status { code: given, retry_after_seconds: after, .. } = &mut action {
            *given = code.unwrap_or_else(|| given.clone());
            *after = retry_after_seconds;
        }
        Ok(Fault { trigger, action })
    }
}

/// One word of a line.
struct Word<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

impl Word<'_> {
    fn action(&self) -> Result<Option<Action>, SpecError> {
        let action = match self.key {
            "status" => {
                let status = self.number()?;
                let code = usual_code(status).to_owned();
                Action::Status { status, code, retry_after_seconds: None }
            }
            "refuse" => Action::Refuse(self.seconds()?),
            "stall" => Action::Stall(self.seconds()?),
            "reset" => Action::Reset { after_bytes: self.number_or(0)? },
            "cut" => Action::Cut { after_bytes: self.number_or(0)? },
            "lose-answer" => Action::LoseAnswer,
            "bandwidth" => Action::Bandwidth { bytes_per_second: self.number()? },
            "corrupt" => Action::Corrupt { offset_bytes: self.number_or(0)? },
            "drop-blocks" => Action::DropBlocks { count: self.number_or(1)? },
            "disk-full" => Action::DiskFull,
            "expired-sas" => Action::ExpiredSignature,
            _ => return Ok(None),
        };
        Ok(Some(action))
    }

    fn narrow(&self, trigger: &mut Trigger) -> Result<(), SpecError> {
        match self.key {
            "op" => trigger.operation = Some(self.value.unwrap_or_default().parse()?),
            "path" => trigger.path = self.value.map(str::to_owned),
            "auth" if self.value == Some("sas") => trigger.by_signature = true,
            "auth" => return Err(self.bad()),
            "nth" => (trigger.first, trigger.times) = (self.number()?, Some(1)),
            "from" => trigger.first = self.number()?,
            "every" => trigger.every = self.number()?,
            "times" => trigger.times = Some(self.number()?),
            "seed" => trigger.seed = self.number()?,
            "p" => trigger.per_million = Some(self.per_million()?),
            _ => return Err(SpecError::UnknownWord(self.key.to_owned())),
        }
        Ok(())
    }

    fn number<T: FromStr>(&self) -> Result<T, SpecError> {
        self.value.and_then(|value| value.parse().ok()).ok_or_else(|| self.bad())
    }

    fn number_or<T: FromStr>(&self, usual: T) -> Result<T, SpecError> {
        if self.value.is_some() { self.number() } else { Ok(usual) }
    }

    fn seconds(&self) -> Result<Option<Duration>, SpecError> {
        let Some(value) = self.value else { return Ok(None) };
        let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(Some).ok_or_else(|| self.bad())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be between 0 and 1 before"
    )]
    fn per_million(&self) -> Result<u32, SpecError> {
        let probability: f64 = self.number()?;
        let valid = (0.0..=1.0).contains(&probability);
        if valid { Ok((probability * 1e6).round() as u32) } else { Err(self.bad()) }
    }

    fn bad(&self) -> SpecError {
        let value = self.value.unwrap_or_default().to_owned();
        SpecError::BadValue { word: self.key.to_owned(), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::operation::Operation;

    #[test]
    fn a_line_names_a_trigger_and_one_action() {
        let line = "op=PutBlock, path=data/*.vhd, nth=3, status=503, retry-after=2";
        let fault: Fault = line.parse().expect("a fault");
        let expected = Fault::status(503, "ServerBusy").on(Operation::PutBlock).path("data/*.vhd").nth(3);
        assert_eq!(fault.trigger, expected.trigger);
        assert_eq!(format!("{:?}", fault.action), "status 503 ServerBusy retry-after Some(2)");
        let fault: Fault = "stall=0.5,p=0.25,seed=9".parse().expect("a fault");
        assert_eq!((fault.trigger.per_million, fault.trigger.seed), (Some(250_000), 9));
        assert!(matches!(fault.action, Action::Stall(Some(time)) if time == Duration::from_millis(500)));
    }

    #[test]
    fn a_line_that_is_not_a_fault_is_refused_with_its_reason() {
        let refused = |line: &str| line.parse::<Fault>().expect_err("refused").to_string();
        assert_eq!(refused("op=PutBlock"), "a fault has exactly one action; this has 0");
        assert_eq!(refused("reset,stall"), "a fault has exactly one action; this has 2");
        assert_eq!(refused("status=many"), "status=many: not a value that status can have");
        assert_eq!(refused("colour=red,reset"), "a fault has no part called \"colour\"");
        assert_eq!(refused("op=Frob,reset"), "no operation is called \"Frob\"");
        assert_eq!(refused("p=1.5,reset"), "p=1.5: not a value that p can have");
    }
}
