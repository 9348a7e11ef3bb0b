//! The drive manifest of a packed drive: azure-import-export.md §1.3.
//!
//! Written here and not by `drivers/manifest`, so that what the station reads was not written by
//! the station's own code. Streams: a manifest of 200,000 files is never held in memory.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::plan::{Layout, PackBlob, PackPlan};
use super::side_files::escaped;
use super::tree::{SideFile, WrittenBlob};

/// Writes the manifest of `plan`, whose files became `written`.
///
/// # Errors
/// Those of `out`.
pub fn write(plan: &PackPlan, written: &[WrittenBlob], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<DriveManifest Version=\"2014-11-01\">\n<Drive>")?;
    writeln!(out, "<DriveId>{}</DriveId>", escaped(&plan.serial))?;
    writeln!(out, "<ClientCreator>cargo rig pack</ClientCreator>")?;
    writeln!(out, "<BlobList Id=\"session#1-0\">")?;
    for (blob, file) in plan.blobs.iter().zip(written) {
        write_blob(blob, file, out)?;
    }
    writeln!(out, "</BlobList>\n</Drive>\n</DriveManifest>")
}

fn write_blob(blob: &PackBlob, written: &WrittenBlob, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<Blob>\n<BlobPath>{}</BlobPath>", escaped(&blob.destination))?;
    writeln!(out, "<FilePath>{}</FilePath>", escaped(&blob.file))?;
    writeln!(out, "<Length>{}</Length>", blob.content.length_bytes())?;
    if let Some(disposition) = blob.disposition {
        writeln!(out, "<ImportDisposition>{disposition}</ImportDisposition>")?;
    }
    let (list, element, named) = match blob.layout {
        Layout::Blocks { named, .. } => ("BlockList", "Block", named),
        Layout::Pages => ("PageRangeList", "PageRange", false),
    };
    writeln!(out, "<{list}>")?;
    for (part, hash) in blob.parts().into_iter().zip(&written.part_hashes) {
        // Microsoft's tool names a block by its MD5: §1.5.
        let id = if named { format!(" Id=\"MD5/{}\"", BASE64.encode(hash.0)) } else { String::new() };
        let length_bytes = part.end - part.start;
        writeln!(
            out,
            "<{element} Offset=\"{}\" Length=\"{length_bytes}\"{id} Hash=\"{hash}\"/>",
            part.start
        )?;
    }
    writeln!(out, "</{list}>")?;
    write_side_file("MetadataPath", written.metadata.as_ref(), out)?;
    write_side_file("PropertiesPath", written.properties.as_ref(), out)?;
    writeln!(out, "{}</Blob>", blob.markup)
}

fn write_side_file(element: &str, file: Option<&SideFile>, out: &mut impl Write) -> io::Result<()> {
    let Some(SideFile { path, hash }) = file else { return Ok(()) };
    writeln!(out, "<{element} Hash=\"{hash}\">{}</{element}>", escaped(path))
}
