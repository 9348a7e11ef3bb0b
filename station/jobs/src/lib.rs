//! What happens to a job: step, save with its custody entry, then act.

#![forbid(unsafe_code)]
