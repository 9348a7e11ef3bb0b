//! The office's statements: one text for both databases, compiled once for each.
//!
//! `sqlite/office.rs` and `postgres/office.rs` each take the files in `sql/` as modules of their own
//! (`#[path]`), so `super::` in them is a dialect: its types, its clock, how it locks a row. Both
//! databases take `$1`, `RETURNING` and `ON CONFLICT`, so a statement is written, read and reviewed once,
//! and what works in one station's file works in a fleet's server. The alternative, two modules, would
//! have doubled fifty statements for four differences; generics over sqlx's `Database` need its
//! bounds on every function. The runs have a module a database: they are tuned for each.
//!
//! The differences, all in the dialects: the clock; the next fence; `FOR UPDATE` and `SKIP LOCKED`,
//! which SQLite's single writer does not need; how a connection is got and a transaction begun.
//!
//! Locks are taken in one order, so that two changes never wait for each other: a reply, the job, its
//! drives, its claims, secrets, tokens, hooks, the custody chain, the counter of events.

/// Reads in one transaction: all statements see the same state.
macro_rules! reading {
    ($store:expr, $doing:literal, |$connection:ident| $work:expr) => {{
        let mut tries = 0;
        loop {
            let work = async {
                let mut held = $store.office_reader().await?;
                let mut transaction = super::begin_read(&mut held).await?;
                let $connection = &mut *transaction;
                $work.await
            };
            let done: Result<_, $crate::error::Fault> = super::in_time(work).await;
            match done {
                Err(fault) if super::again_reading(&fault, tries).await => tries += 1,
                done => break done.map_err(|fault| $crate::office::OfficeError { doing: $doing, fault }),
            }
        }
    }};
}

/// Writes in one transaction, durable on return. One that the database took back is done again.
macro_rules! writing {
    ($store:expr, $doing:literal, |$connection:ident| $work:expr) => {{
        let mut tries = 0;
        loop {
            let work = async {
                let mut held = $store.office_writer().await?;
                let mut transaction = super::begin_write(&mut held).await?;
                let $connection = &mut *transaction;
                let done = $work.await?;
                transaction.commit().await.map_err($crate::error::Fault::of)?;
                Ok(done)
            };
            let done: Result<_, $crate::error::Fault> = super::in_time(work).await;
            match done {
                Err(fault) if super::again(&fault, tries).await => tries += 1,
                done => break done.map_err(|fault| $crate::office::OfficeError { doing: $doing, fault }),
            }
        }
    }};
}

pub(crate) use {reading, writing};

/// What a database's text cannot hold: PostgreSQL refuses it, so no name has it anywhere.
pub(crate) fn storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Milliseconds as the tables have them; what is longer than time is for ever.
pub(crate) fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
