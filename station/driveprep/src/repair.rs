//! `driveprep repair-import` and `driveprep repair-export`: what a log or a check finds broken is
//! mended, and nothing else is touched. azure-import-export.md §2.7, §2.8.
//!
//! ```text
//! repair-import:  log (+ manifest) ─▶ work ─▶ source file, proven by hash ─▶ block | page | side file ─▶ account
//! repair-export:  log and manifest ─▶ spoilt parts of the folder ─▶ account, proven by hash ─▶ folder
//! ```
//! | to change | open |
//! | --- | --- |
//! | what is known of a damaged blob | [`work`], [`damage`] |
//! | where the bytes to repair it from are found | [`roots`], [`drive_root`], [`path_map`] |
//! | how a block blob is mended | [`block`] |
//! | how a page blob is mended | [`page`] |
//! | metadata and properties | [`side`] |
//! | under which name, and when not | [`place`] |
//! | what survives a kill | [`record`] |
//! | a file of an exported drive | [`export`], [`folder`] |

pub mod block;
pub mod damage;
pub mod drive_root;
pub mod export;
pub mod folder;
pub mod import;
pub mod page;
pub mod path_map;
pub mod place;
pub mod record;
pub mod roots;
pub mod side;
pub mod stop;
pub mod work;

pub use export::{RepairExportArguments, run as run_export};
pub use import::{RepairImportArguments, run as run_import};
